#include "composed_answer.h"
#include <openssl/evp.h>

/* ---- the document -------------------------------------------------------------------------------- */

static void append_error(const struct part_spec *spec, const struct part_answer *part, struct buffer *body)
{
    buffer_append_format(body, "{\"part\":\"%s\",\"status\":%d,\"title\":\"%.*s\"", spec->name,
                         part->status, BYTES_PRINTF(http_status_reason(part->status)));
    if (part->detail != NULL)
        buffer_append_format(body, ",\"detail\":\"%s\"", part->detail);
    buffer_append_byte(body, '}');
}

void composed_body_append(const struct composition_spec *spec, const struct part_answer *parts,
                          struct buffer *body)
{
    size_t error_count = 0;

    buffer_append_byte(body, '{');
    for (size_t i = 0; i < spec->part_count; i++) {
        buffer_append_format(body, "%s\"%s\":", i > 0 ? "," : "", spec->parts[i].name);
        buffer_append(body, parts[i].is_good ? buffer_bytes(&parts[i].value) : BYTES("null"));
    }
    for (size_t i = 0; i < spec->part_count; i++) {
        if (parts[i].is_good)
            continue;
        buffer_append(body, error_count++ == 0 ? BYTES(",\"errors\":[") : BYTES(","));
        append_error(&spec->parts[i], &parts[i], body);
    }
    if (error_count > 0)
        buffer_append_byte(body, ']');
    buffer_append_literal(body, "}\n");
}

/* ---- fields -------------------------------------------------------------------------------------- */

bool composed_tag(struct bytes body, char tag[COMPOSED_TAG_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[32];

    if (EVP_Digest(body.data, body.size, digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    tag[0] = tag[COMPOSED_TAG_BYTES - 1] = '"';
    for (size_t i = 0; i < (COMPOSED_TAG_BYTES - 2) / 2; i++) {
        tag[1 + 2 * i] = digits[digest[i] >> 4];
        tag[2 + 2 * i] = digits[digest[i] & 15];
    }
    return true;
}

static void append_vary(const struct composition_spec *spec, struct buffer *lines)
{
    for (size_t i = 0; i < spec->passed_count; i++)
        buffer_append_format(lines, "%s%s", i == 0 ? "Vary: " : ", ", spec->passed[i]);
    if (spec->passed_count > 0)
        buffer_append_literal(lines, "\r\n");
}

/* As the origins of all parts want it: watchers, too, go by that. */
static void append_poll_interval(const struct composition_spec *spec, const struct part_answer *parts,
                                 struct buffer *lines)
{
    int64_t seconds = 0;

    for (size_t i = 0; i < spec->part_count; i++)
        if (parts[i].poll_interval_seconds > seconds)
            seconds = parts[i].poll_interval_seconds;
    if (seconds > 0)
        buffer_append_format(lines, "X-Poll-Interval: %lld\r\n", (long long)seconds);
}

struct composed_terms composed_terms_of_parts(const struct composition_spec *spec,
                                              const struct part_answer *parts, bool is_private)
{
    struct composed_terms terms = composed_terms_free;

    terms.is_private = is_private;
    for (size_t i = 0; i < spec->part_count; i++)
        composed_terms_add(&terms, &parts[i].terms);
    return terms;
}

bool parts_are_for_all(const struct composition_spec *spec, const struct part_answer *parts)
{
    for (size_t i = 0; i < spec->part_count; i++)
        if (parts[i].is_good && (parts[i].terms.is_private || parts[i].terms.is_unkept))
            return false;
    return true;
}

void composed_fields_append(const struct composition_spec *spec, const struct part_answer *parts,
                            const struct composed_terms *terms, bool has_body, struct bytes tag,
                            struct buffer *lines)
{
    if (has_body)
        buffer_append_literal(lines, "Content-Type: application/json\r\n");
    composed_terms_append(terms, lines);
    if (tag.size > 0) {
        buffer_append_literal(lines, "ETag: ");
        buffer_append(lines, tag);
        buffer_append_literal(lines, "\r\n");
    }
    append_vary(spec, lines);
    append_poll_interval(spec, parts, lines);
}

/* ---- failures ------------------------------------------------------------------------------------ */

int composed_failure_status(const struct part_answer *part, bool passes_credentials)
{
    switch (part->status) {
    case 400:
        return part->detail != NULL ? 400 : 502; /* ours, of the client's request; else of the part's */
    case 401:
    case 403: return passes_credentials ? 403 : 502; /* whose credentials they are that do not do */
    case 404:
    case 410: return 404;
    case 429:
    case 503: return 503;
    case 504: return 504;
    default: return 502;
    }
}

/* Of what is not there it is known for certain; of the whole it is not while another part may come. */
size_t composed_failure_index(const struct composition_spec *spec, const struct part_answer *parts)
{
    for (size_t i = 0; i < spec->part_count; i++)
        if (composed_failure_status(&parts[i], false) >= 500)
            return i;
    return 0;
}

void composed_failure_append(const struct part_spec *spec, const struct part_answer *part,
                             struct buffer *sentence)
{
    struct bytes reason = http_status_reason(part->status);

    if (part->detail != NULL)
        buffer_append_format(sentence, "the part %s: %s", spec->name, part->detail);
    else
        buffer_append_format(sentence, "the part %s was answered with %d%s%.*s", spec->name, part->status,
                             reason.size > 0 ? " " : "", BYTES_PRINTF(reason));
}
