/* origin.c — libcurl's multi interface on our loop: sockets, time, and who is next. */
#include "client/origin.h"
#include "base/compiler.h"
#include "client/origin_call.h"
#include "client/origin_upgrade.h"
#include <assert.h>
#include <stdlib.h>

/* A time that has passed: the loop fires a timer that is due then in its next turn. */
enum { LONG_AGO_MS = 1 };

void origin_want_settle(struct origin *origin)
{
    if (!timer_is_set(&origin->settle_timer))
        timer_set(origin->options.loop, &origin->settle_timer, LONG_AGO_MS);
}

void origin_call_end(struct origin_call *call, enum err verdict)
{
    if (call->has_ended)
        return;
    call->has_ended = true;
    call->verdict = verdict;
    list_remove(&call->in_origin);
    list_append(&call->origin->ended, &call->in_origin);
    origin_want_settle(call->origin);
}

/* ---- settling ---------------------------------------------------------------------------------- */

static void note_those_that_curl_ended(struct origin *origin)
{
    const CURLMsg *message;
    int left_count;

    while ((message = curl_multi_info_read(origin->multi, &left_count)) != NULL) {
        struct origin_call *call = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        if (call->upgrade != NULL && message->data.result == CURLE_OK)
            origin_upgrade_begin(call); /* it is connected, and libcurl leaves the rest to us */
        else
            origin_call_end(call, origin_call_error(call, message->data.result));
    }
}

static void attend_those_touched(struct origin *origin)
{
    while (!list_is_empty(&origin->touched)) {
        struct origin_call *call = CONTAINER_OF(origin->touched.next, struct origin_call, in_touched);
        list_remove(&call->in_touched);
        if (call->is_running && !call->has_ended)
            origin_call_attend(call);
    }
}

/* Frees the calls that have ended and tells their owners, who may start and cancel others meanwhile. */
static void bury_those_that_ended(struct origin *origin)
{
    while (!list_is_empty(&origin->ended)) {
        struct origin_call *call = CONTAINER_OF(origin->ended.next, struct origin_call, in_origin);
        struct origin_callbacks callbacks = call->callbacks;
        void *owner = call->owner;
        enum err verdict = call->verdict;
        enum origin_reach reach = origin_reach(call);
        bool is_cancelled = call->is_cancelled;

        if (call->is_running)
            origin->running_count--;
        origin_call_destroy(call);
        if (!is_cancelled) {
            origin->call_count--;
            callbacks.done(owner, verdict, reach);
        }
    }
}

static void begin_those_that_wait(struct origin *origin)
{
    while (!list_is_empty(&origin->waiting) && origin->running_count < origin->options.connections_max) {
        struct origin_call *call = CONTAINER_OF(origin->waiting.next, struct origin_call, in_origin);
        if (curl_multi_add_handle(origin->multi, call->easy) != CURLM_OK) {
            origin_call_end(call, ERR_NO_MEMORY);
            continue;
        }
        list_remove(&call->in_origin);
        list_append(&origin->running, &call->in_origin);
        call->is_running = true;
        origin->running_count++;
    }
}

static void settle(struct origin *origin)
{
    note_those_that_curl_ended(origin);
    attend_those_touched(origin);
    bury_those_that_ended(origin);
    begin_those_that_wait(origin);
}

static void settle_fired(struct timer *timer) { settle(CONTAINER_OF(timer, struct origin, settle_timer)); }

/* ---- libcurl's sockets and time ---------------------------------------------------------------- */

struct origin_socket {
    struct watch watch;
    struct origin *origin;
};

/* libcurl ran out of memory midway: there may be a connection that it waits for and has asked nobody to
 * watch. All get another chance; if that fails, too, none would ever end by itself. */
static void look_at_all(struct origin *origin)
{
    int running_count;

    if (curl_multi_perform(origin->multi, &running_count) == CURLM_OK)
        return;
    while (!list_is_empty(&origin->running))
        origin_call_end(CONTAINER_OF(origin->running.next, struct origin_call, in_origin), ERR_NO_MEMORY);
}

static void drive(struct origin *origin, curl_socket_t fd, int what)
{
    int running_count;
    CURLMcode code = curl_multi_socket_action(origin->multi, fd, what, &running_count);

    if (UNLIKELY(code != CURLM_OK && code != CURLM_BAD_SOCKET))
        look_at_all(origin);
    settle(origin);
}

