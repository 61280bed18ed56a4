#include "engine/mock/mock.h"
#include "engine/mock/collections/rest.h"
#include "engine/mock/errands.h"
#include "engine/mock/files/coded_texts.h"
#include "engine/mock/files/home_page.h"
#include "engine/mock/files/rewrite.h"
#include "engine/mock/files/static_file.h"
#include "engine/mock/keep.h"
#include "engine/mock/mock_admin.h"
#include "engine/mock/openapi/openapi_state.h"
#include "engine/mock/snapshots.h"
#include "engine/mock/storage/watcher.h"
#include "message/http_guard.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    GROWTH_BYTES_MAX = 256 << 20, /* of what writes may add to the documents */
    WATCHERS_MAX = 2,
};

struct mock {
    bool is_of_document;          /* of OpenAPI */
    pthread_mutex_t openapi_lock; /* of the next one */
    struct openapi *openapi;      /* null: there is no document of OpenAPI */
    _Atomic uint64_t openapi_number;
    struct openapi_options openapi_options;
    struct watcher *watchers[WATCHERS_MAX];
    struct documents *documents; /* null beside that, unless it keeps collections */
    struct keep *keep;           /* null: changes are kept in memory alone */
    struct rewrite *rewrite;     /* null: none */
    struct folder folder;        /* of static files */
    bool has_folder, is_read_only, codes, guards_pages, is_local;
    struct bytes *hosts; /* that it goes by */
    size_t host_count;
    struct bytes cors_lines;            /* for answers of every kind */
    struct front *front;                /* null: there are no rules */
    struct snapshots *snapshots;        /* null: there are no documents */
    struct errands *errands;            /* which do what takes long with them */
    struct mock_admin admin;            /* what is asked of them */
    struct documents_observer observer; /* tells the rules of writes */
    bool is_observing;
    int64_t latency_ms;
    _Atomic uint64_t request_count;
    struct buffer kept_lines;  /* the field lines of an answer that has `is_read` */
    struct buffer read_lines;  /* the same with the media type that most have */
    struct buffer other_lines; /* those of every other answer */
};

struct mock_worker {
    struct mock *mock;
    struct loop *loop;
    struct counters *counters;
    struct openapi *openapi; /* held, as of `openapi_number`; null: none */
    uint64_t openapi_number;
    struct coded_texts *coded_texts;                       /* null: answers go out as they are */
    char coded_etag[TEXT_ETAG_BYTES + sizeof "-gzip" - 1]; /* of the answer in hand */
    struct front_worker *front;                            /* null: there are no rules */
    struct mock_admin_worker admin;
};

/* An exchange that could not be answered inside `begin`.
 *
 *   collecting and waiting ──► both done ──► answering ──► sending ──► gone
 *                                               `writable` returns here when the room was used up */
struct call {
    struct exchange *x;
    struct mock_worker *worker;
    struct timer latency;
    bool collecting;      /* the body has not ended */
    bool waiting;         /* the artificial delay has not passed */
    struct buffer body;   /* of the request */
    struct buffer target; /* of the request, if that is not the one that was asked for */
    struct text *text;    /* of the answer, while it is sent */
    size_t sent_bytes;
};

static void call_destroy(struct call *call)
{
    timer_cancel(call->worker->loop, &call->latency);
    text_release(call->text);
    buffer_fini(&call->body);
    buffer_fini(&call->target);
    free(call);
}

static void on_latency_passed(struct timer *timer);

static struct call *call_create(struct mock_worker *worker, struct exchange *x)
{
    struct call *call = calloc(1, sizeof *call);

    if (call == NULL)
        return NULL;
    call->x = x;
    call->worker = worker;
    timer_init(&call->latency, on_latency_passed);
    x->engine_state = call;
    return call;
}

/* Sends what there is room for. True when that was all. */
static bool send_text(struct exchange *x, const struct text *text, size_t *sent_bytes)
{
    while (*sent_bytes < text->size) {
        size_t room = exchange_room(x), left = text->size - *sent_bytes;
        if (room == 0)
            return false;
        if (left > room)
            left = room;
        exchange_send(x, bytes_of(text->data + *sent_bytes, left));
        *sent_bytes += left;
    }
    return true;
}

