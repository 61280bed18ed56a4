/* origin_call.c — one call: libcurl's callbacks on one side, the owner's on the other. */
#include "client/origin_call.h"
#include "client/origin_head.h"
#include "client/origin_request.h"
#include "client/origin_upgrade.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BODY_ROOM_BYTES = 64 * 1024 };

/* ---- deadlines --------------------------------------------------------------------------------- */

static void deadline_fired(struct timer *timer)
{
    origin_call_end(CONTAINER_OF(timer, struct origin_call, deadline), ERR_TIMEOUT);
}

/* The call ends at `due_ms` (0: never) or when its total time is up, whichever comes first. */
static void set_deadline(struct origin_call *call, int64_t due_ms)
{
    if (due_ms == 0 || (call->total_due_ms != 0 && call->total_due_ms < due_ms))
        due_ms = call->total_due_ms;
    if (due_ms != 0)
        timer_set(call->origin->options.loop, &call->deadline, due_ms);
    else
        timer_cancel(call->origin->options.loop, &call->deadline);
}

/* From now on it is the origin's turn to say something. */
static void await_head(struct origin_call *call)
{
    if (!call->has_head)
        set_deadline(call, loop_now(call->origin->options.loop).mono_ms + call->timeouts.first_byte_ms);
}

/* It is the origin's turn to send more of the body, if that is limited, unless the owner holds it back. */
void origin_call_await_body(struct origin_call *call)
{
    if (call->has_head && !call->has_ended && call->silence_ms != 0)
        set_deadline(call,
                     call->held ? 0 : loop_now(call->origin->options.loop).mono_ms + call->silence_ms);
}

/* Has libcurl go on with the call soon. */
void origin_call_touch(struct origin_call *call)
{
    if (list_is_empty(&call->in_touched))
        list_append(&call->origin->touched, &call->in_touched);
    origin_want_settle(call->origin);
}

/* ---- what libcurl tells us --------------------------------------------------------------------- */

