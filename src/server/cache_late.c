/* cache_late.c — answers that come late, on a connection that speaks RESP or memcached. */
#include "server/cache_conn.h"

enum { LATE_COUNT_MAX = 4096 };

bool cache_late_is_full(const struct cache_conn *cache)
{
    return cache->late.count > 0 &&
           (cache->late.alone_count > 0 || cache->late.count >= LATE_COUNT_MAX ||
            cache->late.bytes > cache->conn->worker->limits->output_bytes_max || cache->is_last);
}

void cache_late_hold(struct cache_conn *cache)
{
    cache->is_full = true;
    conn_hold_input_listening(cache->conn);
}

void cache_close_behind(struct cache_conn *cache)
{
    if (cache->late.count == 0) {
        conn_close(cache->conn);
        return;
    }
    cache->is_last = true;
    conn_hold_input(cache->conn);
}

static bool is_blocking(const struct cache_conn *cache)
{
    const struct list *node = cache->late.places.next;

    for (; node != &cache->late.places; node = node->next)
        if (CONTAINER_OF(node, struct late_place, in_order)->flags & LATE_BLOCKS)
            return true;
    return false;
}

void cache_late_ended(struct cache_conn *cache)
{
    if (is_blocking(cache))
        conn_close(cache->conn);
}

/* Less is late than before. */
static void go_on(struct cache_conn *cache)
{
    struct conn *conn = cache->conn;
    bool is_empty = cache->late.count == 0;

    conn->active_ms = loop_now(conn->worker->loop).mono_ms; /* it was not the client that idled */
    if (is_empty && cache->is_last) {
        conn_close(conn);
    } else if (is_empty && cache->session.is_held) {
        cache_go_on(&cache->session);
    } else if (cache->is_full && !cache_late_is_full(cache)) {
        cache->is_full = false;
        conn_release_input(conn);
    } else if (is_empty && !conn->held &&
               (conn->peer_ended || (conn->worker->draining && conn->input.size == 0))) {
        conn_close(conn);
    }
    conn_update_deadline(conn);
}

/* Has the commands that are being run say what they say behind all that is late. */
static void aim(struct cache_conn *cache)
{
    struct buffer *output = stream_output(&cache->conn->stream);

    cache->session.late_count = cache->late.count;
    cache->present->output = late_answers_output(&cache->late, output);
    cache->present->beside_bytes = cache->late.count > 0 ? stream_queued_bytes(&cache->conn->stream) +
                                                               late_answers_said_bytes(&cache->late)
                                                         : 0;
    cache->present->may_lend = cache->late.count == 0;
}

static struct reply *begin(struct late *late)
{
    struct late_place *place = CONTAINER_OF(late, struct late_place, late);
    struct cache_conn *cache = place->context;
    struct conn *conn = cache->conn;
    struct buffer *output;

    if (conn->closing)
        return NULL;
    output = late_place_output(&cache->late, place, stream_output(&conn->stream));
    cache->late_rendering =
        (struct rendering){.reply = place->flags & LATE_SILENT ? cache_quiet_reply : *cache_reply(cache),
                           .conn = conn,
                           .output = output,
                           .resp_version = &place->resp_version,
                           .beside_bytes = late_answers_said_bytes(&cache->late),
                           .bytes_max = cache_answer_bytes_max(cache)};
    return &cache->late_rendering.reply;
}

static void end(struct late *late)
{
    struct late_place *place = CONTAINER_OF(late, struct late_place, late);
    struct cache_conn *cache = place->context;
    struct conn *conn = cache->conn;
    bool is_too_large = cache->late_rendering.is_too_large;

    cache->late_rendering = (struct rendering){0};
    late_answers_end(&cache->late, place, stream_output(&conn->stream));
    if (cache->present != NULL) { /* it has come while commands are being run: they go on by themselves */
        aim(cache);
        cache->present->is_too_large |= is_too_large;
        return;
    }
    cache->session.late_count = cache->late.count;
    if (conn->closing)
        return;
    if (is_too_large)
        cache_cut(conn);
    else
        go_on(cache);
}

static struct late *take(struct session *session, unsigned flags, uint64_t held_bytes)
{
    struct cache_conn *cache = CONTAINER_OF(session, struct cache_conn, session);
    struct late_place *place;

    place = late_answers_take(&cache->late, flags, held_bytes, session->resp_version);
    if (place == NULL)
        return NULL;
    place->late.begin = begin;
    place->late.end = end;
    place->context = cache;
    aim(cache);
    return &place->late;
}

void cache_late_init(struct cache_conn *cache)
{
    late_answers_init(&cache->late);
    cache->session.take_late = take;
}
