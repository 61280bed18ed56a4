#include "fleet_value.h"
#include "base/hash.h"
#include "engine/gateway/policy/stored_response.h"
#include "message/http_syntax.h"
#include <stddef.h>
#include <zstd.h>

enum {
    CHECKSUM_SEED = 1,
    WORD_BYTES = 8,
    STORED_KEPT = STORED_NO_CACHE | STORED_PERMITS_AUTHORIZED | STORED_NAMES_CACHES | STORED_FORBIDS_STALE |
                  STORED_IMMUTABLE | STORED_HAS_REASON | STORED_VALID_FOR_ALL,
    KEY_BYTES_MAX = 8192,
};
#define MAGIC BYTES("nhAnswr2")
/* A thousand years: sums of such times do not overflow. */
#define TIME_MS_MAX (INT64_C(1000) * 365 * 24 * 3600 * 1000)

/* What is in front of the texts, as words; in this order. */
#define WORDS(X)                                                                                           \
    X(number)                                                                                              \
    X(birth)                                                                                               \
    X(status)                                                                                              \
    X(flags)                                                                                               \
    X(resided_ms)                                                                                          \
    X(keep_ms)                                                                                             \
    X(initial_age_ms)                                                                                      \
    X(lifetime_ms)                                                                                         \
    X(stale_if_error_ms)                                                                                   \
    X(stale_while_revalidate_ms)                                                                           \
    X(asker)                                                                                               \
    X(body_bytes)                                                                                          \
    X(key_bytes)                                                                                           \
    X(fields_bytes)                                                                                        \
    X(hidden_bytes)                                                                                        \
    X(reason_bytes)
struct words {
#define X(name) uint64_t name;
    WORDS(X)
#undef X
};
enum { WORDS_BYTES = sizeof(struct words), HEAD_BYTES = 2 * WORD_BYTES + WORDS_BYTES };

static void append_word(struct buffer *to, uint64_t word)
{
    unsigned char bytes[WORD_BYTES];

    for (size_t i = 0; i < WORD_BYTES; i++)
        bytes[i] = (unsigned char)(word >> 8 * i);
    buffer_append(to, bytes_of(bytes, sizeof bytes));
}

static uint64_t word_at(const char *data)
{
    uint64_t word = 0;

    for (size_t i = WORD_BYTES; i-- > 0;)
        word = word << 8 | (unsigned char)data[i];
    return word;
}

static void write_word(char *data, uint64_t word)
{
    for (size_t i = 0; i < WORD_BYTES; i++)
        data[i] = (char)(unsigned char)(word >> 8 * i);
}

/* ---- the answer ---------------------------------------------------------------------------------- */

void fleet_answer_encode(struct buffer *value, const struct fleet_answer *answer)
{
    size_t start = value->size, checked_at = start + 2 * WORD_BYTES;
    struct words words = {
        .number = answer->number,
        .birth = answer->birth,
        .status = (uint64_t)answer->status,
        .flags = (answer->flags & STORED_KEPT) | (answer->reason.data != NULL ? STORED_HAS_REASON : 0u),
        .resided_ms = (uint64_t)answer->resided_ms,
        .keep_ms = (uint64_t)answer->keep_ms,
        .initial_age_ms = (uint64_t)answer->initial_age_ms,
        .lifetime_ms = (uint64_t)answer->lifetime_ms,
        .stale_if_error_ms = (uint64_t)answer->stale_if_error_ms,
        .stale_while_revalidate_ms = (uint64_t)answer->stale_while_revalidate_ms,
        .asker = answer->asker,
        .body_bytes = answer->body_bytes,
        .key_bytes = answer->key.size,
        .fields_bytes = answer->fields.size,
        .hidden_bytes = answer->hidden.size,
        .reason_bytes = answer->reason.size,
    };

    buffer_append(value, MAGIC);
    append_word(value, 0);
#define X(name) append_word(value, words.name);
    WORDS(X)
#undef X
    buffer_append(value, answer->key);
    buffer_append(value, answer->fields);
    buffer_append(value, answer->hidden);
    if (answer->reason.data != NULL)
        buffer_append(value, answer->reason);
    buffer_append(value, answer->piece);
    if (!value->failed)
        write_word(value->data + start + WORD_BYTES,
                   hash_bytes(bytes_after(buffer_bytes(value), checked_at), CHECKSUM_SEED));
}

