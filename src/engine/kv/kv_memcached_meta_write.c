/* kv_memcached_meta_write.c — ms, md and ma: storing, deleting or invalidating, and counting. */
#include "base/number.h"
#include "engine/kv/kv_memcached_meta.h"

/* What came of it, as its code. */
static const char *code_of(nh_result result)
{
    switch (result) {
    case NH_OK: return "HD";
    case NH_MISSING: return "NF";
    case NH_CHANGED: return "EX";
    case NH_EXISTS: return "NS";
    default: return NULL; /* an error */
    }
}

/* ---- ms ---------------------------------------------------------------------------------------------- */

enum mode { MODE_SET, MODE_ADD, MODE_APPEND, MODE_PREPEND, MODE_REPLACE };

static bool mode_of(const struct meta *meta, enum mode *mode)
{
    switch (meta->mode) {
    case '\0':
    case 'S': *mode = MODE_SET; return true;
    case 'E': *mode = MODE_ADD; return true;
    case 'A': *mode = MODE_APPEND; return true;
    case 'P': *mode = MODE_PREPEND; return true;
    case 'R': *mode = MODE_REPLACE; return true;
    default: return false;
    }
}

/* The value came from what was invalidated meanwhile: it is stored, but as stale, with the item's time to
 * live, and who was told to recache it is told still. NH_CHANGED: the version is no older one. */
static nh_result put_as_stale(const struct kv_call *call, const struct meta *meta, nh_bytes value,
                              nh_put_options *options, uint64_t *version)
{
    nh_store *store = call->kv->store;
    nh_result result;
    nh_value before;

    do { /* again only if another thread wrote the key meanwhile */
        uint64_t expected;

        if (nh_borrow(store, call->now.mono_ms, meta->key, &before) != NH_OK)
            return NH_MISSING;
        expected = before.version;
        options->note |= memcached_note_of(&before) & ITEM_WON;
        options->ttl_ms = before.expires_at_ms == 0 ? 0 : before.expires_at_ms - call->now.mono_ms;
        nh_release(store, &before);
        if (meta->if_version == 0 || meta->if_version >= expected)
            return NH_CHANGED;
        options->soft_ttl_ms = -1;
        result = nh_cas(store, call->now.mono_ms, meta->key, value, options, expected, version);
    } while (result == NH_CHANGED);
    return result;
}

static nh_result store(const struct kv_call *call, const struct meta *meta, enum mode mode, nh_bytes value,
                       uint64_t *version)
{
    nh_store *store = call->kv->store;
    int64_t now_ms = call->now.mono_ms;
    nh_put_options options = {.size = sizeof options,
                              .ttl_ms = meta->ttl_ms,
                              .flags = meta->client_flags,
                              .note = memcached_note(call, meta_has(meta, 'b') ? ITEM_BINARY : 0),
                              .version = meta->version};
    nh_result result = NH_INVALID;

    switch (mode) {
    case MODE_SET:
    case MODE_REPLACE:
        if (meta_has(meta, 'C')) {
            result = nh_cas(store, now_ms, meta->key, value, &options, meta->if_version, version);
            if (result == NH_CHANGED && meta_has(meta, 'I'))
                result = put_as_stale(call, meta, value, &options, version);
        } else if (mode == MODE_SET) {
            result = nh_put(store, now_ms, meta->key, value, &options, version);
        } else {
            result = nh_replace(store, now_ms, meta->key, value, &options, version);
            if (result == NH_MISSING)
                result = NH_EXISTS; /* it is not stored */
        }
        break;
    case MODE_ADD: result = nh_add(store, now_ms, meta->key, value, &options, version); break;
    case MODE_APPEND:
    case MODE_PREPEND:
        options.note &= ~(uint32_t)ITEM_BINARY; /* as memcached makes the longer item */
        result =
            memcached_extend(call, meta->key, value, mode == MODE_APPEND,
                             meta_has(meta, 'C') && meta->if_version == 0 ? UINT64_MAX : meta->if_version,
                             &options, version);
        if (result == NH_MISSING || result == NH_TOO_LARGE)
            result = NH_EXISTS;
        break;
    }
    return result;
}

static void say_stored(const struct kv_call *call, const struct meta *meta, nh_result result,
                       uint64_t version)
{
    struct meta_line line;

    line.size = 0;
    if (result == NH_OK && meta_has(meta, 'q'))
        return;
    for (uint32_t i = 0; i < meta->flag_count; i++) {
        switch (meta->flags[i].data[0]) {
        case 'O': meta_put(&line, 'O', bytes_after(meta->flags[i], 1)); break;
        case 'k': meta_put_key(&line, meta->shown_key, meta_has(meta, 'b')); break;
        case 'c': meta_put_number(&line, 'c', result == NH_OK ? version : 0); break;
        default: break; /* asks for nothing that is shown */
        }
    }
    meta_say(call, code_of(result), &line, NULL);
}

