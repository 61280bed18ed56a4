#include "client/valkey/link.h"
#include "base/compiler.h"
#include "client/valkey/greeting.h"
#include "net/connect.h"
#include "net/listen.h"
#include "net/tls_client.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>

/*            connected        greeted
 * connecting ────────► greeting ────► open      `ending` is entered from each of them, once: nothing that
 *      └──────────────────┴──────────┴─► ending comes is heard any more, and in a later turn requests fail,
 *                                               `closed` is told and the link is gone.
 *
 *   (1) `requests` are those that replies are still to come for, oldest first: the next reply belongs to
 *       the first of them, and each has a left_count of at least 1.
 *   (2) A request with `replied` null is the link's own: one that was forgotten, or a preface. */
enum state { CONNECTING, GREETING, OPEN, ENDING };

enum {
    TEXT_BYTES_MAX = 256,
    KEPT_INPUT_BYTES_MAX = 64 * 1024, /* memory that is kept for the next partial reply */
    NODES_MAX = 4 * 1024 * 1024,      /* of one reply */
    /* A peer that is gone without a word, where nothing is sent to it: after 60 s, by 3 probes of 10 s. */
    KEEPALIVE_IDLE_S = 60,
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_COUNT = 3,
};

struct link {
    const struct valkey_options *options;
    const struct link_callbacks *callbacks;
    void *owner;
    struct loop *loop;
    struct link_address address;
    enum state state;
    struct connector *connector; /* while CONNECTING */
    struct stream stream;
    bool has_stream; /* the loop has `stream` */
    bool is_subscriber;
    struct timer timer; /* the deadline of connecting; then the turn in which it ends */
    struct greeting greeting;
    struct list requests;
    size_t in_flight_count;
    int64_t heard_ms;    /* when anything came last */
    int64_t replied_ms;  /* when a reply, or more of one, came last */
    uint64_t said_bytes; /* appended to the stream so far */
    struct resp_reply_parser parser;
    struct buffer input; /* the beginning of a reply that has not all come */
    enum err why;        /* ENDING */
    char text[TEXT_BYTES_MAX];
    size_t text_bytes;
    char peer[ADDRESS_TEXT_BYTES];
};

/* ---- the end ------------------------------------------------------------------------------------- */

static struct link_request *take_first(struct link *link)
{
    struct list *first = link->requests.next;
    struct link_request *request = CONTAINER_OF(first, struct link_request, in_flight);

    link->requests.next = first->next;
    first->next->previous = &link->requests;
    list_init(first);
    link->in_flight_count--;
    request->left_count = 0;
    return request;
}

static void finish(struct link *link)
{
    uint64_t sent_bytes = link->has_stream ? link->stream.sent_bytes : 0;
    enum err why = link->why;

    link->has_stream = false;
    timer_cancel(link->loop, &link->timer);
    if (link->callbacks->ending != NULL)
        link->callbacks->ending(link->owner);
    while (!list_is_empty(&link->requests)) {
        struct link_request *request = take_first(link);

        if (request->replied == NULL)
            free(request); /* (2) */
        else
            /* With TLS more bytes leave than were said: then it errs on the side of "may have". */
            request->failed(request, why, request->begins_at < sent_bytes);
        if (why == ERR_SYNTAX) /* what cannot be read was the first one's */
            why = ERR_CLOSED;
    }
    link->callbacks->closed(link->owner, link->why, bytes_of(link->text, link->text_bytes));
    resp_reply_parser_fini(&link->parser);
    buffer_fini(&link->input);
    free(link);
}

static void end(struct link *link, enum err why, struct bytes text)
{
    if (link->state == ENDING)
        return;
    if (link->connector != NULL)
        connect_cancel(link->connector);
    link->connector = NULL;
    link->state = ENDING;
    link->why = why;
    link->text_bytes = text.size < sizeof link->text ? text.size : sizeof link->text;
    if (link->text_bytes > 0)
        memcpy(link->text, text.data, link->text_bytes);
    timer_cancel(link->loop, &link->timer);
    if (link->has_stream)
        stream_abort(&link->stream); /* its `closed` finishes */
    else
        timer_set(link->loop, &link->timer, loop_now(link->loop).mono_ms);
}

static void end_for(struct link *link, enum err why) { end(link, why, bytes_of_text(err_text(why))); }

static void timer_fired(struct timer *timer)
{
    struct link *link = CONTAINER_OF(timer, struct link, timer);

    if (link->state == ENDING)
        finish(link);
    else if (link->state == CONNECTING)
        end(link, ERR_TIMEOUT, BYTES("no connection within the time that connecting may take"));
    else
        end(link, ERR_TIMEOUT,
            BYTES("connected, but not greeted within the time that connecting may take"));
}

