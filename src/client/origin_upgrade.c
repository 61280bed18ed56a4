/* origin_upgrade.c — see origin_upgrade.h. */
#include "client/origin_upgrade.h"
#include "base/compiler.h"
#include "client/origin_request.h"
#include "protocol/http/http1.h"
#include <stdlib.h>
#include <sys/socket.h>

enum {
    PIECE_BYTES = 16 * 1024,
    PIECES_PER_TURN = 16, /* then others have their turn */
};

enum what_follows { FOLLOWS_HEAD, FOLLOWS_BODY, FOLLOWS_UNTIL_END, FOLLOWS_PROTOCOL };

struct origin_upgrade {
    struct origin_call *call;
    struct watch watch; /* while has_socket */
    bool has_socket;
    bool is_tls;
    bool has_shut; /* we said that no more will come from us */
    enum what_follows follows;
    struct buffer request;  /* of its head, what has still to be sent */
    struct buffer line;     /* of the response's head, one that is not whole */
    struct http1_body body; /* the response's, while FOLLOWS_BODY */
};

/* ---- the response -------------------------------------------------------------------------------- */

void origin_upgrade_note_head(struct origin_call *call, const struct origin_head *head)
{
    struct origin_upgrade *upgrade = call->upgrade;

    if (head->status == 101) {
        upgrade->follows = FOLLOWS_PROTOCOL;
        call->has_whole_body = false;
        call->body_left_bytes = HTTP_BODY_UNKNOWN;
        call->total_due_ms = 0; /* that was for an answer */
        return;
    }
    upgrade->follows =
        head->body_bytes == HTTP_BODY_UNKNOWN && !head->is_chunked ? FOLLOWS_UNTIL_END : FOLLOWS_BODY;
    http1_body_init(&upgrade->body, head->body_bytes);
}

/* Takes lines off the front of `input` until the head is whole. Returns what is left. */
static struct bytes take_head(struct origin_upgrade *upgrade, struct bytes input)
{
    while (input.size > 0 && upgrade->follows == FOLLOWS_HEAD && !upgrade->call->has_ended) {
        const char *end = memchr(input.data, '\n', input.size);
        size_t size = end != NULL ? (size_t)(end - input.data) + 1 : input.size;

        buffer_append(&upgrade->line, bytes_first(input, size));
        input = bytes_after(input, size);
        if (upgrade->line.failed)
            origin_call_end(upgrade->call, ERR_NO_MEMORY);
        else if (end != NULL)
            origin_call_take_line(upgrade->call, buffer_bytes(&upgrade->line));
        else if (upgrade->line.size > ORIGIN_HEAD_BYTES_MAX)
            origin_call_end(upgrade->call, ERR_TOO_LARGE);
        if (end != NULL)
            buffer_clear(&upgrade->line);
    }
    return input;
}

static void take_body(struct origin_upgrade *upgrade, struct bytes input)
{
    struct origin_call *call = upgrade->call;

    while (!call->has_ended && !http1_body_is_done(&upgrade->body)) {
        struct bytes data = {NULL, 0};
        size_t consumed = 0;
        int status;

        if (http1_body_read(&upgrade->body, input, &data, &consumed, &status) == HTTP1_BAD) {
            origin_call_end(call, ERR_SYNTAX);
            return;
        }
        input = bytes_after(input, consumed);
        if (data.size > 0)
            call->callbacks.body(call->owner, data);
        else if (consumed == 0)
            return;
    }
    origin_call_end(call, OK);
}

static void take(struct origin_upgrade *upgrade, struct bytes input)
{
    struct origin_call *call = upgrade->call;

    if (upgrade->follows == FOLLOWS_HEAD)
        input = take_head(upgrade, input);
    if (call->has_ended)
        return;
    switch (upgrade->follows) {
    case FOLLOWS_HEAD: return;
    case FOLLOWS_BODY: take_body(upgrade, input); return;
    case FOLLOWS_UNTIL_END:
    case FOLLOWS_PROTOCOL:
        if (input.size > 0)
            call->callbacks.body(call->owner, input);
        return;
    }
    UNREACHABLE();
}

/* The server will send no more. */
static void take_end(struct origin_upgrade *upgrade)
{
    switch (upgrade->follows) {
    case FOLLOWS_HEAD:
    case FOLLOWS_BODY: origin_call_end(upgrade->call, ERR_TRUNCATED); return;
    case FOLLOWS_UNTIL_END:
    case FOLLOWS_PROTOCOL: origin_call_end(upgrade->call, OK); return;
    }
    UNREACHABLE();
}

/* ---- the connection ------------------------------------------------------------------------------ */

