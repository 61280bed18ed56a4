#include "engine/kv/tier/kv_tier_errand.h"
#include "base/number.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct errand {
    struct valkey_call call;
    struct kv_tier_request *request;
    void (*said)(const struct kv_call *call, const struct resp_node *node);
    size_t key_bytes;
    char key[];
};

/* ---- words ------------------------------------------------------------------------------------------ */

void kv_tier_add_word(struct kv_tier_words *words, struct bytes word)
{
    assert(words->count < KV_TIER_WORDS_MAX);
    words->words[words->count++] = word;
}

void kv_tier_add_number(struct kv_tier_words *words, int64_t number)
{
    char *text = words->numbers[words->count];

    kv_tier_add_word(words, bytes_of(text, int64_format(text, number)));
}

void kv_tier_add_version(struct kv_tier_words *words, uint64_t version)
{
    char *text = words->numbers[words->count];

    kv_tier_add_word(words,
                     bytes_of(text, (size_t)snprintf(text, KV_TIER_WORD_BYTES, "%016" PRIx64, version)));
}

void kv_tier_add_script(struct kv_tier_words *words, const char *script, struct bytes key)
{
    kv_tier_add_word(words, BYTES("EVAL"));
    kv_tier_add_word(words, bytes_of_text(script));
    kv_tier_add_word(words, BYTES("1"));
    kv_tier_add_word(words, key);
}

enum { TTL_MS_MAX_DIVISOR = 4 }; /* later than any clock, and the tier must be able to add the time to it */

static int64_t bounded(int64_t ttl_ms)
{
    if (ttl_ms < 0)
        return -1;
    return ttl_ms > INT64_MAX / TTL_MS_MAX_DIVISOR ? 0 : ttl_ms;
}

void kv_tier_add_ttl(struct kv_tier_words *words, int64_t ttl_ms)
{
    kv_tier_add_number(words, bounded(ttl_ms));
}

void kv_tier_add_px(struct kv_tier_words *words, int64_t ttl_ms)
{
    ttl_ms = bounded(ttl_ms);
    if (ttl_ms == 0)
        return;
    kv_tier_add_word(words, ttl_ms > 0 ? BYTES("PX") : BYTES("PXAT")); /* over since 1970 */
    kv_tier_add_number(words, ttl_ms > 0 ? ttl_ms : 1);
}

/* ---- what was said ---------------------------------------------------------------------------------- */

struct kv_call kv_tier_late_call(struct kv_tier_request *request, struct reply *reply)
{
    return (struct kv_call){.kv = request->tier->kv,
                            .now = loop_now(request->tier->loop),
                            .session = request->session,
                            .arguments = request->arguments,
                            .argument_count = request->argument_count,
                            .id = request->id,
                            .reply = reply};
}

void kv_tier_say_error(struct reply *reply, const struct resp_node *error)
{
    reply_error(reply, error->bytes);
}

const struct resp_node *kv_tier_member(const struct resp_node *array, uint32_t number)
{
    static const struct resp_node null = {.type = RESP_NULL, .span = 1};
    const struct resp_node *member = resp_first_member(array);

    if (array->type != RESP_ARRAY || number >= array->integer)
        return &null;
    while (number-- > 0)
        member = resp_next(member);
    return member;
}

uint64_t kv_tier_version_of(const struct resp_node *node)
{
    uint64_t version = 0;

    if (node->type != RESP_BULK || node->bytes.size > 16)
        return 0;
    for (size_t i = 0; i < node->bytes.size; i++) {
        char c = node->bytes.data[i];
        version = version << 4 | (uint64_t)(c >= 'a' ? c - 'a' + 10 : c - '0') % 16;
    }
    return version;
}

static void answered(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct errand *errand = CONTAINER_OF(call, struct errand, call);
    struct kv_tier_request *request = errand->request;
    struct reply *reply;

    request->cancel = NULL;
    if (request->writes)
        tier_forget(request->tier->tier, bytes_of(errand->key, errand->key_bytes));
    reply = kv_tier_request_reply(request);
    if (reply != NULL && answer->err != OK) {
        kv_tier_say_failure(reply, answer->err, answer->may_have_run && request->writes, answer->text);
    } else if (reply != NULL && answer->replies->nodes->type == RESP_ERROR) {
        kv_tier_say_error(reply, answer->replies->nodes);
    } else if (reply != NULL) {
        struct kv_call late = kv_tier_late_call(request, reply);
        errand->said(&late, answer->replies->nodes);
    }
    free(errand);
    kv_tier_request_end(request);
}

static void cancel(struct kv_tier_request *request)
{
    struct errand *errand = request->part;

    valkey_give_up(request->tier->valkey, &errand->call);
    free(errand);
}

void kv_tier_send_words(struct kv_tier_request *request, const struct kv_tier_words *words,
                        struct bytes key,
                        void (*said)(const struct kv_call *call, const struct resp_node *node))
{
    struct errand *errand = malloc(sizeof *errand + key.size);
    const struct valkey_command command = {words->words, words->count};

    if (errand == NULL) {
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
        return;
    }
    *errand =
        (struct errand){.call.done = answered, .request = request, .said = said, .key_bytes = key.size};
    if (key.size > 0)
        memcpy(errand->key, key.data, key.size);
    request->part = errand;
    request->cancel = cancel;
    if (request->writes) {
        tier_forget(request->tier->tier, key);
        kv_tier_note_written(request->tier, request->session, valkey_slot(key));
    }
    valkey_ask(
        request->tier->valkey, &errand->call,
        &(struct valkey_order){
            .commands = &command, .command_count = 1, .target = VALKEY_SLOT, .slot = valkey_slot(key)});
}
