/* kv_tier_read.c — reads that may be answered from what is near: GET, MGET, STRLEN, GETRANGE, EXISTS. */
#include "base/number.h"
#include "engine/kv/kv_transaction.h"
#include "engine/kv/tier/kv_tier_state.h"
#include <stdlib.h>

enum {
    NEAR_KEYS_MAX = 128, /* of one MGET; those of more are read all at once, and not kept */
};

static enum tier_near peek(const struct kv_call *call, uint32_t index, nh_value *value)
{
    enum tier_near near =
        tier_peek(kv_tier_of(call->kv)->worker, call->now.mono_ms, kv_key(call, index), value);

    if (near != TIER_NOT_NEAR)
        counters_add(call->kv->counters, near == TIER_NEAR_VALUE ? METRIC_get_hits : METRIC_get_misses, 1);
    return near;
}

/* ---- one key ---------------------------------------------------------------------------------------- */

static void count(struct kv_tier *tier, const struct tier_found *found)
{
    if (found->err == OK)
        counters_add(tier->kv->counters, found->is_there ? METRIC_get_hits : METRIC_get_misses, 1);
}

static void got(struct tier_read *read, const struct tier_found *found)
{
    struct kv_tier_request *request = CONTAINER_OF(read, struct kv_tier_request, read);
    struct reply *reply = kv_tier_request_reply(request);

    request->cancel = NULL;
    count(request->tier, found);
    if (reply != NULL && found->err != OK)
        kv_tier_say_not_read(reply, found);
    else if (reply != NULL && found->is_there)
        reply_value(reply, found->value);
    else if (reply != NULL)
        reply_kind(reply, OUTCOME_nothing);
    kv_tier_request_end(request);
}

static nh_key near_key(const struct kv_tier_request *request, uint32_t index)
{
    return (nh_key){request->arguments[index].data, request->arguments[index].size,
                    kv_space_of(request->tier->kv, 0)};
}

static void go_get(struct kv_tier_request *request)
{
    kv_tier_request_read(request, near_key(request, 1), request->is_fenced, got);
}

void kv_tier_get(const struct kv_call *call)
{
    nh_value value;

    if (LIKELY(!kv_tier_must_ask(call)))
        switch (peek(call, 1, &value)) {
        case TIER_NEAR_VALUE: kv_reply_value(call, &value); return;
        case TIER_NEAR_NOTHING: reply_kind(call->reply, OUTCOME_nothing); return;
        case TIER_NOT_NEAR: break;
        }
    kv_tier_request_begin(call, false, go_get);
}

/* ---- parts of one ----------------------------------------------------------------------------------- */

/* Which bytes GETRANGE means, of a value of `bytes`. */
static struct bytes part(struct bytes value, int64_t first, int64_t last)
{
    int64_t bytes = (int64_t)value.size;

    if (first < 0 && last < 0 && first > last)
        return BYTES("");
    first = first >= 0 ? first : first + bytes > 0 ? first + bytes : 0;
    last = last >= 0 ? last : last + bytes > 0 ? last + bytes : 0;
    if (last >= bytes)
        last = bytes - 1;
    return first > last ? BYTES("")
                        : bytes_first(bytes_after(value, (size_t)first), (size_t)(last - first + 1));
}

static bool getrange(const struct kv_call *call)
{
    int64_t first, last;
    struct buffer copy = {0};
    struct bytes bytes;
    nh_value value;

    if (!int64_parse(call->arguments[2], &first) || !int64_parse(call->arguments[3], &last)) {
        kv_integer_error(call);
        return true;
    }
    switch (peek(call, 1, &value)) {
    case TIER_NOT_NEAR: return false;
    case TIER_NEAR_NOTHING: reply_value(call->reply, BYTES("")); return true;
    case TIER_NEAR_VALUE: break;
    }
    bytes = kv_value_bytes(call, &value, &copy);
    if (copy.failed)
        kv_refused(call, NH_NO_MEMORY);
    else
        reply_value(call->reply, part(bytes, first, last));
    nh_release(call->kv->store, &value);
    buffer_fini(&copy);
    return true;
}

static bool get_length(const struct kv_call *call)
{
    nh_value value;

    switch (peek(call, 1, &value)) {
    case TIER_NOT_NEAR: return false;
    case TIER_NEAR_NOTHING: reply_integer(call->reply, 0); return true;
    case TIER_NEAR_VALUE: break;
    }
    reply_integer(call->reply, (int64_t)value.size);
    nh_release(call->kv->store, &value);
    return true;
}

static bool exists(const struct kv_call *call)
{
    int64_t found = 0;
    nh_value value;

    for (uint32_t i = 1; i < call->argument_count; i++)
        switch (peek(call, i, &value)) {
        case TIER_NOT_NEAR: return false;
        case TIER_NEAR_NOTHING: break;
        case TIER_NEAR_VALUE:
            found++;
            nh_release(call->kv->store, &value);
            break;
        }
    reply_integer(call->reply, found);
    return true;
}

bool kv_tier_read_near(const struct kv_call *call)
{
    if (kv_tier_must_ask(call))
        return false;
    switch (call->id) {
    case COMMAND_strlen: return get_length(call);
    case COMMAND_getrange:
    case COMMAND_substr: return getrange(call);
    case COMMAND_exists: return exists(call);
    default: return false;
    }
}

/* ---- MGET ------------------------------------------------------------------------------------------- */

/* The keys of one MGET, each read like one of GET. */
struct gather {
    struct kv_tier_request *request;
    uint32_t left_count;
    bool has_begun;
    enum err err; /* of the first that failed */
    struct buffer text;
    struct gather_key {
        struct tier_read read;
        struct gather *gather;
        bool is_under_way, is_there;
        size_t offset, size; /* in `values` */
    } * keys;
    struct buffer values;
};

