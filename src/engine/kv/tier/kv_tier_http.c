/* kv_tier_http.c — one request for a key in the tier on its way.
 *
 *   GET, HEAD ──► looking ──► sending ──► gone     `writable` returns to sending when the room was used up
 *   PUT ──► collecting ──► writing ──► gone        `body_end` has all of the value
 *   DELETE ──► writing ──► gone
 *
 * Writing on a condition is looking, judging, and a script that compares what was seen: again from looking
 * if another came between. */
#include "engine/kv/tier/kv_tier_http.h"
#include "engine/kv/kv_http_answer.h"
#include "engine/kv/kv_http_request.h"
#include "engine/kv/tier/kv_tier_errand.h"
#include "engine/kv/tier/kv_tier_item.h"
#include "engine/kv/tier/kv_tier_scripts.h"
#include <stdlib.h>

enum { ATTEMPTS_MAX = 8 };

enum step { IDLE, COLLECTING, LOOKING, ASKING, SENDING };

struct passage {
    struct exchange *x;
    struct kv_http *http;
    enum step step;
    unsigned attempt_count;
    struct buffer name;
    nh_put_options options; /* of what is put */
    struct buffer value;    /* of what is put: as it came; of what is sent */
    uint64_t at, end;       /* of what is sent */
    bool was_there;         /* as it was seen */
    struct tier_read read;
    struct valkey_call call;
};

static struct kv_tier *tier_of_passage(const struct passage *passage)
{
    return kv_tier_of(passage->http->kv);
}

static struct bytes key_of(const struct passage *passage) { return buffer_bytes(&passage->name); }

static void release(struct exchange *x)
{
    struct passage *passage = x->engine_state;

    x->engine_state = NULL;
    if (passage == NULL)
        return;
    if (passage->step == LOOKING)
        tier_read_end(tier_of_passage(passage)->worker, &passage->read);
    if (passage->step == ASKING)
        valkey_give_up(tier_of_passage(passage)->valkey, &passage->call);
    buffer_fini(&passage->name);
    buffer_fini(&passage->value);
    free(passage);
}

/* ---- what is refused -------------------------------------------------------------------------------- */

static void refuse_with(struct exchange *x, int status, const char *detail)
{
    release(x);
    kv_http_refuse_with(x, status, detail);
}

static void refuse_failure(struct exchange *x, enum err err, bool may_have_run)
{
    if (err == ERR_TYPE)
        refuse_with(x, 409, "the key holds something else than a string");
    else if (err == ERR_FORBIDDEN)
        refuse_with(x, 502, "the shared tier refuses this; its user may not be permitted to do it");
    else if (may_have_run)
        refuse_with(x, 504, "the shared tier did not answer: the value may have been changed or not");
    else if (err == ERR_NO_MEMORY)
        refuse_with(x, 503, "no memory");
    else
        refuse_with(x, 503, "the shared tier cannot answer now: try again later");
}

/* The tier's own words may hold anything. */
static void refuse_error(struct exchange *x, const struct resp_node *error)
{
    if (resp_is_error(error, BYTES("WRONGTYPE")))
        refuse_failure(x, ERR_TYPE, false);
    else if (resp_is_error(error, BYTES("OOM")))
        refuse_with(x, 507, "the shared tier is full");
    else
        refuse_failure(x, ERR_FORBIDDEN, false);
}

/* ---- sending ---------------------------------------------------------------------------------------- */

static void send_more(struct passage *passage)
{
    struct exchange *x = passage->x;

    while (passage->at < passage->end) {
        size_t room = exchange_room(x), left = (size_t)(passage->end - passage->at);
        if (room == 0)
            return;
        if (left > room)
            left = room;
        exchange_send(x, bytes_of(passage->value.data + passage->at, left));
        passage->at += left;
    }
    release(x);
    exchange_end(x);
}

