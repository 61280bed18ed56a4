#include "recorded_rule.h"
#include "base/utf8.h"
#include "engine/mock/rules/matcher.h"
#include "engine/mock/rules/rule_path.h"
#include "engine/mock/rules/secret_names.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIELDS_MAX = 50, PARAMETERS_MAX = 64, DIGEST_BYTES = 32, NAME_DIGEST_BYTES = 6 };

const char *recorded_error_text(enum recorded_error error)
{
    switch (error) {
    case RECORDED_OK: return "recorded";
    case RECORDED_METHOD: return "its method is not of capital letters";
    case RECORDED_PATH: return "a rule's path cannot say its path";
    case RECORDED_PARAMETERS: return "its query has too many parameters, or is not UTF-8";
    case RECORDED_STATUS: return "a rule cannot answer with its status";
    case RECORDED_NO_MEMORY: return "out of memory";
    }
    UNREACHABLE();
}

/* ---- texts in YAML ------------------------------------------------------------------------------- */

static bool is_utf8(struct bytes text)
{
    struct utf8 utf8 = {0};

    for (size_t i = 0; i < text.size; i++)
        if (!utf8_take(&utf8, (uint8_t)text.data[i]))
            return false;
    return utf8.left == 0;
}

/* Appends `text`, which is UTF-8, in double quotes. What a reader of YAML may refuse as it is, control
 * characters and the last two code points of a plane among them, is escaped. */
static void append_quoted(struct buffer *out, struct bytes text)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.size;) {
        unsigned char byte = (unsigned char)text.data[i];
        size_t size = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
        uint32_t code = size == 1 ? byte : byte & (0x7fU >> size);
        for (size_t j = 1; j < size; j++)
            code = code << 6 | ((unsigned char)text.data[i + j] & 0x3f);
        if (code == '"' || code == '\\')
            buffer_append_format(out, "\\%c", (char)code);
        else if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
                 code == 0xfeff || (code & 0xfffe) == 0xfffe)
            buffer_append_format(out, "\\U%08x", (unsigned)code);
        else
            buffer_append(out, bytes_of(text.data + i, size));
        i += size;
    }
    buffer_append_byte(out, '"');
}

/* ---- which requests ------------------------------------------------------------------------------ */

/* Appends the path as rules have it, decoded; a slash at the end is as good as none. */
static bool append_path(struct bytes path, struct buffer *out)
{
    struct buffer segment = {0};
    bool is_good = path.size > 0 && path.data[0] == '/';
    size_t segment_count = 0;

    if (path.size > 1 && path.data[path.size - 1] == '/')
        path.size--;
    for (struct bytes rest = path; is_good && rest.size > 1;) {
        const char *slash = memchr(rest.data + 1, '/', rest.size - 1);
        size_t size = slash != NULL ? (size_t)(slash - rest.data) : rest.size;
        struct bytes text;
        buffer_clear(&segment);
        request_decode(&segment, bytes_of(rest.data + 1, size - 1), false);
        text = buffer_bytes(&segment);
        is_good = !segment.failed && ++segment_count <= RULE_PATH_SEGMENTS_MAX && text.size > 0 &&
                  text.data[0] != ':' && is_utf8(text);
        for (size_t i = 0; i < text.size; i++)
            is_good = is_good && strchr("{}/?", text.data[i]) == NULL;
        buffer_append_byte(out, '/');
        buffer_append(out, text);
        rest = bytes_after(rest, size);
    }
    if (path.size == 1)
        buffer_append_byte(out, '/');
    buffer_fini(&segment);
    return is_good;
}

/* Whether a parameter of that name stands in the query before `end`. */
static bool was_before(const struct http_request *request, const char *end, struct bytes wanted)
{
    struct buffer name = {0}, value = {0};
    struct bytes rest = request->query;
    bool was = false;

    while (!was && rest.data < end && request_next_parameter(&rest, &name, &value))
        was = rest.data <= end && bytes_equal(buffer_bytes(&name), wanted);
    buffer_fini(&name);
    buffer_fini(&value);
    return was;
}

/* Appends what the parameter `wanted` must be: its value, or the list of its values. */
static void append_demand(const struct http_request *request, struct bytes wanted, bool is_secret,
                          struct buffer *out)
{
    struct buffer name = {0}, value = {0}, values = {0};
    struct bytes rest = request->query;
    size_t count = 0;