/* Ours, because libcurl forgets why it could not open one, and lets child processes inherit it. */
static curl_socket_t on_socket_wanted(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct origin_call *call = user;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    call->socket_errno = fd < 0 ? errno : 0;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* A connection is there and the request goes out: for the second time if a kept connection turned out to be
 * dead. libcurl would send any request again; we send only those that may be (RFC 9110 §9.2.2). */
static int on_connected(void *user, char *peer, char *self, int peer_port, int self_port)
{
    struct origin_call *call = user;

    (void)peer, (void)self, (void)peer_port, (void)self_port;
    if (call->was_sent && !call->may_be_sent_twice)
        origin_call_end(call, ERR_TRUNCATED);
    if (call->has_ended)
        return CURL_PREREQFUNC_ABORT;
    call->was_sent = true;
    await_head(call);
    return CURL_PREREQFUNC_OK;
}

/* The head in call->head is whole. */
static void take_head(struct origin_call *call)
{
    struct origin_head head;
    enum err err = origin_head_parse(buffer_bytes(&call->head), call->may_be_http2, &head);

    if (err == OK && head.status == 101 &&
        (call->upgrade == NULL || http_fields_find(&head.fields, HTTP_HEADER_UPGRADE) == NULL))
        err = ERR_SYNTAX; /* we did not ask for another protocol, or are not told which */
    if (err != OK) {
        origin_call_end(call, err);
    } else if (head.status < 200 && head.status != 101) {
        if (head.status != 100)
            call->callbacks.interim(call->owner, head.status, &head.fields);
        buffer_clear(&call->head);
    } else {
        call->has_head = true;
        call->is_http2 = head.is_http2;
        if (call->upgrade != NULL)
            origin_upgrade_note_head(call, &head);
        set_deadline(call, 0);
        call->callbacks.head(call->owner, head.status, head.reason, &head.fields, head.body_bytes);
        buffer_fini(&call->head);
        if (call->body_paused)
            origin_call_touch(
                call); /* an answer before the body's end may mean that the rest need not be sent */
    }
}

bool origin_call_take_line(struct origin_call *call, struct bytes line)
{
    if (call->has_ended)
        return false;
    call->head_bytes += line.size;
    if (call->head_bytes > ORIGIN_HEAD_BYTES_MAX) {
        origin_call_end(call, ERR_TOO_LARGE);
        return false;
    }
    if (call->has_head)
        return true;
    buffer_append(&call->head, line);
    if (call->head.failed)
        origin_call_end(call, ERR_NO_MEMORY);
    else if (line.size > 0 && (line.data[0] == '\r' || line.data[0] == '\n')) /* libcurl's empty line */
        take_head(call);
    return !call->has_ended;
}

/* One line of a head, or after the body of the trailers. */
static size_t on_header(char *data, size_t one, size_t size, void *user)
{
    (void)one;
    return origin_call_take_line(user, bytes_of(data, size)) ? size : 0;
}

static void set_response_paused(struct origin_call *call, bool is_paused)
{
    if (call->is_http2 && is_paused && !call->response_paused)
        call->origin->http2_held_count++;
    if (call->is_http2 && !is_paused && call->response_paused)
        call->origin->http2_held_count--;
    call->response_paused = is_paused;
}

/* libcurl keeps a piece that is answered with PAUSE and brings it again. In HTTP/2 it keeps also what else
 * the origin sends until it has heard of it, which may be much: see origin.h. */
static size_t on_body(char *data, size_t one, size_t size, void *user)
{
    struct origin_call *call = user;

    (void)one;
    if (call->has_ended)
        return 0;
    if (call->held) {
        if (call->is_http2 && !call->response_paused &&
            call->origin->http2_held_count >= call->origin->options.http2_held_max) {
            origin_call_end(call, ERR_FULL);
            return 0;
        }
        set_response_paused(call, true);
        return CURL_WRITEFUNC_PAUSE;
    }
    call->callbacks.body(call->owner, bytes_of(data, size));
    origin_call_await_body(call);
    return call->has_ended ? 0 : size;
}

void origin_call_want_body(struct origin_call *call)
{
    if (call->has_ended || call->body.size > 0 || call->has_whole_body || call->body_asked)
        return;
    call->body_asked = true;
    call->callbacks.want_body(call->owner, BODY_ROOM_BYTES);
}

/* Moves up to `room` bytes of the request's body to `data`. */
static size_t on_body_wanted(char *data, size_t one, size_t room, void *user)
{
    struct origin_call *call = user;
    size_t taken_bytes;

    (void)one;
    origin_call_want_body(call);
    if (call->has_ended)
        return CURL_READFUNC_ABORT;
    if (call->body.size == 0 && !call->has_whole_body) {
        call->body_paused = true;
        set_deadline(call, 0); /* the origin cannot be blamed for what it has not got */
        return CURL_READFUNC_PAUSE;
    }
    taken_bytes = call->body.size < room ? call->body.size : room;
    if (taken_bytes > 0)
        memcpy(data, call->body.data, taken_bytes);
    buffer_consume(&call->body, taken_bytes);
    if (call->has_whole_body && call->body.size == 0)
        buffer_fini(&call->body);
    await_head(call);
    return taken_bytes;
}

/* ---- what the owner tells us ------------------------------------------------------------------- */

/* More or less than was declared would be taken for the start or the rest of another request. */
static bool fits(const struct origin_call *call, struct bytes bytes, bool last)
{
    if (call->has_whole_body)
        return bytes.size == 0;
    if (call->body_left_bytes == HTTP_BODY_UNKNOWN)
        return true;
    return bytes.size <= (uint64_t)call->body_left_bytes &&
           (!last || bytes.size == (uint64_t)call->body_left_bytes);
}

void origin_send_body(struct origin_call *call, struct bytes bytes, bool last)
{
    if (call->has_ended)
        return;
    if (!fits(call, bytes, last)) {
        origin_call_end(call, ERR_TRUNCATED);
        return;
    }
    buffer_append(&call->body, bytes);
    if (call->body.failed) {
        origin_call_end(call, ERR_NO_MEMORY);
        return;
    }
    if (call->body_left_bytes > 0)
        call->body_left_bytes -= (int64_t)bytes.size;
    if (last || call->body_left_bytes == 0)
        call->has_whole_body = true;
    if (bytes.size > 0)
        call->body_asked = false;
    if (call->body_paused && (bytes.size > 0 || call->has_whole_body))
        origin_call_touch(call);
}

void origin_limit_silence(struct origin_call *call, int64_t silence_ms)
{
    call->silence_ms = silence_ms;
    origin_call_await_body(call);
}

void origin_pause(struct origin_call *call)
{
    call->held = true;
    origin_call_await_body(call);
}

void origin_resume(struct origin_call *call)
{
    call->held = false;
    origin_call_await_body(call);
    if (call->response_paused)
        origin_call_touch(call);
}

void origin_call_attend(struct origin_call *call)
{
    bool stays_held = call->held && call->response_paused;
    CURLcode code;

    if (call->upgrade != NULL) {
        origin_upgrade_attend(call);
        return;
    }
    /* Cleared first: libcurl may call us back at once, and find that nothing has changed. */
    set_response_paused(call, stays_held);
    call->body_paused = false;
    code = curl_easy_pause(call->easy, stays_held ? CURLPAUSE_RECV : 0);
    if (code != CURLE_OK)
        origin_call_end(call, origin_call_error(call, code));
}

enum origin_reach origin_reach(const struct origin_call *call)
{
    if (call->head_bytes > 0)
        return ORIGIN_HEARD;
    if (call->was_sent)
        return ORIGIN_SENT;
    return call->is_running ? ORIGIN_CONNECTING : ORIGIN_WAITING;
}

/* ---- beginning and end ------------------------------------------------------------------------- */

static bool is_idempotent(enum http_method method)
{
    return http_method_is_safe(method) || method == HTTP_METHOD_PUT || method == HTTP_METHOD_DELETE;
}

static void set_options(struct origin_call *call)
{
    CURL *easy = call->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket_wanted);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_body_wanted);
    curl_easy_setopt(easy, CURLOPT_READDATA, call);

    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)call->timeouts.connect_ms);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    /* Names are looked up on a thread: no signals, and no waiting for it when a call is given up. */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