void fleet_answer_set_times(struct buffer *value, int64_t resided_ms, int64_t keep_ms)
{
    char *words = value->data + 2 * WORD_BYTES;

    write_word(words + offsetof(struct words, resided_ms), (uint64_t)resided_ms);
    write_word(words + offsetof(struct words, keep_ms), (uint64_t)keep_ms);
    write_word(value->data + WORD_BYTES,
               hash_bytes(bytes_after(buffer_bytes(value), 2 * WORD_BYTES), CHECKSUM_SEED));
}

static bool is_time(uint64_t word) { return word <= (uint64_t)TIME_MS_MAX; }

static bool is_time_or_unsaid(uint64_t word) { return word == UINT64_MAX || is_time(word); }

static bool are_possible(const struct words *words)
{
    return words->number != 0 && words->status >= 200 && words->status <= 599 &&
           (words->flags & ~(uint64_t)STORED_KEPT) == 0 && is_time(words->resided_ms) &&
           is_time(words->keep_ms) && is_time(words->initial_age_ms) && is_time(words->lifetime_ms) &&
           is_time_or_unsaid(words->stale_if_error_ms) &&
           is_time_or_unsaid(words->stale_while_revalidate_ms) &&
           words->body_bytes <= FLEET_BODY_BYTES_MAX && words->key_bytes > 0 &&
           words->key_bytes <= KEY_BYTES_MAX && words->fields_bytes <= FLEET_TEXT_BYTES_MAX &&
           words->hidden_bytes <= FLEET_TEXT_BYTES_MAX && words->reason_bytes <= FLEET_TEXT_BYTES_MAX &&
           (words->reason_bytes == 0 || (words->flags & STORED_HAS_REASON) != 0);
}

static bool is_value(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!http_byte_is(text.data[i], HTTP_BYTE_VALUE))
            return false;
    return true;
}

static bool is_name(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!http_byte_is(text.data[i], HTTP_BYTE_TOKEN))
            return false;
    return text.size > 0;
}

/* They go to clients as they are. */
static bool are_fields(struct bytes rendered)
{
    struct http_field field;

    while (rendered_next(&rendered, &field))
        if (!is_name(field.name) || !is_value(field.value) ||
            (field.header != HTTP_HEADER_OTHER && http_header_kind(field.header) == HTTP_HEADER_HOP_BY_HOP))
            return false;
    return rendered.size == 0;
}

