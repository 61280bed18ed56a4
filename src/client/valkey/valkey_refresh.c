/* valkey_refresh.c — learning the map: rounds in which two servers, where there are two, are asked who has
 * which slots.
 *
 * Servers that are connected to are asked over their connections. Where there are none, at the beginning or
 * after all were lost, a connection is made for the question, to one seed after the other and then to the
 * servers that were known last, until one answers. One round at a time; the next begins no sooner than
 * after an interval with jitter, however often it is asked for, and one comes now and then in any case. */
#include "base/compiler.h"
#include "client/valkey/valkey_parts.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

enum {
    INTERVAL_MS_MIN = 100,  /* between two rounds; doubled while they bring no change */
    INTERVAL_MS_MAX = 1000, /* as long as rounds are asked for */
    REGULAR_MS = 30000,     /* without an occasion */
    SECOND_MS = 100,        /* that who has not answered has, once another one has */
    HOPS_MAX = 3,           /* from a replica to its primary, to its … */
};

static void start_inquiries(struct valkey *valkey);
static void round_over(struct valkey *valkey);

/* A link made for an inquiry. It outlives it: it closes in a later turn. */
struct inquiry_link {
    struct valkey *valkey;
    struct inquiry *inquiry; /* null: nobody asks any more */
    struct link *link;
    bool is_to_seed;
};

/* ---- one inquiry ------------------------------------------------------------------------------------- */

static size_t active_count(const struct valkey *valkey)
{
    size_t count = 0;

    for (size_t i = 0; i < VALKEY_INQUIRIES_MAX; i++)
        count += valkey->inquiries[i].is_active;
    return count;
}

/* Takes the inquiry's hands off its server or its link; the link closes in a later turn. */
static void let_go(struct inquiry *inquiry)
{
    map_query_end(&inquiry->query);
    if (inquiry->server != NULL && inquiry->server->source != NULL)
        source_forget(inquiry->server->source, &inquiry->query.request);
    if (inquiry->own != NULL) {
        link_forget(inquiry->own->link, &inquiry->query.request);
        inquiry->own->inquiry = NULL;
        link_close(inquiry->own->link);
    }
    timer_cancel(inquiry->valkey->loop, &inquiry->timer);
    inquiry->server = NULL;
    inquiry->own = NULL;
    inquiry->is_active = false;
}

static void inquiry_failed(struct inquiry *inquiry, enum err why, struct bytes text)
{
    struct valkey *valkey = inquiry->valkey;

    valkey_text_set_failure(&valkey->why, &inquiry->query.asked, why, text);
    log_write_limited(valkey->options->log, LOG_WARNING, LOG_KIND_TIER,
                      "tier: nothing learnt of who has what from %.*s", (int)valkey->why.size,
                      valkey->why.data);
    let_go(inquiry);
    start_inquiries(valkey);
}

static enum err open_link(struct inquiry *inquiry, const struct link_address *address, bool is_to_seed);

static void query_done(struct map_query *query, enum err err, struct bytes text)
{
    struct inquiry *inquiry = CONTAINER_OF(query, struct inquiry, query);
    struct valkey *valkey = inquiry->valkey;
    struct server *server;

    if (err != OK) {
        inquiry_failed(inquiry, err, text);
        return;
    }
    if (query->answer.is_replica) {
        struct link_address primary = query->answer.nodes[0].address;
        uint32_t hop_count = inquiry->hop_count + 1;
        if (primary.host[0] == '\0' || primary.port == 0 || hop_count > HOPS_MAX) {
            inquiry_failed(inquiry, ERR_UNREACHABLE, BYTES("it is a replica and says no primary"));
            return;
        }
        let_go(inquiry);
        inquiry->hop_count = hop_count;
        server = server_at(valkey, &primary); /* which may only be connected to if that is permitted */
        if (server == NULL || open_link(inquiry, &server->address, false) != OK)
            inquiry_failed(inquiry, ERR_NO_MEMORY, BYTES("its primary cannot be asked"));
        return;
    }
    valkey->answers[valkey->answer_count++] = query->answer;
    query->answer = (struct map_answer){0};
    let_go(inquiry);
    if (!valkey->has_map || active_count(valkey) == 0) { /* at the beginning the first will do */
        round_over(valkey);
        return;
    }
    for (size_t i = 0; i < VALKEY_INQUIRIES_MAX; i++)
        if (valkey->inquiries[i].is_active)
            timer_set(valkey->loop, &valkey->inquiries[i].timer, valkey_now_ms(valkey) + SECOND_MS);
}

static enum err send_over_link(struct map_query *query, struct bytes bytes, uint32_t reply_count)
{
    struct inquiry *inquiry = CONTAINER_OF(query, struct inquiry, query);
    return inquiry->own != NULL ? link_send(inquiry->own->link, &query->request, bytes, reply_count)
                                : ERR_CANCELLED;
}

