/* kv_tier_memcached.c — memcached's commands in front of the tier: storing, changing, deleting. */
#include "base/number.h"
#include "engine/kv/tier/kv_tier_link.h"
#include "engine/kv/tier/kv_tier_memcached_meta.h"
#include "engine/kv/tier/kv_tier_scripts.h"

#define NO_MEMORY "OOM there is no memory to ask the shared tier"

/* ---- what all share --------------------------------------------------------------------------------- */

void kv_tier_memcached_add_bytes_max(struct kv_tier_words *words, const struct kv_call *call)
{
    uint64_t bytes_max = call->kv->memcached_value_bytes_max;

    kv_tier_add_number(words, bytes_max == 0 || bytes_max > UINT32_MAX ? UINT32_MAX : (int64_t)bytes_max);
}

static bool is_ok(const struct resp_node *node)
{
    return node->type == RESP_SIMPLE || (node->type == RESP_INTEGER && node->integer == 1);
}

static bool has_code(const struct resp_node *node, const char *code)
{
    return bytes_equal(node->bytes, bytes_of_text(code));
}

/* ---- storing: <name> <key> <flags> <exptime> <bytes> [<version>], and the data block ----------------- */

struct storing {
    struct kv_tier_item item;
    int64_t ttl_ms;
    uint64_t version;
};

/* False if an error was said. */
static bool read_storing(const struct kv_call *call, struct storing *storing)
{
    bool has_version = call->id == COMMAND_memcached_cas;
    uint64_t flags;
    int64_t exptime_s;

    *storing = (struct storing){.item.value = call->arguments[has_version ? 6 : 5]};
    if ((has_version && !memcached_unsigned(call->arguments[5], UINT64_MAX, &storing->version)) ||
        !memcached_unsigned(call->arguments[2], UINT32_MAX, &flags) ||
        !memcached_signed(call->arguments[3], &exptime_s)) {
        memcached_client_error(call, MEMCACHED_BAD_FORMAT);
        return false;
    }
    storing->item.flags = (uint32_t)flags;
    storing->ttl_ms = memcached_ttl_ms(call, exptime_s);
    return true;
}

static void say_stored(const struct kv_call *call, const struct resp_node *node)
{
    reply_kind(call->reply, is_ok(node) ? OUTCOME_stored : OUTCOME_not_stored);
}

static void say_changed(const struct kv_call *call, const struct resp_node *node)
{
    const struct resp_node *code = kv_tier_member(node, 0);

    reply_kind(call->reply, has_code(code, "HD")   ? OUTCOME_stored
                            : has_code(code, "EX") ? OUTCOME_exists
                            : has_code(code, "NS") ? OUTCOME_not_stored
                                                   : OUTCOME_not_found);
}

/* set, add, replace. */
static void add_set(struct kv_tier_words *words, const struct kv_call *call, const struct storing *storing,
                    struct bytes string)
{
    kv_tier_add_word(words, BYTES("SET"));
    kv_tier_add_word(words, call->arguments[1]);
    kv_tier_add_word(words, string);
    kv_tier_add_px(words, storing->ttl_ms);
    if (call->id == COMMAND_memcached_add)
        kv_tier_add_word(words, BYTES("NX"));
    else if (call->id == COMMAND_memcached_replace)
        kv_tier_add_word(words, BYTES("XX"));
}

static void go_store(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct kv_tier_words words = {.count = 0};
    struct buffer copy = {0};
    struct storing storing;
    struct bytes string;

    if (!read_storing(&call, &storing))
        UNREACHABLE(); /* it was read before */
    string = kv_tier_item_string(&storing.item, &copy);
    add_set(&words, &call, &storing, string);
    if (copy.failed)
        kv_tier_request_fail(request, NO_MEMORY);
    else
        kv_tier_send_words(request, &words, call.arguments[1], say_stored);
    buffer_fini(&copy);
}

static void go_compare_and_store(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct kv_tier_words words = {.count = 0};
    struct storing storing;
    char flags[4];

    if (!read_storing(&call, &storing))
        UNREACHABLE(); /* it was read before */
    kv_tier_item_write_flags(storing.item.flags, flags);
    kv_tier_add_script(&words, kv_tier_script_put, call.arguments[1]);
    kv_tier_add_word(&words, storing.item.value);
    kv_tier_add_word(&words, bytes_of(flags, sizeof flags));
    kv_tier_add_ttl(&words, storing.ttl_ms);
    kv_tier_add_version(&words, storing.version);
    kv_tier_add_word(&words, BYTES(""));
    kv_tier_send_words(request, &words, call.arguments[1], say_changed);
}

