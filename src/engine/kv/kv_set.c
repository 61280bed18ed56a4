/* kv_set.c — commands that put whole strings: Redis 7's answers. */
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_lifetime.h"

enum condition { ALWAYS, IF_MISSING, IF_THERE };

struct set_options {
    nh_put_options put;
    enum condition condition;
    bool get; /* answer with what was there before */
};

static void tell_set(const struct kv_call *call, const nh_put_options *put)
{
    kv_changed(call, kv_key(call, 1), KV_EVENT_set);
    if (put->ttl_ms != 0)
        kv_changed(call, kv_key(call, 1), KV_EVENT_expire);
}

/* ---- SET ----------------------------------------------------------------------------------------------
 */

/* Reads the words behind SET key value. False if an error was said. */
static bool read_set_options(const struct kv_call *call, struct set_options *options)
{
    struct kv_lifetime lifetime = {.is_kept = false};

    for (uint32_t i = 3; i < call->argument_count; i++) {
        if (kv_argument_is(call, i, BYTES("nx")) && options->condition != IF_THERE) {
            options->condition = IF_MISSING;
        } else if (kv_argument_is(call, i, BYTES("xx")) && options->condition != IF_MISSING) {
            options->condition = IF_THERE;
        } else if (kv_argument_is(call, i, BYTES("get"))) {
            options->get = true;
        } else if (kv_argument_is(call, i, BYTES("keepttl")) && lifetime.unit.size == 0) {
            lifetime.is_kept = true;
        } else if (!kv_lifetime_take(call, &i, &lifetime)) {
            kv_syntax_error(call);
            return false;
        }
    }
    options->put.keep_ttl = lifetime.is_kept;
    return kv_lifetime_ttl(call, &lifetime, &options->put.ttl_ms);
}

/* SET with GET and a condition: what was there decides, in one step, whether the value is put. */
static nh_result exchange_if(const struct kv_call *call, const struct set_options *options,
                             nh_value *before, int32_t *had_before)
{
    nh_store *store = call->kv->store;
    nh_key key = kv_key(call, 1);
    nh_bytes value = kv_nh_bytes(call->arguments[2]);
    int64_t now_ms = call->now.mono_ms;
    nh_result result;

    if (options->condition == ALWAYS)
        return nh_exchange(store, now_ms, key, value, &options->put, before, had_before);
    for (;;) { /* again only if another thread wrote the key between two steps: then it has got on */
        if (nh_borrow(store, now_ms, key, before) == NH_OK) {
            *had_before = 1;
            if (options->condition == IF_MISSING)
                return NH_EXISTS;
            result = nh_cas(store, now_ms, key, value, &options->put, before->version, NULL);
            if (result == NH_OK || (result != NH_MISSING && result != NH_CHANGED))
                return result;
            nh_release(store, before);
            *had_before = 0;
        } else {
            if (options->condition == IF_THERE)
                return NH_MISSING;
            result = nh_add(store, now_ms, key, value, &options->put, NULL);
            if (result != NH_EXISTS)
                return result;
        }
    }
}

static void set_and_get(const struct kv_call *call, const struct set_options *options)
{
    nh_value before;
    int32_t had_before = 0;
    nh_result result = exchange_if(call, options, &before, &had_before);

    (void)kv_count_read(call, kv_key(call, 1), had_before ? NH_OK : NH_MISSING);
    if (result == NH_OK)
        tell_set(call, &options->put);
    if (result != NH_OK && result != NH_EXISTS && result != NH_MISSING) {
        kv_refused(call, result);
        if (had_before)
            nh_release(call->kv->store, &before);
    } else if (had_before) {
        kv_reply_value(call, &before);
    } else {
        reply_kind(call->reply, OUTCOME_nothing);
    }
}

