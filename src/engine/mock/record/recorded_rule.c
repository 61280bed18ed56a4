#include "recorded_rule.h"
#include "engine/mock/rules/matcher.h"
#include "engine/mock/rules/rule_path.h"
#include "engine/mock/rules/rules.h"
#include "recorded_query.h"
#include "yaml_quote.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIELDS_MAX = 50, DIGEST_BYTES = 32, NAME_DIGEST_BYTES = 6 };

const char *recorded_error_text(enum recorded_error error)
{
    switch (error) {
    case RECORDED_OK: return "recorded";
    case RECORDED_METHOD: return "its method is not of capital letters";
    case RECORDED_PATH: return "a rule's path cannot say its path";
    case RECORDED_PARAMETERS: return "its query has too many parameters, a very long name, or is no text";
    case RECORDED_ADMIN: return "a mock answers below /__admin itself";
    case RECORDED_STATUS: return "a rule cannot answer with its status";
    case RECORDED_SLASH:
        return "it redirects to itself but for the slash at the end, which rules do not tell apart";
    case RECORDED_SECRETS: return "it has more secrets than are looked for in an answer";
    case RECORDED_CODING: return "its answer is compressed, and secrets could be in it";
    case RECORDED_BODY: return "its answer has more than 16 MiB";
    case RECORDED_RULE: return "a rules file cannot say it";
    case RECORDED_NO_MEMORY: return "out of memory";
    }
    UNREACHABLE();
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
                  text.data[0] != ':' && yaml_quote_can(text);
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

/* Whether the mock has the path for itself (rules_admin_is_asked). */
static bool is_of_admin(struct bytes path)
{
    return path.data != NULL &&
           (bytes_equal(path, BYTES("/__admin")) || bytes_start_with(path, BYTES("/__admin/")));
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
    struct buffer path = {0}, name = {0};
    struct recorded_query query = {0};
    enum recorded_error error = RECORDED_OK;
    bool is_known = true;

    for (size_t i = 0; i < request->method_name.size; i++)
        if (request->method_name.data[i] < 'A' || request->method_name.data[i] > 'Z')
            error = RECORDED_METHOD;
    if (error == RECORDED_OK && !append_path(request->path, &path))
        error = RECORDED_PATH;
    if (error == RECORDED_OK && is_of_admin(buffer_bytes(&path)))
        error = RECORDED_ADMIN;
    if (error == RECORDED_OK && !recorded_query_init(&query, words, request))
        error = query.text.failed ? RECORDED_NO_MEMORY : RECORDED_PARAMETERS;
    if (error == RECORDED_OK) {
        buffer_append_format(&name, "%.*s %.*s", BYTES_PRINTF(request->method_name),
                             BYTES_PRINTF(buffer_bytes(&path)));
        if (query.count > 0) {
            buffer_append_byte(&name, '?');
            recorded_query_append_name(&query, &name);
        }
        if (body.size > 0) {
            buffer_append_literal(&name, " body ");
            is_known = append_digest(body, NAME_DIGEST_BYTES, &name);
        }
        buffer_append_literal(name_line, "  - name: ");
        yaml_quote_append(name_line, buffer_bytes(&name));
        buffer_append_byte(name_line, '\n');
        buffer_append_format(match_lines,
                             "    match: {method: %.*s, path: ", BYTES_PRINTF(request->method_name));
        yaml_quote_append(match_lines, buffer_bytes(&path));
        recorded_query_append_match(&query, match_lines);
        buffer_append_literal(match_lines, ", exact_query: yes, body: ");
        if (body.size > 0) {
            buffer_append_literal(match_lines, "{sha256: ");
            is_known = is_known && append_digest(body, DIGEST_BYTES, match_lines);
            buffer_append_literal(match_lines, "}}\n");
        } else {
            buffer_append_literal(match_lines, "{present: false}}\n");
        }
    }
    if (error == RECORDED_OK &&
        (!is_known || path.failed || name.failed || name_line->failed || match_lines->failed))
        error = RECORDED_NO_MEMORY;
    buffer_fini(&path);
    recorded_query_fini(&query);
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
            yaml_quote_append(out, name);
            return;
        }
    }
    if (name.size > 0 && byte_to_lower(name.data[0]) >= 'a' && byte_to_lower(name.data[0]) <= 'z')
        buffer_append(out, name);
    else
        yaml_quote_append(out, name);
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
        if (*count == FIELDS_MAX || name.size > RECORDED_KEY_BYTES_MAX ||
            !yaml_quote_can(buffer_bytes(&shown)) || !http_is_field_value(buffer_bytes(&shown))) {
            ++*left_out;
        } else {
            if (value_count++ > 0)
                buffer_append_literal(&values, ", ");
            yaml_quote_append(&values, buffer_bytes(&shown));
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
                                         int status, const struct http_fields *fields, bool has_body,
                                         struct buffer *lines, size_t *left_out)
{
    struct buffer shown = {0};
    size_t count = 0;

    if (status < 200 || status > 599)
        return RECORDED_STATUS;
    *left_out = 0;
    if (has_body && http_fields_find_name(fields, BYTES("Content-Type")) == NULL) {
        buffer_append_literal(&shown, "          Content-Type: \"\"\n");
        count++;
    }
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

bool recorded_rule_is_readable(struct bytes name_line, struct bytes match_lines, struct bytes answer_lines)
{
    struct buffer file = {0}, message = {0};
    struct rules rules = {0};
    bool is_readable;

    buffer_append_literal(&file, "rules:\n");
    buffer_append(&file, name_line);
    buffer_append(&file, match_lines);
    buffer_append_literal(&file, "    answer:\n");
    buffer_append(&file, answer_lines);
    buffer_append_literal(&file, "        template: false\n");
    is_readable = !file.failed && rules_read(&rules, "rules.yaml", buffer_bytes(&file), &message) == OK;
    rules_fini(&rules);
    buffer_fini(&message);
    buffer_fini(&file);
    return is_readable;
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
