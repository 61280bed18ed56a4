/* kv_memcached_meta_read.c — mg, me and mn: an item as memcached shows it, and who is to recache it.
 *
 *   missing ── N ──► made empty, W: its maker is to fill it
 *   there ── stale, or R and its time is nearly over ──► W for the first who asks, Z for all others */
#include "base/number.h"
#include "engine/kv/kv_memcached_meta.h"
#include <stdio.h>

/* An item on its way into an answer. */
struct shown {
    const struct meta *meta;
    nh_value *value;
    struct bytes bytes;
    uint32_t note; /* before this reading */
    uint64_t version;
    struct meta_life life;
    bool has_won, was_won, is_stale;
};

static uint32_t idle_s(const struct kv_call *call, uint32_t note)
{
    uint32_t idle = ((uint32_t)(call->now.wall_ms / 1000) - note) & ITEM_SECONDS;

    return note != 0 && idle <= ITEM_SECONDS / 2 ? idle : 0; /* a clock that went back: no time */
}

static void put_key_of(const struct kv_call *call, struct meta_line *line, const struct shown *shown)
{
    char text[(META_KEY_BYTES_MAX + 2) / 3 * 4];
    struct bytes key = bytes_of(shown->meta->key.data, shown->meta->key.size);
    bool is_binary = (shown->note & ITEM_BINARY) != 0;

    (void)call;
    meta_put_key(line, is_binary ? bytes_of(text, meta_encode(key, text)) : key, is_binary);
}

static void say_hit(const struct kv_call *call, const struct shown *shown)
{
    const struct meta *meta = shown->meta;
    struct meta_line line;

    line.size = 0;
    for (uint32_t i = 0; i < meta->flag_count; i++) {
        switch (meta->flags[i].data[0]) {
        case 'c': meta_put_number(&line, 'c', shown->version); break;
        case 'f': meta_put_number(&line, 'f', shown->value != NULL ? shown->value->flags : 0); break;
        case 'h': meta_put_number(&line, 'h', (shown->note & ITEM_FETCHED) != 0); break;
        case 'k': put_key_of(call, &line, shown); break;
        case 'l': meta_put_number(&line, 'l', idle_s(call, shown->note)); break;
        case 'O': meta_put(&line, 'O', bytes_after(meta->flags[i], 1)); break;
        case 's': meta_put_number(&line, 's', shown->bytes.size); break;
        case 't': meta_put_time_left(call, &line, meta_expires_at_ms(call, meta, &shown->life, i)); break;
        default: break; /* asks for nothing that is shown */
        }
    }
    if (shown->was_won)
        meta_put(&line, 'Z', BYTES(""));
    if (shown->is_stale)
        meta_put(&line, 'X', BYTES(""));
    if (shown->has_won)
        meta_put(&line, 'W', BYTES(""));
    if (meta_has(meta, 'v'))
        meta_say(call, "VA", &line, &shown->bytes);
    else
        meta_say(call, "HD", &line, NULL);
}

static void say_miss(const struct kv_call *call, const struct meta *meta)
{
    struct meta_line line;

    line.size = 0;
    if (meta_has(meta, 'q'))
        return;
    meta_put_echo(&line, meta);
    meta_say(call, "EN", &line, NULL);
}

/* True if the key was missing, and an empty item was made for this client to fill; or an error was said. */
static bool vivify(const struct kv_call *call, const struct meta *meta)
{
    nh_put_options options = {
        .size = sizeof options, .note = memcached_note(call, ITEM_WON), .version = meta->version};
    struct shown shown = {
        .meta = meta, .bytes = BYTES(""), .note = options.note, .life.is_new = true, .has_won = true};
    int64_t at_ms = meta_expires_at_ms(call, meta, &shown.life, meta->flag_count);
    nh_result result;

    if (!meta_has(meta, 'u'))
        options.note |= ITEM_FETCHED;
    options.ttl_ms = meta_ttl_ms(call, at_ms);
    result = nh_add(call->kv->store, call->now.mono_ms, meta->key, (nh_bytes){NULL, 0}, &options,
                    meta_has(meta, 'c') ? &shown.version : NULL);

    if (result == NH_EXISTS)
        return false;
    if (result != NH_OK) {
        memcached_refused(call, result);
        return true;
    }
    kv_changed(call, meta->key, KV_EVENT_set);
    say_hit(call, &shown);
    return true;
}

/* The value, with its version if that is asked for; with T, it has its new expiry afterwards.
 * `*old_expires_at_ms` is the one before, if a flag wants it. */
static nh_result find(const struct kv_call *call, const struct meta *meta, nh_value *value,
                      int64_t *old_expires_at_ms)
{
    nh_result result;

    if (!meta_has(meta, 'T')) {
        result = meta_has(meta, 'c') ? kv_borrow(call, meta->key, value) : kv_peek(call, meta->key, value);
        if (result == NH_OK)
            *old_expires_at_ms = value->expires_at_ms;
        return result;
    }
    *old_expires_at_ms = 0;
    if ((meta_has(meta, 'R') || meta_has(meta, 't')) &&
        nh_peek(call->kv->store, call->now.mono_ms, meta->key, value) == NH_OK) {
        *old_expires_at_ms = value->expires_at_ms;
        nh_release(call->kv->store, value);
    }
    result =
        kv_count_read(call, meta->key,
                      nh_get_and_touch(call->kv->store, call->now.mono_ms, meta->key, meta->ttl_ms, value));
    if (result == NH_OK)
        kv_changed(call, meta->key,
                   meta->ttl_ms < 0    ? KV_EVENT_del
                   : meta->ttl_ms == 0 ? KV_EVENT_persist
                                       : KV_EVENT_expire);
    return result;
}