static void answer_value(struct passage *passage, const struct kv_tier_item *item,
                         const struct kv_http_shown *shown)
{
    struct exchange *x = passage->x;
    bool is_get = x->request->method == HTTP_METHOD_GET;
    struct kv_http_range range =
        is_get ? kv_http_read_range(&x->request->fields, item->value.size, shown->version)
               : (struct kv_http_range){.end = item->value.size};
    struct http_response response = {.status = range.is_part ? 206 : 200,
                                     .body_bytes = (int64_t)(range.end - range.first)};
    struct buffer lines = {0};

    kv_http_append_lines(&lines, shown);
    if (range.is_outside) {
        buffer_append_format(&lines, "Content-Range: bytes */%llu\r\n",
                             (unsigned long long)item->value.size);
        release(x);
        kv_http_answer(x, 416, &lines, (struct bytes){NULL, 0});
        buffer_fini(&lines);
        return;
    }
    kv_http_append_content(&lines, range.is_part, range.first, range.end, item->value.size);
    if (is_get)
        buffer_append(&passage->value, bytes_first(bytes_after(item->value, (size_t)range.first),
                                                   (size_t)(range.end - range.first)));
    passage->end = passage->value.size;
    response.rendered = buffer_bytes(&lines);
    if (lines.failed || passage->value.failed) {
        release(x);
        exchange_abort(x);
    } else {
        passage->step = SENDING;
        exchange_respond(x, &response);
        send_more(passage);
    }
    buffer_fini(&lines);
}

static void answer_read(struct passage *passage, const struct tier_found *found, uint64_t version)
{
    struct exchange *x = passage->x;
    struct kv_tier_item item = kv_tier_item_of(found->value);
    int64_t left_ms = found->expires_at_ms - loop_now(tier_of_passage(passage)->loop).mono_ms;
    struct kv_http_shown shown = {.version = version,
                                  .flags = item.flags,
                                  .is_stale = item.is_stale,
                                  .has_end = found->is_there && found->expires_at_ms != 0,
                                  .left_ms = left_ms > 0 ? left_ms : 0};
    struct buffer lines = {0};

    counters_add(passage->http->kv->counters, found->is_there ? METRIC_get_hits : METRIC_get_misses, 1);
    switch (kv_http_check(&x->request->fields, found->is_there, version)) {
    case KV_HTTP_HOLDS:
        if (found->is_there)
            answer_value(passage, &item, &shown);
        else
            refuse_with(x, 404, "there is no such key");
        return;
    case KV_HTTP_NOT_MODIFIED:
        kv_http_append_lines(&lines, &shown);
        release(x);
        kv_http_answer(x, 304, &lines, (struct bytes){NULL, 0});
        buffer_fini(&lines);
        return;
    case KV_HTTP_FAILED:
        release(x);
        kv_http_refuse_condition(x);
        return;
    }
    UNREACHABLE();
}

/* ---- writing ---------------------------------------------------------------------------------------- */

static void look(struct passage *passage);

static bool deletes(const struct passage *passage)
{
    return passage->x->request->method == HTTP_METHOD_DELETE;
}

static void answer_written(struct passage *passage, bool was_there)
{
    struct exchange *x = passage->x;
    struct buffer string = {0}, lines = {0};
    struct kv_tier_item item = {.value = buffer_bytes(&passage->value), .flags = passage->options.flags};
    uint64_t version = 0;
    int status = was_there || deletes(passage) ? 204 : 201;

    if (!deletes(passage) && kv_tier_item_version(kv_tier_item_string(&item, &string), &version) &&
        !string.failed)
        buffer_append_format(&lines, "ETag: \"%llu\"\r\n", (unsigned long long)version);
    buffer_fini(&string);
    release(x);
    kv_http_answer(x, status, &lines, (struct bytes){NULL, 0});
    buffer_fini(&lines);
}

static bool has_condition(const struct http_request *request)
{
    return http_fields_find(&request->fields, HTTP_HEADER_IF_MATCH) != NULL ||
           http_fields_find(&request->fields, HTTP_HEADER_IF_NONE_MATCH) != NULL;
}