void kv_set(const struct kv_call *call)
{
    struct set_options options = {.put = {.size = sizeof options.put}};
    nh_store *store = call->kv->store;
    nh_bytes value = kv_nh_bytes(call->arguments[2]);
    nh_result result = NH_INVALID;

    if (call->argument_count > 3 && !read_set_options(call, &options))
        return;
    if (options.get) {
        set_and_get(call, &options);
        return;
    }
    switch (options.condition) {
    case ALWAYS:
        result = nh_put(store, call->now.mono_ms, kv_key(call, 1), value, &options.put, NULL);
        break;
    case IF_MISSING:
        result = nh_add(store, call->now.mono_ms, kv_key(call, 1), value, &options.put, NULL);
        break;
    case IF_THERE:
        result = nh_replace(store, call->now.mono_ms, kv_key(call, 1), value, &options.put, NULL);
        break;
    }
    if (LIKELY(result == NH_OK)) {
        tell_set(call, &options.put);
        reply_kind(call->reply, OUTCOME_ok);
    } else if (result == NH_EXISTS || result == NH_MISSING)
        reply_kind(call->reply, OUTCOME_nothing);
    else
        kv_refused(call, result);
}

/* ---- its short forms ----------------------------------------------------------------------------------
 */

static void set_for(const struct kv_call *call, bool is_seconds)
{
    nh_put_options options = {.size = sizeof options};
    nh_result result;

    if (!kv_ttl_of(call, call->arguments[2], is_seconds, false, &options.ttl_ms))
        return;
    result = nh_put(call->kv->store, call->now.mono_ms, kv_key(call, 1), kv_nh_bytes(call->arguments[3]),
                    &options, NULL);
    if (result == NH_OK) {
        tell_set(call, &options);
        reply_kind(call->reply, OUTCOME_ok);
    } else {
        kv_refused(call, result);
    }
}

void kv_setex(const struct kv_call *call) { set_for(call, true); }

void kv_psetex(const struct kv_call *call) { set_for(call, false); }

void kv_setnx(const struct kv_call *call)
{
    nh_result result = nh_add(call->kv->store, call->now.mono_ms, kv_key(call, 1),
                              kv_nh_bytes(call->arguments[2]), NULL, NULL);

    if (result == NH_OK)
        kv_changed(call, kv_key(call, 1), KV_EVENT_set);
    if (result == NH_OK || result == NH_EXISTS)
        reply_integer(call->reply, result == NH_OK);
    else
        kv_refused(call, result);
}

void kv_getset(const struct kv_call *call)
{
    set_and_get(call, &(struct set_options){.put = {.size = sizeof(nh_put_options)}});
}

/* ---- several keys -------------------------------------------------------------------------------------
 */

/* Puts all pairs, and says why not. Those before a refused one stay put. */
static bool put_all(const struct kv_call *call)
{
    for (uint32_t i = 1; i < call->argument_count; i += 2) {
        nh_result result = nh_put(call->kv->store, call->now.mono_ms, kv_key(call, i),
                                  kv_nh_bytes(call->arguments[i + 1]), NULL, NULL);
        if (result != NH_OK) {
            kv_refused(call, result);
            return false;
        }
        kv_changed(call, kv_key(call, i), KV_EVENT_set);
    }
    return true;
}

/* Nobody sees some of the keys with their new values and others with their old ones. One pair needs nobody
 * kept out for that. */
void kv_mset(const struct kv_call *call)
{
    bool is_alone = call->argument_count > 3;

    if (call->argument_count % 2 == 0) {
        kv_arity_error(call, "mset");
        return;
    }
    if (is_alone)
        kv_go_alone(call->kv);
    if (put_all(call))
        reply_kind(call->reply, OUTCOME_ok);
    if (is_alone)
        kv_go_together(call->kv);
}

void kv_msetnx(const struct kv_call *call)
{
    bool is_one_there = false;
    nh_value value;

    if (call->argument_count % 2 == 0) {
        kv_arity_error(call, "msetnx");
        return;
    }
    for (uint32_t i = 1; i < call->argument_count && !is_one_there; i += 2)
        if (nh_peek(call->kv->store, call->now.mono_ms, kv_key(call, i), &value) == NH_OK) {
            nh_release(call->kv->store, &value);
            is_one_there = true;
        }
    if (is_one_there)
        reply_integer(call->reply, 0);
    else if (put_all(call))
        reply_integer(call->reply, 1);
}
