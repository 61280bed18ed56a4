#include "document.h"
#include "document_file.h"
#include "engine/mock/json/json_text.h"
#include "engine/mock/json/yaml_json.h"
#include "json_position.h"
#include "message/percent.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct source {
    struct source *next;
    const char *name;   /* relative to the folder */
    struct buffer text; /* JSON; what was YAML has its lines */
    json_t *root;
    json_t *anchors; /* $anchor and $id of the whole file: pointers by name; null until it is asked for */
};

struct document {
    struct region region;
    struct source *sources, **end; /* the first is the document itself */
    char *folder;
    size_t file_count, size_bytes;
    enum err err; /* ERR_SYNTAX as soon as there is a complaint */
    struct buffer complaints;
    size_t complaint_count;
    struct buffer *files; /* or null */
};

void document_note_files(struct document *document, struct buffer *files) { document->files = files; }

struct region *document_region(struct document *document) { return &document->region; }

void document_fail(struct document *document) { document->err = ERR_NO_MEMORY; }

/* ---- complaints -------------------------------------------------------------------------------- */

/* Quotes of the document may hold anything: control bytes are shown as '?'. */
static void append_printable(struct buffer *buffer, struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        buffer_append_byte(buffer,
                           (unsigned char)text.data[i] >= ' ' && text.data[i] != 0x7f ? text.data[i] : '?');
}

static void append_position(struct document *document, struct place place)
{
    struct buffer *line_of = &document->complaints;
    struct bytes pointer = bytes_of_text(place.pointer != NULL ? place.pointer : "");
    size_t line, column;

    if (place.source != document->sources)
        buffer_append_format(line_of, "%s: ", place.source->name);
    if (json_position_find(buffer_bytes(&place.source->text), pointer, &line, &column))
        buffer_append_format(line_of, "line %zu, column %zu", line, column);
    if (pointer.size > 0) {
        buffer_append_literal(line_of, ", at ");
        append_printable(line_of, pointer);
    }
    buffer_append_literal(line_of, ": ");
}

void document_complain(struct document *document, struct place place, const char *format, ...)
{
    va_list arguments;
    char sentence[512];

    if (document->err == OK)
        document->err = ERR_SYNTAX;
    if (++document->complaint_count > DOCUMENT_COMPLAINTS_MAX)
        return;
    if (document->complaint_count > 1)
        buffer_append_literal(&document->complaints, "\n  ");
    if (place.source != NULL)
        append_position(document, place);
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    append_printable(&document->complaints, bytes_of_text(sentence));
}

enum err document_error(struct document *document, struct buffer *message)
{
    if (document->err == ERR_SYNTAX && message != NULL) {
        buffer_append(message, buffer_bytes(&document->complaints));
        if (document->complaint_count > DOCUMENT_COMPLAINTS_MAX)
            buffer_append_format(message, "\n  and %zu more",
                                 document->complaint_count - DOCUMENT_COMPLAINTS_MAX);
    }
    return document->err;
}

const char *document_describe(struct document *document, struct place place)
{
    return region_format(&document->region, "%s#%s",
                         place.source == document->sources ? "" : place.source->name, place.pointer);
}

/* ---- files ------------------------------------------------------------------------------------- */

/* Parses `text` as the file `name`. Null after a note. */
static struct source *add_source(struct document *document, const char *name, struct bytes text)
{
    struct source *source = calloc(1, sizeof *source);
    struct buffer why = {0};
    size_t start = 0;
    enum err err = ERR_NO_MEMORY;

    if (source == NULL || (source->name = region_copy(&document->region, bytes_of_text(name))) == NULL)
        goto fail;
    if (document->end != &document->sources)
        buffer_append_format(&why, "%s: ", name);
    while (start < text.size && strchr(" \t\r\n", text.data[start]) != NULL)
        start++;
    if (start < text.size && (text.data[start] == '{' || text.data[start] == '[')) {
        buffer_append(&source->text, text);
        err = source->text.failed ? ERR_NO_MEMORY : json_text_parse(text, &source->root, &why);
    } else {
        err = yaml_json_convert(text, &source->text, &why);
        if (err == OK)
            err = json_text_parse(buffer_bytes(&source->text), &source->root, &why);
    }
    if (err != OK)
        goto fail;
    *document->end = source;
    document->end = &source->next;
    document->file_count++;
    buffer_fini(&why);
    return source;

fail:
    if (err == ERR_NO_MEMORY)
        document_fail(document);
    else
        document_complain(document, (struct place){0}, "%.*s", BYTES_PRINTF(buffer_bytes(&why)));
    buffer_fini(&why);
    if (source != NULL)
        buffer_fini(&source->text);
    free(source);
    return NULL;
}

