/* conn_cache.c — a connection that speaks RESP or memcached: batches of commands in, outcomes out.
 *
 * Commands that arrived together are parsed first, their keys prefetched, then run one by one: the memory
 * of the next look-up is on its way while the present one is answered. */
#include "engine/kv/kv_admin.h"
#include "net/listen.h"
#include "server/cache_conn.h"
#include "server/detect.h"
#include "server/server.h"
#include <stdlib.h>

/* Whether there is room for one more outcome: a client that asks for much at once and does not read must
 * not fill our memory. Beyond the limit nothing more is said, and the connection will be cut. */
static bool has_room(struct rendering *rendering)
{
    if (LIKELY(rendering->output->size + rendering->beside_bytes <= rendering->bytes_max))
        return true;
    rendering->is_too_large = true;
    return false;
}

uint64_t cache_answer_bytes_max(const struct cache_conn *cache)
{
    const struct conn_limits *limits = cache->conn->worker->limits;

    return cache->session.is_stranger ? limits->stranger_answer_bytes_max : limits->answer_bytes_max;
}

static void say_resp(struct reply *reply, const struct outcome *outcome)
{
    struct rendering *rendering = CONTAINER_OF(reply, struct rendering, reply);
    if (UNLIKELY(outcome->kind == OUTCOME_error))
        kv_note_error(&rendering->conn->worker->kv, outcome->bytes);
    if (has_room(rendering))
        resp_render(rendering->output, *rendering->resp_version, outcome);
}

static void say_memcached(struct reply *reply, const struct outcome *outcome)
{
    struct rendering *rendering = CONTAINER_OF(reply, struct rendering, reply);
    if (has_room(rendering))
        memcached_render(rendering->output, outcome);
}

/* The bytes between what was rendered before and the end of the line. */
static void send_loan(struct rendering *rendering, struct loan *loan)
{
    rendering->beside_bytes += loan->size;
    stream_lend(&rendering->conn->stream, loan);
    buffer_append_literal(rendering->output, "\r\n");
}

static bool may_lend(const struct rendering *rendering)
{
    return rendering->may_lend && stream_may_lend(&rendering->conn->stream);
}

static bool lend_resp(struct reply *reply, const struct outcome *outcome, struct loan *loan)
{
    struct rendering *rendering = CONTAINER_OF(reply, struct rendering, reply);

    (void)outcome; /* always a value: RESP has no items */
    if (!may_lend(rendering) || !has_room(rendering))
        return false;
    resp_render_value_head(rendering->output, loan->size);
    send_loan(rendering, loan);
    return true;
}

static bool lend_memcached(struct reply *reply, const struct outcome *outcome, struct loan *loan)
{
    struct rendering *rendering = CONTAINER_OF(reply, struct rendering, reply);

    if (!may_lend(rendering) || !has_room(rendering))
        return false;
    memcached_render_item_head(rendering->output, &outcome->item, outcome->kind == OUTCOME_item_version,
                               loan->size);
    send_loan(rendering, loan);
    return true;
}

const struct reply cache_resp_reply = {say_resp, lend_resp},
                   cache_memcached_reply = {say_memcached, lend_memcached};

static void say_nothing(struct reply *reply, const struct outcome *outcome)
{
    (void)reply;
    (void)outcome;
}

const struct reply cache_quiet_reply = {say_nothing, NULL};

void cache_cut(struct conn *conn)
{
    log_write_limited(conn->worker->log, LOG_WARNING, LOG_KIND_CAP,
                      "a connection was cut: its answers are larger than a connection may buffer");
    conn->closing = true;
    stream_abort(&conn->stream);
}

static struct reply *push_begin(struct session *session)
{
    struct cache_conn *cache = CONTAINER_OF(session, struct cache_conn, session);
    struct conn *conn = cache->conn;

    if (conn->closing)
        return NULL;
    if (stream_queued_bytes(&conn->stream) > cache_answer_bytes_max(cache)) {
        cache_cut(conn);
        return NULL;
    }
    cache->pushed = (struct rendering){.reply = *cache_reply(cache),
                                       .conn = conn,
                                       .output = stream_output(&conn->stream),
                                       .resp_version = &session->resp_version,
                                       .bytes_max = cache_answer_bytes_max(cache),
                                       .may_lend = true};
    if (UNLIKELY(cache->late.count > 0) && session->resp_version == 2) {
        /* In RESP2 it would be taken for the answer that is late. */
        cache->pushed.output = late_answers_output(&cache->late, cache->pushed.output);
        cache->pushed.beside_bytes = late_answers_said_bytes(&cache->late);
        cache->pushed.may_lend = false;
    }
    return &cache->pushed.reply;
}

