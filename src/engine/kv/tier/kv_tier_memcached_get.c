/* kv_tier_memcached_get.c — get, gets, gat and gats: what is near is said at once, and from the first key
 * on that is not, all at once when all of them have come. */
#include "base/number.h"
#include "engine/kv/tier/kv_tier_memcached.h"
#include <stdlib.h>

enum {
    WINDOW = 64,                  /* keys that are asked for at a time */
    ANSWER_BYTES_MAX = 256 << 20, /* of values that wait for the others */
};

/* The keys of one command, from the first that is not near on. */
struct fetch {
    struct kv_tier_request *request;
    uint32_t first, next; /* arguments: the first key; the next one to ask for */
    uint32_t under_way_count;
    bool has_begun, is_too_much;
    enum err err; /* of the first that failed */
    bool may_have_run;
    struct buffer text; /* likewise */
    struct buffer values;
    struct found {
        size_t offset, size; /* in `values` */
        bool is_there;
    } * found; /* one for each key */
    struct slot {
        union {
            struct tier_read read;
            struct valkey_call call; /* GETEX */
        };
        struct fetch *fetch;
        uint32_t index; /* of its key; 0: it is free */
    } slots[WINDOW];
};

static bool touches(enum command_id id)
{
    return id == COMMAND_memcached_gat || id == COMMAND_memcached_gats;
}

static enum outcome_kind kind_of(enum command_id id)
{
    return id == COMMAND_memcached_gets || id == COMMAND_memcached_gats ? OUTCOME_item_version
                                                                        : OUTCOME_item;
}

/* ---- saying ----------------------------------------------------------------------------------------- */

/* False: an error was said. */
static bool say_item(struct reply *reply, enum command_id id, struct bytes key, struct bytes raw)
{
    struct kv_tier_item item = kv_tier_item_of(raw);
    struct outcome outcome = {.kind = kind_of(id),
                              .item = {.key = key, .value = item.value, .flags = item.flags}};

    if (outcome.kind == OUTCOME_item_version && !kv_tier_item_version(raw, &outcome.item.version)) {
        reply_error(reply, BYTES("OOM there is no memory for what was read"));
        return false;
    }
    reply_say(reply, &outcome);
    return true;
}

/* Says what lies in the store, and releases it. False: an error was said. */
static bool say_near(const struct kv_call *call, nh_value *value)
{
    struct buffer copy = {0};
    struct bytes raw = kv_value_bytes(call, value, &copy);
    bool is_said = false;

    if (copy.failed)
        memcached_refused(call, NH_NO_MEMORY);
    else
        is_said = say_item(call->reply, call->id, call->arguments[1], raw);
    nh_release(call->kv->store, value);
    buffer_fini(&copy);
    return is_said;
}

static void say_fetched(struct fetch *fetch, struct reply *reply)
{
    struct kv_tier_request *request = fetch->request;

    if (fetch->values.failed || fetch->is_too_much) {
        reply_error(reply,
                    fetch->is_too_much
                        ? BYTES("the values are too much for one answer: ask for fewer keys at a time")
                        : BYTES("OOM there is no memory for what was read"));
        return;
    }
    if (fetch->err == ERR_TYPE || fetch->err == ERR_FORBIDDEN) {
        reply_error(reply, buffer_bytes(&fetch->text));
        return;
    }
    if (fetch->err != OK) {
        kv_tier_say_failure(reply, fetch->err, fetch->may_have_run, buffer_bytes(&fetch->text));
        return;
    }
    for (uint32_t i = fetch->first; i < request->argument_count; i++) {
        const struct found *found = &fetch->found[i];
        if (found->is_there && !say_item(reply, request->id, request->arguments[i],
                                         bytes_of(fetch->values.data + found->offset, found->size)))
            return;
    }
    reply_kind(reply, OUTCOME_end);
}

/* ---- asking ----------------------------------------------------------------------------------------- */

static void fetch_free(struct fetch *fetch)
{
    buffer_fini(&fetch->text);
    buffer_fini(&fetch->values);
    free(fetch->found);
    free(fetch);
}