static const struct source *find_source(struct document *document, struct place from, const char *name)
{
    struct buffer text = {0};
    const struct source *found = NULL;
    enum err err;

    for (found = document->sources; found != NULL; found = found->next)
        if (strcmp(found->name, name) == 0)
            return found;
    if (document->file_count == DOCUMENT_FILES_MAX) {
        document_complain(document, from, "refers to more than %d files", DOCUMENT_FILES_MAX);
        return NULL;
    }
    if (document->files != NULL)
        buffer_append_format(document->files, "%s/%s%c", document->folder, name, '\0');
    err = document_file_read(document->folder, name, DOCUMENT_BYTES_MAX - document->size_bytes, &text);
    if (err == ERR_NO_MEMORY) {
        document_fail(document);
    } else if (err == ERR_TOO_LARGE) {
        document_complain(document, from, "refers to files of more than %d bytes", DOCUMENT_BYTES_MAX);
    } else if (err != OK) {
        document_complain(document, from, "cannot read %s: %s", name, err_text(err));
    } else {
        document->size_bytes += text.size;
        found = add_source(document, name, buffer_bytes(&text));
    }
    buffer_fini(&text);
    return found;
}

enum err document_create(const char *path, struct bytes text, struct document **document,
                         struct buffer *message)
{
    const char *slash = strrchr(path, '/');
    struct document *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->end = &made->sources;
    made->folder = slash == NULL ? region_copy(&made->region, BYTES("."))
                                 : region_copy(&made->region, bytes_of(path, (size_t)(slash - path) + 1));
    made->size_bytes = text.size;
    if (made->folder == NULL)
        document_fail(made);
    else
        add_source(made, slash == NULL ? path : slash + 1, text);
    err = document_error(made, message);
    if (err != OK) {
        document_destroy(made);
        return err;
    }
    *document = made;
    return OK;
}

void document_seal(struct document *document)
{
    document->files = NULL;
    for (struct source *source = document->sources; source != NULL; source = source->next) {
        buffer_fini(&source->text);
        json_decref(source->anchors);
        source->anchors = NULL;
    }
}

void document_destroy(struct document *document)
{
    if (document == NULL)
        return;
    document_seal(document);
    while (document->sources != NULL) {
        struct source *source = document->sources;
        document->sources = source->next;
        json_decref(source->root);
        free(source);
    }
    buffer_fini(&document->complaints);
    region_fini(&document->region);
    free(document);
}

/* ---- places ------------------------------------------------------------------------------------ */

struct place document_root(const struct document *document)
{
    return (struct place){document->sources, document->sources->root, ""};
}

/* `name` with '~' and '/' escaped (RFC 6901 §3), behind `parent` and a '/'. */
static const char *join_pointer(struct document *document, const char *parent, const char *name)
{
    struct buffer joined = {0};
    const char *pointer = NULL;

    buffer_append_format(&joined, "%s/", parent);
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '~')
            buffer_append_literal(&joined, "~0");
        else if (*c == '/')
            buffer_append_literal(&joined, "~1");
        else
            buffer_append_byte(&joined, *c);
    }
    if (!joined.failed)
        pointer = region_copy(&document->region, buffer_bytes(&joined));
    buffer_fini(&joined);
    if (pointer == NULL)
        document_fail(document);
    return pointer;
}

struct place document_member(struct document *document, struct place parent, const char *name)
{
    struct place member = {.source = parent.source, .pointer = parent.pointer};

    member.node = parent.node != NULL ? json_object_get(parent.node, name) : NULL;
    if (member.node == NULL)
        return member;
    member.pointer = join_pointer(document, parent.pointer, name);
    if (member.pointer == NULL)
        return (struct place){.source = parent.source, .pointer = ""};
    return member;
}

struct place document_item(struct document *document, struct place parent, size_t index)
{
    struct place item = {.source = parent.source, .pointer = parent.pointer};
    char digits[24];

    item.node = parent.node != NULL ? json_array_get(parent.node, index) : NULL;
    if (item.node == NULL)
        return item;
    snprintf(digits, sizeof digits, "%zu", index);
    item.pointer = join_pointer(document, parent.pointer, digits);
    if (item.pointer == NULL)
        return (struct place){.source = parent.source, .pointer = ""};
    return item;
}

/* ---- references -------------------------------------------------------------------------------- */