/* What could not be stored must not be taken for what is there: memcached drops that, whatever the mode. */
static void refuse(const struct kv_call *call, const struct meta *meta, nh_result result)
{
    if (nh_delete(call->kv->store, call->now.mono_ms, meta->key) == NH_OK)
        kv_changed(call, meta->key, KV_EVENT_del);
    memcached_refused(call, result);
}

void kv_memcached_ms(const struct kv_call *call)
{
    struct bytes data = call->arguments[call->argument_count - 1], error;
    uint32_t flag_count = call->argument_count - 4;
    struct meta meta;
    uint64_t version = 0;
    nh_result result;
    enum mode mode;

    if (flag_count > META_FLAGS_MAX - 1) {
        memcached_client_error(call, BYTES("options flags too long"));
        return;
    }
    if (!meta_parse(call, 3, flag_count, &meta, &error)) {
        memcached_client_error(call, error);
        return;
    }
    if (!mode_of(&meta, &mode)) {
        memcached_client_error(call, BYTES("invalid mode for ms M token"));
        return;
    }
    if (memcached_is_too_large(data)) {
        refuse(call, &meta, NH_TOO_LARGE);
        return;
    }
    result = store(call, &meta, mode, kv_nh_bytes(data), meta_has(&meta, 'c') ? &version : NULL);
    if (result == NH_OK)
        kv_changed(call, meta.key,
                   mode == MODE_APPEND || mode == MODE_PREPEND ? KV_EVENT_append : KV_EVENT_set);
    if (code_of(result) == NULL)
        refuse(call, &meta, result);
    else
        say_stored(call, &meta, result, version);
}

/* ---- md ---------------------------------------------------------------------------------------------- */

/* The item stays, stale and with another version; nobody is to recache it yet. */
static nh_result invalidate_lent(const struct kv_call *call, const struct meta *meta, const nh_value *value)
{
    nh_put_options options = {
        .size = sizeof options, .flags = value->flags, .soft_ttl_ms = -1, .version = meta->version};
    struct buffer copy = {0};
    struct bytes bytes = kv_value_bytes(call, value, &copy);
    uint32_t note = memcached_note_of(value);
    nh_result result = NH_NO_MEMORY;

    options.note = note != 0 ? note & ~ITEM_WON : memcached_note(call, 0);
    options.ttl_ms = meta_has(meta, 'T')         ? meta->ttl_ms
                     : value->expires_at_ms == 0 ? 0
                                                 : value->expires_at_ms - call->now.mono_ms;
    if (!copy.failed)
        result = nh_cas(call->kv->store, call->now.mono_ms, meta->key, kv_nh_bytes(bytes), &options,
                        value->version, NULL);
    buffer_fini(&copy);
    return result;
}

static nh_result invalidate(const struct kv_call *call, const struct meta *meta)
{
    nh_result result;
    nh_value value;

    do { /* again only if another thread wrote the key meanwhile */
        if (nh_borrow(call->kv->store, call->now.mono_ms, meta->key, &value) != NH_OK)
            return NH_MISSING;
        if (meta_has(meta, 'C') && value.version != meta->if_version) {
            nh_release(call->kv->store, &value);
            return NH_CHANGED;
        }
        result = invalidate_lent(call, meta, &value);
        nh_release(call->kv->store, &value);
    } while (result == NH_CHANGED);
    return result;
}

static nh_result delete_item(const struct kv_call *call, const struct meta *meta)
{
    const nh_put_options over_at_once = {.size = sizeof over_at_once, .ttl_ms = -1};

    if (!meta_has(meta, 'C'))
        return nh_delete(call->kv->store, call->now.mono_ms, meta->key);
    return nh_cas(call->kv->store, call->now.mono_ms, meta->key, (nh_bytes){NULL, 0}, &over_at_once,
                  meta->if_version, NULL);
}

/* As memcached, md and ma have one word for whatever is wrong with a flag. */
static bool parse_all(const struct kv_call *call, struct meta *meta)
{
    uint32_t count = call->argument_count - 2;
    struct bytes error;

    if (count > META_FLAGS_MAX)
        memcached_client_error(call, BYTES("options flags too long"));
    else if (!meta_parse(call, 2, count, meta, &error))
        memcached_client_error(call, BYTES("invalid or duplicate flag"));
    else
        return true;
    return false;
}

