#include "rewrite.h"
#include "base/compiler.h"
#include "engine/mock/json/json_text.h"
#include <assert.h>
#include <stdlib.h>

/* A rule that is about a request is found within so many looks at a byte, or is not about it: patterns with
 * many stars could ask for any number. */
enum { STEPS_MAX = 100000 };

struct rule {
    char *from, *to;
    bool takes_query; /* `from` has a '?' */
};

struct rewrite {
    size_t count;
    struct rule rules[];
};

struct capture {
    struct bytes name; /* empty: of a star */
    struct bytes value;
};

struct match {
    struct capture captures[REWRITE_CAPTURES_MAX];
    size_t count;
    int steps;
};

static bool is_name_byte(char c)
{
    return (c >= '0' && c <= '9') || c == '_' || (byte_to_lower(c) >= 'a' && byte_to_lower(c) <= 'z');
}

/* The name behind the colon that `text` begins with; empty if it is a colon and no more. */
static struct bytes name_at(struct bytes text)
{
    size_t size = 0;

    while (1 + size < text.size && is_name_byte(text.data[1 + size]))
        size++;
    return bytes_of(text.data + 1, size);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static size_t count_captures(struct bytes pattern)
{
    size_t count = 0;

    for (size_t i = 0; i < pattern.size; i++)
        if (pattern.data[i] == '*' || (pattern.data[i] == ':' && name_at(bytes_after(pattern, i)).size > 0))
            count++;
    return count;
}

static bool has_name(struct bytes pattern, struct bytes name)
{
    for (size_t i = 0; i < pattern.size; i++)
        if (pattern.data[i] == ':' && bytes_equal(name_at(bytes_after(pattern, i)), name))
            return true;
    return false;
}

/* What is wrong with a rule, or null. */
static const char *check_rule(struct bytes from, struct bytes to)
{
    if (from.size == 0 || from.data[0] != '/')
        return "must begin with /";
    if (to.size == 0 || to.data[0] != '/')
        return "must lead to a path that begins with /";
    if (memchr(from.data, '\0', from.size) != NULL || memchr(to.data, '\0', to.size) != NULL)
        return "has a byte of 0";
    if (count_captures(from) > REWRITE_CAPTURES_MAX)
        return "has more than 16 names and stars";
    for (size_t i = 0; i < to.size; i++) {
        struct bytes rest = bytes_after(to, i), name;
        unsigned char c = (unsigned char)to.data[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return "leads to a path with a byte that has to be percent-encoded";
        if (c == '$' && rest.size > 1 && rest.data[1] >= '1' && rest.data[1] <= '9' &&
            (size_t)(rest.data[1] - '0') > count_captures(from))
            return "leads to a $ number that no name or star stands for";
        if (c != ':')
            continue;
        name = name_at(rest);
        if (name.size > 0 && !has_name(from, name))
            return "leads to a :name that is not in it";
    }
    return NULL;
}

/* A text without the backslash that json-server wants before a '?'. Null without memory. */
static char *copy_plain(struct bytes text)
{
    char *copy = malloc(text.size + 1);
    size_t size = 0;

    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] != '\\' || i + 1 == text.size || text.data[i + 1] != '?')
            copy[size++] = text.data[i];
    copy[size] = '\0';
    return copy;
}

static enum err add_rule(struct rewrite *rewrite, const char *from, const json_t *to,
                         struct buffer *message)
{
    struct rule *rule = &rewrite->rules[rewrite->count];
    const char *wrong = "must lead to a text";

    if (json_is_string(to))
        wrong = check_rule(bytes_of_text(from), bytes_of(json_string_value(to), json_string_length(to)));
    if (wrong != NULL) {
        buffer_append_literal(message, "rule \"");
        for (const char *c = from; *c != '\0' && c - from < 100; c++)
            buffer_append_byte(message, *c >= ' ' && *c <= '~' ? *c : '?');
        buffer_append_format(message, "\" %s", wrong);
        return ERR_SYNTAX;
    }
    rewrite->count++;
    rule->from = copy_plain(bytes_of_text(from));
    rule->to = copy_plain(bytes_of(json_string_value(to), json_string_length(to)));
    if (rule->from == NULL || rule->to == NULL)
        return ERR_NO_MEMORY;
    rule->takes_query = strchr(rule->from, '?') != NULL;
    return OK;
}

enum err rewrite_create(struct bytes json, struct rewrite **rewrite, struct buffer *message)
{
    struct rewrite *made = NULL;
    json_t *rules = NULL, *to;
    const char *from;
    enum err err = json_text_parse(json, &rules, message);

    if (err != OK)
        return err;
    if (!json_is_object(rules) || json_object_size(rules) > REWRITE_RULES_MAX) {
        buffer_append_literal(message,
                              "it must be an object of at most 1000 rules, such as {\"/api/*\": \"/$1\"}");
        json_decref(rules);
        return ERR_SYNTAX;
    }
    made = calloc(1, sizeof *made + json_object_size(rules) * sizeof made->rules[0]);
    if (made == NULL)
        err = ERR_NO_MEMORY;
    json_object_foreach(rules, from, to)
    {
        if (err == OK)
            err = add_rule(made, from, to, message);
    }
    json_decref(rules);
    if (err != OK) {
        rewrite_destroy(made);
        return err;
    }
    *rewrite = made;
    return OK;
}