/* Redis's two limits of a subscriber that does not read: much at any moment, less for long. */
static bool is_too_far_behind(struct cache_conn *cache)
{
    enum { BEHIND_MS_MAX = 60 * 1000 };
    size_t queued_bytes = stream_queued_bytes(&cache->conn->stream);
    uint64_t bytes_max = cache->conn->worker->limits->pushed_bytes_max;
    int64_t now_ms;

    if (LIKELY(queued_bytes <= bytes_max / 4)) {
        cache->behind_since_ms = 0;
        return false;
    }
    now_ms = loop_now(cache->conn->worker->loop).mono_ms;
    if (cache->behind_since_ms == 0)
        cache->behind_since_ms = now_ms;
    return queued_bytes > bytes_max || now_ms - cache->behind_since_ms > BEHIND_MS_MAX;
}

static void cut_subscriber(struct conn *conn)
{
    log_write_limited(conn->worker->log, LOG_WARNING, LOG_KIND_CAP,
                      "a subscriber was cut: it has not read %zu bytes of what was published to it (see "
                      "--pubsub-output-max)",
                      stream_queued_bytes(&conn->stream));
    counters_add(&conn->worker->counters, METRIC_subscribers_cut, 1);
    conn->closing = true;
    stream_abort(&conn->stream);
}

static void push_end(struct session *session)
{
    struct cache_conn *cache = CONTAINER_OF(session, struct cache_conn, session);

    if (cache->pushed.is_too_large)
        cache_cut(cache->conn);
    else if (UNLIKELY(is_too_far_behind(cache)))
        cut_subscriber(cache->conn);
    else
        conn_update_deadline(cache->conn);
}

void cache_go_on(struct session *session)
{
    struct cache_conn *cache = CONTAINER_OF(session, struct cache_conn, session);

    session->is_held = false;
    timer_cancel(cache->conn->worker->loop, &cache->held);
    cache->conn->active_ms =
        loop_now(cache->conn->worker->loop).mono_ms; /* it was not the client that idled */
    conn_release_input(cache->conn);
}

static void held_long_enough(struct timer *timer)
{
    cache_go_on(&CONTAINER_OF(timer, struct cache_conn, held)->session);
}

/* The next to be parsed is a command before the one where the parser is. */
static void go_back(struct cache_conn *cache)
{
    if (cache->wire == WIRE_RESP) {
        resp_parser_fini(&cache->resp);
        cache->resp = (struct resp_parser){0};
    } else {
        memcached_parser_fini(&cache->memcached);
        cache->memcached = (struct memcached_parser){0};
    }
}

/* The session is held: its input waits, from the held command on. */
static void hold(struct conn *conn, struct cache_conn *cache)
{
    go_back(cache);
    if (conn->worker->draining && cache->late.count == 0) { /* it will not come to run */
        conn_close(conn);
        return;
    }
    conn_hold_input(conn);
    timer_set(conn->worker->loop, &cache->held, cache->session.held_until_ms);
}

static void cut_session(struct session *session)
{
    struct conn *conn = CONTAINER_OF(session, struct cache_conn, session)->conn;

    if (!stream_is_blocked(&conn->stream)) {
        conn_close(conn);
        return;
    }
    conn->closing = true;
    stream_abort(&conn->stream);
}

static struct cache_conn *begin(struct conn *conn, struct bytes input)
{
    struct cache_conn *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        return NULL;
    cache->wire = conn->port->wire != WIRE_DETECT ? conn->port->wire : detect_wire(input);
    cache->session.id = server_next_connection_id(conn->worker->server);
    cache->session.connected_at_ms = conn->opened_ms;
    cache->conn = conn;
    cache->session.resp_version = 2;
    cache->session.push_begin = push_begin;
    cache->session.push_end = push_end;
    cache->session.go_on = cache_go_on;
    cache->session.cut = cut_session;
    cache->session.fd = conn->stream.fd;
    cache->session.is_memcached = cache->wire == WIRE_MEMCACHED;
    timer_init(&cache->held, held_long_enough);
    cache_late_init(cache);
    address_of_peer(conn->stream.fd, cache->session.peer);
    address_of_self(conn->stream.fd, cache->session.local);
    conn->kind_state = cache;
    kv_session_begin(&conn->worker->kv, &cache->session);
    return cache;
}