static void receive(struct origin_upgrade *upgrade)
{
    struct origin_call *call = upgrade->call;
    char piece[PIECE_BYTES];

    for (int i = 0; i < PIECES_PER_TURN; i++) {
        size_t size = 0;
        CURLcode code;

        if (call->held) {
            call->response_paused = true;
            return;
        }
        code = curl_easy_recv(call->easy, piece, sizeof piece, &size);
        if (code == CURLE_AGAIN)
            return;
        if (code != CURLE_OK) {
            origin_call_end(call, origin_call_error(call, code));
            return;
        }
        if (size == 0) {
            take_end(upgrade);
            return;
        }
        take(upgrade, bytes_of(piece, size));
        if (call->has_ended)
            return;
        origin_call_await_body(call);
    }
    origin_call_touch(call); /* TLS may hold bytes that no event will announce */
}

/* Sends what there is of `bytes`; false if some is left, or the call has ended. */
static bool send_all(struct origin_upgrade *upgrade, struct buffer *bytes)
{
    struct origin_call *call = upgrade->call;

    while (bytes->size > 0) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(call->easy, bytes->data, bytes->size, &sent);

        if (code == CURLE_AGAIN || (code == CURLE_OK && sent == 0))
            return false;
        if (code != CURLE_OK) {
            origin_call_end(call, origin_call_error(call, code));
            return false;
        }
        buffer_consume(bytes, sent);
    }
    buffer_fini(bytes);
    return true;
}

/* The owner has no more to say. In TLS there is no telling that and going on to listen. */
static void shut(struct origin_upgrade *upgrade)
{
    if (upgrade->has_shut)
        return;
    upgrade->has_shut = true;
    if (upgrade->is_tls || shutdown(upgrade->watch.fd, SHUT_WR) < 0)
        origin_call_end(upgrade->call, OK);
}

static void transmit(struct origin_upgrade *upgrade)
{
    struct origin_call *call = upgrade->call;

    if (!send_all(upgrade, &upgrade->request) || upgrade->follows != FOLLOWS_PROTOCOL || upgrade->has_shut)
        return;
    while (!call->has_ended && send_all(upgrade, &call->body)) {
        if (call->has_whole_body) {
            shut(upgrade);
            return;
        }
        origin_call_want_body(call);
        call->body_paused = call->body.size == 0 && !call->has_whole_body;
        if (call->body_paused)
            return;
    }
}

static void go_on(struct origin_upgrade *upgrade)
{
    struct origin_call *call = upgrade->call;
    int events = 0;

    if (!call->has_ended)
        receive(upgrade);
    if (!call->has_ended)
        transmit(upgrade);
    if (!call->has_ended && !call->held)
        events |= WATCH_READABLE;
    if (!call->has_ended && upgrade->request.size + call->body.size > 0)
        events |= WATCH_WRITABLE;
    watch_set(&upgrade->watch, events);
}

static void socket_ready(struct watch *watch, int events)
{
    struct origin_upgrade *upgrade = CONTAINER_OF(watch, struct origin_upgrade, watch);

    (void)events; /* an error is met again when sending or receiving */
    go_on(upgrade);
}

void origin_upgrade_attend(struct origin_call *call)
{
    if (!call->upgrade->has_socket)
        return;
    call->response_paused = call->body_paused = false;
    go_on(call->upgrade);
}

void origin_upgrade_begin(struct origin_call *call)
{
    struct origin_upgrade *upgrade = call->upgrade;
    curl_socket_t fd = CURL_SOCKET_BAD;
    const char *scheme = NULL;

    if (call->has_ended)
        return;
    curl_easy_getinfo(call->easy, CURLINFO_ACTIVESOCKET, &fd);
    curl_easy_getinfo(call->easy, CURLINFO_SCHEME, &scheme);
    if (fd == CURL_SOCKET_BAD) {
        origin_call_end(call, ERR_TRUNCATED);
        return;
    }
    upgrade->is_tls = scheme == NULL || (scheme[4] != '\0'); /* "http" or "https", in whichever case */
    upgrade->has_socket = call->was_sent = true;
    watch_init(call->origin->options.loop, &upgrade->watch, fd, socket_ready);
    go_on(upgrade);
}

/* ---- beginning and end --------------------------------------------------------------------------- */

enum err origin_upgrade_create(struct origin_call *call, const struct origin_request *request)
{
    call->upgrade = calloc(1, sizeof *call->upgrade);
    if (call->upgrade == NULL)
        return ERR_NO_MEMORY;
    call->upgrade->call = call;
    curl_easy_setopt(call->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L);
    return origin_request_render_upgrade(request, &call->upgrade->request);
}

void origin_upgrade_destroy(struct origin_call *call)
{
    struct origin_upgrade *upgrade = call->upgrade;

    if (upgrade == NULL)
        return;
    if (upgrade->has_socket)
        watch_set(&upgrade->watch, 0);
    buffer_fini(&upgrade->request);
    buffer_fini(&upgrade->line);
    free(upgrade);
    call->upgrade = NULL;
}