static void go_extend(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct kv_tier_words words = {.count = 0};

    kv_tier_add_script(&words, kv_tier_script_extend, call.arguments[1]);
    kv_tier_add_word(&words, call.arguments[5]);
    kv_tier_add_word(&words, call.id == COMMAND_memcached_append ? BYTES("A") : BYTES("P"));
    kv_tier_add_word(&words, BYTES(""));
    kv_tier_memcached_add_bytes_max(&words, &call);
    kv_tier_send_words(request, &words, call.arguments[1], say_changed);
}

static void say_too_large(const struct kv_call *call, const struct resp_node *node)
{
    (void)node;
    memcached_refused(call, NH_TOO_LARGE);
}

static void go_drop_old(struct kv_tier_request *request)
{
    struct kv_tier_words words = {.words = {BYTES("DEL"), request->arguments[1]}, .count = 2};

    kv_tier_send_words(request, &words, request->arguments[1], say_too_large);
}

void kv_tier_memcached_drop_old(const struct kv_call *call, struct bytes key)
{
    struct bytes arguments[] = {call->arguments[0], key}; /* the data were never received */
    struct kv_call without_data = *call;

    without_data.arguments = arguments;
    without_data.argument_count = COUNT_OF(arguments);
    kv_tier_request_begin(&without_data, true, go_drop_old);
}

static void store(const struct kv_call *call)
{
    struct storing storing;

    if (!read_storing(call, &storing))
        return;
    if (memcached_is_too_large(storing.item.value)) {
        if (call->id == COMMAND_memcached_set)
            kv_tier_memcached_drop_old(call, call->arguments[1]);
        else
            memcached_refused(call, NH_TOO_LARGE);
        return;
    }
    switch (call->id) {
    case COMMAND_memcached_cas: kv_tier_request_begin(call, true, go_compare_and_store); return;
    case COMMAND_memcached_append:
    case COMMAND_memcached_prepend: kv_tier_request_begin(call, true, go_extend); return;
    default: kv_tier_request_begin(call, true, go_store); return;
    }
}

/* ---- changing --------------------------------------------------------------------------------------- */

static void say_deleted(const struct kv_call *call, const struct resp_node *node)
{
    reply_kind(call->reply, is_ok(node) ? OUTCOME_deleted : OUTCOME_not_found);
}

static void go_delete(struct kv_tier_request *request)
{
    struct kv_tier_words words = {.words = {BYTES("DEL"), request->arguments[1]}, .count = 2};

    kv_tier_send_words(request, &words, request->arguments[1], say_deleted);
}

static void delete_key(const struct kv_call *call)
{
    if (call->argument_count > 3)
        reply_kind(call->reply, OUTCOME_unknown);
    else if (call->argument_count == 3 && !bytes_equal(call->arguments[2], BYTES("0")))
        memcached_client_error(call, BYTES("bad command line format.  Usage: delete <key> [noreply]"));
    else
        kv_tier_request_begin(call, true, go_delete);
}

static void say_touched(const struct kv_call *call, const struct resp_node *node)
{
    reply_kind(call->reply, is_ok(node) ? OUTCOME_touched : OUTCOME_not_found);
}

static void go_touch(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct kv_tier_words words = {.count = 0};
    int64_t exptime_s = 0;

    (void)memcached_signed(call.arguments[2], &exptime_s);
    if (exptime_s == 0) {
        kv_tier_add_script(&words, kv_tier_script_persist, call.arguments[1]);
    } else {
        kv_tier_add_word(&words, BYTES("PEXPIRE"));
        kv_tier_add_word(&words, call.arguments[1]);
        kv_tier_add_ttl(&words, memcached_ttl_ms(&call, exptime_s));
    }
    kv_tier_send_words(request, &words, call.arguments[1], say_touched);
}

static void touch(const struct kv_call *call)
{
    int64_t exptime_s;

    if (!memcached_signed(call->arguments[2], &exptime_s))
        memcached_client_error(call, BYTES("invalid exptime argument"));
    else
        kv_tier_request_begin(call, true, go_touch);
}