/* What is in the file may change: libcurl, which would remember it for a day, is to look again. */
static bool set_authorities(const struct origin_call *call)
{
    enum { REMEMBERED_S = 60 };
    const char *path = call->origin->options.authorities_path;

    if (path == NULL)
        return true;
    curl_easy_setopt(call->easy, CURLOPT_CA_CACHE_TIMEOUT, (long)REMEMBERED_S);
    curl_easy_setopt(call->easy, CURLOPT_CAPATH, NULL); /* the system's do not count beside them */
    return curl_easy_setopt(call->easy, CURLOPT_CAINFO, path) == CURLE_OK;
}

/* Without TLS libcurl before 8 cannot use an HTTP/2 connection twice: each call gets one of its own. */
static bool may_share_connection(bool is_tls)
{
    return is_tls || curl_version_info(CURLVERSION_NOW)->version_num >= 0x080000;
}

/* Offers HTTP/2 with TLS (ALPN), begins with it without. ERR_SYSTEM: this libcurl knows none. */
static enum err offer_http2(struct origin_call *call, struct bytes url)
{
    bool is_tls = url.size > 5 && bytes_equal_nocase(bytes_first(url, 6), BYTES("https:"));
    long version = is_tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;

    if (curl_easy_setopt(call->easy, CURLOPT_HTTP_VERSION, version) != CURLE_OK)
        return ERR_SYSTEM;
    if (may_share_connection(is_tls)) {
        /* Rather wait for a connection that is being made than make another. */
        curl_easy_setopt(call->easy, CURLOPT_PIPEWAIT, 1L);
    } else {
        curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(call->easy, CURLOPT_FORBID_REUSE, 1L);
    }
    call->may_be_http2 = true;
    return OK;
}