static enum err send_over_source(struct map_query *query, struct bytes bytes, uint32_t reply_count)
{
    struct inquiry *inquiry = CONTAINER_OF(query, struct inquiry, query);
    return inquiry->server->source != NULL
               ? source_send(inquiry->server->source, &query->request, bytes, reply_count, false)
               : ERR_CANCELLED;
}

/* The class of a seed's address is that which servers may have. */
static void note_class(struct valkey *valkey, const char *host)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, host, &ipv4.sin_addr) == 1)
        valkey->classes |= address_class_of((struct sockaddr *)&ipv4);
    else if (inet_pton(AF_INET6, host, &ipv6.sin6_addr) == 1)
        valkey->classes |= address_class_of((struct sockaddr *)&ipv6);
}

static void link_opened(void *owner)
{
    struct inquiry_link *own = owner;
    enum err err;

    if (own->inquiry == NULL)
        return;
    if (own->is_to_seed)
        note_class(own->valkey, link_peer(own->link));
    err = map_query_begin(&own->inquiry->query);
    if (err != OK)
        inquiry_failed(own->inquiry, err, BYTES(""));
}

static void link_closed(void *owner, enum err why, struct bytes text)
{
    struct inquiry_link *own = owner;
    struct valkey *valkey = own->valkey;
    struct inquiry *inquiry = own->inquiry;

    valkey->link_count--;
    free(own);
    if (inquiry != NULL) {
        inquiry->own = NULL;
        inquiry_failed(inquiry, why, text);
    }
    valkey_stop_if_done(valkey);
}

static void link_pushed(void *owner, const struct resp_reply *push)
{
    (void)owner; /* nothing was subscribed to */
    (void)push;
}

static enum err open_link(struct inquiry *inquiry, const struct link_address *address, bool is_to_seed)
{
    static const struct link_callbacks callbacks = {
        .opened = link_opened, .pushed = link_pushed, .closed = link_closed};
    struct valkey *valkey = inquiry->valkey;
    struct inquiry_link *own = malloc(sizeof *own);
    enum err err;

    if (own == NULL)
        return ERR_NO_MEMORY;
    *own = (struct inquiry_link){.valkey = valkey, .inquiry = inquiry, .is_to_seed = is_to_seed};
    err = link_open(valkey->options, address, valkey->loop, &callbacks, own, &own->link);
    if (err != OK) {
        free(own);
        return err;
    }
    valkey->link_count++;
    inquiry->is_active = true;
    inquiry->own = own;
    inquiry->query.asked = *address;
    inquiry->query.send = send_over_link;
    timer_set(valkey->loop, &inquiry->timer,
              valkey_now_ms(valkey) + valkey->options->connect_timeout_ms +
                  valkey->options->call_timeout_ms);
    return OK;
}

static bool ask_over_source(struct inquiry *inquiry, struct server *server)
{
    struct valkey *valkey = inquiry->valkey;

    inquiry->is_active = true;
    inquiry->server = server;
    inquiry->query.asked = server->address;
    inquiry->query.send = send_over_source;
    if (map_query_begin(&inquiry->query) != OK) {
        inquiry->is_active = false;
        inquiry->server = NULL;
        return false;
    }
    timer_set(valkey->loop, &inquiry->timer, valkey_now_ms(valkey) + valkey->options->call_timeout_ms);
    return true;
}

static void inquiry_late(struct timer *timer)
{
    inquiry_failed(CONTAINER_OF(timer, struct inquiry, timer), ERR_TIMEOUT, BYTES("no answer"));
}

/* ---- a round ----------------------------------------------------------------------------------------- */

/* Begins to ask the next one who can be asked. False: there is none. */
static bool ask_next(struct inquiry *inquiry)
{
    struct valkey *valkey = inquiry->valkey;
    const struct valkey_options *options = valkey->options;

    inquiry->hop_count = 0;
    while (valkey->asks_sources && valkey->candidate_count < valkey->server_end) {
        struct server *server =
            valkey->servers[(valkey->first_candidate + valkey->candidate_count++) % valkey->server_end];
        if (server != NULL && server_is_open(server) && (valkey->is_cluster || server->slot_count > 0) &&
            ask_over_source(inquiry, server))
            return true;
    }
    if (valkey->asks_sources && (valkey->answer_count > 0 || active_count(valkey) > 0))
        return false;
    if (valkey->asks_sources)
        valkey->candidate_count = 0;
    valkey->asks_sources = false;
    while (valkey->candidate_count < options->seed_count + valkey->server_end) {
        size_t number = valkey->candidate_count++;
        const struct valkey_seed *seed;
        struct link_address address = {.port = 0};
        if (number >= options->seed_count) {
            const struct server *server = valkey->servers[number - options->seed_count];
            if (server != NULL && !server->is_refused && open_link(inquiry, &server->address, false) == OK)
                return true;
            continue;
        }
        seed = &options->seeds[(valkey->first_candidate + number) % options->seed_count];
        if (!redirection_read_host(bytes_of_text(seed->host), address.host))
            continue;
        address.port = seed->port;
        if (open_link(inquiry, &address, true) == OK)
            return true;
    }
    return false;
}

