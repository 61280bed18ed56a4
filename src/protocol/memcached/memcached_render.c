/* memcached_render.c — outcomes to bytes. */
#include "base/compiler.h"
#include "base/number.h"
#include "protocol/memcached/memcached.h"

static inline char *put(char *end, struct bytes bytes)
{
    if (LIKELY(bytes.size > 0))
        memcpy(end, bytes.data, bytes.size);
    return end + bytes.size;
}

/* "VALUE <key> <flags> <bytes>[ <version>]\r\n" */
static inline char *put_head(char *end, const struct item *item, bool with_version, uint64_t size)
{
    end = put(end, BYTES("VALUE "));
    end = put(end, item->key);
    *end++ = ' ';
    end += uint64_format(end, item->flags);
    *end++ = ' ';
    end += uint64_format(end, size);
    if (with_version) {
        *end++ = ' ';
        end += uint64_format(end, item->version);
    }
    return put(end, BYTES("\r\n"));
}

static size_t head_bytes_max(const struct item *item)
{
    return sizeof "VALUE    \r\n" + item->key.size + 3 * (size_t)NUMBER_TEXT_BYTES;
}

static void render_item(struct buffer *output, const struct item *item, bool with_version)
{
    char *begin = buffer_reserve(output, head_bytes_max(item) + item->value.size + 2), *end;

    if (UNLIKELY(begin == NULL))
        return;
    end = put_head(begin, item, with_version, item->value.size);
    end = put(end, item->value);
    end = put(end, BYTES("\r\n"));
    buffer_commit(output, (size_t)(end - begin));
}

void memcached_render_item_head(struct buffer *output, const struct item *item, bool with_version,
                                uint64_t size)
{
    char *begin = buffer_reserve(output, head_bytes_max(item));

    if (LIKELY(begin != NULL))
        buffer_commit(output, (size_t)(put_head(begin, item, with_version, size) - begin));
}

/* "<code><flags>\r\n" */
static void render_meta(struct buffer *output, const struct item *item)
{
    char *begin = buffer_reserve(output, sizeof item->code + item->key.size + 2), *end;

    if (UNLIKELY(begin == NULL))
        return;
    end = put(begin, bytes_of(item->code, sizeof item->code));
    end = put(end, item->key);
    end = put(end, BYTES("\r\n"));
    buffer_commit(output, (size_t)(end - begin));
}

/* "<code> <bytes><flags>\r\n<value>\r\n" */
static void render_meta_item(struct buffer *output, const struct item *item)
{
    char *begin = buffer_reserve(output, sizeof item->code + 1 + NUMBER_TEXT_BYTES + item->key.size +
                                             item->value.size + 4);
    char *end;

    if (UNLIKELY(begin == NULL))
        return;
    end = put(begin, bytes_of(item->code, sizeof item->code));
    *end++ = ' ';
    end += uint64_format(end, item->value.size);
    end = put(end, item->key);
    end = put(end, BYTES("\r\n"));
    end = put(end, item->value);
    end = put(end, BYTES("\r\n"));
    buffer_commit(output, (size_t)(end - begin));
}

/* `start` and a text that may be a peer's: it must not be able to end the line. */
static void render_line(struct buffer *output, struct bytes start, struct bytes text)
{
    char *begin = buffer_reserve(output, start.size + text.size + 2), *end;

    if (UNLIKELY(begin == NULL))
        return;
    end = put(begin, start);
    for (size_t i = 0; i < text.size; i++)
        *end++ = text.data[i] == '\r' || text.data[i] == '\n' ? ' ' : text.data[i];
    end = put(end, BYTES("\r\n"));
    buffer_commit(output, (size_t)(end - begin));
}

static void render_stat(struct buffer *output, const struct item *item)
{
    buffer_append_literal(output, "STAT ");
    buffer_append(output, item->key);
    render_line(output, BYTES(" "), item->value);
}

void memcached_render(struct buffer *output, const struct outcome *outcome)
{
    char text[NUMBER_TEXT_BYTES];

    switch (outcome->kind) {
    case OUTCOME_item: render_item(output, &outcome->item, false); return;
    case OUTCOME_item_version: render_item(output, &outcome->item, true); return;
    case OUTCOME_end: buffer_append_literal(output, "END\r\n"); return;
    case OUTCOME_stored: buffer_append_literal(output, "STORED\r\n"); return;
    case OUTCOME_not_stored: buffer_append_literal(output, "NOT_STORED\r\n"); return;
    case OUTCOME_exists: buffer_append_literal(output, "EXISTS\r\n"); return;
    case OUTCOME_not_found: buffer_append_literal(output, "NOT_FOUND\r\n"); return;
    case OUTCOME_deleted: buffer_append_literal(output, "DELETED\r\n"); return;
    case OUTCOME_touched: buffer_append_literal(output, "TOUCHED\r\n"); return;
    case OUTCOME_ok: buffer_append_literal(output, "OK\r\n"); return;
    case OUTCOME_meta: render_meta(output, &outcome->item); return;
    case OUTCOME_meta_item: render_meta_item(output, &outcome->item); return;
    case OUTCOME_version: render_line(output, BYTES("VERSION "), outcome->bytes); return;
    case OUTCOME_stat: render_stat(output, &outcome->item); return;
    case OUTCOME_unknown: buffer_append_literal(output, "ERROR\r\n"); return;
    case OUTCOME_client_error: render_line(output, BYTES("CLIENT_ERROR "), outcome->bytes); return;
    case OUTCOME_server_error:
    case OUTCOME_error: render_line(output, BYTES("SERVER_ERROR "), outcome->bytes); return;
    case OUTCOME_unsigned_integer:
        render_line(output, BYTES(""), bytes_of(text, uint64_format(text, outcome->unsigned_integer)));
        return;
    case OUTCOME_integer:
        render_line(output, BYTES(""), bytes_of(text, int64_format(text, outcome->integer)));
        return;
    case OUTCOME_text: render_line(output, BYTES(""), outcome->bytes); return;
    /* Words of RESP's: a memcached connection that were ever told them would still be in step. */
    case OUTCOME_value:
    case OUTCOME_verbatim:
    case OUTCOME_formatted:
    case OUTCOME_number_text:
    case OUTCOME_big_number: render_line(output, BYTES(""), outcome->bytes); return;
    case OUTCOME_yes: buffer_append_literal(output, "OK\r\n"); return;
    case OUTCOME_no:
    case OUTCOME_nothing:
    case OUTCOME_nothing_array: buffer_append_literal(output, "NOT_FOUND\r\n"); return;
    case OUTCOME_number: buffer_append_format(output, "%.17g\r\n", outcome->number); return;
    case OUTCOME_array:
    case OUTCOME_map:
    case OUTCOME_set:
    case OUTCOME_push: return; /* the members speak for themselves */
    }
    UNREACHABLE();
}
