/* kv_tier_world.h — a cache in front of a tier that the test plays itself: what one client's commands ask
 * of it and what is said to that client, in the order in which it is said. The clock is the test's.
 *
 * What goes over the connections of all is tier_world.h's; connections of a session's own are here. */
#pragma once
#include "client/valkey/subscriptions.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/tier/kv_tier.h"
#include "protocol/resp/resp.h"
#include "server/late_answers.h"
#include "tier_world.h"

/* ---- the cache and its client ---------------------------------------------------------------------------
 */

struct cache_world {
    struct tier_world *tier;
    struct kv kv;
    struct kv_hub *hub;
    struct session session;
    struct late_answers late;
    struct buffer output;
    struct reply reply, late_reply; /* of the command that runs; of a late answer */
    struct buffer *present, *late_output;
    const uint8_t *late_version;
    bool has_ended;
};

static struct cache_world *cache_world; /* the present one */

/* ---- connections of a session's own ---------------------------------------------------------------------
 */

struct link {
    const struct link_callbacks *callbacks;
    void *owner;
    int slot;
    struct link_request *request; /* null: nothing is asked */
    struct buffer bytes;          /* of it */
    bool is_open, is_closing;
    struct list in_world;
};

static struct list links; /* of the present test */
static bool links_are_refused;

bool valkey_is_cluster(const struct valkey *valkey) { return valkey != NULL; }
size_t valkey_primary_count(const struct valkey *valkey) { return valkey != NULL ? 2 : 0; }

struct source *valkey_source_of(const struct valkey *valkey, uint16_t slot)
{
    struct source *source = (struct source *)(uintptr_t)&valkey->sources[slot / (VALKEY_SLOT_COUNT / 2)];
    return source_is_open(source) ? source : NULL;
}

bool valkey_can_reach(const struct valkey *valkey, uint16_t slot)
{
    return valkey_source_of(valkey, slot) != NULL;
}

int64_t valkey_call_timeout_ms(const struct valkey *valkey)
{
    (void)valkey;
    return cache_world->tier->server.call_timeout_ms;
}

bool valkey_note_redirection(struct valkey *valkey, const struct resp_node *error)
{
    (void)valkey;
    return resp_is_error(error, BYTES("MOVED"));
}

enum err valkey_open_link(struct valkey *valkey, int slot, const struct link_callbacks *callbacks,
                          void *owner, struct link **result)
{
    struct link *link;

    (void)valkey;
    if (links_are_refused)
        return ERR_UNREACHABLE;
    played_depth++;
    link = calloc(1, sizeof *link);
    played_depth--;
    *link = (struct link){.callbacks = callbacks, .owner = owner, .slot = slot};
    list_append(&links, &link->in_world);
    *result = link;
    return OK;
}

enum err link_send(struct link *link, struct link_request *request, struct bytes bytes,
                   uint32_t reply_count)
{
    EXPECT(link->is_open && link->request == NULL);
    if (link->is_closing)
        return ERR_CANCELLED;
    buffer_append(&link->bytes, bytes);
    if (link->bytes.failed)
        return ERR_NO_MEMORY;
    request->left_count = reply_count;
    link->request = request;
    return OK;
}

void link_forget(struct link *link, struct link_request *request)
{
    EXPECT(link->request == request);
    link->request = NULL;
}

void link_close(struct link *link) { link->is_closing = true; }

/* ---- subscriptions: there are none
 * ----------------------------------------------------------------------- */

enum err subscriptions_create(struct valkey *valkey,
                              void (*heard)(void *owner, const struct subscription_message *message),
                              void *owner, struct subscriptions **subscriptions)
{
    (void)valkey, (void)heard, (void)owner;
    *subscriptions = NULL;
    return OK;
}

enum err subscriptions_join(struct subscriptions *subscriptions, enum subscription_kind kind,
                            struct bytes name, struct subscription_wait *wait, bool *is_in_force)
{
    (void)subscriptions, (void)kind, (void)name, (void)wait, (void)is_in_force;
    return ERR_FULL;
}

void subscriptions_leave(struct subscriptions *subscriptions, enum subscription_kind kind,
                         struct bytes name)
{
    (void)subscriptions, (void)kind, (void)name;
}

void subscriptions_give_up(struct subscriptions *subscriptions, struct subscription_wait *wait)
{
    (void)subscriptions, (void)wait;
}

size_t subscriptions_count(const struct subscriptions *subscriptions) { return subscriptions != NULL; }
size_t subscriptions_link_count(const struct subscriptions *subscriptions) { return subscriptions != NULL; }