static bool is_reading(const struct http_request *request)
{
    return request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
}

static void count_request(struct mock_worker *worker)
{
    atomic_fetch_add_explicit(&worker->mock->request_count, 1, memory_order_relaxed);
    counters_add(worker->counters, METRIC_mock_requests, 1);
}

static void settle(struct mock_worker *worker, struct call *call)
{
    call->collecting = call->waiting = false;
    timer_cancel(worker->loop, &call->latency);
}

/* Other bytes have another tag. */
static void set_coded_etag(struct mock_worker *worker, const struct text *plain, struct http_field *etag)
{
    struct bytes tag = text_etag(plain);

    memcpy(worker->coded_etag, tag.data, tag.size - 1);
    memcpy(worker->coded_etag + tag.size - 1, "-gzip\"", sizeof "-gzip\"" - 1);
    etag->value = bytes_of(worker->coded_etag, sizeof worker->coded_etag);
}

/* Puts gzip in place of the text, for who takes that. */
static void code(struct mock_worker *worker, const struct http_request *request, struct answer *answer,
                 struct http_field *etag)
{
    struct text *coded =
        coded_texts_are_wanted(request) ? coded_texts_find(worker->coded_texts, answer->text) : NULL;

    if (coded == NULL)
        return;
    buffer_append_literal(&answer->lines, "Content-Encoding: gzip\r\n");
    if (answer->is_read)
        set_coded_etag(worker, answer->text, etag);
    text_release(answer->text);
    answer->text = coded;
}

/* Whether a text that has not changed would go out in gzip: then that is whose tag a 304 says. */
static bool would_be_coded(const struct http_request *request, const struct text *text)
{
    return text->size >= CODED_TEXT_BYTES_MIN && text->size <= CODED_TEXT_BYTES_MAX &&
           coded_texts_are_wanted(request);
}

/* Sends `answer`, which it takes over. `call` is the exchange's, or null if it has none. */
static void respond(struct mock_worker *worker, struct exchange *x, struct call *call,
                    struct answer *answer)
{
    struct mock *mock = worker->mock;
    bool has_body = answer->text != NULL && answer->status != 304;
    struct http_field etag = {.header = HTTP_HEADER_ETAG, .name = BYTES("ETag")};
    struct http_response response = {.status = answer->status};
    size_t sent_bytes = 0;

    if (call != NULL) /* it is settled what to say, be it a refusal before the body's end or the delay's */
        settle(worker, call);
    if (answer->is_read) {
        assert(answer->text != NULL);
        etag.value = text_etag(answer->text);
        response.fields = (struct http_fields){&etag, 1};
    }
    if (has_body && answer->media_type == NULL && worker->coded_texts != NULL)
        code(worker, x->request, answer, &etag);
    else if (answer->status == 304 && answer->is_read && answer->media_type == NULL &&
             worker->coded_texts != NULL && would_be_coded(x->request, answer->text))
        set_coded_etag(worker, answer->text, &etag);
    if (answer->is_read && answer->media_type == NULL && answer->lines.size == 0) {
        response.rendered = buffer_bytes(&mock->read_lines);
    } else {
        buffer_append(&answer->lines,
                      buffer_bytes(answer->is_read ? &mock->kept_lines : &mock->other_lines));
        if (has_body || answer->is_read) {
            buffer_append_literal(&answer->lines, "Content-Type: ");
            buffer_append(&answer->lines, bytes_of_text(answer->media_type != NULL ? answer->media_type
                                                                                   : "application/json"));
            buffer_append_literal(&answer->lines, "\r\n");
        }
        response.rendered = buffer_bytes(&answer->lines);
    }
    if (has_body)
        response.body_bytes = (int64_t)answer->text->size;
    count_request(worker);
    if (answer->lines.failed)
        goto abort;
    exchange_respond(x, &response);
    if (has_body && x->request->method != HTTP_METHOD_HEAD && !send_text(x, answer->text, &sent_bytes)) {
        if (call == NULL && (call = call_create(worker, x)) == NULL)
            goto abort;
        call->text = text_hold(answer->text);
        call->sent_bytes = sent_bytes;
        answer_fini(answer);
        return;
    }
    answer_fini(answer);
    if (call != NULL)
        call_destroy(call);
    exchange_end(x);
    return;

abort:
    answer_fini(answer);
    if (call != NULL)
        call_destroy(call);
    exchange_abort(x);
}