/* False while the data of a refused memcached command is dropped: that is no line. */
static bool is_at_a_command(const struct cache_conn *cache)
{
    return cache->wire != WIRE_MEMCACHED || cache->memcached.skip_bytes == 0;
}

static enum parse parse(struct conn *conn, struct cache_conn *cache, struct bytes input,
                        struct bytes *arguments, struct command *command, size_t *consumed,
                        struct bytes *error)
{
    const struct conn_limits *limits = conn->worker->limits;
    bool is_stranger = cache->session.is_stranger;

    if (cache->wire == WIRE_RESP)
        return resp_parse(&cache->resp, is_stranger ? &limits->stranger_resp : &limits->resp, input,
                          arguments, WORKER_BATCH_ARGUMENTS, command, consumed, error);
    return memcached_parse(&cache->memcached,
                           is_stranger ? &limits->stranger_memcached : &limits->memcached, input, arguments,
                           WORKER_BATCH_ARGUMENTS, command, consumed, error);
}

static void say_error(struct rendering *rendering, struct cache_conn *cache, struct bytes error)
{
    if (error.size == 0)
        return;
    if (cache->wire == WIRE_RESP) {
        reply_error(&rendering->reply, error);
    } else {
        buffer_append(rendering->output, error);
        buffer_append_literal(rendering->output, "\r\n");
    }
}

/* Runs the worker's commands, `count` of them; returns how many have run. */
static size_t run(struct conn *conn, struct cache_conn *cache, size_t count, struct rendering *rendering)
{
    struct worker *worker = conn->worker;
    struct now now = loop_now(worker->loop);
    const struct reply *reply = cache_reply(cache);
    size_t i;

    if (count > 1)
        kv_prefetch(&worker->kv, &cache->session, worker->commands, count);
    kv_begin(&worker->kv);
    cache->present = rendering;
    cache->session.active_ms = now.mono_ms;
    for (i = 0; i < count && !cache->session.closing && !conn->closing && !rendering->is_too_large; i++) {
        rendering->reply = worker->commands[i].quiet ? cache_quiet_reply : *reply;
        kv_run(&worker->kv, now, &cache->session, &worker->commands[i], &rendering->reply);
        if (UNLIKELY(cache->session.is_held))
            break;
        cache->session.last_command = (uint16_t)worker->commands[i].id;
        if (UNLIKELY(cache->late.alone_count > 0)) {
            i++;
            break;
        }
    }
    cache->present = NULL;
    kv_end(&worker->kv);
    return i;
}