    while (request_next_parameter(&rest, &name, &value)) {
        if (!bytes_equal(buffer_bytes(&name), wanted))
            continue;
        if (count++ > 0)
            buffer_append_literal(&values, ", ");
        append_quoted(&values, buffer_bytes(&value));
    }
    if (is_secret)
        buffer_append_literal(out, "{present: true}");
    else
        buffer_append_format(out, count > 1 ? "[%.*s]" : "%.*s", BYTES_PRINTF(buffer_bytes(&values)));
    out->failed |= values.failed;
    buffer_fini(&name);
    buffer_fini(&value);
    buffer_fini(&values);
}

static bool append_query(const struct secret_words *words, const struct http_request *request,
                         struct buffer *out)
{
    struct buffer name = {0}, value = {0};
    struct bytes rest = request->query;
    size_t count = 0, demand_count = 0;
    bool is_good = true;

    while (is_good) {
        const char *at = rest.data;
        if (!request_next_parameter(&rest, &name, &value))
            break;
        is_good = ++count <= PARAMETERS_MAX && is_utf8(buffer_bytes(&name)) &&
                  is_utf8(buffer_bytes(&value)) && !name.failed && !value.failed;
        if (!is_good || was_before(request, at, buffer_bytes(&name)))
            continue;
        buffer_append(out, demand_count++ == 0 ? BYTES(", query: {") : BYTES(", "));
        append_quoted(out, buffer_bytes(&name));
        buffer_append_literal(out, ": ");
        append_demand(request, buffer_bytes(&name), secret_words_have(words, buffer_bytes(&name)), out);
    }
    if (demand_count > 0)
        buffer_append_byte(out, '}');
    buffer_fini(&name);
    buffer_fini(&value);
    return is_good;
}