/* Answers with a static file, if the request may have one and there is one. */
static bool answer_file(struct mock_worker *worker, struct exchange *x, struct call *call)
{
    const struct mock *mock = worker->mock;

    if (!mock->has_folder || !is_reading(x->request))
        return false;
    if (call != NULL)
        settle(worker, call);
    if (!static_file_answer(&mock->folder, x, mock->cors_lines))
        return false;
    count_request(worker);
    if (call != NULL)
        call_destroy(call);
    return true;
}

static void answer_home_page(struct mock_worker *worker, struct exchange *x, struct call *call)
{
    struct http_response response = {
        .status = 200, .body_bytes = (int64_t)home_page_html().size, .rendered = home_page_lines()};

    count_request(worker);
    if (call != NULL)
        call_destroy(call);
    exchange_respond(x, &response);
    if (x->request->method == HTTP_METHOD_GET)
        exchange_send(x, home_page_html());
    exchange_end(x);
}

/* The worker's document, or the one that has taken its place; not held. */
static struct openapi *openapi_in_force(struct mock_worker *worker)
{
    struct mock *mock = worker->mock;

    if (atomic_load_explicit(&mock->openapi_number, memory_order_acquire) != worker->openapi_number) {
        openapi_release(worker->openapi);
        pthread_mutex_lock(&mock->openapi_lock);
        worker->openapi = openapi_hold(mock->openapi);
        worker->openapi_number = atomic_load(&mock->openapi_number);
        pthread_mutex_unlock(&mock->openapi_lock);
    }
    return worker->openapi;
}

/* As the document says; what is in its collections, if they keep anything, as the documents have it. */
static void answer_by_openapi(struct mock_worker *worker, const struct http_request *request,
                              struct bytes body, struct answer *answer)
{
    const struct mock *mock = worker->mock;
    struct openapi *openapi = openapi_in_force(worker);
    struct kept_request kept = {0};

    *answer = (struct answer){0};
    if (mock->documents != NULL && openapi_state_ask(openapi, request, body, &kept, answer)) {
        rest_answer(mock->documents, &kept.request, buffer_bytes(&kept.body), answer);
        openapi_state_answer(request, &kept, answer);
    }
    kept_request_fini(&kept);
    if (answer->status == 0)
        openapi_answer(openapi, request, body, answer);
}

static void run(struct mock_worker *worker, struct exchange *x, struct call *call)
{
    struct bytes body = {0};
    struct locator locator;
    struct answer answer;

    if (call != NULL)
        body = buffer_bytes(&call->body);
    if (worker->mock->is_of_document) {
        answer_by_openapi(worker, x->request, body, &answer);
        if (answer.status == 404 && answer_file(worker, x, call))
            answer_fini(&answer);
        else
            respond(worker, x, call, &answer);
        return;
    }
    if (is_reading(x->request) && home_page_is_wanted(x->request)) {
        if (!answer_file(worker, x, call)) /* the folder may have a page of its own */
            answer_home_page(worker, x, call);
        return;
    }
    if (locator_parse(x->request->path, &locator) == OK) /* before: a DELETE leaves nothing to count at */
        documents_count_request(worker->mock->documents, &locator);
    rest_answer(worker->mock->documents, x->request, body, &answer);
    if (answer.status == 404 && answer_file(worker, x, call)) {
        answer_fini(&answer);
        return;
    }
    respond(worker, x, call, &answer);
}

static void refuse(struct mock_worker *worker, struct exchange *x, struct call *call, int status,
                   struct bytes sentence)
{
    struct answer answer = {0};