void link_break(struct link *link, enum err why, struct bytes text) { end(link, why, text); }

void link_close(struct link *link) { end_for(link, ERR_CANCELLED); }

/* ---- requests ------------------------------------------------------------------------------------ */

static void say(struct link *link, struct bytes bytes)
{
    buffer_append(stream_output(&link->stream), bytes);
    link->said_bytes += bytes.size;
}

/* Has the next `reply_count` replies, of those not yet spoken for, belong to `request`. */
static void expect(struct link *link, struct link_request *request, uint32_t reply_count)
{
    request->sent_ms = loop_now(link->loop).mono_ms;
    request->left_count = reply_count;
    request->begins_at = link->said_bytes;
    list_init(&request->in_flight);
    list_append(&link->requests, &request->in_flight);
    link->in_flight_count++;
}

static enum err may_send(const struct link *link, size_t request_count)
{
    if (link->state != OPEN)
        return ERR_CANCELLED;
    if (link->in_flight_count + request_count > link->options->in_flight_max ||
        stream_queued_bytes(&link->stream) > link->options->queued_bytes_max)
        return ERR_FULL;
    return OK;
}

static void ask(struct link *link, struct link_request *request, struct bytes bytes, uint32_t reply_count)
{
    request->subscribes = request->is_fenced = false;
    expect(link, request, reply_count);
    say(link, bytes);
}

enum err link_send(struct link *link, struct link_request *request, struct bytes bytes,
                   uint32_t reply_count)
{
    enum err err = may_send(link, 1);

    if (err == OK)
        ask(link, request, bytes, reply_count);
    return err;
}

enum err link_send_prefaced(struct link *link, struct link_request *request, struct bytes preface,
                            uint32_t preface_reply_count, struct bytes bytes, uint32_t reply_count)
{
    enum err err = may_send(link, 2);
    struct link_request *own;

    if (err != OK)
        return err;
    own = calloc(1, sizeof *own);
    if (own == NULL)
        return ERR_NO_MEMORY;
    ask(link, own, preface, preface_reply_count);
    ask(link, request, bytes, reply_count); /* asking whether it may would find the preface waiting */
    return OK;
}

enum err link_subscribe(struct link *link, struct link_request *request, struct bytes bytes,
                        uint32_t channel_count)
{
    enum err err = link_send(link, request, bytes, channel_count);

    if (err != OK)
        return err;
    request->subscribes = true;
    link->is_subscriber = true;
    return OK;
}

enum err link_send_subscriptions(struct link *link, struct link_request *request, struct bytes bytes)
{
    static const struct bytes ping = BYTES_INIT("*1\r\n$4\r\nPING\r\n");
    enum err err = link_send(link, request, bytes, 1);

    if (err != OK)
        return err;
    say(link, ping);
    request->is_fenced = true;
    link->is_subscriber = true;
    return OK;
}

void link_forget(struct link *link, struct link_request *request)
{
    struct link_request *own;

    if (request->left_count == 0)
        return;
    own = malloc(sizeof *own);
    if (own != NULL) {
        *own = *request;
        own->replied = NULL;
        own->in_flight.previous->next = own->in_flight.next->previous = &own->in_flight;
    } else {
        list_remove(&request->in_flight);
        link->in_flight_count--;
        end_for(link, ERR_NO_MEMORY); /* whose replies were whose could not be told any more */
    }
    list_init(&request->in_flight);
    request->left_count = 0;
}

/* ---- what comes ---------------------------------------------------------------------------------- */

static void reply_to(struct link *link, struct link_request *request, const struct resp_reply *reply,
                     bool is_last)
{
    link->replied_ms = link->heard_ms;
    if (request->is_fenced && reply->nodes->type == RESP_ERROR) {
        if (request->replied != NULL)
            request->replied(request, reply);
        return;
    }
    if (is_last)
        request->left_count = 0;
    else
        request->left_count--;
    if (request->left_count == 0) {
        list_remove(&request->in_flight);
        link->in_flight_count--;
    }
    if (request->replied != NULL)
        request->replied(request, reply);
    else if (request->left_count == 0)
        free(request); /* (2) */
}

/* The word that a push, or in RESP2 a message of a subscription, begins with; empty if it has none. */
static struct bytes kind_of(const struct resp_node *node)
{
    const struct resp_node *first = node + 1;

    if (node->integer == 0 || (first->type != RESP_BULK && first->type != RESP_SIMPLE))
        return (struct bytes){0};
    return first->bytes;
}

static bool is_confirmation(struct bytes kind) { return bytes_end_with(kind, BYTES("subscribe")); }

