/* kv_http.c — one request for a key on its way.
 *
 *   GET, HEAD ──► sending ──► gone      `writable` returns to sending when the room was used up
 *   PUT ──► collecting ──► gone         `body_end` has all of the value
 *   DELETE, and what is refused ──► gone */
#include "engine/kv/kv_http.h"
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_database.h"
#include "engine/kv/kv_http_answer.h"
#include "engine/kv/kv_http_request.h"
#include <stdlib.h>

/* An exchange that could not be answered inside `begin`. */
struct passage {
    struct exchange *x;
    struct kv_http *http;
    bool is_collecting;
    struct buffer name; /* of what is put */
    uint32_t database;
    nh_put_options options;
    struct buffer body;
    nh_value value; /* of what is sent */
    uint64_t at, end;
};

static void passage_destroy(struct passage *passage)
{
    nh_release(passage->http->kv->store, &passage->value);
    buffer_fini(&passage->name);
    buffer_fini(&passage->body);
    free(passage);
}

static void release(struct exchange *x)
{
    struct passage *passage = x->engine_state;

    x->engine_state = NULL;
    if (passage != NULL)
        passage_destroy(passage);
}

/* ---- answers ----------------------------------------------------------------------------------- */

/* As kv_http_answer.h has them; these release what is kept of x. */
static void answer(struct exchange *x, int status, const struct buffer *lines, struct bytes body)
{
    release(x);
    kv_http_answer(x, status, lines, body);
}

static void refuse(struct exchange *x, struct http_refusal refusal)
{
    release(x);
    kv_http_refuse(x, refusal);
}

static void refuse_with(struct exchange *x, int status, const char *detail)
{
    refuse(x, (struct http_refusal){status, detail});
}

/* What the store said when it refused. */
static void refuse_result(struct exchange *x, nh_result result)
{
    switch (result) {
    case NH_MISSING: refuse_with(x, 404, "there is no such key"); return;
    case NH_FULL: refuse_with(x, 507, "the cache is full and nothing can leave it"); return;
    case NH_NO_MEMORY: refuse_with(x, 503, "no memory"); return;
    case NH_TOO_LARGE: refuse_with(x, 413, "the key or the value is larger than this cache takes"); return;
    default: refuse_with(x, 500, nh_result_text(result)); return;
    }
}