static void cancel(struct kv_tier_request *request)
{
    struct fetch *fetch = request->part;

    for (size_t i = 0; i < WINDOW; i++) {
        if (fetch->slots[i].index == 0)
            continue;
        if (touches(request->id))
            valkey_give_up(request->tier->valkey, &fetch->slots[i].call);
        else
            tier_read_end(request->tier->worker, &fetch->slots[i].read);
    }
    fetch_free(fetch);
}

static nh_key near_key(const struct kv_tier_request *request, uint32_t index)
{
    return (nh_key){request->arguments[index].data, request->arguments[index].size,
                    kv_space_of(request->tier->kv, 0)};
}

static void note(struct fetch *fetch, uint32_t index, struct bytes value)
{
    struct found *found = &fetch->found[index];

    if (fetch->values.size + value.size > ANSWER_BYTES_MAX) {
        fetch->is_too_much = true;
        return;
    }
    buffer_reserve(&fetch->values, 1); /* no null pointer for an empty one */
    *found = (struct found){.offset = fetch->values.size, .size = value.size, .is_there = true};
    buffer_append(&fetch->values, value);
}

static void note_failure(struct fetch *fetch, enum err err, bool may_have_run, struct bytes text)
{
    if (fetch->err != OK)
        return;
    fetch->err = err;
    fetch->may_have_run = may_have_run;
    buffer_append(&fetch->text, text);
}

static void ask_further(struct fetch *fetch);

/* The answer to the key of `slot` has come. */
static void free_slot(struct slot *slot)
{
    slot->index = 0;
    slot->fetch->under_way_count--;
    ask_further(slot->fetch);
}

static void got(struct tier_read *read, const struct tier_found *found)
{
    struct slot *slot = CONTAINER_OF(read, struct slot, read);
    struct fetch *fetch = slot->fetch;

    if (found->err != OK) {
        note_failure(fetch, found->err, false, found->text);
    } else {
        counters_add(fetch->request->tier->kv->counters,
                     found->is_there ? METRIC_get_hits : METRIC_get_misses, 1);
        if (found->is_there)
            note(fetch, slot->index, found->value);
    }
    free_slot(slot);
}

static void got_and_touched(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct slot *slot = CONTAINER_OF(call, struct slot, call);
    struct fetch *fetch = slot->fetch;
    const struct resp_node *node = answer->err == OK ? answer->replies->nodes : NULL;

    tier_forget(fetch->request->tier->tier, fetch->request->arguments[slot->index]);
    if (node == NULL) {
        note_failure(fetch, answer->err, answer->may_have_run, answer->text);
    } else if (node->type == RESP_ERROR) {
        note_failure(fetch, ERR_TYPE, false, node->bytes);
    } else {
        counters_add(fetch->request->tier->kv->counters,
                     node->type == RESP_BULK ? METRIC_get_hits : METRIC_get_misses, 1);
        if (node->type == RESP_BULK)
            note(fetch, slot->index, node->bytes);
    }
    free_slot(slot);
}

static void ask_and_touch(struct fetch *fetch, struct slot *slot)
{
    struct kv_tier_request *request = fetch->request;
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct bytes key = request->arguments[slot->index];
    struct kv_tier_words words = {.words = {BYTES("GETEX"), key}, .count = 2};
    int64_t exptime_s = 0;
    struct valkey_command command;

    (void)memcached_signed(request->arguments[1], &exptime_s);
    kv_tier_add_px(&words, memcached_ttl_ms(&call, exptime_s));
    if (words.count == 2)
        kv_tier_add_word(&words, BYTES("PERSIST"));
    command = (struct valkey_command){words.words, words.count};
    slot->call = (struct valkey_call){.done = got_and_touched};
    tier_forget(request->tier->tier, key);
    valkey_ask(
        request->tier->valkey, &slot->call,
        &(struct valkey_order){
            .commands = &command, .command_count = 1, .target = VALKEY_SLOT, .slot = valkey_slot(key)});
}