/* Runs the commands in `input`, and says how much of it that was. */
static size_t run_input(struct conn *conn, struct bytes input)
{
    struct worker *worker = conn->worker;
    struct cache_conn *cache = conn->kind_state != NULL ? conn->kind_state : begin(conn, input);
    struct rendering rendering = {.conn = conn};
    size_t offset = 0;

    if (cache == NULL) {
        stream_abort(&conn->stream);
        conn->closing = true;
        return input.size;
    }
    rendering.output = late_answers_output(&cache->late, stream_output(&conn->stream));
    rendering.may_lend = cache->late.count == 0;
    if (UNLIKELY(cache->late.count > 0))
        rendering.beside_bytes = stream_queued_bytes(&conn->stream) + late_answers_said_bytes(&cache->late);
    rendering.resp_version = &cache->session.resp_version;
    while (offset < input.size) {
        struct bytes error = {NULL, 0};
        enum parse result = PARSE_DONE;
        size_t count = 0, run_count;
        size_t starts[WORKER_BATCH_COMMANDS]; /* of the commands in `input` */

        if (UNLIKELY(cache->session.must_wait)) {
            conn_hold_input(conn);
            break;
        }
        if (UNLIKELY(cache_late_is_full(cache))) {
            cache_late_hold(cache);
            break;
        }
        if (stream_queued_bytes(&conn->stream) > worker->limits->output_bytes_max) {
            conn_hold_input(conn); /* the client does not read: its answers must not fill our memory */
            stream_want_drained(&conn->stream);
            break;
        }
        while (count < WORKER_BATCH_COMMANDS && result == PARSE_DONE && offset < input.size) {
            struct bytes rest = bytes_after(input, offset);
            struct command *command = &worker->commands[count];
            size_t consumed = 0;

            /* Cross-protocol scripting: a page that makes a browser post commands here gets nothing. */
            if (UNLIKELY(rest.data[0] != '*') && is_at_a_command(cache) && detect_http_line(rest)) {
                result = PARSE_FATAL;
                error = (struct bytes){NULL, 0};
                conn_note_refusal(conn, BYTES("HTTP on a cache port"));
                break;
            }
            result = parse(conn, cache, rest, worker->arguments[count], command, &consumed, &error);
            if (UNLIKELY(result == PARSE_FATAL && (unsigned char)rest.data[0] == MEMCACHED_BINARY_BYTE &&
                         cache->wire == WIRE_MEMCACHED))
                conn_note_refusal(conn, BYTES("memcached's binary protocol, which is not supported"));
            starts[count] = offset;
            offset += consumed;
            if (result != PARSE_DONE)
                break;
            if (command->argument_count == 0)
                continue;
            count++;
            /* A long command's arguments, and a quoted word's text, are the parser's: good until its next
             * call only. */
            if ((cache->wire == WIRE_RESP ? cache->resp.many : cache->memcached.many) != NULL)
                break;
            if (UNLIKELY(cache->session.is_stranger)) /* it may be none behind this command */
                break;
        }
        rendering.bytes_max = cache_answer_bytes_max(cache);
        run_count = run(conn, cache, count, &rendering);
        if (UNLIKELY(rendering.is_too_large))
            cache_cut(conn);
        if (UNLIKELY(conn->closing))
            return input.size;
        if (cache->session.closing) {
            cache_close_behind(cache);
            return input.size;
        }
        if (UNLIKELY(cache->session.is_held)) {
            /* One of those just parsed. NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign) */
            offset = starts[run_count];
            hold(conn, cache);
            break;
        }
        if (UNLIKELY(run_count < count)) { /* what runs alone is under way */
            offset = starts[run_count];    /* NOLINT(clang-analyzer-core.uninitialized.Assign) */
            go_back(cache);
            cache_late_hold(cache);
            break;
        }
        worker->kv.running = COMMAND_UNKNOWN; /* what is said below, no command has said */
        rendering.reply = *cache_reply(cache);
        if (result == PARSE_MORE)
            break;
        if (result == PARSE_REFUSED || result == PARSE_FATAL) {
            say_error(&rendering, cache, error);
            if (error.size > 0)
                conn_note_refusal(conn, error);
        }
        if (result == PARSE_FATAL) {
            cache_close_behind(cache);
            return input.size;
        }
    }
    if (UNLIKELY(cache->late.count > 0))
        return offset; /* then: cache_late.c */
    if (conn->peer_ended && !conn->held)
        conn_close(conn);
    else if (worker->draining && offset == input.size)
        conn_close(conn);
    return offset;
}

static size_t received(struct conn *conn, struct bytes input)
{
    size_t consumed = run_input(conn, input);
    kv_end_turn(&conn->worker->kv);
    return consumed;
}

static void ended(struct conn *conn)
{
    struct cache_conn *cache = conn->kind_state;

    if (cache != NULL && cache->late.count > 0)
        cache_late_ended(cache);
    else if (!conn->held)
        conn_close(conn);
}

static void drained(struct conn *conn) { conn_release_input(conn); }

static void closed(struct conn *conn)
{
    struct cache_conn *cache = conn->kind_state;

    if (cache == NULL)
        return;
    timer_cancel(conn->worker->loop, &cache->held);
    late_answers_fini(&cache->late);
    kv_session_end(&conn->worker->kv, &cache->session);
    if (cache->wire == WIRE_RESP)
        resp_parser_fini(&cache->resp);
    else
        memcached_parser_fini(&cache->memcached);
    free(cache);
}

static void drain(struct conn *conn)
{
    struct cache_conn *cache = conn->kind_state;

    if (cache != NULL && cache->late.count > 0) {
        cache_late_ended(cache); /* what may wait for long is not waited for */
        return;                  /* else it closes behind what is late */
    }
    if (conn->input.size == 0 || (cache != NULL && cache->session.is_held))
        conn_close(conn);
}

static int64_t due_ms(const struct conn *conn)
{
    const struct conn_limits *limits = conn->worker->limits;
    const struct cache_conn *cache = conn->kind_state;

    if (conn->input.size > 0 && !conn->held)
        return conn->active_ms + limits->body_ms; /* in the midst of a command */
    if (cache != NULL && (cache->session.subscriber != NULL || cache->late.count > 0))
        return INT64_MAX; /* it listens, or waits for us */
    return conn_cache_idle_due_ms(conn, conn->active_ms);
}

static void too_slow(struct conn *conn)
{
    if (conn->input.size > 0)
        conn_note_slowness(conn, "its command does not end");
    conn_close(conn); /* else it was idle */
}

const struct conn_kind conn_kind_cache = {received, ended, drained, closed, drain, due_ms, too_slow};