void kv_memcached_md(const struct kv_call *call)
{
    struct meta_line line;
    struct meta meta;
    nh_result result;

    line.size = 0;
    if (!parse_all(call, &meta))
        return;
    result = meta_has(&meta, 'I') ? invalidate(call, &meta) : delete_item(call, &meta);
    if (result == NH_OK)
        kv_changed(call, meta.key,
                   meta_has(&meta, 'I') && !(meta_has(&meta, 'T') && meta.ttl_ms < 0) ? KV_EVENT_set
                                                                                      : KV_EVENT_del);
    if (code_of(result) == NULL) {
        memcached_refused(call, result);
    } else if (result != NH_OK || !meta_has(&meta, 'q')) {
        meta_put_echo(&line, &meta);
        meta_say(call, code_of(result), &line, NULL);
    }
}

/* ---- ma ---------------------------------------------------------------------------------------------- */

static bool is_decrement(const struct meta *meta, bool *is)
{
    *is = meta->mode == 'D' || meta->mode == '-';
    return *is || meta->mode == '\0' || meta->mode == 'I' || meta->mode == '+';
}

/* Adds; or, with N, begins at the initial value where nothing is. */
static nh_result count(const struct kv_call *call, const struct meta *meta, struct memcached_sum *sum,
                       struct meta_life *life)
{
    nh_put_options options = {
        .size = sizeof options, .note = memcached_note(call, 0), .version = meta->version};
    char text[NUMBER_TEXT_BYTES];
    nh_bytes initial = {text, uint64_format(text, meta->initial)};
    nh_result result;

    do { /* again only if the key comes and goes meanwhile */
        result = memcached_add_to(call, meta->key, sum);
        *life = (struct meta_life){sum->old_expires_at_ms, result == NH_MISSING && meta_has(meta, 'N')};
        if (!life->is_new)
            return result;
        options.ttl_ms = meta_ttl_ms(call, meta_expires_at_ms(call, meta, life, meta->flag_count));
        result = nh_add(call->kv->store, call->now.mono_ms, meta->key, initial, &options,
                        sum->wants_version ? &sum->version : NULL);
    } while (result == NH_EXISTS);
    sum->number = meta->initial;
    return result;
}

/* As memcached, one that was made is told even if quiet was asked for. */
static void say_sum(const struct kv_call *call, const struct meta *meta, const struct memcached_sum *sum,
                    const struct meta_life *life)
{
    char text[NUMBER_TEXT_BYTES];
    struct bytes number = bytes_of(text, uint64_format(text, sum->number));
    struct meta_line line;

    line.size = 0;
    if (meta_has(meta, 'q') && !life->is_new)
        return;
    for (uint32_t i = 0; i < meta->flag_count; i++) {
        switch (meta->flags[i].data[0]) {
        case 'c': meta_put_number(&line, 'c', sum->version); break;
        case 't': meta_put_time_left(call, &line, meta_expires_at_ms(call, meta, life, i)); break;
        case 'O': meta_put(&line, 'O', bytes_after(meta->flags[i], 1)); break;
        case 'k': meta_put_key(&line, meta->shown_key, meta_has(meta, 'b')); break;
        default: break; /* asks for nothing that is shown */
        }
    }
    meta_say(call, meta_has(meta, 'v') ? "VA" : "HD", &line, meta_has(meta, 'v') ? &number : NULL);
}

void kv_memcached_ma(const struct kv_call *call)
{
    struct meta_line line;
    struct memcached_sum sum;
    struct meta meta;
    nh_result result;
    struct meta_life life;

    line.size = 0;
    if (!parse_all(call, &meta))
        return;
    sum = (struct memcached_sum){.delta = meta.delta,
                                 .if_version = meta.if_version,
                                 .version = meta.version,
                                 .wants_version = meta_has(&meta, 'c'),
                                 .has_ttl = meta_has(&meta, 'T'),
                                 .ttl_ms = meta.ttl_ms};
    if (!is_decrement(&meta, &sum.is_decrement)) {
        memcached_client_error(call, BYTES("invalid mode for ma M token"));
        return;
    }
    result = count(call, &meta, &sum, &life);
    if (result == NH_OK) {
        kv_changed(call, meta.key, life.is_new ? KV_EVENT_set : KV_EVENT_incrby);
        say_sum(call, &meta, &sum, &life);
    } else if (result == NH_TYPE) {
        memcached_client_error(call, BYTES("cannot increment or decrement non-numeric value"));
    } else if (code_of(result) == NULL) {
        memcached_refused(call, result);
    } else {
        meta_put_echo(&line, &meta);
        meta_say(call, code_of(result), &line, NULL);
    }
}
