/* kv_tier_nh.c — our own commands in front of the tier: what one step at the key's slot can do. */
#include "engine/kv/tier/kv_tier_nh.h"
#include "base/number.h"
#include "engine/kv/kv_nh.h"
#include "engine/kv/kv_purge.h"
#include "engine/kv/kv_rate.h"
#include "engine/kv/tier/kv_tier_errand.h"
#include "engine/kv/tier/kv_tier_item.h"
#include "engine/kv/tier/kv_tier_scripts.h"
#include <stdlib.h>

/* ---- NH.GET ----------------------------------------------------------------------------------------- */

static void say_text(struct reply *reply, const char *text) { reply_value(reply, bytes_of_text(text)); }

/* The words of kv_nh.c, with what a tier knows. */
static void say_found(struct reply *reply, const struct tier_found *found, int64_t now_ms)
{
    struct kv_tier_item item = kv_tier_item_of(found->value);
    char text[NUMBER_TEXT_BYTES];
    uint64_t version = 0;
    int64_t ttl_ms = -1;

    if (found->is_there && !kv_tier_item_version(found->value, &version)) {
        reply_error(reply, BYTES("OOM there is no memory for what was read"));
        return;
    }
    if (found->is_there && found->expires_at_ms != 0)
        ttl_ms = found->expires_at_ms > now_ms ? found->expires_at_ms - now_ms : 0;
    reply_aggregate(reply, OUTCOME_map, 8);
    say_text(reply, "state");
    say_text(reply, !found->is_there ? "missing" : item.is_stale ? "stale" : "hit");
    say_text(reply, "value");
    if (found->is_there)
        reply_value(reply, item.value);
    else
        reply_kind(reply, OUTCOME_nothing);
    say_text(reply, "lease");
    reply_kind(reply, OUTCOME_nothing);
    say_text(reply, "ttl_ms");
    reply_integer(reply, ttl_ms);
    say_text(reply, "soft_ttl_ms");
    reply_integer(reply, -1);
    say_text(reply, "flags");
    reply_integer(reply, found->is_there ? item.flags : 0);
    say_text(reply, "version");
    if (found->is_there)
        reply_value(reply, bytes_of(text, uint64_format(text, version)));
    else
        reply_kind(reply, OUTCOME_nothing);
    say_text(reply, "negative");
    reply_kind(reply, OUTCOME_no);
}

static void got(struct tier_read *read, const struct tier_found *found)
{
    struct kv_tier_request *request = CONTAINER_OF(read, struct kv_tier_request, read);
    struct reply *reply = kv_tier_request_reply(request);

    request->cancel = NULL;
    if (found->err == OK)
        counters_add(request->tier->kv->counters, found->is_there ? METRIC_get_hits : METRIC_get_misses, 1);
    if (reply != NULL && found->err != OK)
        kv_tier_say_not_read(reply, found);
    else if (reply != NULL)
        say_found(reply, found, loop_now(request->tier->loop).mono_ms);
    kv_tier_request_end(request);
}

/* What is near has an end of its own, and does not know the key's. */
static void go_get(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    bool is_fenced = request->is_fenced;

    for (uint32_t i = 2; i < request->argument_count; i++)
        is_fenced = is_fenced || kv_argument_is(&call, i, BYTES("fenced"));
    kv_tier_request_read(request, kv_key(&call, 1), is_fenced, got);
}

static void get(const struct kv_call *call)
{
    for (uint32_t i = 2; i < call->argument_count; i++) {
        if (kv_argument_is(call, i, BYTES("fenced")))
            continue;
        if (kv_argument_is(call, i, BYTES("lease")) || kv_argument_is(call, i, BYTES("early")))
            kv_error(call,
                     "ERR there are no leases with a shared tier: SET a key of your own there with NX "
                     "and PX, or use memcached's mg with N, which has one client fill what is missing");
        else
            kv_syntax_error(call);
        return;
    }
    kv_tier_request_begin(call, false, go_get);
}

/* ---- NH.SET ----------------------------------------------------------------------------------------- */

static void say_set(const struct kv_call *call, const struct resp_node *node)
{
    bool is_set = node->type == RESP_SIMPLE || bytes_equal(kv_tier_member(node, 0)->bytes, BYTES("HD"));

    reply_kind(call->reply, is_set ? OUTCOME_ok : OUTCOME_nothing);
}

static void go_set(struct kv_tier_request *request)
{
    struct kv_nh_set_options options = {.put = {.size = sizeof options.put}};
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct kv_tier_words words = {.count = 0};
    struct kv_tier_item item = {.value = call.arguments[2]};
    struct buffer copy = {0};
    char flags[4];

    if (!kv_nh_read_set_options(&call, 3, &options))
        UNREACHABLE(); /* it was read before */
    item.flags = options.put.flags;
    kv_tier_item_write_flags(item.flags, flags);
    if (options.condition == KV_NH_IF_VERSION) {
        kv_tier_add_script(&words, kv_tier_script_put, call.arguments[1]);
        kv_tier_add_word(&words, item.value);
        kv_tier_add_word(&words, bytes_of(flags, sizeof flags));
        kv_tier_add_ttl(&words, options.put.ttl_ms);
        kv_tier_add_version(&words, options.version);
        kv_tier_add_word(&words, BYTES(""));
    } else {
        kv_tier_add_word(&words, BYTES("SET"));
        kv_tier_add_word(&words, call.arguments[1]);
        kv_tier_add_word(&words, kv_tier_item_string(&item, &copy));
        kv_tier_add_px(&words, options.put.ttl_ms);
        if (options.condition != KV_NH_ALWAYS)
            kv_tier_add_word(&words, options.condition == KV_NH_IF_MISSING ? BYTES("NX") : BYTES("XX"));
    }
    if (copy.failed)
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
    else
        kv_tier_send_words(request, &words, call.arguments[1], say_set);
    buffer_fini(&copy);
}

