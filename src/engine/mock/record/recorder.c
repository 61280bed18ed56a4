#include "recorder.h"
#include "client/origin.h"
#include "message/http_guard.h"
#include "message/plain_target.h"
#include "message/problem.h"
#include <stdatomic.h>
#include <stdlib.h>

enum {
    CONNECTIONS_MAX = 128,
    HTTP2_HELD_MAX = 16,
    CONNECT_MS = 10000,
    FIRST_BYTE_MS = 60000,
    SILENCE_MS = 60000,
    STREAM_SILENCE_MS = 3600000, /* of event streams, which may have nothing to say for long */
    KEPT_BYTES_MAX = 256 << 20,  /* of bodies that are on their way, all together */
};

struct recorder {
    const char *url, *authorities_path;
    struct log *log;
    struct recording *recording;
    _Atomic size_t kept_bytes;
    struct bytes *hosts;
    size_t host_count;
    bool is_local;
};

struct recorder_worker {
    struct recorder *recorder;
    struct loop *loop;
    struct counters *counters;
    struct origin *origin;
};

/* One exchange on its way.
 *
 *   asking ──► head ──► body ──► done: written down
 *      └──────────────────────── done with an error: 502, or cut off */
struct call {
    struct exchange *x;
    struct recorder_worker *worker;
    struct origin_call *origin; /* null once it has ended */
    struct buffer request_body, body;
    struct buffer text;        /* of the fields' names and values */
    struct http_field *fields; /* of the answer, in `text` */
    size_t field_count, kept_bytes;
    const char *not_recorded; /* why, or null */
    int status;               /* 0: there is no head yet */
    bool has_whole_body, is_held;
};

static void call_destroy(struct call *call)
{
    if (call->origin != NULL)
        origin_cancel(call->origin);
    atomic_fetch_sub(&call->worker->recorder->kept_bytes, call->kept_bytes);
    buffer_fini(&call->request_body);
    buffer_fini(&call->body);
    buffer_fini(&call->text);
    free(call->fields);
    free(call);
}

/* ---- what is kept -------------------------------------------------------------------------------- */

static void stop_recording(struct call *call, const char *why)
{
    call->not_recorded = why;
    buffer_fini(&call->request_body);
    buffer_fini(&call->body);
    atomic_fetch_sub(&call->worker->recorder->kept_bytes, call->kept_bytes);
    call->kept_bytes = 0;
}

static void keep(struct call *call, struct buffer *kept, struct bytes bytes, size_t bytes_max,
                 const char *why)
{
    if (call->not_recorded != NULL)
        return;
    atomic_fetch_add(&call->worker->recorder->kept_bytes, bytes.size);
    call->kept_bytes += bytes.size;
    if (bytes.size > bytes_max - kept->size)
        stop_recording(call, why);
    else if (atomic_load(&call->worker->recorder->kept_bytes) > KEPT_BYTES_MAX)
        stop_recording(call, "too much is under way at once");
    else
        buffer_append(kept, bytes);
    if (kept->failed)
        stop_recording(call, "out of memory");
}

/* Copies the fields, which are readable only now. */
static bool keep_fields(struct call *call, const struct http_fields *fields)
{
    size_t size = 0;

    for (size_t i = 0; i < fields->count; i++)
        size += fields->list[i].name.size + fields->list[i].value.size;
    call->fields = calloc(fields->count + 1, sizeof *call->fields);
    if (call->fields == NULL ||
        buffer_reserve(&call->text, size + 1) == NULL) /* so that it moves no more */
        return false;
    for (size_t i = 0; i < fields->count; i++) {
        struct http_field *field = &call->fields[call->field_count++];
        *field = fields->list[i];
        field->name.data = call->text.data + call->text.size;
        buffer_append(&call->text, fields->list[i].name);
        field->value.data = call->text.data + call->text.size;
        buffer_append(&call->text, fields->list[i].value);
    }
    return true;
}

/* An origin that answers without having read all of the request cannot have been told by the rest of it.
 * The end need not have been asked for, if it was said before where it is. */
