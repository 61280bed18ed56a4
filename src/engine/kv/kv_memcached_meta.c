#include "engine/kv/kv_memcached_meta.h"
#include "base/number.h"

/* ---- base64 ------------------------------------------------------------------------------------------ */

static int sextet_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

bool meta_decode(struct bytes text, char *decoded, size_t capacity, size_t *size)
{
    size_t padding = 0;

    *size = 0;
    if (text.size == 0 || text.size % 4 != 0 || text.size / 4 * 3 > capacity + 2)
        return false;
    while (padding < 2 && text.data[text.size - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < text.size; i += 4) {
        size_t wanted = i + 4 == text.size ? 3 - padding : 3;
        uint32_t bits = 0;

        for (size_t j = 0; j < 4; j++) {
            int sextet = j <= wanted ? sextet_of(text.data[i + j]) : 0;
            if (sextet < 0)
                return false;
            bits = bits << 6 | (uint32_t)sextet;
        }
        for (size_t j = 0; j < wanted; j++) {
            if (*size == capacity)
                return false;
            decoded[(*size)++] = (char)(bits >> (16 - 8 * j));
        }
    }
    return true;
}

size_t meta_encode(struct bytes bytes, char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = 0;

    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t there = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t bits = 0;

        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (j < there ? (unsigned char)bytes.data[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            text[size++] = j <= there ? letters[bits >> (18 - 6 * j) & 63] : '=';
    }
    return size;
}

/* ---- flags ------------------------------------------------------------------------------------------- */

#define BAD_TOKEN BYTES("bad token in command line format")

static bool fail(struct bytes *error, struct bytes why)
{
    *error = why;
    return false;
}

static bool parse_time(const struct kv_call *call, struct bytes token, int64_t *ttl_ms)
{
    int64_t exptime_s;

    if (!memcached_signed(token, &exptime_s))
        return false;
    *ttl_ms = memcached_ttl_ms(call, exptime_s);
    return true;
}

static bool is_flag(char letter)
{
    return memchr("bcfhklqstuvCDEFIJLMNOPRT", letter, sizeof "bcfhklqstuvCDEFIJLMNOPRT" - 1) != NULL;
}

/* As memcached, of several errors the last is told; a bad F leaves that as it is. */
static bool parse_flag(const struct kv_call *call, char letter, struct bytes token, struct meta *meta,
                       struct bytes *error)
{
    uint64_t number;
    size_t size;

    switch (letter) {
    case 'c':
    case 'f':
    case 'h':
    case 'k':
    case 'l':
    case 'q':
    case 's':
    case 't':
    case 'u':
    case 'v':
    case 'I':
    case 'L': /* hints for a proxy on the way */
    case 'P': return true;
    case 'b':
        if (!meta_decode(meta->shown_key, meta->key_bytes, sizeof meta->key_bytes, &size))
            return fail(error, BYTES("error decoding key"));
        meta->key = (nh_key){meta->key_bytes, size, kv_space(call)};
        return true;
    case 'O': return token.size <= META_OPAQUE_BYTES_MAX || fail(error, BYTES("opaque token too long"));
    case 'C': return memcached_unsigned(token, UINT64_MAX, &meta->if_version) || fail(error, BAD_TOKEN);
    case 'E': return memcached_unsigned(token, UINT64_MAX, &meta->version) || fail(error, BAD_TOKEN);
    case 'T': return parse_time(call, token, &meta->ttl_ms) || fail(error, BAD_TOKEN);
    case 'N': return parse_time(call, token, &meta->vivify_ttl_ms) || fail(error, BAD_TOKEN);
    case 'R': return memcached_signed(token, &meta->recache_s) || fail(error, BAD_TOKEN);
    case 'F':
        if (!memcached_unsigned(token, UINT32_MAX, &number))
            return false;
        meta->client_flags = (uint32_t)number;
        return true;
    case 'D':
        return memcached_unsigned(token, UINT64_MAX, &meta->delta) ||
               fail(error, BYTES("invalid numeric delta value"));
    case 'J':
        return memcached_unsigned(token, UINT64_MAX, &meta->initial) ||
               fail(error, BYTES("invalid numeric initial value"));
    case 'M':
        if (token.size != 1)
            return fail(error, BYTES("incorrect length for M token"));
        meta->mode = token.data[0];
        return true;
    default: return false; /* is_flag knows none other */
    }
}

bool meta_parse(const struct kv_call *call, uint32_t first, uint32_t count, struct meta *meta,
                struct bytes *error)
{
    bool is_good = true;

    /* The bytes of a decoded key are written before they are read. */
    memset(meta, 0, offsetof(struct meta, key_bytes));
    meta->key = kv_key(call, 1);
    meta->shown_key = call->arguments[1];
    meta->flags = call->arguments + first;
    meta->flag_count = count;
    meta->delta = 1;
    *error = MEMCACHED_BAD_FORMAT;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes flag = meta->flags[i];
        char letter = flag.data[0];

        if ((unsigned char)letter >= 0x7f || (is_flag(letter) && meta_has(meta, letter)))
            return fail(error, BYTES("duplicate flag"));
        if (!is_flag(letter))
            return fail(error, BYTES("invalid flag"));
        meta->letters |= meta_bit(letter);
        is_good &= parse_flag(call, letter, bytes_after(flag, 1), meta, error);
    }
    return is_good;
}

/* ---- how long it lives ---------------------------------------------------------------------------------
 */

static int64_t moment(const struct kv_call *call, int64_t ttl_ms)
{
    return ttl_ms == 0 ? 0 : call->now.mono_ms + (ttl_ms > 0 ? ttl_ms : 0);
}

int64_t meta_expires_at_ms(const struct kv_call *call, const struct meta *meta,
                           const struct meta_life *life, uint32_t number)
{
    int64_t at_ms = life->is_new ? 0 : life->old_expires_at_ms;

    for (uint32_t i = 0; i < number; i++) {
        if (meta->flags[i].data[0] == 'T')
            at_ms = moment(call, meta->ttl_ms);
        else if (meta->flags[i].data[0] == 'N' && life->is_new)
            at_ms = moment(call, meta->vivify_ttl_ms);
    }
    return at_ms;
}

int64_t meta_ttl_ms(const struct kv_call *call, int64_t at_ms)
{
    return at_ms == 0 ? 0 : at_ms > call->now.mono_ms ? at_ms - call->now.mono_ms : -1;
}

int64_t meta_left_s(const struct kv_call *call, int64_t at_ms)
{
    int64_t left_ms = at_ms - call->now.mono_ms;
    return left_ms > 0 ? (left_ms + 999) / 1000 : 0;
}

void meta_put_time_left(const struct kv_call *call, struct meta_line *line, int64_t at_ms)
{
    if (at_ms == 0)
        meta_put(line, 't', BYTES("-1"));
    else
        meta_put_number(line, 't', (uint64_t)meta_left_s(call, at_ms));
}

/* ---- answers ----------------------------------------------------------------------------------------- */

void meta_put(struct meta_line *line, char letter, struct bytes bytes)
{
    line->text[line->size++] = ' ';
    line->text[line->size++] = letter;
    if (bytes.size > 0)
        memcpy(line->text + line->size, bytes.data, bytes.size);
    line->size += bytes.size;
}

void meta_put_number(struct meta_line *line, char letter, uint64_t number)
{
    char text[NUMBER_TEXT_BYTES];

    meta_put(line, letter, bytes_of(text, uint64_format(text, number)));
}

void meta_put_key(struct meta_line *line, struct bytes shown, bool is_binary)
{
    meta_put(line, 'k', shown);
    if (is_binary)
        meta_put(line, 'b', BYTES(""));
}

void meta_put_echo(struct meta_line *line, const struct meta *meta)
{
    for (uint32_t i = 0; i < meta->flag_count; i++) {
        if (meta->flags[i].data[0] == 'O')
            meta_put(line, 'O', bytes_after(meta->flags[i], 1));
        else if (meta->flags[i].data[0] == 'k')
            meta_put_key(line, meta->shown_key, meta_has(meta, 'b'));
    }
}

void meta_say(const struct kv_call *call, const char code[2], const struct meta_line *line,
              const struct bytes *value)
{
    struct outcome outcome = {.kind = value != NULL ? OUTCOME_meta_item : OUTCOME_meta};

    outcome.item.code[0] = code[0];
    outcome.item.code[1] = code[1];
    outcome.item.key = line != NULL ? bytes_of(line->text, line->size) : BYTES("");
    if (value != NULL)
        outcome.item.value = *value;
    reply_say(call->reply, &outcome);
}