static void written(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct passage *passage = CONTAINER_OF(call, struct passage, call);
    struct exchange *x = passage->x;
    const struct resp_node *node = answer->err == OK ? answer->replies->nodes : NULL;
    struct bytes code = {NULL, 0};

    passage->step = IDLE;
    tier_forget(tier_of_passage(passage)->tier, key_of(passage));
    if (node == NULL) {
        refuse_failure(x, answer->err, answer->may_have_run);
        return;
    }
    if (node->type == RESP_ERROR) {
        refuse_error(x, node);
        return;
    }
    if (!has_condition(x->request)) { /* a number: whether it was there */
        if (deletes(passage) && node->integer == 0)
            refuse_with(x, 404, "there is no such key");
        else
            answer_written(passage, node->integer != 0);
        return;
    }
    code = node->type == RESP_ARRAY ? kv_tier_member(node, 0)->bytes : node->bytes;
    if (node->type == RESP_SIMPLE || bytes_equal(code, BYTES("HD")))
        answer_written(passage, passage->was_there);
    else if (++passage->attempt_count == ATTEMPTS_MAX)
        refuse_with(x, 503, "others write this key all the time: try again");
    else
        look(passage);
}

/* `version`: of what was seen, if there was a condition to look for. */
static void write_value(struct passage *passage, uint64_t version)
{
    struct kv_tier *tier = tier_of_passage(passage);
    bool is_conditional = has_condition(passage->x->request);
    struct kv_tier_words words = {.count = 0};
    struct kv_tier_item item = {.value = buffer_bytes(&passage->value), .flags = passage->options.flags};
    struct buffer string = {0};
    struct valkey_command command;
    char flags[4];

    if (item.value.size == 0)
        item.value = BYTES("");
    kv_tier_item_write_flags(item.flags, flags);
    if (deletes(passage) && !is_conditional) {
        kv_tier_add_word(&words, BYTES("DEL"));
        kv_tier_add_word(&words, key_of(passage));
    } else if (deletes(passage)) {
        kv_tier_add_script(&words, kv_tier_script_drop, key_of(passage));
        kv_tier_add_version(&words, version);
        kv_tier_add_word(&words, BYTES(""));
    } else if (!is_conditional) {
        kv_tier_add_script(&words, kv_tier_script_store, key_of(passage));
        kv_tier_add_word(&words, kv_tier_item_string(&item, &string));
        kv_tier_add_ttl(&words, passage->options.ttl_ms);
    } else if (passage->was_there) {
        kv_tier_add_script(&words, kv_tier_script_put, key_of(passage));
        kv_tier_add_word(&words, item.value);
        kv_tier_add_word(&words, bytes_of(flags, sizeof flags));
        kv_tier_add_ttl(&words, passage->options.ttl_ms);
        kv_tier_add_version(&words, version);
        kv_tier_add_word(&words, BYTES(""));
    } else {
        kv_tier_add_word(&words, BYTES("SET"));
        kv_tier_add_word(&words, key_of(passage));
        kv_tier_add_word(&words, kv_tier_item_string(&item, &string));
        kv_tier_add_px(&words, passage->options.ttl_ms);
        kv_tier_add_word(&words, BYTES("NX"));
    }
    if (string.failed) {
        refuse_failure(passage->x, ERR_NO_MEMORY, false);
        buffer_fini(&string);
        return;
    }
    command = (struct valkey_command){words.words, words.count};
    passage->step = ASKING;
    passage->call = (struct valkey_call){.done = written};
    tier_forget(tier->tier, key_of(passage));
    valkey_ask(tier->valkey, &passage->call,
               &(struct valkey_order){.commands = &command,
                                      .command_count = 1,
                                      .target = VALKEY_SLOT,
                                      .slot = valkey_slot(key_of(passage))});
    buffer_fini(&string);
}

static void judge(struct passage *passage, const struct tier_found *found, uint64_t version)
{
    struct exchange *x = passage->x;

    passage->was_there = found->is_there;
    if (kv_http_check(&x->request->fields, found->is_there, version) != KV_HTTP_HOLDS) {
        release(x);
        kv_http_refuse_condition(x);
    } else if (deletes(passage) && !found->is_there) {
        refuse_with(x, 404, "there is no such key");
    } else {
        write_value(passage, version);
    }
}

/* ---- looking ---------------------------------------------------------------------------------------- */

