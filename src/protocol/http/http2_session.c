#include "protocol/http/http2_session.h"
#include "protocol/http/http2_state.h"
#include <stdlib.h>

/* Frames of our own making that wait for a client that does not read. */
enum { FRAMES_WAITING_MAX = 500, ACKS_WAITING_MAX = 500 };

static bool make_session(struct http2_session *session)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    bool is_made = false;

    if (http2_make_callbacks(&callbacks) && nghttp2_option_new(&option) == 0) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        nghttp2_option_set_max_outbound_ack(option, ACKS_WAITING_MAX);
        is_made = nghttp2_session_server_new2(&session->nghttp2, callbacks, session, option) == 0;
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return is_made;
}

static bool say_preface(struct http2_session *session)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, session->options.limits->head_bytes_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    return nghttp2_submit_settings(session->nghttp2, NGHTTP2_FLAG_NONE, settings,
                                   sizeof settings / sizeof settings[0]) == 0 &&
           nghttp2_session_set_local_window_size(session->nghttp2, NGHTTP2_FLAG_NONE, 0,
                                                 HTTP2_SESSION_WINDOW_BYTES) == 0;
}

struct http2_session *http2_session_create(const struct http2_options *options)
{
    struct http2_session *session = calloc(1, sizeof *session);

    if (session == NULL)
        return NULL;
    session->options = *options;
    pace_begin(&session->answer_pace, options->write_ms, options->answer_rate);
    list_init(&session->streams);
    list_init(&session->wanting);
    list_init(&session->ready);
    list_init(&session->lent);
    session->idle_since_ms = http2_now(session).mono_ms;
    session->due_ms = session->idle_since_ms + options->idle_ms;
    if (!make_session(session) || !say_preface(session)) {
        nghttp2_session_del(session->nghttp2);
        free(session);
        return NULL;
    }
    return session;
}

void http2_session_destroy(struct http2_session *session)
{
    session->is_over = session->has_failed = true;
    http2_leave_all(session);
    for (struct list *node = session->streams.next, *next; node != &session->streams; node = next) {
        next = node->next;
        http2_stream_destroy(CONTAINER_OF(node, struct http2_stream, in_session));
    }
    nghttp2_session_del(session->nghttp2);
    http2_block_fini(&session->block);
    free(session);
}

enum http2_preface http2_preface_look(struct bytes input)
{
    struct bytes magic = bytes_of(NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);

    if (bytes_start_with(input, magic))
        return HTTP2_PREFACE_WHOLE;
    return input.size < magic.size && bytes_start_with(magic, input) ? HTTP2_PREFACE_PART
                                                                     : HTTP2_PREFACE_NONE;
}

void http2_session_receive(struct http2_session *session, struct bytes input)
{
    ssize_t taken;

    if (session->is_over)
        return;
    session->is_busy = true;
    if (input.size > 0 && !session->has_failed) {
        taken = nghttp2_session_mem_recv(session->nghttp2, (const uint8_t *)input.data, input.size);
        if (taken < 0 && session->too_much == NULL && taken != NGHTTP2_ERR_NOMEM)
            session->too_much =
                nghttp2_strerror((int)taken); /* limits of libnghttp2's own, or no preface */
        if (session->too_much != NULL)
            http2_calm(session);
        else if (taken < 0)
            session->has_failed = true;
        if (session->block_began_ms != 0)
            http2_lower_due(session, session->block_began_ms + session->options.head_ms);
    }
    http2_deliver(session);
    http2_finish(session);
}

bool http2_session_wants_input(const struct http2_session *session)
{
    return !session->is_blocked ||
           nghttp2_session_get_outbound_queue_size(session->nghttp2) < FRAMES_WAITING_MAX;
}

void http2_session_drained(struct http2_session *session)
{
    if (session->is_over)
        return;
    session->is_busy = true;
    http2_finish(session);
}

void http2_session_ended(struct http2_session *session)
{
    if (session->is_over)
        return;
    session->is_busy = true;
    session->peer_ended = session->is_draining = session->has_said_goaway = true;
    for (struct list *node = session->streams.next; node != &session->streams;) {
        struct http2_stream *stream = CONTAINER_OF(node, struct http2_stream, in_session);
        node = node->next;
        if (!stream->is_active || stream->has_all)
            continue;
        http2_stream_leave(stream); /* the request itself is cut short: nobody waits for its answer */
        http2_stream_reset(stream, NGHTTP2_CANCEL);
    }
    http2_finish(session);
}

void http2_session_drain(struct http2_session *session)
{
    if (session->is_over || session->is_draining)
        return;
    session->is_busy = true;
    session->is_draining = true;
    if (session->stream_count > 0) {
        nghttp2_submit_shutdown_notice(session->nghttp2);
        nghttp2_submit_ping(session->nghttp2, NGHTTP2_FLAG_NONE, http2_drain_ping);
    }
    http2_finish(session);
}
