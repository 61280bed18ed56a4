/* kv_tier_wait.c — WAIT and WAITAOF: how many replicas have what the session has written.
 *
 * A server answers that of the writes of one connection, and those of a session went over one that all
 * share. So each server that the session has written to gets another write, of a key of ours, over a
 * connection of its own, and is asked behind it: who has that write has all before it. One server is asked
 * after the other, and the smallest number is the answer.
 *
 * A session remembers a slot of each server that it has written to; if they are too many, or none, all
 * servers are asked. */
#include "base/number.h"
#include "engine/kv/tier/kv_tier_link.h"
#include <stdlib.h>

/* ---- who is asked --------------------------------------------------------------------------------------
 */

void kv_tier_note_written(const struct kv_tier *tier, struct session *session, uint16_t slot)
{
    uint8_t count = session->written_count;
    const struct source *source;

    if (count > SESSION_WRITTEN_SLOTS_MAX)
        return;
    for (uint8_t i = 0; i < count; i++)
        if (session->written_slots[i] == slot)
            return;
    source = valkey_source_of(tier->valkey, slot);
    for (uint8_t i = 0; source != NULL && i < count; i++)
        if (valkey_source_of(tier->valkey, session->written_slots[i]) == source)
            return; /* a slot that moves takes what was written along */
    if (count < SESSION_WRITTEN_SLOTS_MAX)
        session->written_slots[count] = slot;
    session->written_count++;
}

struct wait {
    struct kv_tier_own *own; /* null between two servers */
    bool is_of_files;        /* WAITAOF */
    int64_t deadline_ms;     /* 0: none */
    int64_t numbers[2];      /* the smallest so far; of WAITAOF two */
    size_t at, slot_count;
    uint16_t slots[];
};

static enum err wait_create(const struct kv_call *call, struct wait **result)
{
    const struct session *session = call->session;
    struct kv_tier_primary *primaries = NULL;
    size_t count = session->written_count;
    bool is_of_all = count == 0 || count > SESSION_WRITTEN_SLOTS_MAX;
    struct wait *wait;
    enum err err = is_of_all ? kv_tier_primaries(kv_tier_of(call->kv), true, &primaries, &count) : OK;

    if (err != OK)
        return err;
    wait = calloc(1, sizeof *wait + count * sizeof wait->slots[0]);
    for (size_t i = 0; wait != NULL && i < count; i++)
        wait->slots[i] = is_of_all ? primaries[i].slot : session->written_slots[i];
    if (wait != NULL)
        wait->slot_count = count;
    free(primaries);
    *result = wait;
    return wait != NULL ? OK : ERR_NO_MEMORY;
}

/* ---- asking --------------------------------------------------------------------------------------------
 */

static void cancel_wait(struct kv_tier_request *request)
{
    struct wait *wait = request->part;

    if (wait->own != NULL)
        kv_tier_own_close(wait->own);
    free(wait);
}

static void fail(struct kv_tier_request *request, const char *why)
{
    request->cancel = NULL;
    cancel_wait(request);
    kv_tier_request_fail(request, "%s", why);
}

static void answer(struct kv_tier_request *request)
{
    struct wait *wait = request->part;
    struct reply *reply = kv_tier_request_reply(request);

    request->cancel = NULL;
    if (reply != NULL && wait->is_of_files) {
        reply_aggregate(reply, OUTCOME_array, 2);
        reply_integer(reply, wait->numbers[0]);
        reply_integer(reply, wait->numbers[1]);
    } else if (reply != NULL) {
        reply_integer(reply, wait->numbers[0]);
    }
    free(wait);
    kv_tier_request_end(request);
}

/* A key of ours of the server that has `slot`: nh:wait:{0}, nh:wait:{1}, … */
static bool make_key(const struct kv_tier *tier, uint16_t slot, char key[40], size_t *size,
                     uint16_t *its_slot)
{
    enum { ATTEMPTS_MAX = 1 << 20 };
    const struct source *source = valkey_source_of(tier->valkey, slot);

    for (uint64_t i = 0; source != NULL && i < ATTEMPTS_MAX; i++) {
        *size = sizeof "nh:wait:{" - 1;
        memcpy(key, "nh:wait:{", *size);
        *size += uint64_format(key + *size, i);
        key[(*size)++] = '}';
        *its_slot = valkey_slot(bytes_of(key, *size));
        if (valkey_source_of(tier->valkey, *its_slot) == source)
            return true;
    }
    return false;
}

static void waited(struct kv_tier_request *request, const struct resp_reply *reply);