static bool is_nearly_over(const struct kv_call *call, const struct shown *shown)
{
    const struct meta *meta = shown->meta;
    int64_t at_ms;

    for (uint32_t i = 0; i < meta->flag_count; i++)
        if (meta->flags[i].data[0] == 'R') {
            at_ms = meta_expires_at_ms(call, meta, &shown->life, i);
            return at_ms != 0 && meta_left_s(call, at_ms) < meta->recache_s;
        }
    return false;
}

/* Whether this client is the one to recache what it was lent. */
static void decide(const struct kv_call *call, struct shown *shown)
{
    nh_value *value = shown->value;

    shown->is_stale = (value->traits & NH_VALUE_STALE) != 0;
    shown->was_won = (shown->note & ITEM_WON) != 0;
    if (shown->was_won || !(shown->is_stale || is_nearly_over(call, shown)))
        return;
    shown->was_won = value->note == NULL ||
                     __atomic_fetch_or(value->note, ITEM_NOTE | ITEM_WON, __ATOMIC_RELAXED) & ITEM_WON;
    shown->has_won = !shown->was_won;
}

/* True if something is to be known, or told once, that only a note can hold. */
static bool wants_note(const struct meta *meta, const nh_value *value)
{
    return memcached_note_of(value) == 0 && (value->traits & NH_VALUE_STALE || meta_has(meta, 'R') ||
                                             meta_has(meta, 'h') || meta_has(meta, 'l'));
}

static void show(const struct kv_call *call, const struct meta *meta, nh_value *value,
                 int64_t old_expires_at_ms)
{
    struct shown shown = {.meta = meta,
                          .value = value,
                          .note = memcached_note_of(value),
                          .version = value->version,
                          .life.old_expires_at_ms = old_expires_at_ms};
    struct buffer copy = {0};

    shown.bytes = kv_value_bytes(call, value, &copy);
    decide(call, &shown);
    if (!meta_has(meta, 'u'))
        memcached_note_use(call, value);
    if (LIKELY(!copy.failed))
        say_hit(call, &shown);
    else
        memcached_refused(call, NH_NO_MEMORY);
    nh_release(call->kv->store, value);
    buffer_fini(&copy);
}

void kv_memcached_mg(const struct kv_call *call)
{
    struct meta meta;
    struct bytes error;
    int64_t old_expires_at_ms;
    nh_value value;

    if (call->argument_count - 2 > META_FLAGS_MAX) {
        memcached_client_error(call, BYTES("options flags are too long"));
        return;
    }
    if (!meta_parse(call, 2, call->argument_count - 2, &meta, &error)) {
        memcached_client_error(call, error);
        return;
    }
    for (bool has_annotated = false;; has_annotated = true) {
        if (find(call, &meta, &value, &old_expires_at_ms) != NH_OK) {
            if (!meta_has(&meta, 'N')) {
                say_miss(call, &meta);
                return;
            }
            if (vivify(call, &meta))
                return;
            continue; /* somebody else made it meanwhile */
        }
        if (LIKELY(has_annotated || !wants_note(&meta, &value)))
            break;
        nh_release(call->kv->store, &value);
        nh_annotate(call->kv->store, call->now.mono_ms, meta.key, memcached_note(call, 0));
    }
    show(call, &meta, &value, old_expires_at_ms);
}

/* ---- me ---------------------------------------------------------------------------------------------- */

/* What there is to tell: there are no slab classes, and the size is of key and value. */
static void say_debug(const struct kv_call *call, const struct meta *meta, const nh_value *value)
{
    char key[(META_KEY_BYTES_MAX + 2) / 3 * 4], text[META_LINE_BYTES_MAX];
    struct bytes shown = bytes_of(meta->key.data, meta->key.size);
    uint32_t note = memcached_note_of(value);
    int64_t left = value->expires_at_ms == 0 ? -1 : meta_left_s(call, value->expires_at_ms);
    int size;

    if (note & ITEM_BINARY)
        shown = bytes_of(key, meta_encode(shown, key));
    size = snprintf(text, sizeof text, "ME %.*s exp=%lld la=%u cas=%llu fetch=%s cls=0 size=%llu",
                    BYTES_PRINTF(shown), (long long)left, idle_s(call, note),
                    (unsigned long long)value->version, note & ITEM_FETCHED ? "yes" : "no",
                    (unsigned long long)meta->key.size + value->size);
    reply_say(call->reply, &(struct outcome){.kind = OUTCOME_text, .bytes = bytes_of(text, (size_t)size)});
}

void kv_memcached_me(const struct kv_call *call)
{
    struct meta meta;
    nh_value value;
    size_t size;

    if (call->argument_count < 2 || call->argument_count > 3) {
        memcached_client_error(call, MEMCACHED_BAD_FORMAT);
        return;
    }
    meta.key = kv_key(call, 1);
    if (call->argument_count == 3 && bytes_equal(call->arguments[2], BYTES("b"))) {
        if (!meta_decode(call->arguments[1], meta.key_bytes, sizeof meta.key_bytes, &size)) {
            memcached_client_error(call, MEMCACHED_BAD_FORMAT);
            return;
        }
        meta.key = (nh_key){meta.key_bytes, size, kv_space(call)};
    }
    /* A look that counts as no read of the item. */
    if (nh_borrow(call->kv->store, call->now.mono_ms, meta.key, &value) != NH_OK) {
        meta_say(call, "EN", NULL, NULL);
        return;
    }
    say_debug(call, &meta, &value);
    nh_release(call->kv->store, &value);
}

void kv_memcached_mn(const struct kv_call *call) { meta_say(call, "MN", NULL, NULL); }