void rewrite_destroy(struct rewrite *rewrite)
{
    if (rewrite == NULL)
        return;
    for (size_t i = 0; i < rewrite->count; i++) {
        free(rewrite->rules[i].from);
        free(rewrite->rules[i].to);
    }
    free(rewrite);
}

/* ---- matching ----------------------------------------------------------------------------------- */

static bool match_at(struct match *match, struct bytes pattern, struct bytes text);

/* A name or a star takes as much as leaves the rest to match; a name at least one byte, and none of "/?&".
 */
static bool match_capture(struct match *match, struct bytes rest, struct bytes text, struct bytes name)
{
    size_t most = text.size;
    size_t least = name.size > 0 ? 1 : 0;
    struct capture *capture = &match->captures[match->count++];

    for (size_t i = 0; i < text.size && name.size > 0 && most == text.size; i++)
        if (strchr("/?&", text.data[i]) != NULL)
            most = i;
    for (size_t size = most + 1; size-- > least;) {
        *capture = (struct capture){name, bytes_first(text, size)};
        if (match_at(match, rest, bytes_after(text, size)))
            return true;
    }
    match->count--;
    return false;
}

static bool match_at(struct match *match, struct bytes pattern, struct bytes text)
{
    for (;;) {
        struct bytes name = {0};
        if (--match->steps < 0)
            return false;
        if (pattern.size == 0)
            return text.size == 0 || bytes_equal(text, BYTES("/"));
        if (pattern.data[0] == ':')
            name = name_at(pattern);
        if (pattern.data[0] == '*' || name.size > 0)
            return match_capture(match, bytes_after(pattern, 1 + name.size), text, name);
        if (text.size == 0 || text.data[0] != pattern.data[0])
            return false;
        pattern = bytes_after(pattern, 1);
        text = bytes_after(text, 1);
    }
}

static void append_named(struct buffer *target, const struct match *match, struct bytes name)
{
    for (size_t i = 0; i < match->count; i++)
        if (bytes_equal(match->captures[i].name, name)) {
            buffer_append(target, match->captures[i].value);
            return;
        }
}

static void append_target(struct buffer *target, const struct match *match, struct bytes to)
{
    for (size_t i = 0; i < to.size; i++) {
        struct bytes rest = bytes_after(to, i), name = {0};
        if (to.data[i] == ':')
            name = name_at(rest);
        if (name.size > 0) {
            append_named(target, match, name);
            i += name.size;
        } else if (to.data[i] == '$' && rest.size > 1 && rest.data[1] >= '1' && rest.data[1] <= '9') {
            buffer_append(target, match->captures[rest.data[1] - '1'].value);
            i++;
        } else {
            buffer_append_byte(target, to.data[i]);
        }
    }
}

/* Puts in place of `*url` what the rule makes of it; false if it is not about it. */
static bool apply_rule(const struct rule *rule, struct buffer *url)
{
    struct bytes whole = buffer_bytes(url), path = whole, query = {0};
    struct match match = {.steps = STEPS_MAX};
    struct buffer target = {0};
    const char *question;

    assert(whole.data != NULL); /* it begins with a slash, and so does what a rule leads to */
    question = memchr(whole.data, '?', whole.size);
    if (question != NULL && !rule->takes_query) {
        path = bytes_first(whole, (size_t)(question - whole.data));
        query = bytes_after(whole, path.size + 1);
    }
    if (!match_at(&match, bytes_of_text(rule->from), path))
        return false;
    append_target(&target, &match, bytes_of_text(rule->to));
    if (query.size > 0) {
        bool has_query = target.size > 0 && memchr(target.data, '?', target.size) != NULL;
        buffer_append_byte(&target, has_query ? '&' : '?');
        buffer_append(&target, query);
    }
    if (target.failed || target.size > REWRITE_TARGET_BYTES_MAX ||
        (target.size > 1 && target.data[0] == '/' && target.data[1] == '/')) {
        buffer_fini(&target);
        return false;
    }
    buffer_fini(url);
    *url = target;
    return true;
}

bool rewrite_apply(const struct rewrite *rewrite, const struct http_request *request, struct buffer *target)
{
    struct buffer url = {0};
    bool is_changed = false;

    if (request->path.size == 0 || request->path.data[0] != '/')
        return false;
    buffer_append(&url, request->path);
    if (request->has_query) {
        buffer_append_byte(&url, '?');
        buffer_append(&url, request->query);
    }
    for (size_t i = 0; i < rewrite->count && !url.failed; i++)
        is_changed |= apply_rule(&rewrite->rules[i], &url);
    if (is_changed)
        buffer_append(target, buffer_bytes(&url));
    buffer_fini(&url);
    return is_changed && !target->failed;
}