static void refuse_condition(struct exchange *x)
{
    release(x);
    kv_http_refuse_condition(x);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static void append_lines(struct buffer *lines, const nh_value *value, int64_t now_ms)
{
    kv_http_append_lines(lines, &(struct kv_http_shown){.version = value->version,
                                                        .flags = value->flags,
                                                        .is_stale = (value->traits & NH_VALUE_STALE) != 0,
                                                        .has_end = value->expires_at_ms != 0,
                                                        .left_ms = value->expires_at_ms > now_ms
                                                                       ? value->expires_at_ms - now_ms
                                                                       : 0});
}

/* Sends what there is room for; ends x once that was all. */
static void send_more(struct passage *passage)
{
    struct exchange *x = passage->x;
    nh_bytes piece;

    while (passage->at < passage->end) {
        size_t room = exchange_room(x);
        if (room == 0)
            return;
        if (nh_value_piece(passage->http->kv->store, &passage->value, passage->at, &piece) != NH_OK) {
            release(x);
            exchange_abort(x);
            return;
        }
        if (piece.size > room)
            piece.size = room;
        if (piece.size > passage->end - passage->at)
            piece.size = passage->end - passage->at;
        exchange_send(x, kv_bytes(piece));
        passage->at += piece.size;
    }
    release(x);
    exchange_end(x);
}

/* Answers with a lent value, which it takes over. */
static void answer_value(struct kv_http *http, struct exchange *x, nh_value *value)
{
    struct kv_http_range range = x->request->method == HTTP_METHOD_GET
                                     ? kv_http_read_range(&x->request->fields, value->size, value->version)
                                     : (struct kv_http_range){.end = value->size};
    struct http_response response = {.status = range.is_part ? 206 : 200,
                                     .body_bytes = (int64_t)(range.end - range.first)};
    struct passage *passage = calloc(1, sizeof *passage);
    struct buffer lines = {0};

    if (passage == NULL) {
        nh_release(http->kv->store, value);
        exchange_abort(x);
        return;
    }
    *passage = (struct passage){.x = x, .http = http, .value = *value, .at = range.first, .end = range.end};
    x->engine_state = passage;
    append_lines(&lines, value, http->read_now(http->now_context).mono_ms);
    if (range.is_outside) {
        buffer_append_format(&lines, "Content-Range: bytes */%llu\r\n", (unsigned long long)value->size);
        answer(x, 416, &lines, (struct bytes){NULL, 0});
        buffer_fini(&lines);
        return;
    }
    kv_http_append_content(&lines, range.is_part, range.first, range.end, value->size);
    response.rendered = buffer_bytes(&lines);
    if (lines.failed) {
        release(x);
        exchange_abort(x);
    } else {
        exchange_respond(x, &response);
        if (x->request->method == HTTP_METHOD_HEAD)
            passage->at = passage->end;
        send_more(passage);
    }
    buffer_fini(&lines);
}

static void read_value(struct kv_http *http, struct exchange *x, nh_key key)
{
    struct now now = http->read_now(http->now_context);
    struct buffer lines = {0};
    nh_value value;
    nh_result result;

    kv_begin(http->kv);
    result = nh_borrow(http->kv->store, now.mono_ms, key, &value);
    kv_end(http->kv);
    counters_add(http->kv->counters, result == NH_OK ? METRIC_get_hits : METRIC_get_misses, 1);
    if (result != NH_OK && result != NH_MISSING) {
        refuse_result(x, result == NH_FULL ? NH_NO_MEMORY : result); /* too much is lent: try again */
        return;
    }
    switch (kv_http_check(&x->request->fields, result == NH_OK, result == NH_OK ? value.version : 0)) {
    case KV_HTTP_HOLDS:
        if (result == NH_OK)
            answer_value(http, x, &value);
        else
            refuse_result(x, NH_MISSING);
        return;
    case KV_HTTP_NOT_MODIFIED:
        append_lines(&lines, &value, now.mono_ms);
        nh_release(http->kv->store, &value);
        answer(x, 304, &lines, (struct bytes){NULL, 0});
        buffer_fini(&lines);
        return;
    case KV_HTTP_FAILED:
        if (result == NH_OK)
            nh_release(http->kv->store, &value);
        refuse_condition(x);
        return;
    }
    UNREACHABLE();
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* Tells of a change as a command does. */
static void tell(struct kv_http *http, struct now now, nh_key key, enum kv_event event)
{
    struct kv_call call = {.kv = http->kv, .now = now, .session = &http->session};

    http->session.database = kv_database_of(http->kv->hub, key.space);
    kv_changed(&call, key, event);
}

/* Puts `value` over what is there at the moment, if the conditions allow it: NH_OK; NH_CHANGED if they do
 * not. A negative time to live deletes; without a key that is NH_MISSING. `*was_there`: whether there was a
 * key. */
static nh_result exchange_value(struct kv_http *http, struct now now, const struct http_fields *fields,
                                nh_key key, nh_bytes value, const nh_put_options *options, bool *was_there,
                                uint64_t *version)
{
    nh_store *store = http->kv->store;
    uint64_t before_version;
    nh_result result;
    nh_value before;

    for (;;) { /* again only if another wrote the key between two steps: then that one has got on */
        result = nh_borrow(store, now.mono_ms, key, &before);
        if (result != NH_OK && result != NH_MISSING)
            return result;
        *was_there = result == NH_OK;
        before_version = *was_there ? before.version : 0;
        if (*was_there)
            nh_release(store, &before);
        if (kv_http_check(fields, *was_there, before_version) != KV_HTTP_HOLDS)
            return NH_CHANGED;
        if (!*was_there && options->ttl_ms < 0)
            return NH_MISSING;
        result = *was_there ? nh_cas(store, now.mono_ms, key, value, options, before_version, version)
                            : nh_add(store, now.mono_ms, key, value, options, version);
        if (result != NH_CHANGED && result != NH_MISSING && result != NH_EXISTS)
            return result;
    }
}

/* Inside the gate, with what is told of it. */
static nh_result write_value(struct kv_http *http, const struct http_fields *fields, nh_key key,
                             nh_bytes value, const nh_put_options *options, bool *was_there,
                             uint64_t *version)
{
    struct now now = http->read_now(http->now_context);
    nh_result result;

    kv_begin(http->kv);
    result = exchange_value(http, now, fields, key, value, options, was_there, version);
    if (result == NH_OK)
        tell(http, now, key, options->ttl_ms < 0 ? KV_EVENT_del : KV_EVENT_set);
    kv_end(http->kv);
    if (UNLIKELY(http->kv->own_letters.first != NULL))
        kv_read_own_letters(http->kv);
    kv_end_turn(http->kv);
    return result;
}

static void answer_write(struct exchange *x, nh_result result, int status, uint64_t version)
{
    struct buffer lines = {0};

    if (result == NH_CHANGED) {
        refuse_condition(x);
    } else if (result != NH_OK) {
        refuse_result(x, result);
    } else {
        if (version != 0)
            buffer_append_format(&lines, "ETag: \"%llu\"\r\n", (unsigned long long)version);
        answer(x, status, &lines, (struct bytes){NULL, 0});
        buffer_fini(&lines);
    }
}

static void put_value(struct passage *passage)
{
    struct bytes body = buffer_bytes(&passage->body);
    nh_key key = {passage->name.data, passage->name.size,
                  kv_space_of(passage->http->kv, passage->database)};
    uint64_t version = 0;
    bool was_there = false;
    nh_result result = write_value(passage->http, &passage->x->request->fields, key,
                                   body.size > 0 ? kv_nh_bytes(body) : (nh_bytes){"", 0}, &passage->options,
                                   &was_there, &version);

    answer_write(passage->x, result, was_there ? 204 : 201, version);
}

static void delete_value(struct kv_http *http, struct exchange *x, nh_key key)
{
    nh_put_options gone = {.size = sizeof gone, .ttl_ms = -1};
    bool was_there = false;
    uint64_t version = 0;
    nh_result result =
        write_value(http, &x->request->fields, key, (nh_bytes){"", 0}, &gone, &was_there, &version);

    answer_write(x, result, 204, 0);
}

static void refuse_large(struct exchange *x)
{
    release(x);
    kv_http_refuse_large(x);
}

/* `name` is taken over. */
static void begin_put(struct kv_http *http, struct exchange *x, struct buffer *name, uint32_t database)
{
    nh_put_options options = {.size = sizeof options};
    struct http_refusal refusal = kv_http_read_put(x->request, &options);
    struct passage *passage;

    if (refusal.status != 0) {
        refuse(x, refusal);
        return;
    }
    if (x->request->body_bytes > 0 && (uint64_t)x->request->body_bytes > http->value_bytes_max) {
        refuse_large(x);
        return;
    }
    passage = calloc(1, sizeof *passage);
    if (passage == NULL) {
        exchange_abort(x);
        return;
    }
    *passage =
        (struct passage){.x = x, .http = http, .name = *name, .database = database, .options = options};
    *name = (struct buffer){0};
    x->engine_state = passage;
    if (x->request->body_bytes == HTTP_BODY_NONE) {
        put_value(passage);
        return;
    }
    passage->is_collecting = true;
    exchange_read(x, true);
}

/* ---- the engine -------------------------------------------------------------------------------- */

static void begin(void *engine, struct exchange *x)
{
    struct kv_http *http = engine;
    struct http_refusal refusal = http_guard(x->request, http->token, http->is_local);
    struct buffer name = {0};
    uint32_t database = 0;
    nh_key key;

    if (refusal.status == 0)
        refusal = kv_http_read_key(x->request, &name, &database);
    key = (nh_key){name.data, name.size, kv_space_of(http->kv, database)};
    if (refusal.status != 0)
        refuse(x, refusal);
    else if (x->request->method == HTTP_METHOD_GET || x->request->method == HTTP_METHOD_HEAD)
        read_value(http, x, key);
    else if (x->request->method == HTTP_METHOD_PUT)
        begin_put(http, x, &name, database);
    else if (x->request->method == HTTP_METHOD_DELETE)
        delete_value(http, x, key);
    else
        refuse_with(x, 405, "a key can be read with GET and HEAD, and written with PUT and DELETE");
    buffer_fini(&name);
}

static void body(struct exchange *x, struct bytes bytes)
{
    struct passage *passage = x->engine_state;

    if (passage == NULL || !passage->is_collecting)
        return;
    if (bytes.size > passage->http->value_bytes_max - passage->body.size) {
        refuse_large(x);
        return;
    }
    buffer_append(&passage->body, bytes);
    if (passage->body.failed)
        refuse_with(x, 503, "no memory");
}

static void body_end(struct exchange *x)
{
    struct passage *passage = x->engine_state;

    if (passage == NULL || !passage->is_collecting)
        return;
    passage->is_collecting = false;
    put_value(passage);
}

static void writable(struct exchange *x)
{
    struct passage *passage = x->engine_state;

    if (passage != NULL && !passage->is_collecting)
        send_more(passage);
}

static void gone(struct exchange *x) { release(x); }

const struct exchange_engine kv_http_engine = {begin, body, body_end, writable, gone};