/* ---- what the test does to a connection
 * ------------------------------------------------------------------- */

static inline struct link *only_link(void)
{
    EXPECT(!list_is_empty(&links) && links.next == links.previous);
    return CONTAINER_OF(links.next, struct link, in_world);
}

/* The connection has been greeted. */
static inline void link_opens(struct link *link)
{
    link->is_open = true;
    link->callbacks->opened(link->owner);
}

/* The next reply to what was asked. */
static inline void link_says(struct link *link, struct resp_node *nodes, uint32_t count)
{
    struct link_request *request = link->request;
    struct resp_reply reply = {.nodes = nodes, .node_count = count};

    nodes[0].span = nodes[0].span == 0 ? count : nodes[0].span;
    for (uint32_t i = 1; i < count; i++)
        nodes[i].span = nodes[i].span == 0 ? 1 : nodes[i].span;
    EXPECT(request != NULL && request->left_count > 0);
    if (--request->left_count == 0)
        link->request = NULL;
    request->replied(request, &reply);
}

static inline void link_ends(struct link *link, enum err why)
{
    struct link_request *request = link->request;

    list_remove(&link->in_world);
    link->request = NULL;
    if (request != NULL)
        request->failed(request, why, true);
    link->callbacks->closed(link->owner, why, BYTES("gone"));
    buffer_fini(&link->bytes);
    free(link);
}

/* Those that are to close do. */
static inline void close_links(void)
{
    for (struct list *node = links.next, *next; node != &links; node = next) {
        struct link *link = CONTAINER_OF(node, struct link, in_world);
        next = node->next;
        if (link->is_closing)
            link_ends(link, ERR_CANCELLED);
    }
}

static inline void say_present(struct reply *reply, const struct outcome *outcome)
{
    (void)reply;
    resp_render(cache_world->present, cache_world->session.resp_version, outcome);
}

static inline void say_late(struct reply *reply, const struct outcome *outcome)
{
    (void)reply;
    resp_render(cache_world->late_output, *cache_world->late_version, outcome);
}

static inline void aim(void)
{
    cache_world->session.late_count = cache_world->late.count;
    cache_world->present = late_answers_output(&cache_world->late, &cache_world->output);
}

static inline struct reply *begin_late(struct late *late)
{
    struct late_place *place = CONTAINER_OF(late, struct late_place, late);

    EXPECT(!cache_world->has_ended);
    cache_world->late_output = late_place_output(&cache_world->late, place, &cache_world->output);
    cache_world->late_version = &place->resp_version;
    cache_world->late_reply.say = say_late;
    return &cache_world->late_reply;
}

static inline void end_late(struct late *late)
{
    late_answers_end(&cache_world->late, CONTAINER_OF(late, struct late_place, late), &cache_world->output);
    aim();
}

static inline struct late *take_late(struct session *session, unsigned flags, uint64_t held_bytes)
{
    struct late_place *place =
        late_answers_take(&cache_world->late, flags, held_bytes, session->resp_version);

    if (place == NULL)
        return NULL;
    place->late.begin = begin_late;
    place->late.end = end_late;
    aim();
    return &place->late;
}

static inline void cache_begin(struct cache_world *world)
{
    *world = (struct cache_world){.session = {.id = 1, .resp_version = 2, .take_late = take_late},
                                  .reply = {.say = say_present}};
    cache_world = world;
    list_init(&links);
    links_are_refused = false;
    world_ranges[0] = (struct valkey_slot_range){0, VALKEY_SLOT_COUNT / 2 - 1, 0};
    world_ranges[1] = (struct valkey_slot_range){VALKEY_SLOT_COUNT / 2, VALKEY_SLOT_COUNT - 1, 1};
    world_range_count = 2;
    world->tier = tier_world_make(1, NULL);
    EXPECT_EQ(kv_hub_create(1, NULL, NULL, &world->hub), OK);
    world->kv =
        (struct kv){.store = world->tier->store, .hub = world->hub, .counters = world->tier->counters};
    EXPECT_EQ(kv_tier_begin(&world->kv, world->tier->workers[0], world->tier->loops[0]), OK);
    late_answers_init(&world->late);
    aim();
}

/* The client goes. */
static inline void client_goes(struct cache_world *world)
{
    world->has_ended = true;
    late_answers_fini(&world->late);
    kv_session_reset(&world->kv, &world->session);
    close_links();
}

static inline void cache_end(struct cache_world *world)
{
    if (!world->has_ended)
        client_goes(world);
    EXPECT(list_is_empty(&links));
    kv_tier_end(&world->kv);
    buffer_fini(&world->output);
    kv_hub_destroy(world->hub);
    tier_world_end(world->tier);
}