static bool has_whole_request(const struct call *call)
{
    int64_t body_bytes = call->x->request->body_bytes;

    return body_bytes == HTTP_BODY_NONE || call->has_whole_body ||
           (body_bytes >= 0 && call->request_body.size == (uint64_t)body_bytes);
}

static void record(struct call *call)
{
    const struct http_fields fields = {call->fields, call->field_count};
    const struct http_request *request = call->x->request;
    const struct recorder *recorder = call->worker->recorder;

    if (call->not_recorded == NULL)
        recording_add(recorder->recording, request, buffer_bytes(&call->request_body), call->status,
                      &fields, &call->body);
    else if (request->method != HTTP_METHOD_HEAD)
        log_write_limited(recorder->log, LOG_WARNING, LOG_KIND_CAP, "%.*s %.*s is not recorded: %s",
                          BYTES_PRINTF(request->method_name), BYTES_PRINTF(request->path),
                          call->not_recorded);
}

/* ---- what the origin says ------------------------------------------------------------------------ */

static void answer_problem(struct call *call, int status, const char *detail)
{
    struct buffer body = {0};
    struct http_response response = {.status = status,
                                     .rendered = BYTES("Content-Type: application/problem+json\r\n")};
    struct exchange *x = call->x;

    problem_render(&body, status, bytes_of_text(detail), (struct bytes){0});
    response.body_bytes = (int64_t)body.size;
    call_destroy(call);
    exchange_respond(x, &response);
    if (x->request->method != HTTP_METHOD_HEAD)
        exchange_send(x, buffer_bytes(&body));
    buffer_fini(&body);
    exchange_end(x);
}

static void on_interim(void *owner, int status, const struct http_fields *fields)
{
    const struct call *call = owner;
    exchange_inform(call->x, status, fields);
}

static bool is_event_stream(const struct http_fields *fields)
{
    static const struct bytes type = BYTES_INIT("text/event-stream");
    const struct http_field *field = http_fields_find_name(fields, BYTES("Content-Type"));

    return field != NULL && field->value.size >= type.size &&
           bytes_equal_nocase(bytes_first(field->value, type.size), type);
}

static void on_head(void *owner, int status, struct bytes reason, const struct http_fields *fields,
                    int64_t body_bytes)
{
    struct call *call = owner;
    struct http_response response = {
        .status = status, .reason = reason, .body_bytes = body_bytes, .fields = *fields};

    call->status = status;
    if (is_event_stream(fields))
        stop_recording(call, "it is an event stream");
    else if (body_bytes > RECORDING_BODY_BYTES_MAX)
        stop_recording(call, "its answer has more than 16 MiB");
    else if (!keep_fields(call, fields))
        stop_recording(call, "out of memory");
    origin_limit_silence(call->origin, is_event_stream(fields) ? STREAM_SILENCE_MS : SILENCE_MS);
    counters_add(call->worker->counters, METRIC_mock_requests, 1);
    exchange_respond(call->x, &response);
}

static void on_body(void *owner, struct bytes bytes)
{
    struct call *call = owner;

    keep(call, &call->body, bytes, RECORDING_BODY_BYTES_MAX, "its answer has more than 16 MiB");
    exchange_send(call->x, bytes);
    if (exchange_room(call->x) == 0) {
        call->is_held = true;
        origin_pause(call->origin);
    }
}

static void on_want_body(void *owner, size_t room)
{
    struct call *call = owner;

    (void)room;
    exchange_read(call->x, true); /* pieces may come inside */
}

static const char *failure(enum err err)
{
    switch ((unsigned)err) {
    case ERR_TIMEOUT: return "the API that is recorded took too long";
    case ERR_REFUSED:
    case ERR_UNREACHABLE: return "the API that is recorded cannot be reached";
    case ERR_TLS: return "the API that is recorded has no certificate that is trusted; see --record-ca";
    }
    return "the API that is recorded did not answer as HTTP has it";
}