    answer_refuse(&answer, status, sentence);
    respond(worker, x, call, &answer);
}

static void refuse_large_body(struct mock_worker *worker, struct exchange *x, struct call *call)
{
    refuse(worker, x, call, 413, BYTES("Body must have at most 1048576 bytes"));
}

static void on_latency_passed(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, latency);

    call->waiting = false;
    if (!call->collecting)
        run(call->worker, call->x, call);
}

/* Has the request ask for what the rules put in place of its target. The new one is the call's. */
static struct call *begin_rewritten(struct mock_worker *worker, struct exchange *x, struct buffer *target)
{
    struct call *call = call_create(worker, x);
    struct bytes url = buffer_bytes(target);
    const char *question = memchr(url.data, '?', url.size);

    if (call == NULL) {
        buffer_fini(target);
        return NULL;
    }
    call->target = *target;
    x->request->has_query = question != NULL;
    x->request->path = question != NULL ? bytes_first(url, (size_t)(question - url.data)) : url;
    x->request->query = question != NULL ? bytes_after(url, x->request->path.size + 1) : (struct bytes){0};
    return call;
}

static void begin(void *engine, struct exchange *x)
{
    struct mock_worker *worker = engine;
    const struct mock *mock = worker->mock;
    struct http_request *request = x->request;
    struct buffer target = {0};
    bool has_body = request->body_bytes != HTTP_BODY_NONE &&
                    (mock->is_of_document || request->method == HTTP_METHOD_POST ||
                     request->method == HTTP_METHOD_PUT || request->method == HTTP_METHOD_PATCH);
    struct call *call = NULL;

    if (mock->is_read_only && !http_method_is_safe(request->method)) {
        refuse(worker, x, NULL, 403, BYTES("The mock is read-only"));
        return;
    }
    if (has_body && request->body_bytes > REST_BODY_BYTES_MAX) {
        refuse_large_body(worker, x, NULL);
        return;
    }
    if (mock->rewrite != NULL && rewrite_apply(mock->rewrite, request, &target) &&
        (call = begin_rewritten(worker, x, &target)) == NULL) {
        exchange_abort(x);
        return;
    }
    if (!has_body && mock->latency_ms <= 0) {
        run(worker, x, call);
        return;
    }
    if (call == NULL)
        call = call_create(worker, x);
    if (call == NULL) {
        exchange_abort(x);
        return;
    }
    if (mock->latency_ms > 0) {
        call->waiting = true;
        timer_set(worker->loop, &call->latency, x->now.mono_ms + mock->latency_ms);
    }
    if (has_body) {
        call->collecting = true;
        exchange_read(x, true); /* the whole body may come, and end the exchange, inside */
    }
}

static void body(struct exchange *x, struct bytes bytes)
{
    struct call *call = x->engine_state;

    if (call == NULL || !call->collecting || bytes.size == 0)
        return;
    if (bytes.size > REST_BODY_BYTES_MAX - call->body.size) {
        refuse_large_body(call->worker, x, call);
        return;
    }
    buffer_append(&call->body, bytes);
    if (call->body.failed)
        refuse(call->worker, x, call, 503, bytes_of_text(err_text(ERR_NO_MEMORY)));
}

static void body_end(struct exchange *x)
{
    struct call *call = x->engine_state;

    if (call == NULL || !call->collecting)
        return;
    call->collecting = false;
    if (!call->waiting)
        run(call->worker, x, call);
}

static void writable(struct exchange *x)
{
    struct call *call = x->engine_state;

    if (call == NULL || call->text == NULL || !send_text(x, call->text, &call->sent_bytes))
        return;
    call_destroy(call);
    exchange_end(x);
}

static void gone(struct exchange *x)
{
    if (x->engine_state != NULL)
        call_destroy(x->engine_state);
}

/* Who answers what rules do not. */
static const struct exchange_engine documents_engine = {begin, body, body_end, writable, gone};

