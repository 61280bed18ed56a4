/* kv_pubsub.c — the commands of publishing and subscribing: Redis 7's answers. */
#include "engine/kv/kv_pubsub.h"
#include "engine/kv/kv_guard.h"
#include "engine/kv/kv_pubsub_session.h"

/* Channels and patterns are counted together, shard channels by themselves. */
static int64_t count_told(const struct session *session, enum kv_topic_kind kind)
{
    return kind == KV_TOPIC_SHARD ? (int64_t)kv_subscription_count(session, KV_TOPIC_SHARD)
                                  : (int64_t)(kv_subscription_count(session, KV_TOPIC_CHANNEL) +
                                              kv_subscription_count(session, KV_TOPIC_PATTERN));
}

void kv_confirm_subscription(const struct session *session, enum command_id id, enum kv_topic_kind kind,
                             const struct bytes *name, struct reply *reply)
{
    reply_aggregate(reply, OUTCOME_push, 3);
    reply_value(reply, bytes_of_text(command_row(id)->name));
    if (name != NULL)
        reply_value(reply, *name);
    else
        reply_kind(reply, OUTCOME_nothing);
    reply_integer(reply, count_told(session, kind));
}

static void confirm(const struct kv_call *call, enum kv_topic_kind kind, const struct bytes *name)
{
    kv_confirm_subscription(call->session, call->id, kind, name, call->reply);
}

static void subscribe(const struct kv_call *call, enum kv_topic_kind kind)
{
    for (uint32_t i = 1; i < call->argument_count; i++) {
        if (kv_subscription_add(call->kv, call->session, kind, call->arguments[i]) != OK) {
            kv_refused(call, NH_NO_MEMORY);
            return;
        }
        confirm(call, kind, &call->arguments[i]);
    }
}

static void unsubscribe(const struct kv_call *call, enum kv_topic_kind kind)
{
    struct kv_subscription *subscription;
    struct buffer copy = {0};

    for (uint32_t i = 1; i < call->argument_count; i++) {
        kv_subscription_end(call->kv, call->session, kind, call->arguments[i]);
        confirm(call, kind, &call->arguments[i]);
    }
    if (call->argument_count > 1)
        return;
    if (kv_subscription_first(call->session, kind) == NULL)
        confirm(call, kind, NULL);
    while ((subscription = kv_subscription_first(call->session, kind)) != NULL) {
        struct bytes name;
        buffer_clear(&copy); /* the topic may go with the subscription */
        buffer_append(&copy, kv_topic_name(subscription->topic));
        name = buffer_bytes(&copy);
        kv_subscription_end(call->kv, call->session, kind, kv_topic_name(subscription->topic));
        confirm(call, kind, &name);
    }
    buffer_fini(&copy);
}

void kv_subscribe(const struct kv_call *call) { subscribe(call, KV_TOPIC_CHANNEL); }
void kv_psubscribe(const struct kv_call *call) { subscribe(call, KV_TOPIC_PATTERN); }