/* Puts every $anchor and $id below `node` into `anchors`. Nesting is bounded by the parser. */
static bool collect_anchors(struct document *document, json_t *anchors, const json_t *node,
                            const char *pointer)
{
    static const char *const keywords[] = {"$anchor", "$dynamicAnchor", "$id"};
    const char *name;
    json_t *member;
    size_t index;

    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        const char *anchor = json_string_value(json_object_get(node, keywords[i]));
        if (anchor != NULL && json_object_set_new(anchors, anchor, json_string(pointer)) != 0)
            return false;
    }
    json_object_foreach((json_t *)node, name, member)
    {
        const char *below;
        if (!json_is_object(member) && !json_is_array(member))
            continue;
        below = join_pointer(document, pointer, name);
        if (below == NULL || !collect_anchors(document, anchors, member, below))
            return false;
    }
    json_array_foreach(node, index, member)
    {
        char digits[24];
        const char *below;
        if (!json_is_object(member) && !json_is_array(member))
            continue;
        snprintf(digits, sizeof digits, "%zu", index);
        below = join_pointer(document, pointer, digits);
        if (below == NULL || !collect_anchors(document, anchors, member, below))
            return false;
    }
    return true;
}

/* The pointer of an anchor or an id in one file; null if it has none of that name. */
static const char *find_anchor(struct document *document, const struct source *source, const char *name)
{
    struct source *changed = (struct source *)source; /* the table is made when it is first needed */

    if (source->anchors == NULL) {
        changed->anchors = json_object();
        if (changed->anchors == NULL || !collect_anchors(document, changed->anchors, source->root, "")) {
            document_fail(document);
            return NULL;
        }
    }
    return json_string_value(json_object_get(source->anchors, name));
}

/* Percent-decodes `text` into the region, as a text without NUL; null, after a note, if that is not one. */
static char *decode(struct document *document, struct place from, struct bytes text)
{
    char *decoded = region_take(&document->region, text.size + 1);
    size_t size = 0, at = 0;

    if (decoded == NULL) {
        document_fail(document);
        return NULL;
    }
    while (at < text.size)
        if (!percent_take(text, &at, &decoded[size]) || decoded[size++] == '\0') {
            document_complain(document, from, "the reference is malformed: '%%' needs two digits");
            return NULL;
        }
    return decoded;
}

/* Goes down `pointer` from `start`. */
static struct place walk(struct document *document, struct place from, struct place start,
                         const char *pointer)
{
    struct bytes rest = bytes_of_text(pointer);
    char token[POINTER_TOKEN_BYTES_MAX];
    char *end;

    while (rest.size > 0) {
        struct place next = {0};
        if (!json_pointer_next(&rest, token)) {
            document_complain(document, from, "the reference is malformed: \"%s\" is no JSON pointer",
                              pointer);
            return next;
        }
        if (json_is_array(start.node) && *token >= '0' && *token <= '9')
            next = document_item(document, start, (size_t)strtoull(token, &end, 10));
        else
            next = document_member(document, start, token);
        if (next.node == NULL) {
            document_complain(document, from, "refers to \"%s\", but \"%s\" is not there", pointer, token);
            return next;
        }
        start = next;
    }
    return start;
}

struct place document_follow(struct document *document, struct place from, const char *reference)
{
    const char *hash = strchrnul(reference, '#'), *anchor, *fragment = "";
    struct bytes file = bytes_of(reference, (size_t)(hash - reference));
    struct place target = {.source = from.source, .pointer = ""};
    char *name;

    if (file.size > 0) {
        char *whole = decode(document, from, file);
        if (whole == NULL)
            return (struct place){0};
        anchor = find_anchor(document, from.source, whole);
        if (anchor != NULL) {
            target.node = from.source->root;
            target = walk(document, from, target, anchor);
        } else {
            name = document_file_name(&document->region, from.source->name, whole);
            if (name == NULL) {
                document_complain(document, from,
                                  "refers to \"%s\": only files in the document's folder, or below it, can "
                                  "be referred to; copy it there",
                                  whole);
                return (struct place){0};
            }
            target.source = find_source(document, from, name);
        }
    }
    if (*hash == '#' && (fragment = decode(document, from, bytes_of_text(hash + 1))) == NULL)
        return (struct place){0};
    if (target.source == NULL)
        return (struct place){0};
    if (target.node == NULL)
        target.node = target.source->root;
    if (*fragment != '\0' && *fragment != '/') {
        anchor = find_anchor(document, target.source, fragment);
        if (anchor == NULL) {
            document_complain(document, from, "refers to \"%s\", but there is no such $anchor", fragment);
            return (struct place){0};
        }
        target.node = target.source->root;
        target.pointer = "";
        fragment = anchor;
    }
    return walk(document, from, target, fragment);
}

struct place document_resolve(struct document *document, struct place place)
{
    enum { HOPS_MAX = 50 };
    struct place start = place;

    for (int hops = 0; hops < HOPS_MAX; hops++) {
        const char *reference =
            place.node != NULL ? json_string_value(json_object_get(place.node, "$ref")) : NULL;
        if (reference == NULL)
            return place;
        place = document_follow(document, place, reference);
    }
    document_complain(document, start, "the reference leads in a circle");
    return (struct place){0};
}