static void begin_guarded(void *engine, struct exchange *x)
{
    struct mock_worker *worker = engine;
    const struct mock *mock = worker->mock;

    if (mock->guards_pages) {
        struct http_refusal refusal =
            http_guard_pages(x->request, mock->hosts, mock->host_count, mock->is_local);
        if (refusal.status != 0) {
            refuse(worker, x, NULL, refusal.status, bytes_of_text(refusal.detail));
            return;
        }
    }
    if (mock_admin_is_asked(x->request))
        mock_admin_begin(&worker->admin, x);
    else if (worker->front != NULL)
        front_begin(worker->front, x);
    else
        begin(engine, x);
}

const struct exchange_engine mock_engine = {begin_guarded, body, body_end, writable, gone};

static void append_kept_lines(struct buffer *lines, const struct mock_options *options,
                              struct bytes cors_lines, struct bytes media_line)
{
    buffer_append(lines, cors_lines);
    buffer_append(lines, media_line);
    if (options->max_age_s > 0)
        buffer_append_format(lines, "Cache-Control: max-age=%lld\r\n", (long long)options->max_age_s);
    else
        buffer_append_literal(lines, "Cache-Control: no-cache\r\n");
}

static enum err create_documents(const struct mock_options *options, struct documents **documents,
                                 struct buffer *message)
{
    const struct documents_options wanted = {.compat = options->compat,
                                             .id_name = options->id_name,
                                             .foreign_key_suffix = options->foreign_key_suffix,
                                             .growth_bytes_max = GROWTH_BYTES_MAX,
                                             .progress = options->progress,
                                             .watcher = options->watcher};
    return documents_create(options->document, &wanted, documents, message);
}

/* Appends what the collections of a document begin with. */
static enum err list_collections(struct openapi *openapi, struct buffer *items, struct buffer *message)
{
    enum err err = openapi_state_begin(openapi, items);

    if (err != ERR_MISSING)
        return err;
    buffer_append_literal(message,
                          "nothing in it is a collection, which `stateful` needs: a path whose GET answers "
                          "with an array, and /{id} below it, whose items have an id");
    return ERR_SYNTAX;
}

/* Numbers that are ids stay numbers, as the document has them: json-server 0.17's way. */
static enum err create_openapi(struct mock *mock, const struct mock_options *options,
                               struct buffer *message)
{
    const struct documents_options kept = {.compat = COMPAT_0_17, .growth_bytes_max = GROWTH_BYTES_MAX};
    enum err err = openapi_create(options->document, &options->openapi, &mock->openapi, message);
    struct buffer items = {0};

    mock->is_of_document = true;
    mock->openapi_number = 1;
    mock->openapi_options = options->openapi;
    mock->openapi_options.files = NULL;
    if (err != OK || !options->openapi.is_stateful)
        return err;
    err = list_collections(mock->openapi, &items, message);
    if (err == OK)
        err = documents_create(buffer_bytes(&items), &kept, &mock->documents, message);
    buffer_fini(&items);
    return err;
}

static void on_change(struct documents_observer *observer, const struct documents_change *change)
{
    static const char *const kinds[] = {[CHANGE_INSERT] = "insert",
                                        [CHANGE_REPLACE] = "replace",
                                        [CHANGE_REMOVE] = "remove",
                                        [CHANGE_RELOAD] = "reload"};
    struct mock *mock = CONTAINER_OF(observer, struct mock, observer);

    front_publish(mock->front, kinds[change->kind], change->number, change->name, change->id,
                  change->text != NULL ? text_bytes(change->text) : (struct bytes){0});
}

/* The file was read anew: that is what to begin with from here on. */
static void on_reread(void *context)
{
    const struct mock *mock = context;
    snapshots_take_start(mock->snapshots, clock_read(&clock_system).wall_ms);
}

/* Begins to keep the documents, and what they were at the start. */
static enum err keep_documents(struct mock *mock, const struct mock_options *options)
{
    enum err err = OK;