enum err origin_call_create(struct origin *origin, const struct origin_request *request,
                            struct origin_call **call)
{
    struct origin_call *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->origin = origin;
    made->timeouts = request->timeouts;
    list_init(&made->in_origin);
    list_init(&made->in_touched);
    timer_init(&made->deadline, deadline_fired);
    made->body_left_bytes = request->body_bytes;
    made->has_whole_body = request->body_bytes == HTTP_BODY_NONE;
    made->may_be_sent_twice = is_idempotent(http_method_find(request->method));
    made->easy = curl_easy_init();
    if (made->easy == NULL) {
        err = ERR_NO_MEMORY;
        goto destroy;
    }
    set_options(made);
    if (!set_authorities(made)) {
        err = ERR_NO_MEMORY;
        goto destroy;
    }
    err = origin_request_apply(request, made->easy, &made->field_lines);
    if (err == OK && request->upgrade.size > 0)
        err = origin_upgrade_create(made, request);
    else if (err == OK && origin->options.offers_http2)
        err = offer_http2(made, request->url);
    if (err != OK)
        goto destroy;
    if (made->timeouts.total_ms > 0)
        made->total_due_ms = loop_now(origin->options.loop).mono_ms + made->timeouts.total_ms;
    /* A place must come free, and the connection stand, before anybody would have given up on the answer.
     */
    set_deadline(made, loop_now(origin->options.loop).mono_ms + made->timeouts.connect_ms +
                           made->timeouts.first_byte_ms);
    *call = made;
    return OK;

destroy:
    origin_call_destroy(made);
    return err;
}

void origin_call_destroy(struct origin_call *call)
{
    list_remove(&call->in_origin);
    list_remove(&call->in_touched);
    /* libcurl 7.88 never frees what it keeps back of a response if others use the connection: it gets rid
     * of it here, on_body taking nothing. */
    call->has_ended = true;
    if (call->is_running && call->is_http2 && call->response_paused)
        curl_easy_pause(call->easy, CURLPAUSE_CONT);
    set_response_paused(call, false);
    timer_cancel(call->origin->options.loop, &call->deadline);
    origin_upgrade_destroy(call); /* before libcurl closes its socket */
    if (call->is_running)
        curl_multi_remove_handle(call->origin->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->field_lines);
    buffer_fini(&call->body);
    buffer_fini(&call->head);
    free(call);
}

/* The last attempt failed with errno `number`. */
static enum err connect_error(long number)
{
    switch (number) {
    case ECONNREFUSED: return ERR_REFUSED;
    case ETIMEDOUT: return ERR_TIMEOUT;
    case EMFILE:
    case ENFILE: return ERR_NO_DESCRIPTOR;
    case EADDRNOTAVAIL: return ERR_ADDRESS_IN_USE; /* all of our own ports are */
    default: return ERR_UNREACHABLE;
    }
}

enum err origin_call_error(const struct origin_call *call, CURLcode code)
{
    long number = 0;

    switch (code) { /* the default: most codes are of protocols other than HTTP */
    case CURLE_OK:
        return call->has_head ? OK : ERR_TRUNCATED; /* it takes the end of half a head for success */
    case CURLE_COULDNT_RESOLVE_HOST: return ERR_UNREACHABLE;
    case CURLE_COULDNT_CONNECT:
        curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
        return connect_error(call->socket_errno != 0 ? call->socket_errno : number);
    case CURLE_OPERATION_TIMEDOUT: return ERR_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_INITFAILED: return ERR_TLS;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:        /* the server goes away, or its frames are none */
    case CURLE_HTTP2_STREAM: /* reset */
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND: return ERR_TRUNCATED;
    case CURLE_UNSUPPORTED_PROTOCOL: /* no status line: HTTP/0.9 */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING: return ERR_SYNTAX;
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE: return ERR_TOO_LARGE;
#endif
    case CURLE_OUT_OF_MEMORY: /* also what libcurl before 8.6 says of a field line longer than it keeps */
        return call->was_sent && !call->has_head ? ERR_TOO_LARGE : ERR_NO_MEMORY;
    default: return ERR_SYSTEM;
    }
}