static void socket_ready(struct watch *watch, int events)
{
    struct origin_socket *socket = CONTAINER_OF(watch, struct origin_socket, watch);
    int what = 0;

    if (events & WATCH_READABLE)
        what |= CURL_CSELECT_IN;
    if (events & WATCH_WRITABLE)
        what |= CURL_CSELECT_OUT;
    if (events & WATCH_ERROR)
        what |= CURL_CSELECT_ERR;
    drive(socket->origin, watch->fd, what);
}

/* Nobody will hear of its socket. */
static void fail_call_of(CURL *easy)
{
    struct origin_call *call = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
    if (call != NULL)
        origin_call_end(call, ERR_NO_MEMORY);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *of_socket)
{
    struct origin *origin = user;
    struct origin_socket *socket = of_socket;
    int events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL) {
            watch_set(&socket->watch, 0);
            curl_multi_assign(origin->multi, fd, NULL);
            free(socket);
        }
        return 0;
    }
    if (socket == NULL) {
        socket = calloc(1, sizeof *socket);
        if (socket == NULL) {
            fail_call_of(easy);
            return 0; /* anything else would end all calls there are */
        }
        socket->origin = origin;
        watch_init(origin->options.loop, &socket->watch, fd, socket_ready);
        curl_multi_assign(origin->multi, fd, socket);
    }
    if (what & CURL_POLL_IN)
        events |= WATCH_READABLE;
    if (what & CURL_POLL_OUT)
        events |= WATCH_WRITABLE;
    watch_set(&socket->watch, events);
    return 0;
}

static void curl_timer_fired(struct timer *timer)
{
    drive(CONTAINER_OF(timer, struct origin, curl_timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer_wanted(CURLM *multi, long wait_ms, void *user)
{
    struct origin *origin = user;
    struct loop *loop = origin->options.loop;

    (void)multi;
    if (wait_ms < 0)
        timer_cancel(loop, &origin->curl_timer);
    else
        timer_set(loop, &origin->curl_timer, wait_ms == 0 ? LONG_AGO_MS : loop_now(loop).mono_ms + wait_ms);
    return 0;
}

/* ---- the functions of origin.h ----------------------------------------------------------------- */

enum err origin_create(const struct origin_options *options, struct origin **origin)
{
    struct origin *made;

    assert(options->connections_max > 0);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ERR_SYSTEM;
    made = calloc(1, sizeof *made);
    if (made == NULL)
        goto cleanup_curl;
    made->multi = curl_multi_init();
    if (made->multi == NULL)
        goto free_made;
    made->options = *options;
    timer_init(&made->curl_timer, curl_timer_fired);
    timer_init(&made->settle_timer, settle_fired);
    list_init(&made->waiting);
    list_init(&made->running);
    list_init(&made->ended);
    list_init(&made->touched);
    curl_multi_setopt(made->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(made->multi, CURLMOPT_SOCKETDATA, made);
    curl_multi_setopt(made->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(made->multi, CURLMOPT_TIMERDATA, made);
    /* Idle ones count too: libcurl closes the oldest of them to make room. */
    curl_multi_setopt(made->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)options->connections_max);
    curl_multi_setopt(made->multi, CURLMOPT_MAXCONNECTS, (long)options->connections_max);
    *origin = made;
    return OK;

free_made:
    free(made);
cleanup_curl:
    curl_global_cleanup();
    return ERR_NO_MEMORY;
}

void origin_destroy(struct origin *origin)
{
    assert(origin->call_count == 0);
    bury_those_that_ended(origin); /* cancelled, so that nobody is told */
    curl_multi_cleanup(origin->multi);
    timer_cancel(origin->options.loop, &origin->curl_timer);
    timer_cancel(origin->options.loop, &origin->settle_timer);
    free(origin);
    curl_global_cleanup();
}

enum err origin_start(struct origin *origin, const struct origin_request *request,
                      const struct origin_callbacks *callbacks, void *owner, struct origin_call **call)
{
    struct origin_call *made;
    enum err err = origin_call_create(origin, request, &made);

    if (err != OK)
        return err;
    made->callbacks = *callbacks;
    made->owner = owner;
    list_append(&origin->waiting, &made->in_origin);
    origin->call_count++;
    origin_want_settle(origin);
    *call = made;
    return OK;
}

void origin_cancel(struct origin_call *call)
{
    call->is_cancelled = true;
    call->origin->call_count--;
    origin_call_end(call, ERR_CANCELLED);
}

size_t origin_call_count(const struct origin *origin) { return origin->call_count; }