    mock->snapshots = snapshots_create(mock->documents);
    mock->errands = errands_create();
    if (mock->snapshots == NULL || mock->errands == NULL)
        return ERR_NO_MEMORY;
    if (options->keep != NULL && !mock->is_of_document) { /* never over a document that describes */
        struct keep_options keep = *options->keep;
        keep.was_reread = on_reread;
        keep.mock = mock;
        err = keep_begin(mock->documents, &keep, &mock->keep);
    }
    if (err == OK && options->document.size <= SNAPSHOT_START_BYTES_MAX)
        err = snapshots_take_start(mock->snapshots, clock_read(&clock_system).wall_ms);
    return err == ERR_FULL ? OK : err; /* too large to be kept twice */
}

enum err mock_create(const struct mock_options *options, struct mock **mock, struct buffer *message)
{
    struct mock *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&made->openapi_lock, NULL);
    made->latency_ms = options->latency_ms;
    made->is_read_only = options->is_read_only;
    made->codes = options->codes;
    made->guards_pages = options->omits_cors;
    made->is_local = options->is_local;
    if (options->host_count > 0) {
        made->hosts = calloc(options->host_count, sizeof *made->hosts);
        if (made->hosts == NULL) {
            pthread_mutex_destroy(&made->openapi_lock);
            free(made);
            return ERR_NO_MEMORY;
        }
        memcpy(made->hosts, options->hosts, options->host_count * sizeof *made->hosts);
        made->host_count = options->host_count;
    }
    if (!options->omits_cors)
        made->cors_lines = BYTES("Access-Control-Allow-Origin: *\r\n");
    buffer_append(&made->other_lines, made->cors_lines);
    buffer_append_literal(&made->other_lines, "Cache-Control: no-cache\r\n");
    append_kept_lines(&made->kept_lines, options, made->cors_lines, (struct bytes){0});
    append_kept_lines(&made->read_lines, options, made->cors_lines,
                      BYTES("Content-Type: application/json\r\n"));
    if (made->codes) {
        buffer_append_literal(&made->other_lines, "Vary: Accept-Encoding\r\n");
        buffer_append_literal(&made->kept_lines, "Vary: Accept-Encoding\r\n");
        buffer_append_literal(&made->read_lines, "Vary: Accept-Encoding\r\n");
    }
    if (made->other_lines.failed || made->kept_lines.failed || made->read_lines.failed)
        err = ERR_NO_MEMORY;
    else if (openapi_is_one(options->document))
        err = create_openapi(made, options, message);
    else
        err = create_documents(options, &made->documents, message);
    if (err == OK && options->rewrite.size > 0) {
        buffer_append_literal(message, "routes: ");
        err = rewrite_create(options->rewrite, &made->rewrite, message);
    }
    if (err == OK && options->static_path != NULL) {
        err = folder_open(options->static_path, &made->folder);
        made->has_folder = err == OK;
        if (err != OK)
            buffer_append_format(message, "static: %s is no folder to serve: %s", options->static_path,
                                 err_text(err));
    }
    if (err == OK && made->documents != NULL)
        err = keep_documents(made, options);
    if (err == OK && options->rules != NULL)
        err = front_create(&(struct front_options){.rules = options->rules,
                                                   .seed = options->seed,
                                                   .cors_lines = made->cors_lines,
                                                   .journal_entries_max = options->journal_entries_max,
                                                   .journal_shows_secrets = options->journal_shows_secrets,
                                                   .admin_token = options->admin_token,
                                                   .next = &documents_engine},
                           &made->front);
    if (err == OK && made->front != NULL && made->documents != NULL) {
        made->observer.changed = on_change;
        documents_subscribe(made->documents, &made->observer);
        made->is_observing = true;
    }
    made->admin = (struct mock_admin){made->snapshots, made->front, made->errands, options->admin_token};
    if (err != OK) {
        mock_destroy(made);
        return err;
    }
    *mock = made;
    return OK;
}