bool fleet_answer_decode(struct bytes value, struct fleet_answer *answer)
{
    const char *at = value.data + 2 * WORD_BYTES;
    struct words words;
    uint64_t texts_bytes;

    if (value.size < HEAD_BYTES || !bytes_start_with(value, MAGIC) ||
        word_at(value.data + WORD_BYTES) != hash_bytes(bytes_after(value, 2 * WORD_BYTES), CHECKSUM_SEED))
        return false;
#define X(name)                                                                                            \
    words.name = word_at(at);                                                                              \
    at += WORD_BYTES;
    WORDS(X)
#undef X
    if (!are_possible(&words))
        return false;
    texts_bytes = words.key_bytes + words.fields_bytes + words.hidden_bytes + words.reason_bytes;
    if (texts_bytes > FLEET_TEXT_BYTES_MAX || texts_bytes > value.size - HEAD_BYTES)
        return false;
    *answer = (struct fleet_answer){
        .number = words.number,
        .birth = words.birth,
        .status = (int)words.status,
        .flags = (unsigned)words.flags & ~(unsigned)STORED_HAS_REASON,
        .resided_ms = (int64_t)words.resided_ms,
        .keep_ms = (int64_t)words.keep_ms,
        .initial_age_ms = (int64_t)words.initial_age_ms,
        .lifetime_ms = (int64_t)words.lifetime_ms,
        .stale_if_error_ms = (int64_t)words.stale_if_error_ms,
        .stale_while_revalidate_ms = (int64_t)words.stale_while_revalidate_ms,
        .asker = words.asker,
        .key = bytes_of(at, words.key_bytes),
        .body_bytes = words.body_bytes,
    };
    at += words.key_bytes;
    answer->fields = bytes_of(at, words.fields_bytes);
    at += words.fields_bytes;
    answer->hidden = bytes_of(at, words.hidden_bytes);
    at += words.hidden_bytes;
    if (words.flags & STORED_HAS_REASON)
        answer->reason = bytes_of(at, words.reason_bytes);
    answer->piece = bytes_after(value, HEAD_BYTES + texts_bytes);
    return are_fields(answer->fields) && are_fields(answer->hidden) && is_value(answer->reason) &&
           (fleet_is_in_one(words.body_bytes) || answer->piece.size == 0);
}

/* ---- pieces -------------------------------------------------------------------------------------- */

/* A letter, the size, a checksum of the bytes that it stands for; and then those, as the letter says. */
enum { PIECE_PLAIN = 'p', PIECE_ZSTD = 'z', PIECE_HEAD_BYTES = 1 + 2 * WORD_BYTES };
enum { CODED_FROM_BYTES = 512, ZSTD_LEVEL = 1 };

/* True if that made it smaller by an eighth at least: `piece` has it then. */
static bool append_coded(struct buffer *piece, struct bytes bytes)
{
    size_t bound = ZSTD_compressBound(bytes.size), size;
    char *to = buffer_reserve(piece, bound);

    if (to == NULL)
        return false;
    size = ZSTD_compress(to, bound, bytes.data, bytes.size, ZSTD_LEVEL);
    if (ZSTD_isError(size) || size > bytes.size - bytes.size / 8)
        return false;
    buffer_commit(piece, size);
    return true;
}

void fleet_piece_encode(struct buffer *piece, struct bytes bytes, bool is_worth_coding)
{
    size_t start = piece->size;

    buffer_append_byte(piece, PIECE_PLAIN);
    append_word(piece, bytes.size);
    append_word(piece, hash_bytes(bytes, CHECKSUM_SEED));
    if (piece->failed)
        return;
    if (is_worth_coding && bytes.size >= CODED_FROM_BYTES && append_coded(piece, bytes))
        piece->data[start] = PIECE_ZSTD;
    else
        buffer_append(piece, bytes);
}

bool fleet_piece_decode(struct buffer *body, struct bytes piece, uint64_t byte_count)
{
    struct bytes coded;
    char *to;

    if (piece.size < PIECE_HEAD_BYTES || byte_count > FLEET_PIECE_BYTES ||
        word_at(piece.data + 1) != byte_count)
        return false;
    coded = bytes_after(piece, PIECE_HEAD_BYTES);
    if (piece.data[0] == PIECE_PLAIN ? coded.size != byte_count
                                     : piece.data[0] != PIECE_ZSTD || coded.size > byte_count)
        return false;
    to = buffer_reserve(body, byte_count + 1); /* one more, so that there is memory for nothing, too */
    if (to == NULL)
        return false;
    if (piece.data[0] == PIECE_ZSTD) {
        if (ZSTD_decompress(to, byte_count, coded.data, coded.size) != byte_count)
            return false;
    } else if (byte_count > 0) {
        memcpy(to, coded.data, byte_count);
    }
    if (hash_bytes(bytes_of(to, byte_count), CHECKSUM_SEED) != word_at(piece.data + 1 + WORD_BYTES))
        return false;
    buffer_commit(body, byte_count);
    return true;
}