/* In RESP2 nothing but its form tells a message from a reply; so it is looked for only where one may be. */
static bool is_message(const struct link *link, const struct resp_node *node)
{
    struct bytes kind;

    if (link->state != OPEN || link->greeting.resp_version != 2 || !link->is_subscriber ||
        node->type != RESP_ARRAY || node->integer < 3)
        return false;
    kind = kind_of(node);
    return bytes_equal(kind, BYTES("message")) || bytes_equal(kind, BYTES("pmessage")) ||
           bytes_equal(kind, BYTES("smessage")) || is_confirmation(kind);
}

/* A push is never the reply to a request; a confirmation is that of a subscription which waits for one.
 * (A server says sunsubscribe on its own, too, when a slot leaves it.) */
static void hear_push(struct link *link, const struct resp_reply *push)
{
    struct link_request *first = CONTAINER_OF(link->requests.next, struct link_request, in_flight);

    if (!list_is_empty(&link->requests) && first->subscribes && is_confirmation(kind_of(push->nodes)))
        reply_to(link, first, push, false);
    else
        link->callbacks->pushed(link->owner, push);
}

static void hear_reply(struct link *link, const struct resp_reply *reply)
{
    struct link_request *first = CONTAINER_OF(link->requests.next, struct link_request, in_flight);

    if (list_is_empty(&link->requests)) {
        /* Redis says good-bye with an error that answers nothing. */
        if (reply->nodes->type == RESP_ERROR)
            end(link, ERR_CLOSED, reply->nodes->bytes);
        else
            end(link, ERR_SYNTAX, BYTES("a reply to nothing that was asked"));
    } else if (first->subscribes && reply->nodes->type != RESP_ERROR) {
        end(link, ERR_SYNTAX, BYTES("a reply where a subscription was to be confirmed"));
    } else {
        reply_to(link, first, reply, first->subscribes);
    }
}

static void greet(struct link *link)
{
    struct buffer words = {0};

    greeting_say(&link->greeting, &words);
    if (words.failed)
        end_for(link, ERR_NO_MEMORY);
    else
        say(link, buffer_bytes(&words));
    buffer_fini(&words);
}

static void hear_greeting(struct link *link, const struct resp_node *reply)
{
    enum err why = OK;

    switch (greeting_hear(&link->greeting, reply, &why)) {
    case GREETING_GOES_ON: return;
    case GREETING_SPEAKS: greet(link); return;
    case GREETING_REFUSED:
        end(link, why, reply->type == RESP_ERROR ? reply->bytes : BYTES("no answer to HELLO"));
        return;
    case GREETING_DONE:
        link->state = OPEN;
        timer_cancel(link->loop, &link->timer);
        link->callbacks->opened(link->owner);
        return;
    }
}

static void hear(struct link *link, const struct resp_reply *reply)
{
    bool is_push = reply->nodes->type == RESP_PUSH;

    if (is_push && (link->state != OPEN || link->greeting.resp_version == 2))
        end(link, ERR_SYNTAX, BYTES("a push where none may be"));
    else if (link->state == GREETING)
        hear_greeting(link, reply->nodes);
    else if (is_push || is_message(link, reply->nodes))
        hear_push(link, reply);
    else
        hear_reply(link, reply);
}

/* Hears what is whole of `bytes`, in its order, and returns how many bytes that was. */
static size_t hear_all(struct link *link, struct bytes bytes)
{
    const struct resp_reply_limits limits = {.reply_bytes_max = link->options->reply_bytes_max,
                                             .nodes_max = NODES_MAX,
                                             .depth_max = RESP_DEPTH_MAX};
    size_t heard_bytes = 0;

    while (link->state != ENDING && heard_bytes < bytes.size) {
        struct resp_reply reply;
        struct bytes error = {0};
        size_t consumed = 0;

        switch (resp_reply_parse(&link->parser, &limits, bytes_after(bytes, heard_bytes), &reply, &consumed,
                                 &error)) {
        case PARSE_MORE: return heard_bytes;
        case PARSE_DONE:
            heard_bytes += consumed;
            hear(link, &reply);
            break;
        case PARSE_REFUSED:
        case PARSE_FATAL: end(link, ERR_SYNTAX, error); break;
        }
    }
    return heard_bytes;
}

static void received(struct stream *stream, struct bytes bytes)
{
    struct link *link = CONTAINER_OF(stream, struct link, stream);

    link->heard_ms = loop_now(link->loop).mono_ms;
    if (link->input.size == 0) {
        buffer_append(&link->input, bytes_after(bytes, hear_all(link, bytes)));
    } else {
        buffer_append(&link->input, bytes);
        if (!link->input.failed)
            buffer_consume(&link->input, hear_all(link, buffer_bytes(&link->input)));
        if (link->input.size == 0 && link->input.capacity > KEPT_INPUT_BYTES_MAX)
            buffer_fini(&link->input);
    }
    if (link->input.failed)
        end_for(link, ERR_NO_MEMORY);
    else if (link->input.size > 0 && link->input.data[0] != '>')
        link->replied_ms = link->heard_ms; /* a long one takes its time */
}