void mock_destroy(struct mock *mock)
{
    if (mock == NULL)
        return;
    for (size_t i = 0; i < WATCHERS_MAX; i++)
        watcher_destroy(mock->watchers[i]);
    errands_destroy(mock->errands);
    if (mock->is_observing)
        documents_unsubscribe(mock->documents, &mock->observer);
    front_destroy(mock->front);
    keep_end(mock->keep);
    snapshots_destroy(mock->snapshots);
    documents_destroy(mock->documents);
    openapi_release(mock->openapi);
    pthread_mutex_destroy(&mock->openapi_lock);
    rewrite_destroy(mock->rewrite);
    if (mock->has_folder)
        folder_close(&mock->folder);
    buffer_fini(&mock->kept_lines);
    buffer_fini(&mock->read_lines);
    buffer_fini(&mock->other_lines);
    free(mock->hosts);
    free(mock);
}

/* ---- files that change --------------------------------------------------------------------------- */

enum err mock_watch(struct mock *mock, const struct watcher_options *options)
{
    struct watcher **place = &mock->watchers[mock->watchers[0] != NULL];
    struct watcher_options watched = *options;

    watched.subject = mock;
    return watcher_create(&watched, place);
}

bool mock_is_of_document(const struct mock *mock) { return mock->is_of_document; }

enum err mock_replace_rules(struct mock *mock, struct rules *rules)
{
    return front_replace_rules(mock->front, rules);
}

enum err mock_replace_document(struct mock *mock, struct bytes text, struct buffer *files,
                               struct buffer *message)
{
    struct openapi_options options = mock->openapi_options;
    struct openapi *made = NULL, *old;
    struct buffer items = {0};
    enum err err = ERR_SYNTAX;

    options.files = files;
    if (openapi_is_one(text))
        err = openapi_create(text, &options, &made, message);
    else
        buffer_append_literal(message, "it is no OpenAPI document any more: it has no member `openapi`");
    if (err == OK && options.is_stateful) {
        err = list_collections(made, &items, message);
        if (err == OK)
            err = documents_reload(mock->documents, buffer_bytes(&items), message);
        if (err == OK)
            on_reread(mock);
    }
    if (err == OK) {
        pthread_mutex_lock(&mock->openapi_lock);
        old = mock->openapi;
        mock->openapi = made;
        atomic_fetch_add_explicit(&mock->openapi_number, 1, memory_order_release);
        pthread_mutex_unlock(&mock->openapi_lock);
        made = old;
    }
    openapi_release(made);
    buffer_fini(&items);
    return err;
}

enum err mock_read_data(struct mock *mock, struct text **text)
{
    uint64_t change_number;
    return mock->documents != NULL ? documents_read_all(mock->documents, text, &change_number)
                                   : ERR_MISSING;
}

bool mock_is_of_openapi(struct bytes document) { return openapi_is_one(document); }

uint64_t mock_request_count(struct mock *mock, struct bytes path)
{
    struct locator locator;

    if (path.size == 0)
        return atomic_load_explicit(&mock->request_count, memory_order_relaxed);
    if (mock->documents == NULL)
        return 0;
    return locator_parse(path, &locator) == OK ? documents_request_count(mock->documents, &locator) : 0;
}

enum err mock_worker_create(struct mock *mock, struct loop *loop, struct counters *counters,
                            struct mock_worker **worker)
{
    struct mock_worker *made = malloc(sizeof *made);
    enum err err = OK;

    if (made == NULL)
        return ERR_NO_MEMORY;
    *made = (struct mock_worker){.mock = mock, .loop = loop, .counters = counters};
    mock_admin_worker_init(&made->admin, &mock->admin, loop, counters);
    if (mock->codes && (made->coded_texts = coded_texts_create()) == NULL) {
        free(made);
        return ERR_NO_MEMORY;
    }
    if (mock->front != NULL)
        err = front_worker_create(mock->front, made, loop, counters, &made->front);
    if (err != OK) {
        coded_texts_destroy(made->coded_texts);
        free(made);
        return err;
    }
    *worker = made;
    return OK;
}

void mock_worker_destroy(struct mock_worker *worker)
{
    mock_admin_worker_fini(&worker->admin);
    coded_texts_destroy(worker->coded_texts);
    front_worker_destroy(worker->front);
    openapi_release(worker->openapi);
    free(worker);
}