static void on_done(void *owner, enum err err, enum origin_reach reach)
{
    struct call *call = owner;
    struct exchange *x = call->x;

    (void)reach;
    call->origin = NULL;
    if (err != OK)
        log_write_limited(call->worker->recorder->log, LOG_WARNING, LOG_KIND_ORIGIN, "%s: %s",
                          call->worker->recorder->url, err_text(err));
    if (err != OK && call->status == 0) {
        answer_problem(call, err == ERR_TIMEOUT ? 504 : 502, failure(err));
        return;
    }
    if (call->not_recorded == NULL && err != OK)
        stop_recording(call, "its answer was cut off");
    else if (call->not_recorded == NULL && !has_whole_request(call))
        stop_recording(call, "it was answered before its body was there");
    record(call);
    call_destroy(call);
    if (err == OK)
        exchange_end(x);
    else
        exchange_abort(x);
}

/* ---- asking it ----------------------------------------------------------------------------------- */

/* Whether the origin is to see the field. Conditions and ranges would have it answer with less than all. */
static bool is_passed_on(const struct http_request *request, const struct http_field *field)
{
    bool is_get = request->method == HTTP_METHOD_GET;

    if (field->header == HTTP_HEADER_HOST || field->header == HTTP_HEADER_ACCEPT_ENCODING ||
        field->header == HTTP_HEADER_CONTENT_LENGTH ||
        (field->header != HTTP_HEADER_OTHER && http_header_kind(field->header) == HTTP_HEADER_HOP_BY_HOP) ||
        http_connection_names(&request->fields, field->name))
        return false;
    return !is_get ||
           (field->header != HTTP_HEADER_IF_NONE_MATCH && field->header != HTTP_HEADER_IF_MODIFIED_SINCE &&
            field->header != HTTP_HEADER_RANGE && field->header != HTTP_HEADER_IF_RANGE);
}

static enum err ask(struct call *call)
{
    static const struct origin_callbacks callbacks = {.interim = on_interim,
                                                      .head = on_head,
                                                      .body = on_body,
                                                      .want_body = on_want_body,
                                                      .done = on_done};
    const struct http_request *request = call->x->request;
    struct http_field *fields = calloc(request->fields.count + 1, sizeof *fields);
    struct bytes base = bytes_of_text(call->worker->recorder->url);
    struct buffer url = {0};
    size_t count = 0;
    enum err err = ERR_NO_MEMORY;

    while (base.size > 0 && base.data[base.size - 1] == '/')
        base.size--;
    buffer_append(&url, base);
    buffer_append(&url, request->path);
    if (request->has_query) {
        buffer_append_byte(&url, '?');
        buffer_append(&url, request->query);
    }
    for (size_t i = 0; fields != NULL && i < request->fields.count; i++)
        if (is_passed_on(request, &request->fields.list[i]))
            fields[count++] = request->fields.list[i];
    if (fields != NULL && !url.failed) {
        fields[count++] = (struct http_field){.header = HTTP_HEADER_ACCEPT_ENCODING,
                                              .name = BYTES("Accept-Encoding"),
                                              .value = BYTES("identity")};
        err = origin_start(call->worker->origin,
                           &(struct origin_request){
                               .method = request->method_name,
                               .url = buffer_bytes(&url),
                               .fields = {fields, count},
                               .body_bytes = request->body_bytes,
                               .timeouts = {.connect_ms = CONNECT_MS, .first_byte_ms = FIRST_BYTE_MS}},
                           &callbacks, call, &call->origin);
    }
    free(fields);
    buffer_fini(&url);
    return err;
}