static void gather_free(struct gather *gather)
{
    buffer_fini(&gather->values);
    buffer_fini(&gather->text);
    free(gather->keys);
    free(gather);
}

static void cancel_gather(struct kv_tier_request *request)
{
    struct gather *gather = request->part;

    for (uint32_t i = 0; i + 1 < request->argument_count; i++)
        if (gather->keys[i].is_under_way)
            tier_read_end(request->tier->worker, &gather->keys[i].read);
    gather_free(gather);
}

static void say_gathered(struct gather *gather, struct reply *reply)
{
    if (gather->values.failed) {
        reply_error(reply, BYTES("OOM there is no memory for what was read"));
        return;
    }
    if (gather->err == ERR_TOO_LARGE) {
        reply_error(reply,
                    BYTES("ERR the values are more than a connection may buffer: ask for fewer at once"));
        return;
    }
    if (gather->err == ERR_FORBIDDEN) {
        reply_error(reply, buffer_bytes(&gather->text));
        return;
    }
    if (gather->err != OK) {
        kv_tier_say_failure(reply, gather->err, false, buffer_bytes(&gather->text));
        return;
    }
    reply_aggregate(reply, OUTCOME_array, gather->request->argument_count - 1);
    for (uint32_t i = 0; i + 1 < gather->request->argument_count; i++)
        if (gather->keys[i].is_there)
            reply_value(reply,
                        bytes_of(gather->values.data + gather->keys[i].offset, gather->keys[i].size));
        else
            reply_kind(reply, OUTCOME_nothing);
}

static void end_if_all_are_there(struct gather *gather)
{
    struct kv_tier_request *request = gather->request;
    struct reply *reply;

    if (gather->left_count > 0 || !gather->has_begun)
        return;
    request->cancel = NULL;
    reply = kv_tier_request_reply(request);
    if (reply != NULL)
        say_gathered(gather, reply);
    gather_free(gather);
    kv_tier_request_end(request);
}

/* Makes room for another value. False: there are too many bytes already, and none of them is of use. */
static bool has_room(struct gather *gather, uint64_t size)
{
    if (gather->err == ERR_TOO_LARGE)
        return false;
    if (gather->values.size + size <= kv_transaction_bytes_max(gather->request->tier->kv))
        return true;
    gather->err = ERR_TOO_LARGE;
    buffer_fini(&gather->values);
    return false;
}

/* A key that holds something else is none to MGET. */
static void note(struct gather_key *key, bool is_there, struct bytes value)
{
    struct buffer *values = &key->gather->values;

    if (!is_there || !has_room(key->gather, value.size))
        return;
    key->is_there = true;
    key->offset = values->size;
    key->size = value.size;
    buffer_reserve(values, 1); /* no null pointer for an empty one */
    buffer_append(values, value);
}

static void gathered(struct tier_read *read, const struct tier_found *found)
{
    struct gather_key *key = CONTAINER_OF(read, struct gather_key, read);
    struct gather *gather = key->gather;

    key->is_under_way = false;
    count(gather->request->tier, found);
    if (found->err != OK && found->err != ERR_TYPE && gather->err == OK) {
        gather->err = found->err;
        buffer_append(&gather->text, found->text);
    }
    note(key, found->err == OK && found->is_there, found->value);
    gather->left_count--;
    end_if_all_are_there(gather);
}

static bool note_near(struct kv_tier_request *request, struct gather_key *key, uint32_t index)
{
    struct kv_tier *tier = request->tier;
    nh_value value;
    nh_bytes piece;

    switch (tier_peek(tier->worker, loop_now(tier->loop).mono_ms, near_key(request, index), &value)) {
    case TIER_NOT_NEAR: return false;
    case TIER_NEAR_NOTHING: return true;
    case TIER_NEAR_VALUE: break;
    }
    note(key, true, BYTES(""));
    for (uint64_t at = 0; has_room(key->gather, value.size - at) &&
                          nh_value_piece(tier->kv->store, &value, at, &piece) == NH_OK;
         at += piece.size)
        buffer_append(&key->gather->values, bytes_of(piece.data, piece.size));
    key->size = (size_t)value.size;
    nh_release(tier->kv->store, &value);
    return true;
}

static void go_mget(struct kv_tier_request *request)
{
    uint32_t key_count = request->argument_count - 1;
    struct gather *gather = calloc(1, sizeof *gather);

    if (gather != NULL)
        gather->keys = calloc(key_count, sizeof *gather->keys);
    if (gather == NULL || gather->keys == NULL) {
        free(gather);
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
        return;
    }
    gather->request = request;
    request->part = gather;
    request->cancel = cancel_gather;
    for (uint32_t i = 0; i < key_count; i++) {
        struct gather_key *key = &gather->keys[i];
        key->gather = gather;
        if (!request->is_fenced && note_near(request, key, i + 1))
            continue;
        key->is_under_way = true;
        key->read.done = gathered;
        gather->left_count++;
        tier_read(request->tier->worker, &key->read, near_key(request, i + 1),
                  request->is_fenced ? TIER_FENCED : 0, 0, 0);
    }
    gather->has_begun = true;
    end_if_all_are_there(gather);
}

void kv_tier_mget(const struct kv_call *call)
{
    if (call->argument_count - 1 > NEAR_KEYS_MAX) {
        kv_tier_pass(call);
        return;
    }
    kv_tier_request_begin(call, false, go_mget);
}