/* The client sends a command, as one line. */
static inline void sends(struct cache_world *world, const char *line)
{
    static const struct resp_limits limits = {
        .arguments_max = 1000, .bulk_bytes_max = 1 << 20, .inline_bytes_max = 65536};
    struct now now = {.mono_ms = world->tier->now_ms, .wall_ms = world->tier->now_ms};
    struct resp_parser parser = {0};
    struct bytes arguments[64], error;
    struct command command;
    char text[1024];
    int size = snprintf(text, sizeof text, "%s\r\n", line);
    size_t consumed;

    played_depth++;
    EXPECT_EQ(resp_parse(&parser, &limits, bytes_of(text, (size_t)size), arguments, 64, &command, &consumed,
                         &error),
              PARSE_DONE);
    played_depth--;
    world->session.is_held = false;
    kv_begin(&world->kv);
    kv_run(&world->kv, now, &world->session, &command, &world->reply);
    kv_end(&world->kv);
    resp_parser_fini(&parser);
}

/* What the client has been told since it was last looked at. */
#define EXPECT_TOLD(world, wanted)                                                                         \
    do {                                                                                                   \
        EXPECT_TEXT(buffer_bytes(&(world)->output), bytes_of_text(wanted));                                \
        buffer_clear(&(world)->output);                                                                    \
    } while (0)

/* The tier's answer to the oldest call, one node, or an aggregate and its members. */
static inline void tier_says(struct cache_world *world, const char *words, struct resp_node node)
{
    reply(world->tier, 0, 0, words, node);
}

static inline void tier_says_many(struct cache_world *world, const char *words, struct resp_node *nodes,
                                  uint32_t count)
{
    struct resp_reply one = {.nodes = nodes, .node_count = count};

    nodes[0].span = count;
    for (uint32_t i = 1; i < count; i++)
        nodes[i].span = nodes[i].span == 0 ? 1 : nodes[i].span;
    answer(world->tier, 0, words, (struct valkey_answer){.replies = &one});
}

/* What COMMAND says of some commands. */
static inline bool tier_tells_commands(struct cache_world *world)
{
    static const char text[] =
        "*11\r\n"
        "*7\r\n+blpop\r\n:-3\r\n*2\r\n+write\r\n+blocking\r\n:1\r\n:-2\r\n:1\r\n*1\r\n+@write\r\n"
        "*7\r\n+hget\r\n:3\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@read\r\n"
        "*7\r\n+hset\r\n:-4\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@write\r\n"
        "*7\r\n+hgetall\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@read\r\n"
        "*7\r\n+eval\r\n:-3\r\n*2\r\n+noscript\r\n+movablekeys\r\n:0\r\n:0\r\n:0\r\n*1\r\n+@scripting\r\n"
        "*7\r\n+sort\r\n:-2\r\n*2\r\n+write\r\n+movablekeys\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@write\r\n"
        "*7\r\n+xreadgroup\r\n:-7\r\n*2\r\n+write\r\n+blocking\r\n:7\r\n:7\r\n:1\r\n*1\r\n+@write\r\n"
        "*7\r\n+lpop\r\n:-2\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@write\r\n"
        "*7\r\n+monitor\r\n:1\r\n*1\r\n+admin\r\n:0\r\n:0\r\n:0\r\n*1\r\n+@admin\r\n"
        "*7\r\n+wait\r\n:3\r\n*1\r\n+noscript\r\n:0\r\n:0\r\n:0\r\n*1\r\n+@slow\r\n"
        "*7\r\n+publish\r\n:3\r\n*1\r\n+pubsub\r\n:0\r\n:0\r\n:0\r\n*1\r\n+@pubsub\r\n";
    static const struct resp_reply_limits limits = {
        .reply_bytes_max = 1 << 20, .nodes_max = 1 << 16, .depth_max = 8};
    struct resp_reply_parser parser = {0};
    struct resp_reply reply;
    struct bytes error;
    size_t consumed;
    bool is_whole =
        resp_reply_parse(&parser, &limits, bytes_of_text(text), &reply, &consumed, &error) == PARSE_DONE;

    if (is_whole)
        answer(world->tier, 0, "COMMAND", (struct valkey_answer){.replies = &reply});
    resp_reply_parser_fini(&parser);
    return is_whole;
}

/* It is known what commands the tier has. */
static inline void learn_commands(struct cache_world *world)
{
    sends(world, "hget learn f");
    EXPECT(world->session.is_held);
    EXPECT(tier_tells_commands(world));
    EXPECT_TOLD(world, "");
}