static void set(const struct kv_call *call)
{
    struct kv_nh_set_options options = {.put = {.size = sizeof options.put}};

    if (!kv_nh_read_set_options(call, 3, &options))
        return;
    if (options.put.tag_count > 0 || options.put.soft_ttl_ms != 0 || options.put.negative ||
        options.put.cost_ms != 0)
        kv_error(call,
                 "ERR TAGS, SOFTTTL, COST and NEGATIVE are not possible with a shared tier, which has no "
                 "place for them");
    else
        kv_tier_request_begin(call, true, go_set);
}

/* ---- locks ------------------------------------------------------------------------------------------ */

static void say_number(const struct kv_call *call, const struct resp_node *node)
{
    reply_integer(call->reply, node->integer);
}

static void go_lock(struct kv_tier_request *request)
{
    bool deletes = request->id == COMMAND_nh_delifeq;
    struct kv_tier_words words = {.count = 0};

    kv_tier_add_script(&words, deletes ? kv_tier_script_delete_if : kv_tier_script_expire_if,
                       request->arguments[1]);
    kv_tier_add_word(&words, request->arguments[deletes ? 2 : 3]);
    if (!deletes)
        kv_tier_add_word(&words, request->arguments[2]);
    kv_tier_send_words(request, &words, request->arguments[1], say_number);
}

static void lock(const struct kv_call *call)
{
    int64_t ttl_ms = 1;

    if (call->id == COMMAND_nh_expireifeq && !int64_parse(call->arguments[2], &ttl_ms))
        kv_integer_error(call);
    else if (ttl_ms <= 0 || ttl_ms > INT64_MAX / 4)
        kv_error(call, "ERR invalid expire time in '%s' command", command_row(call->id)->name);
    else
        kv_tier_request_begin(call, true, go_lock);
}

/* ---- rates ------------------------------------------------------------------------------------------ */

static void say_rate(const struct kv_call *call, const struct resp_node *node)
{
    struct kv_rate_verdict verdict = {
        .may_pass = kv_tier_member(node, 0)->integer == 1,
        .remaining = kv_tier_member(node, 1)->integer,
        .retry_after_ms = kv_tier_member(node, 2)->integer,
        .reset_ms = kv_tier_member(node, 3)->integer,
    };
    struct kv_rate rate = {0};

    if (!kv_rate_read(call, &rate))
        UNREACHABLE(); /* it was read before */
    kv_rate_say(call, &rate, &verdict);
}

static void go_rate(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct kv_tier_words words = {.count = 0};
    struct kv_rate rate = {0};

    if (!kv_rate_read(&call, &rate))
        UNREACHABLE(); /* it was read before */
    kv_tier_add_script(&words, rate.window_ms > 0 ? kv_tier_script_window : kv_tier_script_bucket,
                       call.arguments[1]);
    kv_tier_add_number(&words, rate.limit);
    kv_tier_add_number(&words, rate.cost);
    kv_tier_add_number(&words, rate.window_ms > 0 ? rate.window_ms : rate.token_ns);
    kv_tier_send_words(request, &words, call.arguments[1], say_rate);
}

static void rate(const struct kv_call *call)
{
    struct kv_rate asked = {0};

    if (kv_rate_read(call, &asked))
        kv_tier_request_begin(call, true, go_rate);
}

/* ---- NH.PURGE --------------------------------------------------------------------------------------- */

/* Of keys it is a DEL. */
static void purge(const struct kv_call *call)
{
    uint32_t key_count = call->argument_count - 2;
    struct kv_call passed = *call;
    struct bytes *arguments;

    if (!kv_argument_is(call, 1, BYTES("key")) || kv_purge_is_soft(call->arguments, call->argument_count)) {
        kv_error(call,
                 "ERR with a shared tier only NH.PURGE KEY key … is possible: nothing there knows the "
                 "tags of values, nor has a place for what is stale");
        return;
    }
    arguments = malloc((key_count + 1) * sizeof *arguments);
    if (arguments == NULL) {
        kv_refused(call, NH_NO_MEMORY);
        return;
    }
    arguments[0] = BYTES("DEL");
    memcpy(arguments + 1, call->arguments + 2, key_count * sizeof *arguments);
    passed.id = COMMAND_del;
    passed.arguments = arguments;
    passed.argument_count = key_count + 1;
    kv_tier_pass(&passed);
    free(arguments);
}

void kv_tier_nh(const struct kv_call *call)
{
    switch (call->id) {
    case COMMAND_nh_get: get(call); return;
    case COMMAND_nh_set: set(call); return;
    case COMMAND_nh_delifeq:
    case COMMAND_nh_expireifeq: lock(call); return;
    case COMMAND_nh_rate: rate(call); return;
    case COMMAND_nh_purge: purge(call); return;
    default: UNREACHABLE(); /* kv_tier.c sends none other */
    }
}