static void say_sum(const struct kv_call *call, const struct resp_node *node)
{
    const struct resp_node *code = kv_tier_member(node, 0);

    if (has_code(code, "HD"))
        reply_say(call->reply,
                  &(struct outcome){.kind = OUTCOME_text, .bytes = kv_tier_member(node, 1)->bytes});
    else if (has_code(code, "NN"))
        memcached_client_error(call, BYTES("cannot increment or decrement non-numeric value"));
    else
        reply_kind(call->reply, OUTCOME_not_found);
}

static void go_count(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct kv_tier_words words = {.count = 0};
    char text[NUMBER_TEXT_BYTES];
    uint64_t delta = 0;

    (void)memcached_unsigned(call.arguments[2], UINT64_MAX, &delta);
    kv_tier_add_script(&words, kv_tier_script_add, call.arguments[1]);
    kv_tier_add_word(&words, call.id == COMMAND_memcached_incr ? BYTES("+") : BYTES("-"));
    kv_tier_add_word(&words, bytes_of(text, uint64_format(text, delta)));
    kv_tier_add_word(&words, BYTES(""));
    kv_tier_add_word(&words, BYTES("k"));
    kv_tier_add_word(&words, BYTES(""));
    kv_tier_add_word(&words, BYTES(""));
    kv_tier_send_words(request, &words, call.arguments[1], say_sum);
}

static void count(const struct kv_call *call)
{
    uint64_t delta;

    if (!memcached_unsigned(call->arguments[2], UINT64_MAX, &delta))
        memcached_client_error(call, BYTES("invalid numeric delta argument"));
    else
        kv_tier_request_begin(call, true, go_count);
}

/* ---- all keys --------------------------------------------------------------------------------------- */

static void go_flush(struct kv_tier_request *request) { kv_tier_send_to_all(request, REPLY_ALL_SUCCEEDED); }

/* Nobody would clear the tier at that moment if this node were not there any more. */
static void flush(const struct kv_call *call)
{
    static const struct bytes flushall = BYTES_INIT("FLUSHALL");
    struct kv_tier_request *request;
    struct kv_call passed = *call;
    int64_t delay_s = 0;

    if (call->argument_count > 3) {
        reply_kind(call->reply, OUTCOME_unknown);
        return;
    }
    if (call->argument_count >= 2 && !memcached_signed(call->arguments[1], &delay_s)) {
        memcached_client_error(call, BYTES("invalid exptime argument"));
        return;
    }
    if (memcached_ttl_ms(call, delay_s) > 0) {
        memcached_client_error(call, BYTES("flush_all with a delay is not possible with a shared tier: "
                                           "send it when the time has come"));
        return;
    }
    if (kv_tier_hold(call))
        return;
    passed.id = COMMAND_flushall;
    passed.arguments = &flushall;
    passed.argument_count = 1;
    request = kv_tier_request_create(&passed, LATE_ALONE, true);
    if (request == NULL)
        return;
    go_flush(request);
}

/* ---- whose it is ------------------------------------------------------------------------------------ */

void kv_tier_memcached(const struct kv_call *call)
{
    switch (call->id) {
    case COMMAND_memcached_get:
    case COMMAND_memcached_gets:
    case COMMAND_memcached_gat:
    case COMMAND_memcached_gats: kv_tier_memcached_get(call); return;
    case COMMAND_memcached_set:
    case COMMAND_memcached_add:
    case COMMAND_memcached_replace:
    case COMMAND_memcached_append:
    case COMMAND_memcached_prepend:
    case COMMAND_memcached_cas: store(call); return;
    case COMMAND_memcached_delete: delete_key(call); return;
    case COMMAND_memcached_touch: touch(call); return;
    case COMMAND_memcached_incr:
    case COMMAND_memcached_decr: count(call); return;
    case COMMAND_memcached_flush_all: flush(call); return;
    case COMMAND_memcached_mg: kv_tier_memcached_mg(call); return;
    case COMMAND_memcached_ms: kv_tier_memcached_ms(call); return;
    case COMMAND_memcached_md: kv_tier_memcached_md(call); return;
    case COMMAND_memcached_ma: kv_tier_memcached_ma(call); return;
    case COMMAND_memcached_me: kv_tier_memcached_me(call); return;
    default: UNREACHABLE(); /* kv_tier.c knows none other that is about keys */
    }
}