/* Redis lets EXEC run the two above, for the sake of old clients, and not this one. */
void kv_ssubscribe(const struct kv_call *call)
{
    if (call->session->transaction != NULL)
        kv_error(call, "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
    else
        subscribe(call, KV_TOPIC_SHARD);
}

void kv_unsubscribe(const struct kv_call *call) { unsubscribe(call, KV_TOPIC_CHANNEL); }
void kv_punsubscribe(const struct kv_call *call) { unsubscribe(call, KV_TOPIC_PATTERN); }
void kv_sunsubscribe(const struct kv_call *call) { unsubscribe(call, KV_TOPIC_SHARD); }

/* ---- publishing ----------------------------------------------------------------------------------- */

static void publish(const struct kv_call *call, enum kv_topic_kind kind)
{
    uint64_t subscription_count;

    if (kv_publish_message(call->kv, call->session, kind, call->arguments[1], call->arguments[2],
                           &subscription_count) == OK)
        reply_integer(call->reply, (int64_t)subscription_count);
    else
        kv_refused(call, NH_NO_MEMORY);
}

void kv_publish(const struct kv_call *call) { publish(call, KV_TOPIC_CHANNEL); }
void kv_spublish(const struct kv_call *call) { publish(call, KV_TOPIC_SHARD); }

/* ---- the subscriber's mode of RESP2 --------------------------------------------------------------- */

/* A connection that speaks RESP2 cannot tell a message from an answer: while it subscribes, it may not ask
 * for anything that has another shape. */
enum kv_pass kv_guard_subscriber(const struct kv_call *call)
{
    char name[KV_FULL_NAME_BYTES];

    if (call->session->resp_version == 3)
        return KV_PASS;
    switch (call->id) {
    case COMMAND_subscribe:
    case COMMAND_psubscribe:
    case COMMAND_ssubscribe:
    case COMMAND_unsubscribe:
    case COMMAND_punsubscribe:
    case COMMAND_sunsubscribe:
    case COMMAND_ping:
    case COMMAND_quit:
    case COMMAND_reset: return KV_PASS;
    default: break;
    }
    kv_full_name(call, name);
    kv_error(call,
             "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
             "allowed in this context",
             name);
    return KV_REFUSED;
}

bool kv_ping_subscriber(const struct kv_call *call)
{
    if (call->session->subscriber == NULL || call->session->resp_version == 3)
        return false;
    reply_aggregate(call->reply, OUTCOME_array, 2);
    reply_value(call->reply, BYTES("pong"));
    reply_value(call->reply, call->argument_count > 1 ? call->arguments[1] : BYTES(""));
    return true;
}

/* ---- PUBSUB --------------------------------------------------------------------------------------- */

static void say_names(const struct kv_call *call, enum kv_topic_kind kind)
{
    struct bytes pattern = call->argument_count > 2 ? call->arguments[2] : BYTES("*");
    struct buffer names = {0};
    size_t count;

    if (call->argument_count > 3) {
        kv_error(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try PUBSUB HELP.",
                 BYTES_PRINTF(call->arguments[1]));
        return;
    }
    count = kv_pubsub_table_names(call->kv->hub->topics, kind, pattern, &names);
    if (names.failed) {
        kv_refused(call, NH_NO_MEMORY);
    } else {
        const char *at = names.data;
        reply_aggregate(call->reply, OUTCOME_array, count);
        for (size_t i = 0; i < count; i++) {
            size_t size;
            memcpy(&size, at, sizeof size);
            reply_value(call->reply, bytes_of(at + sizeof size, size));
            at += sizeof size + size;
        }
    }
    buffer_fini(&names);
}

static void say_counts(const struct kv_call *call, enum kv_topic_kind kind)
{
    reply_aggregate(call->reply, OUTCOME_array, 2 * ((size_t)call->argument_count - 2));
    for (uint32_t i = 2; i < call->argument_count; i++) {
        reply_value(call->reply, call->arguments[i]);
        reply_integer(call->reply, (int64_t)kv_pubsub_table_subscriptions(call->kv->hub->topics, kind,
                                                                          call->arguments[i]));
    }
}

static void pubsub_channels(const struct kv_call *call) { say_names(call, KV_TOPIC_CHANNEL); }
static void pubsub_shardchannels(const struct kv_call *call) { say_names(call, KV_TOPIC_SHARD); }
static void pubsub_numsub(const struct kv_call *call) { say_counts(call, KV_TOPIC_CHANNEL); }
static void pubsub_shardnumsub(const struct kv_call *call) { say_counts(call, KV_TOPIC_SHARD); }

static void pubsub_numpat(const struct kv_call *call)
{
    reply_integer(call->reply, (int64_t)kv_pubsub_table_topics(call->kv->hub->topics, KV_TOPIC_PATTERN));
}

static void pubsub_help(const struct kv_call *call)
{
    static const char *const lines[] = {
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
        "HELP",
        "    Prints this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_pubsub(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {
        {"channels", -2, pubsub_channels},
        {"numsub", -2, pubsub_numsub},
        {"numpat", 2, pubsub_numpat},
        {"shardchannels", -2, pubsub_shardchannels},
        {"shardnumsub", -2, pubsub_shardnumsub},
        {"help", 2, pubsub_help},
    };
    kv_run_subcommand(call, rows, COUNT_OF(rows));
}
