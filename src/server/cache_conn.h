/* cache_conn.h — a connection that speaks RESP or memcached, as its files see it. */
#pragma once
#include "server/conn.h"
#include "server/late_answers.h"

/* Renders what the engine says on this connection. */
struct rendering {
    struct reply reply;
    struct conn *conn;
    struct buffer *output;
    const uint8_t *resp_version;
    uint64_t beside_bytes; /* said beside `output`: lent, or before it and waiting for what is late */
    uint64_t bytes_max;    /* of both */
    bool is_too_large;     /* more was said than one connection may hold */
    bool may_lend;         /* `output` is the stream's */
};

struct cache_conn {
    enum wire wire;
    struct conn *conn;
    struct session session;
    struct rendering pushed; /* what is said beside answers */
    struct late_answers late;
    struct rendering late_rendering;
    struct rendering *present; /* of the commands that are being run */
    bool is_full;              /* the input waits until less is late */
    bool is_last;              /* it is closed once all that is late has been said */
    int64_t behind_since_ms;   /* when more than a little of it began to wait to be read; 0: none does */
    struct timer held;         /* until the session's commands are offered again */
    union {
        struct resp_parser resp;
        struct memcached_parser memcached;
    };
};

extern const struct reply cache_resp_reply, cache_memcached_reply, cache_quiet_reply;

static inline const struct reply *cache_reply(const struct cache_conn *cache)
{
    return cache->wire == WIRE_RESP ? &cache_resp_reply : &cache_memcached_reply;
}

/* What the answers that are said at once may fill. */
uint64_t cache_answer_bytes_max(const struct cache_conn *cache);

/* Cuts a connection whose answers its client does not read, or asks for more of at once than is good. */
void cache_cut(struct conn *conn);

/* Offers the session's commands again. */
void cache_go_on(struct session *session);

/* ---- cache_late.c: answers that come late ------------------------------------------------------- */

void cache_late_init(struct cache_conn *cache);

/* Whether no further command may be run until something late has been said. */
bool cache_late_is_full(const struct cache_conn *cache);

/* Lets the input wait until that has changed. */
void cache_late_hold(struct cache_conn *cache);

/* The client will send no more, or the server stops, and something is late. */
void cache_late_ended(struct cache_conn *cache);

/* Closes the connection behind all that is late. */
void cache_close_behind(struct cache_conn *cache);