/* Has the next server asked, or answers. */
static void ask_next(struct kv_tier_request *request)
{
    struct wait *wait = request->part;
    int64_t left_ms = wait->deadline_ms - loop_now(request->tier->loop).mono_ms;
    struct bytes words[5], *arguments = request->arguments,
                           timeout = arguments[request->argument_count - 1];
    struct buffer bytes = {0};
    const char *why = "CLUSTERDOWN The shared tier cannot answer now (a server that was written to is not "
                      "connected to): try again later";
    char key[40], digits[NUMBER_TEXT_BYTES];
    size_t key_size;
    uint16_t slot;

    if (wait->at == wait->slot_count) {
        answer(request);
        return;
    }
    if (!make_key(request->tier, wait->slots[wait->at], key, &key_size, &slot) ||
        (wait->own = kv_tier_own_open(request->tier, slot, &why)) == NULL) {
        fail(request, why);
        return;
    }
    words[0] = BYTES("SET");
    words[1] = bytes_of(key, key_size);
    words[2] = BYTES("1");
    words[3] = BYTES("PX");
    words[4] = BYTES("1000");
    resp_render_command(&bytes, words, COUNT_OF(words));
    arguments[request->argument_count - 1] =
        wait->deadline_ms == 0
            ? BYTES("0")
            : bytes_of(digits, uint64_format(digits, left_ms > 0 ? (uint64_t)left_ms : 1));
    resp_render_command(&bytes, arguments, request->argument_count);
    arguments[request->argument_count - 1] = timeout;
    if (bytes.failed)
        fail(request, "OOM there is no memory to ask the shared tier");
    else
        kv_tier_own_ask(wait->own, request, buffer_bytes(&bytes), 2, waited);
    buffer_fini(&bytes);
}

static bool take_number(struct wait *wait, int index, const struct resp_node *node)
{
    if (node->type != RESP_INTEGER)
        return false;
    if (wait->at == 0 || node->integer < wait->numbers[index])
        wait->numbers[index] = node->integer;
    return true;
}

static bool take(struct wait *wait, const struct resp_node *node)
{
    const struct resp_node *first = resp_first_member(node);

    if (!wait->is_of_files)
        return take_number(wait, 0, node);
    return node->type == RESP_ARRAY && node->integer == 2 && take_number(wait, 0, first) &&
           take_number(wait, 1, resp_next(first));
}

/* What the server had against the key, or against the question. */
static void say_error(struct kv_tier_request *request, struct bytes text)
{
    struct reply *to;

    request->cancel = NULL;
    to = kv_tier_request_reply(request);
    if (to != NULL)
        reply_error(to, text);
    free(request->part);
    kv_tier_request_end(request);
}

static void waited(struct kv_tier_request *request, const struct resp_reply *reply)
{
    enum { ATTEMPTS_MAX = 5 };
    struct wait *wait = request->part;
    struct bytes text = kv_tier_own_error(wait->own); /* its memory goes in a later turn */
    struct resp_node refused = {.type = RESP_ERROR, .span = 1, .bytes = text};

    kv_tier_own_close(wait->own);
    wait->own = NULL;
    if (text.size > 0 && valkey_note_redirection(request->tier->valkey, &refused) &&
        ++request->attempt_count < ATTEMPTS_MAX) {
        ask_next(request);
    } else if (text.size > 0) {
        say_error(request, text);
    } else if (reply->nodes->type == RESP_ERROR) {
        say_error(request, reply->nodes->bytes);
    } else if (!take(wait, reply->nodes)) {
        say_error(request, BYTES("ERR what the shared tier has said is no answer"));
    } else {
        wait->at++;
        ask_next(request);
    }
}

/* ---- from the session ----------------------------------------------------------------------------------
 */

bool kv_tier_is_wait(const struct kv_call *call)
{
    return call->id == COMMAND_wait || kv_argument_is(call, 0, BYTES("waitaof"));
}

/* Redis's order of what is wrong; null: nothing is. */
static const char *what_is_wrong(const struct kv_call *call, bool is_of_files, int64_t *timeout_ms)
{
    int64_t number;

    if (call->argument_count != (is_of_files ? 4 : 3))
        return "ERR wrong number of arguments for 'waitaof' command";
    for (uint32_t i = 1; i + 1 < call->argument_count; i++)
        if (!int64_parse(call->arguments[i], &number) || (is_of_files && number < 0))
            return "ERR value is out of range, must be positive";
    if (!int64_parse(call->arguments[call->argument_count - 1], timeout_ms))
        return "ERR timeout is not an integer or out of range";
    if (*timeout_ms < 0)
        return "ERR timeout is negative";
    return *timeout_ms > INT64_MAX / 2 ? "ERR timeout is out of range" : NULL;
}

void kv_tier_wait(const struct kv_call *call)
{
    bool is_of_files = call->id != COMMAND_wait;
    struct kv_tier_request *request;
    struct wait *wait;
    int64_t timeout_ms;
    const char *wrong = what_is_wrong(call, is_of_files, &timeout_ms);
    enum err err;

    if (wrong != NULL) {
        kv_error(call, "%s", wrong);
        return;
    }
    if (kv_tier_hold(call))
        return;
    err = wait_create(call, &wait);
    if (err != OK) {
        kv_tier_say_failure(call->reply, err, false, BYTES("some slots have no server"));
        return;
    }
    request = kv_tier_request_create(call, LATE_ALONE | LATE_BLOCKS, false);
    if (request == NULL) {
        free(wait);
        return;
    }
    wait->is_of_files = is_of_files;
    wait->deadline_ms = timeout_ms == 0 ? 0 : call->now.mono_ms + timeout_ms;
    request->part = wait;
    request->cancel = cancel_wait;
    if (wait->slot_count > 0)
        ask_next(request);
    else
        fail(request, "CLUSTERDOWN The shared tier cannot answer now (no server of it is known): try again "
                      "later");
}