static bool note_near(struct fetch *fetch, uint32_t index)
{
    struct kv_tier_request *request = fetch->request;
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct buffer copy = {0};
    nh_value value;

    if (request->is_fenced || touches(request->id))
        return false;
    switch (tier_peek(request->tier->worker, call.now.mono_ms, near_key(request, index), &value)) {
    case TIER_NOT_NEAR: return false;
    case TIER_NEAR_NOTHING: counters_add(call.kv->counters, METRIC_get_misses, 1); return true;
    case TIER_NEAR_VALUE: break;
    }
    counters_add(call.kv->counters, METRIC_get_hits, 1);
    note(fetch, index, kv_value_bytes(&call, &value, &copy));
    fetch->values.failed = fetch->values.failed || copy.failed;
    nh_release(call.kv->store, &value);
    buffer_fini(&copy);
    return true;
}

static struct slot *free_slot_of(struct fetch *fetch)
{
    for (size_t i = 0; i < WINDOW; i++)
        if (fetch->slots[i].index == 0)
            return &fetch->slots[i];
    UNREACHABLE(); /* under_way_count says that there is one */
}

static void end(struct fetch *fetch)
{
    struct kv_tier_request *request = fetch->request;
    struct reply *reply;

    request->cancel = NULL;
    reply = kv_tier_request_reply(request);
    if (reply != NULL)
        say_fetched(fetch, reply);
    fetch_free(fetch);
    kv_tier_request_end(request);
}

/* Once one has failed nothing else is asked for, as all of it is answered by an error; but expiry times are
 * set of all keys. */
static void ask_further(struct fetch *fetch)
{
    struct kv_tier_request *request = fetch->request;
    bool is_useless = (fetch->err != OK || fetch->is_too_much) && !touches(request->id);

    while (!is_useless && fetch->next < request->argument_count && fetch->under_way_count < WINDOW) {
        uint32_t index = fetch->next++;
        struct slot *slot;
        if (note_near(fetch, index))
            continue;
        slot = free_slot_of(fetch);
        slot->fetch = fetch;
        slot->index = index;
        fetch->under_way_count++;
        if (touches(request->id)) {
            ask_and_touch(fetch, slot);
            continue;
        }
        slot->read = (struct tier_read){.done = got};
        tier_read(request->tier->worker, &slot->read, near_key(request, index),
                  request->is_fenced ? TIER_FENCED : 0, 0, 0);
    }
    if (fetch->under_way_count == 0)
        end(fetch);
}

static void go_fetch(struct kv_tier_request *request)
{
    struct fetch *fetch = calloc(1, sizeof *fetch);

    if (fetch != NULL)
        fetch->found = calloc(request->argument_count, sizeof *fetch->found);
    if (fetch == NULL || fetch->found == NULL) {
        free(fetch);
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
        return;
    }
    fetch->request = request;
    fetch->first = fetch->next = touches(request->id) ? 2 : 1;
    request->part = fetch;
    request->cancel = cancel;
    ask_further(fetch);
}

/* ---- the commands ----------------------------------------------------------------------------------- */

void kv_tier_memcached_get(const struct kv_call *call)
{
    struct kv_call rest = *call;
    int64_t exptime_s;
    nh_value value;

    if (touches(call->id)) {
        if (!memcached_signed(call->arguments[1], &exptime_s))
            memcached_client_error(call, BYTES("invalid exptime argument"));
        else
            kv_tier_request_begin(call, true, go_fetch);
        return;
    }
    while (rest.argument_count > 1 && !kv_tier_must_ask(call)) {
        switch (tier_peek(kv_tier_of(call->kv)->worker, call->now.mono_ms, kv_key(&rest, 1), &value)) {
        case TIER_NOT_NEAR: kv_tier_request_begin(&rest, false, go_fetch); return;
        case TIER_NEAR_NOTHING: counters_add(call->kv->counters, METRIC_get_misses, 1); break;
        case TIER_NEAR_VALUE:
            counters_add(call->kv->counters, METRIC_get_hits, 1);
            if (!say_near(&rest, &value))
                return;
            break;
        }
        rest.arguments++; /* argument 0 is of no interest any more */
        rest.argument_count--;
    }
    if (rest.argument_count > 1)
        kv_tier_request_begin(&rest, false, go_fetch);
    else
        reply_kind(call->reply, OUTCOME_end);
}