static void ended(struct stream *stream) { end_for(CONTAINER_OF(stream, struct link, stream), ERR_CLOSED); }

static void closed(struct stream *stream, enum err why)
{
    struct link *link = CONTAINER_OF(stream, struct link, stream);

    if (link->state != ENDING) { /* the system or TLS has ended it, not we */
        struct bytes text = bytes_of_text(err_text(why));

        link->state = ENDING;
        link->why = why;
        memcpy(link->text, text.data, text.size);
        link->text_bytes = text.size;
    }
    finish(link);
}

static void drained(struct stream *stream) { (void)stream; }

/* ---- the beginning --------------------------------------------------------------------------------- */

static void note_peer(struct link *link, int fd)
{
    size_t size;
    char *colon;

    address_of_peer(fd, link->peer);
    colon = strrchr(link->peer, ':');
    if (colon == NULL)
        return;
    *colon = '\0';
    size = strlen(link->peer);
    if (size >= 2 && link->peer[0] == '[') {
        memmove(link->peer, link->peer + 1, size - 2);
        link->peer[size - 2] = '\0';
    }
}

static void keep_alive(int fd)
{
    static const struct {
        int level, name, value;
    } rows[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
                {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
                {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT}};

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        (void)setsockopt(fd, rows[i].level, rows[i].name, &rows[i].value, sizeof rows[i].value);
}

static bool permits(void *owner, const struct sockaddr *address)
{
    const struct link *link = owner;

    return link->address.permits(link->address.permits_owner, address);
}

static void connected(void *owner, enum err err, int fd)
{
    static const struct stream_callbacks stream_callbacks = {received, ended, drained, closed};
    struct link *link = owner;
    int64_t left_ms = link->timer.due_ms - loop_now(link->loop).mono_ms;

    link->connector = NULL;
    if (err != OK) {
        end_for(link, err);
        return;
    }
    link->state = GREETING;
    note_peer(link, fd);
    keep_alive(fd);
    if (link->options->tls != NULL)
        tls_client_stream_open(link->loop, &link->stream, fd, &stream_callbacks, link->options->tls,
                               link->address.host, left_ms > 0 ? left_ms : 1);
    else
        stream_open(link->loop, &link->stream, fd, &stream_callbacks);
    link->has_stream = true;
    greet(link);
}

enum err link_open(const struct valkey_options *options, const struct link_address *address,
                   struct loop *loop, const struct link_callbacks *callbacks, void *owner,
                   struct link **result)
{
    struct link *link = calloc(1, sizeof *link);
    struct connect_order order;
    enum err err;

    if (link == NULL)
        return ERR_NO_MEMORY;
    link->options = options;
    link->callbacks = callbacks;
    link->owner = owner;
    link->loop = loop;
    link->address = *address;
    list_init(&link->requests);
    timer_init(&link->timer, timer_fired);
    greeting_begin(&link->greeting, options);
    order = (struct connect_order){.host = link->address.host,
                                   .port = address->port,
                                   .timeout_ms = options->connect_timeout_ms,
                                   .permits = address->permits != NULL ? permits : NULL,
                                   .done = connected,
                                   .owner = link};
    err = connect_begin(loop, &order, &link->connector);
    if (err != OK) {
        free(link);
        return err;
    }
    timer_set(loop, &link->timer, loop_now(loop).mono_ms + options->connect_timeout_ms);
    *result = link;
    return OK;
}

/* ---- what is told of it ------------------------------------------------------------------------------ */

bool link_is_open(const struct link *link) { return link->state == OPEN; }
int link_resp_version(const struct link *link) { return link->greeting.resp_version; }
size_t link_in_flight_count(const struct link *link) { return link->in_flight_count; }
const char *link_peer(const struct link *link) { return link->peer; }

static int64_t waited_ms(const struct link *link, int64_t since_ms)
{
    const struct link_request *first = CONTAINER_OF(link->requests.next, struct link_request, in_flight);

    if (list_is_empty(&link->requests))
        return 0;
    return loop_now(link->loop).mono_ms - (first->sent_ms > since_ms ? first->sent_ms : since_ms);
}

int64_t link_silence_ms(const struct link *link) { return waited_ms(link, link->heard_ms); }
int64_t link_no_reply_ms(const struct link *link) { return waited_ms(link, link->replied_ms); }
