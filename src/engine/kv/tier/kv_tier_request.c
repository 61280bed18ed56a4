/* kv_tier_request.c — a command on its way to the tier, from begin to end. */
#include "engine/kv/tier/kv_tier_state.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void give_up(void *owner)
{
    struct kv_tier_request *request = owner;

    if (request->cancel != NULL)
        request->cancel(request);
    free(request->keys);
    free(request);
}

struct kv_tier_request *kv_tier_request_create(const struct kv_call *call, unsigned late_flags, bool writes)
{
    size_t head_bytes = sizeof(struct kv_tier_request) + call->argument_count * sizeof(struct bytes);
    size_t bytes = head_bytes;
    struct kv_tier_request *request;
    char *end;

    for (uint32_t i = 0; i < call->argument_count; i++)
        bytes += call->arguments[i].size;
    request = malloc(bytes);
    if (request == NULL) {
        kv_refused(call, NH_NO_MEMORY);
        return NULL;
    }
    *request = (struct kv_tier_request){.tier = kv_tier_of(call->kv),
                                        .session = call->session,
                                        .id = call->id,
                                        .writes = writes,
                                        .resp_version = call->session->resp_version,
                                        .argument_count = call->argument_count};
    end = (char *)request + head_bytes;
    for (uint32_t i = 0; i < call->argument_count; i++) {
        request->arguments[i] = bytes_of(end, call->arguments[i].size);
        if (call->arguments[i].size > 0)
            memcpy(end, call->arguments[i].data, call->arguments[i].size);
        end += call->arguments[i].size;
    }
    request->late =
        call->session->take_late(call->session, late_flags | (call->is_silent ? LATE_SILENT : 0u), bytes);
    if (request->late == NULL) {
        free(request);
        kv_refused(call, NH_NO_MEMORY);
        return NULL;
    }
    request->late->give_up = give_up;
    request->late->owner = request;
    request->session->write_count += writes;
    return request;
}

void kv_tier_request_begin(const struct kv_call *call, bool writes,
                           void (*go)(struct kv_tier_request *request))
{
    bool is_fenced = kv_tier_must_ask(call); /* by what was sent before it */
    struct kv_tier_request *request = kv_tier_request_create(call, 0, writes);

    if (request == NULL)
        return;
    request->is_fenced = is_fenced;
    go(request);
}

static void cancel_read(struct kv_tier_request *request)
{
    tier_read_end(request->tier->worker, &request->read);
}

void kv_tier_request_read(struct kv_tier_request *request, nh_key key, bool is_fenced,
                          void (*done)(struct tier_read *read, const struct tier_found *found))
{
    request->read = (struct tier_read){.done = done};
    request->cancel = cancel_read;
    tier_read(request->tier->worker, &request->read, key, is_fenced ? TIER_FENCED : 0, 0, 0);
}

void kv_tier_request_end(struct kv_tier_request *request)
{
    struct late *late = request->late;

    request->tier->kv->running = COMMAND_UNKNOWN;
    request->session->write_count -= request->writes;
    free(request->keys);
    free(request);
    late->end(late);
}

void kv_tier_request_fail(struct kv_tier_request *request, const char *format, ...)
{
    struct reply *reply = kv_tier_request_reply(request);
    char text[512];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (reply != NULL && size >= 0)
        reply_error(reply, bytes_of(text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1));
    kv_tier_request_end(request);
}

void kv_tier_say_failure(struct reply *reply, enum err err, bool may_have_run, struct bytes text)
{
    char line[512];
    int size;

    if (may_have_run)
        size =
            snprintf(line, sizeof line,
                     "TIERLOST The shared tier did not answer (%s): the command may have run or not; look "
                     "before you repeat it",
                     err_text(err));
    else if (err == ERR_FULL)
        size = snprintf(line, sizeof line,
                        "TRYAGAIN Too much is under way to the shared tier: try again in a moment");
    else if (err == ERR_NO_MEMORY)
        size = snprintf(line, sizeof line, "OOM there is no memory to ask the shared tier");
    else if (err == ERR_SYNTAX && text.size > 0)
        size = snprintf(line, sizeof line, "ERR the shared tier's answer cannot be taken: %.*s",
                        (int)(text.size < 200 ? text.size : 200), text.data);
    else
        size = snprintf(line, sizeof line,
                        "CLUSTERDOWN The shared tier cannot answer now (%.*s): try again later",
                        (int)(text.size == 0    ? 0
                              : text.size < 200 ? text.size
                                                : 200),
                        text.data);
    if (text.size == 0 && !may_have_run && err != ERR_FULL && err != ERR_NO_MEMORY)
        size =
            snprintf(line, sizeof line,
                     "CLUSTERDOWN The shared tier cannot answer now (%s): try again later", err_text(err));
    if (size > 0)
        reply_error(reply, bytes_of(line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1));
}

void kv_tier_say_not_read(struct reply *reply, const struct tier_found *found)
{
    if (found->err == ERR_TYPE || found->err == ERR_FORBIDDEN)
        reply_error(reply, found->text);
    else
        kv_tier_say_failure(reply, found->err, false, found->text);
}

void kv_tier_request_answer(struct kv_tier_request *request, const struct valkey_answer *answer)
{
    struct reply *reply;

    request->cancel = NULL;
    kv_tier_request_forget(request);
    reply = kv_tier_request_reply(request);
    if (reply != NULL) {
        if (answer->err == OK)
            kv_tier_say(request, answer->replies->nodes, reply);
        else
            kv_tier_say_failure(reply, answer->err, answer->may_have_run && request->writes, answer->text);
    }
    kv_tier_request_end(request);
}

void kv_tier_request_forget(const struct kv_tier_request *request)
{
    if (!request->writes)
        return;
    for (uint32_t i = 0; i < request->key_count; i++)
        tier_forget(request->tier->tier, request->arguments[request->keys[i]]);
}
