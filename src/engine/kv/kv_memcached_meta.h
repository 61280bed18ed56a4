/* kv_memcached_meta.h — the words of a meta command, and the line that answers it. */
#pragma once
#include "engine/kv/kv_memcached.h"

enum {
    META_FLAGS_MAX = 17, /* of mg; more are refused, as memcached does */
    META_OPAQUE_BYTES_MAX = 31,
    META_KEY_BYTES_MAX = 250,
    META_LINE_BYTES_MAX = 1024, /* of an answer: a key in base64, an opaque, 17 numbers */
};

/* What a meta command asks for: its key, and its flags by their letters. */
struct meta {
    nh_key key;             /* decoded, if it came in base64 */
    struct bytes shown_key; /* as it came */
    const struct bytes *flags;
    uint32_t flag_count;
    uint64_t letters;              /* a bit each: meta_has */
    int64_t ttl_ms, vivify_ttl_ms; /* T, N */
    int64_t recache_s;             /* R */
    uint64_t if_version, version;  /* C, E */
    uint64_t delta, initial;       /* D, J */
    uint32_t client_flags;         /* F */
    char mode;                     /* M; 0 if it was not said */
    char key_bytes[META_KEY_BYTES_MAX];
};

static inline uint64_t meta_bit(char letter) { return (uint64_t)1 << (letter - '@'); }
static inline bool meta_has(const struct meta *meta, char letter)
{
    return (meta->letters & meta_bit(letter)) != 0;
}

/* Understands `count` flags, which begin at argument `first`; the key is argument 1. False, with why in
 * `*error`. `meta->key` points into `meta` or the command. */
bool meta_parse(const struct kv_call *call, uint32_t first, uint32_t count, struct meta *meta,
                struct bytes *error);

/* Decodes base64 with its padding; at most `capacity` bytes. False if it is none. */
bool meta_decode(struct bytes text, char *decoded, size_t capacity, size_t *size);
size_t meta_encode(struct bytes bytes, char *text);

/* An answer in the making. */
struct meta_line {
    char text[META_LINE_BYTES_MAX];
    size_t size;
};

void meta_put(struct meta_line *line, char letter, struct bytes bytes);
void meta_put_number(struct meta_line *line, char letter, uint64_t number);
/* The key, in base64 with a "b" behind it or as it is. */
void meta_put_key(struct meta_line *line, struct bytes shown, bool is_binary);

/* How long an item lives, on its way through the flags: as memcached, T and N count for those behind them.
 */
struct meta_life {
    int64_t old_expires_at_ms; /* 0: never */
    bool is_new;               /* N made it */
};

/* When the item expires, as the flag of that number sees it; the count of flags: in the end. 0: never. */
int64_t meta_expires_at_ms(const struct kv_call *call, const struct meta *meta,
                           const struct meta_life *life, uint32_t number);
/* That moment as nh_put_options wants it. */
int64_t meta_ttl_ms(const struct kv_call *call, int64_t at_ms);
/* Whole seconds until then, a begun one included. */
int64_t meta_left_s(const struct kv_call *call, int64_t at_ms);
void meta_put_time_left(const struct kv_call *call, struct meta_line *line, int64_t at_ms);

/* The flags that every answer gives back: k and O, in their order. */
void meta_put_echo(struct meta_line *line, const struct meta *meta);

/* Says the code and what is in `line`, which may be null; with a value if `value` is not null. */
void meta_say(const struct kv_call *call, const char code[2], const struct meta_line *line,
              const struct bytes *value);