static bool append_digest(struct bytes body, size_t bytes_max, struct buffer *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(body.size > 0 ? body.data : "", body.size, digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    for (size_t i = 0; i < bytes_max; i++)
        buffer_append_format(out, "%02x", digest[i]);
    return true;
}

enum recorded_error recorded_rule_head(const struct secret_words *words, const struct http_request *request,
                                       struct bytes body, struct buffer *name_line,
                                       struct buffer *match_lines)
{
    struct buffer path = {0}, query = {0}, name = {0};
    enum recorded_error error = RECORDED_OK;
    bool is_known = true;

    for (size_t i = 0; i < request->method_name.size; i++)
        if (request->method_name.data[i] < 'A' || request->method_name.data[i] > 'Z')
            error = RECORDED_METHOD;
    if (error == RECORDED_OK && !append_path(request->path, &path))
        error = RECORDED_PATH;
    if (error == RECORDED_OK && !append_query(words, request, &query))
        error = RECORDED_PARAMETERS;
    if (error == RECORDED_OK) {
        buffer_append_format(&name, "%.*s %.*s", BYTES_PRINTF(request->method_name),
                             BYTES_PRINTF(buffer_bytes(&path)));
        if (request->query.size > 0) {
            buffer_append_byte(&name, '?');
            secrets_redact_query(words, request->query, &name);
        }
        if (body.size > 0) {
            buffer_append_literal(&name, " body ");
            is_known = append_digest(body, NAME_DIGEST_BYTES, &name);
        }
        if (!is_utf8(buffer_bytes(&name)))
            error = RECORDED_PARAMETERS;
    }
    if (error == RECORDED_OK) {
        buffer_append_literal(name_line, "  - name: ");
        append_quoted(name_line, buffer_bytes(&name));
        buffer_append_byte(name_line, '\n');
        buffer_append_format(match_lines,
                             "    match: {method: %.*s, path: ", BYTES_PRINTF(request->method_name));
        append_quoted(match_lines, buffer_bytes(&path));
        buffer_append(match_lines, buffer_bytes(&query));
        buffer_append_literal(match_lines, ", exact_query: yes");
        if (body.size > 0) {
            buffer_append_literal(match_lines, ", body: {sha256: ");
            is_known = is_known && append_digest(body, DIGEST_BYTES, match_lines);
            buffer_append_byte(match_lines, '}');
        }
        buffer_append_literal(match_lines, "}\n");
    }
    if (error == RECORDED_OK && (!is_known || path.failed || query.failed || name.failed ||
                                 name_line->failed || match_lines->failed))
        error = RECORDED_NO_MEMORY;
    buffer_fini(&path);
    buffer_fini(&query);
    buffer_fini(&name);
    return error;
}

/* ---- what is answered ---------------------------------------------------------------------------- */

/* Of the connection, or of the moment: the mock has its own. */
static bool is_passing(const struct http_field *field)
{
    return field->header == HTTP_HEADER_DATE || field->header == HTTP_HEADER_AGE ||
           field->header == HTTP_HEADER_CONTENT_LENGTH ||
           (field->header != HTTP_HEADER_OTHER &&
            http_header_kind(field->header) == HTTP_HEADER_HOP_BY_HOP);
}

static void append_name(struct buffer *out, struct bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = byte_to_lower(name.data[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            append_quoted(out, name);
            return;
        }
    }
    if (name.size > 0 && byte_to_lower(name.data[0]) >= 'a' && byte_to_lower(name.data[0]) <= 'z')
        buffer_append(out, name);
    else
        append_quoted(out, name);
}

/* Appends the field at `index` with those of the same name behind it. */
static void append_field(const struct secrets *secrets, const struct secret_words *words,
                         const struct http_fields *fields, size_t index, struct buffer *lines,
                         size_t *count, size_t *left_out)
{
    struct bytes name = fields->list[index].name;
    struct buffer values = {0};
    size_t value_count = 0;

    for (size_t i = index; i < fields->count; i++) {
        struct buffer shown = {0};
        if (!bytes_equal_nocase(fields->list[i].name, name))
            continue;
        secrets_redact_field(secrets, words, &fields->list[i], &shown);
        if (*count == FIELDS_MAX || !is_utf8(buffer_bytes(&shown)) ||
            !http_is_field_value(buffer_bytes(&shown))) {
            ++*left_out;
        } else {
            if (value_count++ > 0)
                buffer_append_literal(&values, ", ");
            append_quoted(&values, buffer_bytes(&shown));
            ++*count;
        }
        values.failed |= shown.failed;
        buffer_fini(&shown);
    }
    if (value_count > 0) {
        buffer_append_literal(lines, "          ");
        append_name(lines, name);
        buffer_append_format(lines, value_count > 1 ? ": [%.*s]\n" : ": %.*s\n",
                             BYTES_PRINTF(buffer_bytes(&values)));
    }
    lines->failed |= values.failed;
    buffer_fini(&values);
}

enum recorded_error recorded_rule_answer(const struct secrets *secrets, const struct secret_words *words,
                                         int status, const struct http_fields *fields, struct buffer *lines,
                                         size_t *left_out)
{
    struct buffer shown = {0};
    size_t count = 0;

    if (status < 200 || status > 599)
        return RECORDED_STATUS;
    *left_out = 0;
    for (size_t i = 0; i < fields->count; i++) {
        bool is_repeated = false;
        for (size_t j = 0; j < i && !is_repeated; j++)
            is_repeated = bytes_equal_nocase(fields->list[j].name, fields->list[i].name);
        if (!is_repeated && !is_passing(&fields->list[i]))
            append_field(secrets, words, fields, i, &shown, &count, left_out);
    }
    buffer_append_format(lines, "      - status: %d\n", status);
    if (shown.size > 0) {
        buffer_append_literal(lines, "        headers:\n");
        buffer_append(lines, buffer_bytes(&shown));
    }
    lines->failed |= shown.failed;
    buffer_fini(&shown);
    return lines->failed ? RECORDED_NO_MEMORY : RECORDED_OK;
}

const char *recorded_body_ending(const struct http_fields *fields)
{
    static const struct {
        const char *ending;
        struct bytes type;
    } types[] = {
#define MEDIA_TYPE(ending, type) {"." ending, BYTES_INIT(type)},
#include "tables/media_types.def"
#undef MEDIA_TYPE
    };
    const struct http_field *field = http_fields_find_name(fields, BYTES("Content-Type"));
    struct bytes type = field != NULL ? field->value : (struct bytes){0};
    size_t size = 0;

    while (size < type.size && type.data[size] != ';' && type.data[size] != ' ')
        size++;
    type.size = size;
    for (size_t i = 0; i < COUNT_OF(types) && size > 0; i++)
        if (types[i].type.size >= size && bytes_equal_nocase(bytes_first(types[i].type, size), type) &&
            (types[i].type.size == size || types[i].type.data[size] == ';'))
            return types[i].ending;
    if (size > 5 && bytes_equal_nocase(bytes_after(type, size - 5), BYTES("+json")))
        return ".json";
    return ".bin";
}
