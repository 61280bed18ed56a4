/* link.h — one connection to one Valkey or Redis server: requests out, their replies back in order, pushes.
 *
 * Opens, greets (HELLO with AUTH and SETNAME, or AUTH and CLIENT SETNAME where HELLO 3 is refused), then
 * carries what its owner sends: everything appended during a turn of the loop leaves in one write. It does
 * not come back by itself: who owns it opens another. Everything happens on the loop's thread. */
#pragma once
#include "base/bytes.h"
#include "base/list.h"
#include "base/now.h"
#include "client/valkey/valkey_options.h"
#include "net/loop.h"
#include "protocol/resp/resp_reply.h"

struct link; /* opaque: link.c */

/* What one request told of itself; embedded by who sends it. */
struct link_request {
    /* One reply has come, readable during the call; `left_count` more will come for this request. Replies
     * are told in the order of the wire, pushes among them. */
    void (*replied)(struct link_request *request, const struct resp_reply *reply);
    /* No further reply will come: the connection is gone. `was_sent`: some of the request may have reached
     * the server. ERR_SYNTAX: its reply cannot be read, or is larger than one may be; those behind it are
     * told ERR_CLOSED. Called at most once, last; never from inside link_send. */
    void (*failed)(struct link_request *request, enum err why, bool was_sent);
    int64_t sent_ms; /* the moment of the turn in which it was sent */
    uint32_t left_count;
    /* the link's own */
    bool subscribes;
    bool is_fenced;     /* by link_send_subscriptions: an error is not the last reply */
    uint64_t begins_at; /* of all that the link has sent: its first byte */
    struct list in_flight;
};

struct link_callbacks {
    void (*opened)(void *owner); /* greeted: requests may be sent */
    /* A push (RESP3), or in RESP2 a message of a subscription. */
    void (*pushed)(void *owner, const struct resp_reply *push);
    /* May be null. The connection is gone: right before its requests fail, so that what was learnt through
     * it is forgotten before anybody hears of that. Never from inside a link_ function. */
    void (*ending)(void *owner);
    /* The link is gone; every request has failed before. `text`: what the server or the system said, for a
     * log. Called exactly once, last, never from inside a link_ function. */
    void (*closed)(void *owner, enum err why, struct bytes text);
};

struct link_address {
    char host[VALKEY_HOST_BYTES_MAX + 1]; /* a name or an address */
    uint16_t port;
    /* Whether an address that the host has may be connected to, as in connect.h. Null: any may. */
    bool (*permits)(void *owner, const struct sockaddr *address);
    void *permits_owner;
};

/* Begins to connect. `options` and `callbacks` are kept by reference, `address` is copied. ERR_NO_MEMORY.
 */
enum err link_open(const struct valkey_options *options, const struct link_address *address,
                   struct loop *loop, const struct link_callbacks *callbacks, void *owner,
                   struct link **link);

/* Sends `bytes`, rendered commands that `reply_count` replies (at least 1) will come for. The request is
 * the link's until its last reply or `failed`. ERR_FULL: options->in_flight_max requests are under way, or
 * more bytes wait to be sent than options->queued_bytes_max; ERR_CANCELLED: the link is closing or not
 * open. */
enum err link_send(struct link *link, struct link_request *request, struct bytes bytes,
                   uint32_t reply_count);

/* As link_send, with commands before it that belong to it, such as CLIENT CACHING NO: the
 * `preface_reply_count` replies to them are dropped. Either both are sent, with nothing between, or none.
 */
enum err link_send_prefaced(struct link *link, struct link_request *request, struct bytes preface,
                            uint32_t preface_reply_count, struct bytes bytes, uint32_t reply_count);

/* As link_send, with one command of the SUBSCRIBE or UNSUBSCRIBE kinds (also P…, S…) that names
 * `channel_count` channels: its replies are the confirmations of these, or one error. From then on, in
 * RESP2, what has the form of a message is one: such a link is for subscriptions alone. */
enum err link_subscribe(struct link *link, struct link_request *request, struct bytes bytes,
                        uint32_t channel_count);

/* As link_send, with any number of commands of the SUBSCRIBE or UNSUBSCRIBE kinds, and a PING of the link's
 * own behind them. What they bring about is told as pushes, as is what the server does on its own (it says
 * sunsubscribe when a slot leaves it), in one order; `replied` is told each error, with a left_count of 1,
 * and last the answer to the PING: whatever has not been told by then will not be. */
enum err link_send_subscriptions(struct link *link, struct link_request *request, struct bytes bytes);

/* Forgets who sent `request`: its replies will come and are dropped. Nothing if it has had them all. */
void link_forget(struct link *link, struct link_request *request);

/* Closes it; requests fail with ERR_CANCELLED and `closed` follows in a later turn. */
void link_close(struct link *link);
/* The same for a reason that requests and `closed` are told. */
void link_break(struct link *link, enum err why, struct bytes text);

bool link_is_open(const struct link *link);
int link_resp_version(const struct link *link); /* 2 or 3; once opened */
size_t link_in_flight_count(const struct link *link);
/* For how long requests have been waiting while nothing at all has come; 0 if none is under way. Whoever
 * sends nothing that blocks takes a peer for lost after a while: nobody else notices one that is cut off.
 */
int64_t link_silence_ms(const struct link *link);
/* The same of replies alone: a peer that only pushes is heard, and answers nobody. */
int64_t link_no_reply_ms(const struct link *link);
/* The address at the other end, numeric, without its port: for a log and for what is announced without a
 * host. Empty until connected. */
const char *link_peer(const struct link *link);