static bool only_reads(const struct exchange *x)
{
    return x->request->method == HTTP_METHOD_GET || x->request->method == HTTP_METHOD_HEAD;
}

static void looked(struct tier_read *read, const struct tier_found *found)
{
    struct passage *passage = CONTAINER_OF(read, struct passage, read);
    uint64_t version = 0;

    passage->step = IDLE;
    if (found->err != OK)
        refuse_failure(passage->x, found->err, false);
    else if (found->is_there && !kv_tier_item_version(found->value, &version))
        refuse_failure(passage->x, ERR_NO_MEMORY, false);
    else if (only_reads(passage->x))
        answer_read(passage, found, version);
    else
        judge(passage, found, version);
}

/* The tier is asked, as what is near does not know how long the key lives. */
static void look(struct passage *passage)
{
    nh_key key = {passage->name.data, passage->name.size, kv_space_of(passage->http->kv, 0)};

    passage->step = LOOKING;
    passage->read = (struct tier_read){.done = looked};
    tier_read(tier_of_passage(passage)->worker, &passage->read, key,
              only_reads(passage->x) ? 0 : TIER_FENCED, 0, 0);
}

/* ---- the engine ------------------------------------------------------------------------------------- */

static void begin_write(struct passage *passage)
{
    if (has_condition(passage->x->request))
        look(passage);
    else
        write_value(passage, 0);
}

static void begin_put(struct passage *passage)
{
    struct exchange *x = passage->x;
    struct http_refusal refusal = kv_http_read_put(x->request, &passage->options);

    if (refusal.status != 0) {
        release(x);
        kv_http_refuse(x, refusal);
    } else if (x->request->body_bytes > 0 &&
               (uint64_t)x->request->body_bytes > passage->http->value_bytes_max) {
        release(x);
        kv_http_refuse_large(x);
    } else if (x->request->body_bytes == HTTP_BODY_NONE) {
        begin_write(passage);
    } else {
        passage->step = COLLECTING;
        exchange_read(x, true);
    }
}

static void begin(void *engine, struct exchange *x)
{
    struct kv_http *http = engine;
    struct http_refusal refusal = http_guard(x->request, http->token, http->is_local);
    struct passage *passage = calloc(1, sizeof *passage);
    uint32_t database = 0;

    if (passage == NULL) {
        exchange_abort(x);
        return;
    }
    *passage = (struct passage){.x = x, .http = http, .options.size = sizeof passage->options};
    x->engine_state = passage;
    if (refusal.status == 0)
        refusal = kv_http_read_key(x->request, &passage->name, &database);
    if (refusal.status == 0 && database != 0)
        refusal = (struct http_refusal){400, "with a shared tier there is only database 0"};
    if (refusal.status != 0) {
        release(x);
        kv_http_refuse(x, refusal);
    } else if (only_reads(x)) {
        look(passage);
    } else if (x->request->method == HTTP_METHOD_PUT) {
        begin_put(passage);
    } else if (x->request->method == HTTP_METHOD_DELETE) {
        begin_write(passage);
    } else {
        refuse_with(x, 405, "a key can be read with GET and HEAD, and written with PUT and DELETE");
    }
}

static void body(struct exchange *x, struct bytes bytes)
{
    struct passage *passage = x->engine_state;

    if (passage == NULL || passage->step != COLLECTING)
        return;
    if (bytes.size > passage->http->value_bytes_max - passage->value.size) {
        release(x);
        kv_http_refuse_large(x);
        return;
    }
    buffer_append(&passage->value, bytes);
    if (passage->value.failed)
        refuse_failure(x, ERR_NO_MEMORY, false);
}

static void body_end(struct exchange *x)
{
    struct passage *passage = x->engine_state;

    if (passage != NULL && passage->step == COLLECTING)
        begin_write(passage);
}

static void writable(struct exchange *x)
{
    struct passage *passage = x->engine_state;

    if (passage != NULL && passage->step == SENDING)
        send_more(passage);
}

static void gone(struct exchange *x) { release(x); }

const struct exchange_engine kv_tier_http_engine = {begin, body, body_end, writable, gone};