static void start_inquiries(struct valkey *valkey)
{
    bool there_is_more = true;

    if (!valkey->is_refreshing)
        return;
    for (size_t i = 0; i < VALKEY_INQUIRIES_MAX && there_is_more; i++)
        if (!valkey->inquiries[i].is_active &&
            valkey->answer_count + active_count(valkey) < VALKEY_INQUIRIES_MAX)
            there_is_more = ask_next(&valkey->inquiries[i]);
    if (active_count(valkey) == 0)
        round_over(valkey);
}

static void begin_round(struct timer *timer)
{
    struct valkey *valkey = CONTAINER_OF(timer, struct valkey, refresh_timer);

    valkey->is_refreshing = true;
    valkey->round_count++;
    valkey->refresh_is_wanted = false;
    valkey->refresh_began_ms = valkey_now_ms(valkey);
    valkey->asks_sources = true;
    valkey->candidate_count = 0;
    valkey->first_candidate = (uint32_t)random_below(&valkey->dice, 1 << 16);
    valkey_count(valkey, METRIC_tier_map_refreshes);
    start_inquiries(valkey);
}

/* Who takes over its slots says so to the others, and not to us. */
static bool lacks_a_primary(const struct valkey *valkey)
{
    for (uint32_t i = 0; i < valkey->server_end; i++)
        if (valkey->servers[i] != NULL && valkey->servers[i]->slot_count > 0 &&
            !server_is_open(valkey->servers[i]))
            return true;
    return false;
}

static void round_over(struct valkey *valkey)
{
    bool has_learnt = valkey->answer_count > 0;
    uint64_t changes_before = valkey->change_count;
    int64_t wait_ms;

    for (size_t i = 0; i < VALKEY_INQUIRIES_MAX; i++)
        if (valkey->inquiries[i].is_active)
            let_go(&valkey->inquiries[i]);
    valkey->is_refreshing = false;
    if (has_learnt) {
        servers_learn(valkey);
        valkey->refreshed_ms = valkey_now_ms(valkey);
    } else {
        valkey->has_failed_to_learn = true;
        valkey_count(valkey, METRIC_tier_map_failures);
    }
    while (valkey->answer_count > 0)
        map_answer_fini(&valkey->answers[--valkey->answer_count]);
    if (valkey->change_count != changes_before)
        valkey->refresh_interval_ms = INTERVAL_MS_MIN;
    else if (valkey->refresh_interval_ms < INTERVAL_MS_MAX / 2)
        valkey->refresh_interval_ms *= 2;
    else
        valkey->refresh_interval_ms = INTERVAL_MS_MAX;
    wait_ms = has_learnt && !valkey->refresh_is_wanted && !lacks_a_primary(valkey)
                  ? REGULAR_MS
                  : valkey->refresh_interval_ms;
    timer_set(valkey->loop, &valkey->refresh_timer,
              valkey_now_ms(valkey) + valkey_jittered_ms(valkey, wait_ms));
    gates_kick_all(valkey);
}

void refresh_want(struct valkey *valkey)
{
    int64_t due_ms;

    if (valkey->is_stopping)
        return;
    valkey->refresh_is_wanted = true;
    if (valkey->is_refreshing)
        return;
    due_ms = valkey->refresh_began_ms + valkey_jittered_ms(valkey, valkey->refresh_interval_ms);
    if (due_ms < valkey_now_ms(valkey))
        due_ms = valkey_now_ms(valkey);
    if (!timer_is_set(&valkey->refresh_timer) || valkey->refresh_timer.due_ms > due_ms)
        timer_set(valkey->loop, &valkey->refresh_timer, due_ms);
}

void refresh_begin(struct valkey *valkey)
{
    for (size_t i = 0; i < VALKEY_INQUIRIES_MAX; i++) {
        struct inquiry *inquiry = &valkey->inquiries[i];
        inquiry->valkey = valkey;
        inquiry->query.done = query_done;
        inquiry->query.with_tls = valkey->options->tls != NULL;
        timer_init(&inquiry->timer, inquiry_late);
    }
    for (size_t i = 0; i < valkey->options->seed_count; i++)
        note_class(valkey, valkey->options->seeds[i].host);
    valkey->refresh_interval_ms = INTERVAL_MS_MIN;
    timer_init(&valkey->refresh_timer, begin_round);
    timer_set(valkey->loop, &valkey->refresh_timer, valkey_now_ms(valkey));
}

void refresh_stop(struct valkey *valkey)
{
    timer_cancel(valkey->loop, &valkey->refresh_timer);
    valkey->is_refreshing = false;
    for (size_t i = 0; i < VALKEY_INQUIRIES_MAX; i++)
        if (valkey->inquiries[i].is_active)
            let_go(&valkey->inquiries[i]);
    while (valkey->answer_count > 0)
        map_answer_fini(&valkey->answers[--valkey->answer_count]);
}