static void begin(void *worker, struct exchange *x)
{
    struct call *call = calloc(1, sizeof *call);
    struct http_refusal refusal;
    enum err err;

    if (call == NULL) {
        exchange_abort(x);
        return;
    }
    call->x = x;
    call->worker = worker;
    x->engine_state = call;
    if (x->request->method == HTTP_METHOD_HEAD)
        call->not_recorded = "a GET says as much";
    refusal = http_guard_pages(x->request, call->worker->recorder->hosts,
                               call->worker->recorder->host_count, call->worker->recorder->is_local);
    if (refusal.status != 0) {
        answer_problem(call, refusal.status, refusal.detail);
        return;
    }
    if (x->request->path.size == 0 || x->request->path.data[0] != '/' ||
        x->request->method == HTTP_METHOD_CONNECT) {
        answer_problem(call, 501, "only requests for a path are passed on");
        return;
    }
    if (!target_is_plain(x->request->path, x->request->query)) {
        answer_problem(call, 400, "paths with dot segments, or bytes that no URL has, are not passed on");
        return;
    }
    err = ask(call);
    if (err != OK) {
        call->origin = NULL;
        answer_problem(call, err == ERR_SYNTAX ? 400 : 503, err_text(err));
    }
}

/* ---- what the connection calls ------------------------------------------------------------------- */

static void body(struct exchange *x, struct bytes bytes)
{
    struct call *call = x->engine_state;

    if (call->origin == NULL)
        return;
    keep(call, &call->request_body, bytes, RECORDING_REQUEST_BYTES_MAX, "its body has more than 1 MiB");
    exchange_read(x, false); /* until more is wanted */
    origin_send_body(call->origin, bytes, false);
}

static void body_end(struct exchange *x)
{
    struct call *call = x->engine_state;

    call->has_whole_body = true;
    if (call->origin != NULL)
        origin_send_body(call->origin, (struct bytes){0}, true);
}

static void writable(struct exchange *x)
{
    struct call *call = x->engine_state;

    if (!call->is_held || call->origin == NULL)
        return;
    call->is_held = false;
    origin_resume(call->origin);
}

static void gone(struct exchange *x) { call_destroy(x->engine_state); }

const struct exchange_engine recorder_engine = {begin, body, body_end, writable, gone};

/* ---- making -------------------------------------------------------------------------------------- */

enum err recorder_create(const struct recorder_options *options, struct recorder **recorder,
                         struct buffer *message)
{
    struct recorder *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->url = options->url;
    made->authorities_path = options->authorities_path;
    made->log = options->log;
    made->is_local = options->is_local;
    made->host_count = options->host_count;
    made->hosts = calloc(options->host_count + 1, sizeof *made->hosts);
    if (made->hosts == NULL) {
        free(made);
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < options->host_count; i++)
        made->hosts[i] = options->hosts[i];
    err = recording_open(
        &(struct recording_options){.path = options->path,
                                    .origin = bytes_of_text(options->url),
                                    .secret = {options->secret_names, options->secret_name_count},
                                    .log = options->log},
        &made->recording, message);
    if (err != OK) {
        free(made->hosts);
        free(made);
        return err;
    }
    log_write(made->log, LOG_INFO, "what %s answers is recorded in %s", made->url, options->path);
    *recorder = made;
    return OK;
}

void recorder_destroy(struct recorder *recorder)
{
    if (recorder == NULL)
        return;
    recording_close(recorder->recording);
    free(recorder->hosts);
    free(recorder);
}

enum err recorder_worker_create(struct recorder *recorder, struct loop *loop, struct counters *counters,
                                struct recorder_worker **worker)
{
    struct recorder_worker *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    *made = (struct recorder_worker){.recorder = recorder, .loop = loop, .counters = counters};
    err = origin_create(&(struct origin_options){.loop = loop,
                                                 .connections_max = CONNECTIONS_MAX,
                                                 .offers_http2 = bytes_start_with(
                                                     bytes_of_text(recorder->url), BYTES("https:")),
                                                 .http2_held_max = HTTP2_HELD_MAX,
                                                 .authorities_path = recorder->authorities_path},
                        &made->origin);
    if (err != OK) {
        free(made);
        return err;
    }
    *worker = made;
    return OK;
}

void recorder_worker_destroy(struct recorder_worker *worker)
{
    if (worker == NULL)
        return;
    origin_destroy(worker->origin);
    free(worker);
}
