/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* Two gateways that share a tier: one fetch for both, purges that both hear of, and what each does alone.
 */
#include "engine/gateway/entry_watch.h"
#include "engine/gateway/fleet.h"
#include "engine/gateway/purge.h"
#include "engine/gateway/purge_wait.h"
#include "fake_tier.h"
#include "gateway_world.h"

/* Two nodes of one origin. */
struct two {
    struct fake_server *server;
    struct world *one, *other;
};

static struct two two_create(void)
{
    struct two two = {.server = fake_server_create()};

    two.one = world_create_full(60000, "", NULL, fake_tier_create(two.server), fake_tier_worker);
    two.other = world_create_full(60000, "", two.one, fake_tier_create(two.server), fake_tier_worker);
    return two;
}

static void two_destroy(struct two *two)
{
    stub_set(&two->one->stub, false, false);
    world_destroy(two->other);
    world_destroy(two->one);
    fake_server_destroy(two->server);
}

static int requests(const struct two *two) { return two->one->stub.request_count; }

struct purging {
    struct runner *runner;
    struct purge_order order;
};
static void do_purge(void *argument)
{
    struct purging *purging = argument;
    EXPECT_EQ(
        gateway_purge(purging->runner->worker, loop_now(purging->runner->loop).mono_ms, &purging->order),
        OK);
}
static bool is_settled(void *argument)
{
    struct gateway *gateway = argument;
    return fleet_errand_count(gateway->fleet) == 0;
}
static bool has_one_errand(void *argument)
{
    struct gateway *gateway = argument;
    return fleet_errand_count(gateway->fleet) == 1;
}
static bool have_heard(void *argument)
{
    struct two *two = argument;
    const struct fleet *one = two->one->gateway->fleet, *other = two->other->gateway->fleet;
    uint64_t last = one->acknowledged > other->acknowledged ? one->acknowledged : other->acknowledged;
    /* Who was never asked has not read the log yet. */
    return (one->number == 0 || one->number >= last) && (other->number == 0 || other->number >= last);
}
static void purge_at(struct two *two, struct world *world, enum purge_kind kind, const char *text,
                     bool is_soft)
{
    struct purging purging = {&world->runners[0], {kind, is_soft, bytes_of_text(text)}};
    on_worker(&world->runners[0], do_purge, &purging);
    if (two->server->is_away)
        return;
    wait_until_true(is_settled, world->gateway);
    wait_until_true(have_heard, two);
}

struct publishing {
    struct gateway_worker *worker;
    bool is_under_way;
};
static void look_at_publications(void *argument)
{
    struct publishing *publishing = argument;
    publishing->is_under_way = !list_is_empty(&publishing->worker->fleet->publications);
}
static bool has_no_publication(void *argument)
{
    struct world *world = argument;
    struct publishing publishing = {world->runners[0].worker, false};
    on_worker(&world->runners[0], look_at_publications, &publishing);
    return !publishing.is_under_way;
}

TEST(what_one_node_has_fetched_the_other_need_not)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/count", "", 200, "1", "fwd=uri-miss");
    expect_answer(two.one, "GET", "/count", "", 200, "1", "; hit");
    expect_answer(two.other, "GET", "/count", "", 200, "1", "; hit; ttl=60; detail=tier");
    expect_answer(two.other, "GET", "/count", "", 200, "1", "; hit; ttl=60\r\n");
    EXPECT_EQ(requests(&two), 1);
    two_destroy(&two);
}

/* Who watches a URL at one node. */
struct far_watcher {
    struct runner *runner;
    const struct http_request *request;
    struct cache_key key;
    struct entry_watch *watch;
    _Atomic int told_count;
    int wanted_count;
};
static void on_entry_changed(void *owner) { ((struct far_watcher *)owner)->told_count++; }
static void begin_to_watch(void *argument)
{
    struct far_watcher *watcher = argument;
    const struct gateway_worker *worker = watcher->runner->worker; /* its plan is its thread's */

    EXPECT(route_key(plan_route(worker->plan, watcher->request), watcher->request, &watcher->key));
    watcher->watch = entry_watch_begin(watcher->runner->worker, &watcher->key, on_entry_changed, watcher);
    EXPECT(watcher->watch != NULL);
}
static void end_to_watch(void *argument) { entry_watch_end(((struct far_watcher *)argument)->watch); }
static bool was_told(void *argument)
{
    struct far_watcher *watcher = argument;
    return watcher->told_count >= watcher->wanted_count;
}
static void expect_told(struct far_watcher *watcher)
{
    watcher->wanted_count = 1;
    wait_until_true(was_told, watcher);
    sleep_ms(200); /* once too often is fine, and must not be taken for the next */
    watcher->told_count = 0;
}

TEST(what_another_node_fetches_or_purges_is_told_to_who_watches)
{
    struct two two = two_create();
    const struct http_request request = {.method = HTTP_METHOD_GET,
                                         .method_name = BYTES("GET"),
                                         .authority = BYTES("client.example"),
                                         .path = BYTES("/count"),
                                         .minor_version = 1};
    struct far_watcher watcher = {.runner = &two.other->runners[0], .request = &request};

    on_worker(watcher.runner, begin_to_watch, &watcher);
    expect_answer(two.one, "GET", "/count", "", 200, "1", NULL);
    expect_told(&watcher);
    purge_at(&two, two.one, PURGE_URL, "/count", false);
    expect_told(&watcher);
    expect_answer(two.one, "GET", "/count", "", 200, "2", NULL);
    expect_told(&watcher);
    on_worker(watcher.runner, end_to_watch, &watcher);
    expect_answer(two.other, "GET", "/count", "", 200, "2", NULL);
    EXPECT_EQ(requests(&two), 2);
    two_destroy(&two);
}

TEST(an_answer_is_as_old_at_the_other_node)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/fresh", "", 200, "fresh", NULL);
    two.one->forward_ms += 30000;
    two.other->forward_ms += 30000;
    expect_answer(two.other, "GET", "/fresh", "", 200, "fresh", "Age: 30\r\n");
    two.one->forward_ms += 31000;
    two.other->forward_ms += 31000;
    expect_answer(two.other, "GET", "/fresh", "", 200, "fresh", "fwd=stale");
    expect_answer(two.one, "GET", "/fresh", "", 200, "fresh", "; hit; ttl=60; detail=tier");
    EXPECT_EQ(requests(&two), 2);
    two_destroy(&two);
}

TEST(variants_are_shared_too)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/vary", "Accept-Language: de", 200, "de1", NULL);
    expect_answer(two.other, "GET", "/vary", "Accept-Language: de", 200, "de1", "; hit");
    expect_answer(two.other, "GET", "/vary", "Accept-Language: fr", 200, "fr2", NULL);
    expect_answer(two.one, "GET", "/vary", "Accept-Language: fr", 200, "fr2", "; hit");
    purge_at(&two, two.one, PURGE_URL, "/vary", false);
    expect_answer(two.other, "GET", "/vary", "Accept-Language: de", 200, "de3", NULL);
    expect_answer(two.one, "GET", "/vary", "Accept-Language: de", 200, "de3", "; hit");
    expect_answer(two.one, "GET", "/vary", "Accept-Language: fr", 200, "fr4", NULL);
    two_destroy(&two);
}

TEST(a_crowd_at_both_nodes_is_one_request)
{
    enum { EACH = 100 };
    struct two two = two_create();
    struct client *clients[2 * EACH];

    stub_set(&two.one->stub, true, false);
    for (int i = 0; i < 2 * EACH; i++) {
        clients[i] = client_create(i % 2 ? two.one : two.other, (size_t)i / 2 % 2, "GET", "/count", "");
        client_start(clients[i]);
    }
    wait_for_requests(two.one, 1);
    sleep_ms(50);
    stub_set(&two.one->stub, false, false);
    for (int i = 0; i < 2 * EACH; i++) {
        wait_until_true(has_ended, clients[i]);
        EXPECT_TEXT(buffer_bytes(&clients[i]->body), BYTES("1"));
        client_destroy(clients[i]);
    }
    EXPECT_EQ(requests(&two), 1);
    two_destroy(&two);
}

TEST(what_is_not_for_all_holds_up_nobody_at_any_node)
{
    struct two two = two_create();
    struct client *early, *late;

    stub_set(&two.one->stub, true, false);
    early = client_create(two.one, 0, "GET", "/private", "");
    client_start(early);
    wait_for_requests(two.one, 1);
    late = client_create(two.other, 0, "GET", "/private", "");
    client_start(late);
    sleep_ms(20);
    stub_set(&two.one->stub, false, false);
    wait_until_true(has_ended, early);
    wait_until_true(has_ended, late);
    EXPECT_TEXT(buffer_bytes(&late->body), BYTES("2"));
    client_destroy(early);
    client_destroy(late);
    two_destroy(&two);
}

TEST(a_purge_at_one_node_is_a_purge_at_all)
{
    static const struct {
        enum purge_kind kind;
        const char *text;
    } kinds[] = {{PURGE_URL, "/count"}, {PURGE_PREFIX, "/co"}, {PURGE_ALL, ""}};

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct two two = two_create();
        expect_answer(two.one, "GET", "/count", "", 200, "1", NULL);
        expect_answer(two.other, "GET", "/count", "", 200, "1", "; hit");
        purge_at(&two, two.other, kinds[i].kind, kinds[i].text, false);
        expect_answer(two.one, "GET", "/count", "", 200, "2", "fwd=uri-miss");
        expect_answer(two.other, "GET", "/count", "", 200, "2", "; hit; ttl=60; detail=tier");
        two_destroy(&two);
    }
}

TEST(what_was_purged_before_a_node_came_is_not_brought_to_it)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/count", "", 200, "1", NULL);
    purge_at(&two, two.one, PURGE_PREFIX, "/c", false);
    expect_answer(two.other, "GET", "/count", "", 200, "2", NULL);
    two_destroy(&two);
}

TEST(a_soft_purge_makes_stale_at_all_nodes)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/fresh", "", 200, "fresh", NULL);
    expect_answer(two.other, "GET", "/fresh", "", 200, "fresh", "; hit");
    purge_at(&two, two.one, PURGE_URL, "/fresh", true);
    expect_answer(two.other, "GET", "/fresh", "", 200, "fresh", "fwd=stale");
    expect_answer(two.one, "GET", "/fresh", "", 200, "fresh", "; hit; ttl=60; detail=tier");
    EXPECT_EQ(requests(&two), 2);
    two_destroy(&two);
}

TEST(a_write_by_one_node_is_seen_by_the_other)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/count", "", 200, "1", NULL);
    expect_answer(two.other, "GET", "/count", "", 200, "1", "; hit");
    expect_answer(two.one, "POST", "/count", "", 201, "0", NULL);
    wait_until_true(is_settled, two.one->gateway);
    expect_answer(two.other, "GET", "/count", "", 200, "3", NULL);
    two_destroy(&two);
}

TEST(what_was_asked_for_before_a_purge_elsewhere_is_not_kept_by_anybody)
{
    struct two two = two_create();
    struct client *early, *late;

    stub_set(&two.one->stub, true, false);
    early = client_create(two.one, 0, "GET", "/count", "");
    client_start(early);
    wait_for_requests(two.one, 1);
    purge_at(&two, two.other, PURGE_URL, "/count", false);
    late = client_create(two.one, 1, "GET", "/count", "");
    client_start(late);
    wait_for_requests(two.one, 2);
    stub_set(&two.one->stub, false, false);
    wait_until_true(has_ended, early);
    wait_until_true(has_ended, late);
    EXPECT_TEXT(buffer_bytes(&late->body), BYTES("2"));
    client_destroy(early);
    client_destroy(late);
    expect_answer(two.one, "GET", "/count", "", 200, "2", "; hit");
    expect_answer(two.other, "GET", "/count", "", 200, "2", "; hit");
    two_destroy(&two);
}

TEST(a_purge_that_is_heard_where_no_rule_more_has_room_touches_what_is_being_fetched)
{
    struct two two = two_create();
    struct client *early;
    char prefix[32];

    expect_answer(two.one, "GET", "/fresh", "", 200, "fresh", NULL); /* the log is read */
    stub_set(&two.one->stub, true, false);
    early = client_create(two.one, 0, "GET", "/count", "");
    client_start(early);
    wait_for_requests(two.one, 2);
    for (int i = 0, err = OK; err == OK; i++) {
        snprintf(prefix, sizeof prefix, "/other/%d/", i);
        err = (int)purge_rules_add(&two.one->gateway->purge_rules, bytes_of_text(prefix), false);
    }
    purge_at(&two, two.other, PURGE_PREFIX, "/co", false);
    stub_set(&two.one->stub, false, false);
    wait_until_true(has_ended, early);
    client_destroy(early);
    expect_answer(two.one, "GET", "/count", "", 200, "3", "fwd=");
    two_destroy(&two);
}

struct looking {
    struct runner *runner;
    bool is_away;
};
static void look_whether_away(void *argument)
{
    struct looking *looking = argument;

    looking->is_away =
        fleet_log_is_away(looking->runner->worker->fleet, loop_now(looking->runner->loop).mono_ms);
}

TEST(a_tier_that_tells_of_no_changes_is_not_asked_without_end)
{
    struct two two = two_create();
    struct looking looking = {&two.one->runners[0], false};
    int before;

    two.server->is_untracked = true;
    expect_answer(two.one, "GET", "/count", "", 200, "1", NULL);
    before = two.server->read_count;
    sleep_ms(300);
    EXPECT(two.server->read_count - before < 15);
    on_worker(&two.one->runners[0], look_whether_away, &looking);
    EXPECT(looking.is_away); /* so nobody waits for it */
    expect_answer(two.one, "GET", "/count", "", 200, "1", "; hit");
    two_destroy(&two);
}

TEST(while_the_tier_is_away_each_goes_on_by_itself_and_purges_are_told_later)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/count", "", 200, "1", NULL);
    expect_answer(two.other, "GET", "/count", "", 200, "1", "; hit");
    fake_server_set_away(two.server, true);
    expect_answer(two.one, "GET", "/count", "", 200, "1", "; hit");
    expect_answer(two.one, "GET", "/fresh", "", 200, "fresh", "fwd=uri-miss");
    expect_answer(two.one, "GET", "/fresh", "", 200, "fresh", "; hit");
    purge_at(&two, two.one, PURGE_URL, "/count", false);
    expect_answer(two.one, "GET", "/count", "", 200, "3", "fwd=uri-miss");
    expect_answer(two.other, "GET", "/count", "", 200, "1", "; hit"); /* it cannot know */
    fake_server_set_away(two.server, false);
    wait_until_true(is_settled, two.one->gateway);
    two.other->forward_ms += 2000; /* it is tried again */
    expect_answer(two.other, "GET", "/count", "", 200, "4", NULL);
    two_destroy(&two);
}

/* Lets an hour, or less, pass at both nodes. */
static void pass_ms(struct two *two, int ms)
{
    struct world *worlds[] = {two->one, two->other};

    for (size_t i = 0; i < COUNT_OF(worlds); i++) {
        worlds[i]->forward_ms += ms;
        for (size_t j = 0; j < WORKERS; j++) /* their timers are looked at */
            on_worker(&worlds[i]->runners[j], do_nothing, NULL);
    }
}

TEST(a_slow_fetch_that_a_write_elsewhere_has_overtaken_is_kept_by_nobody)
{
    struct two two = two_create();
    struct client *early;

    stub_set(&two.one->stub, true, false);
    early = client_create(two.one, 0, "GET", "/count", "");
    client_start(early);
    wait_for_requests(two.one, 1);
    expect_answer(two.other, "POST", "/count", "", 201, "0", NULL);
    wait_until_true(is_settled, two.other->gateway);
    pass_ms(&two, FLEET_LEASE_MS / 2); /* it is seen that the lease has gone */
    sleep_ms(20);
    stub_set(&two.one->stub, false, false);
    wait_until_true(has_ended, early);
    EXPECT_TEXT(buffer_bytes(&early->body), BYTES("1"));
    client_destroy(early);
    expect_answer(two.one, "GET", "/count", "", 200, "3", NULL);
    expect_answer(two.other, "GET", "/count", "", 200, "3", "; hit");
    two_destroy(&two);
}

TEST(what_was_fetched_while_the_tier_was_away_counts_no_longer_once_it_is_back)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/fresh", "", 200, "fresh", NULL); /* it has read the log */
    fake_server_set_away(two.server, true);
    expect_answer(two.one, "GET", "/count", "", 200, "2", NULL);
    expect_answer(two.one, "GET", "/count", "", 200, "2", "; hit");
    fake_server_set_away(two.server, false);
    pass_ms(&two, 2 * FLEET_AWAY_MS);
    expect_answer(two.other, "POST", "/count", "", 201, "0", NULL);
    wait_until_true(is_settled, two.other->gateway);
    expect_answer(two.one, "GET", "/count", "", 200, "4", NULL);
    two_destroy(&two);
}

struct pair {
    struct client *early, *late;
};

/* One client at each node; the first one's request is with the origin, which is silent. */
static struct pair pair_begin(struct two *two)
{
    struct pair pair = {client_create(two->one, 0, "GET", "/count", ""),
                        client_create(two->other, 0, "GET", "/count", "")};

    stub_set(&two->one->stub, true, false);
    client_start(pair.early);
    wait_for_requests(two->one, 1);
    client_start(pair.late);
    sleep_ms(20);
    EXPECT_EQ(requests(two), 1);
    return pair;
}

static void pair_end(struct two *two, struct pair *pair, const char *late)
{
    stub_set(&two->one->stub, false, false);
    wait_until_true(has_ended, pair->early);
    wait_until_true(has_ended, pair->late);
    EXPECT_TEXT(buffer_bytes(&pair->early->body), BYTES("1"));
    EXPECT_TEXT(buffer_bytes(&pair->late->body), bytes_of_text(late));
    client_destroy(pair->early);
    client_destroy(pair->late);
}

TEST(who_waits_for_a_slow_origin_asks_it_no_sooner_because_nothing_is_heard)
{
    struct two two = two_create();
    struct pair pair = pair_begin(&two);

    for (int i = 0; i < 5; i++) {
        fake_server_forget_missing(two.server);
        sleep_ms(20);
    }
    EXPECT_EQ(requests(&two), 1);
    pair_end(&two, &pair, "1");
    EXPECT_EQ(requests(&two), 1);
    two_destroy(&two);
}

TEST(a_lease_whose_holder_is_gone_is_taken_by_who_waits)
{
    struct two two = two_create();
    struct pair pair = pair_begin(&two);

    fake_server_evict(two.server, "}:l");
    fake_server_forget_missing(two.server);
    wait_for_requests(two.one, 2);
    pair_end(&two, &pair, "2");
    expect_answer(two.one, "GET", "/count", "", 200, "2", "; hit");
    two_destroy(&two);
}

TEST(who_has_waited_for_long_enough_asks_the_origin_once_for_all)
{
    enum { MORE = 10 };
    struct two two = two_create();
    struct pair pair = pair_begin(&two);
    struct client *more[MORE];

    for (int i = 0; i < MORE; i++) {
        more[i] = client_create(two.other, (size_t)i % 2, "GET", "/count", "");
        client_start(more[i]);
    }
    for (int passed_ms = 0; passed_ms < COALESCE_TIMEOUT_MS; passed_ms += 2500) {
        EXPECT_EQ(requests(&two), 1);
        pass_ms(&two, 2500); /* the lease is kept meanwhile */
        sleep_ms(10);
    }
    wait_for_requests(two.one, 2);
    sleep_ms(20);
    EXPECT_EQ(requests(&two), 2);
    pair_end(&two, &pair, "2");
    for (int i = 0; i < MORE; i++) {
        wait_until_true(has_ended, more[i]);
        client_destroy(more[i]);
    }
    two_destroy(&two);
}

TEST(without_the_url_s_witness_no_variant_counts)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/vary", "Accept-Language: de", 200, "de1", NULL);
    expect_answer(two.other, "GET", "/vary", "Accept-Language: de", 200, "de1", "; hit");
    expect_answer(two.other, "GET", "/vary", "Accept-Language: de", 200, "de1", "; hit; ttl=60\r\n");
    fake_server_evict(two.server, "}:w");
    expect_answer(two.other, "GET", "/vary", "Accept-Language: de", 200, "de2", NULL);
    expect_answer(two.one, "GET", "/vary", "Accept-Language: de", 200, "de2", "; hit");
    two_destroy(&two);
}

TEST(a_purge_that_cannot_be_told_holds_up_no_other)
{
    struct two two = two_create();
    struct purging first = {&two.one->runners[0], {PURGE_URL, false, BYTES("/count")}};
    struct purging second = {&two.one->runners[0], {PURGE_PREFIX, false, BYTES("/fre")}};
    struct purging *both[] = {&first, &second};

    expect_answer(two.one, "GET", "/fresh", "", 200, "fresh", NULL);
    expect_answer(two.other, "GET", "/fresh", "", 200, "fresh", "; hit");
    two.server->silent_script = fleet_script_purge;
    for (size_t i = 0; i < COUNT_OF(both); i++)
        on_worker(both[i]->runner, do_purge, both[i]);
    wait_until_true(has_one_errand, two.one->gateway);
    wait_until_true(have_heard, &two);
    expect_answer(two.other, "GET", "/fresh", "", 200, "fresh", "fwd=uri-miss");
    two.server->silent_script = NULL;
    two_destroy(&two);
}

TEST(purges_that_are_too_many_to_remember_are_one_of_everything)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/count", "", 200, "1", NULL);
    expect_answer(two.other, "GET", "/count", "", 200, "1", "; hit");
    fake_server_set_away(two.server, true);
    for (int i = 0; i < 3 * FLEET_ERRANDS_MAX; i++)
        fleet_tell_rule(two.one->gateway, FLEET_TAG, BYTES("birds"), false);
    EXPECT(fleet_errand_count(two.one->gateway->fleet) <= FLEET_ERRANDS_MAX + 1);
    fake_server_set_away(two.server, false);
    pass_ms(&two, 2 * FLEET_AWAY_MS);
    wait_until_true(is_settled, two.one->gateway);
    wait_until_true(have_heard, &two);
    expect_answer(two.other, "GET", "/count", "", 200, "2", NULL);
    two_destroy(&two);
}

TEST(purges_that_were_not_told_before_the_end_are_owed_by_the_next_life)
{
    struct two two = two_create();
    struct now now = clock_read(&clock_system);
    char origin[] = "http://127.0.0.1:1/";
    const struct gateway_options options = {
        .plan = {.upstreams = &(
                     struct upstream_spec){.policy = {.origin_urls = origin, .origin_connections_max = 1}},
                 .upstream_count = 1},
        .store = two.one->store,
        .tier = two.one->gateway->fleet->tier,
        .space = 3,
        .near_space = FAKE_NEAR_SPACE};
    struct gateway *next;

    fake_server_set_away(two.server, true);
    purge_at(&two, two.one, PURGE_URL, "/count", false);
    gateway_hand_over(two.one->gateway, now);
    EXPECT_EQ(gateway_create(&options, &next), OK);
    gateway_take_over(next, now);
    EXPECT_EQ(fleet_errand_count(next->fleet), 1);
    EXPECT(!fleet_errands_wait(next->fleet, 1, 1) && fleet_errands_wait(next->fleet, 0, 1));
    gateway_destroy(next);
    fake_server_set_away(two.server, false);
    pass_ms(&two, 2 * FLEET_AWAY_MS);
    wait_until_true(is_settled, two.one->gateway);
    two_destroy(&two);
}

TEST(while_the_tier_takes_nothing_each_goes_on_by_itself)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/fresh", "", 200, "fresh", NULL); /* it has read the log */
    expect_answer(two.other, "GET", "/fresh", "", 200, "fresh", "; hit");
    two.server->is_full = true;
    expect_answer(two.one, "GET", "/count", "", 200, "2", "fwd=uri-miss");
    expect_answer(two.one, "GET", "/count", "", 200, "2", "; hit");
    expect_answer(two.one, "GET", "/count", "", 200, "2", "; hit");
    fake_server_evict(two.server, "}:w"); /* what was there is believed to have been purged */
    expect_answer(two.other, "GET", "/fresh", "", 200, "fresh", "fwd=uri-miss");
    two.server->is_full = false;
    pass_ms(&two, FLEET_REFUSED_MS + 1000);
    expect_answer(two.one, "GET", "/count", "", 200, "4", NULL);
    expect_answer(two.other, "GET", "/count", "", 200, "4", "; hit");
    two_destroy(&two);
}

struct waiting {
    struct world *world;
    struct purge_wait *wait;
    _Atomic bool is_over;
    bool is_told;
};

static void on_purge_told(void *owner, bool is_told)
{
    struct waiting *waiting = owner;

    waiting->is_told = is_told;
    waiting->is_over = true;
}

static void purge_and_wait(void *argument)
{
    struct waiting *waiting = argument;
    struct gateway_worker *worker = waiting->world->runners[0].worker;
    const struct purge_order order = {PURGE_URL, false, BYTES("/count")};
    uint64_t since = purge_wait_since(worker);

    EXPECT_EQ(gateway_purge(worker, loop_now(worker->loop).mono_ms, &order), OK);
    waiting->wait = purge_wait_begin(worker, since, on_purge_told, waiting, &waiting->is_told);
    waiting->is_over = waiting->wait == NULL;
}

static void end_wait(void *argument) { purge_wait_end(((struct waiting *)argument)->wait); }

static bool is_wait_over(void *argument) { return ((struct waiting *)argument)->is_over; }

TEST(who_purges_is_told_when_the_tier_has_it_or_that_it_could_not_be_reached)
{
    struct two two = two_create();
    struct waiting waiting = {.world = two.one};

    on_worker(&two.one->runners[0], purge_and_wait, &waiting);
    EXPECT(waiting.wait != NULL);
    wait_until_true(is_wait_over, &waiting);
    EXPECT(waiting.is_told);
    fake_server_set_away(two.server, true);
    on_worker(&two.one->runners[0], purge_and_wait, &waiting);
    EXPECT(!waiting.is_over && !waiting.is_told);
    pass_ms(&two, TIER_TIMEOUT_MS);
    wait_until_true(is_wait_over, &waiting);
    EXPECT(!waiting.is_told);
    on_worker(&two.one->runners[0], purge_and_wait, &waiting); /* its client goes away */
    on_worker(&two.one->runners[0], end_wait, &waiting);
    fake_server_set_away(two.server, false);
    pass_ms(&two, 2 * FLEET_AWAY_MS);
    wait_until_true(is_settled, two.one->gateway);
    EXPECT(!waiting.is_over);
    two_destroy(&two);
}

TEST(a_purge_that_is_heard_late_does_not_say_that_variants_are_not_for_all)
{
    struct two two = two_create();
    struct purging purging = {&two.other->runners[0], {PURGE_URL, false, BYTES("/vary")}};
    struct client *early;

    expect_answer(two.one, "GET", "/fresh", "", 200, "fresh", NULL); /* it has read the log */
    two.server->silent_script = fleet_script_log;
    on_worker(purging.runner, do_purge, &purging);
    wait_until_true(has_one_errand,
                    two.other->gateway); /* it is gone from the tier, which nobody heard of */
    stub_set(&two.one->stub, true, false);
    early = client_create(two.one, 0, "GET", "/vary", "Accept-Language: de");
    client_start(early);
    wait_for_requests(two.one, 2);
    two.server->silent_script = NULL;
    pass_ms(&two, FLEET_AWAY_MS);
    wait_until_true(is_settled, two.other->gateway);
    wait_until_true(have_heard, &two);
    stub_set(&two.one->stub, false, false);
    wait_until_true(has_ended, early);
    client_destroy(early);
    expect_answer(two.one, "GET", "/vary", "Accept-Language: de", 200, "de3", NULL);
    expect_answer(two.one, "GET", "/vary", "Accept-Language: de", 200, "de3", "; hit");
    expect_answer(two.other, "GET", "/vary", "Accept-Language: de", 200, "de3", "; hit");
    two_destroy(&two);
}

TEST(who_asks_fenced_is_answered_by_the_tier)
{
    struct two two = two_create();
    int before;

    expect_answer(two.one, "GET", "/count", "", 200, "1", NULL);
    expect_answer(two.one, "GET", "/count", "", 200, "1", "; hit");
    before = two.server->read_count;
    expect_answer(two.one, "GET", "/count", "", 200, "1", "; hit");
    EXPECT_EQ(two.server->read_count, before);
    expect_answer(two.one, "GET", "/count", "Nuthatch-Fenced: 1", 200, "1", "; hit");
    EXPECT_EQ(two.server->read_count, before + 2); /* of its witness, and of the purges */
    two_destroy(&two);
}

TEST(who_asks_fenced_is_given_nothing_of_before_any_purge_that_was_acknowledged)
{
    static const struct {
        enum purge_kind kind;
        const char *text;
    } kinds[] = {{PURGE_URL, "/count"}, {PURGE_PREFIX, "/co"}, {PURGE_ALL, ""}};

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct two two = two_create();
        struct purging purging = {&two.one->runners[0],
                                  {kinds[i].kind, false, bytes_of_text(kinds[i].text)}};
        expect_answer(two.one, "GET", "/count", "", 200, "1", NULL);
        expect_answer(two.other, "GET", "/count", "", 200, "1", "; hit");
        two.server->is_mute = true;
        on_worker(purging.runner, do_purge, &purging);
        wait_until_true(is_settled, two.one->gateway);
        expect_answer(two.other, "GET", "/count", "", 200, "1", "; hit"); /* within the bound */
        expect_answer(two.other, "GET", "/count", "Nuthatch-Fenced: 1", 200, "2", NULL);
        two.server->is_mute = false;
        two_destroy(&two);
    }
}

TEST(a_log_that_was_lost_and_goes_on_with_lower_numbers_is_heard_all_the_same)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/count", "", 200, "1", NULL);
    expect_answer(two.other, "GET", "/count", "", 200, "1", "; hit");
    two.server->log_number = 10;
    fake_server_evict(two.server, "}:log");
    expect_answer(two.one, "GET", "/count", "", 200, "2", NULL);
    expect_answer(two.other, "GET", "/count", "", 200, "2", "; hit");
    purge_at(&two, two.one, PURGE_PREFIX, "/co", false);
    expect_answer(two.other, "GET", "/count", "", 200, "3", NULL);
    expect_answer(two.one, "GET", "/count", "", 200, "3", "; hit");
    two_destroy(&two);
}

static void grow_older(void *context)
{
    struct two *two = context;

    two->one->forward_ms += 2000;
    two->other->forward_ms += 2000;
}

TEST(what_takes_long_to_be_put_is_older_by_that)
{
    struct two two = two_create();
    struct client *client;

    two.server->on_set_context = &two;
    two.server->on_set = grow_older;
    client = ask(two.one, "GET", "/sizeable", "");
    client_destroy(client);
    wait_until_true(has_no_publication, two.one);
    client = ask(two.other, "GET", "/sizeable", "");
    EXPECT(head_has(client, "detail=tier") && head_has(client, "Age: 6\r\n"));
    client_destroy(client);
    two_destroy(&two);
}

TEST(a_hostile_tier_is_no_answer)
{
    struct two two = two_create();

    expect_answer(two.one, "GET", "/count", "", 200, "1", NULL);
    expect_answer(two.one, "GET", "/count", "", 200, "1", "; hit");
    pthread_mutex_lock(&two.server->lock);
    for (struct list *node = two.server->keys.next; node != &two.server->keys; node = node->next) {
        struct fake_key *key = CONTAINER_OF(node, struct fake_key, in_tier);
        if (memmem(key->key.data, key->key.size, "}:a", 3) != NULL)
            key->value.data[40] ^= 1;
    }
    pthread_mutex_unlock(&two.server->lock);
    expect_answer(two.other, "GET", "/count", "", 200, "2", NULL);
    two_destroy(&two);
}

TEST(what_is_large_comes_in_pieces)
{
    struct two two = two_create();
    struct client *client;

    client = ask(two.one, "GET", "/sizeable", "");
    EXPECT_EQ(client->received_bytes, SIZEABLE_BYTES);
    client_destroy(client);
    client = ask(two.other, "GET", "/sizeable", "");
    EXPECT(head_has(client, "detail=tier") && client->received_bytes == SIZEABLE_BYTES);
    client_destroy(client);
    EXPECT_EQ(requests(&two), 1);
    two_destroy(&two);
}

static void prefetch_pages(struct world *world, const struct two *two)
{
    world->stub.port = two->one->stub.port;
    world_follow(world, &(struct route_policy){.object_bytes_max = OBJECT_BYTES_MAX,
                                               .first_byte_timeout_ms = 60000000,
                                               .coalesce_timeout_ms = COALESCE_TIMEOUT_MS,
                                               .prefetch_next = 2});
}

/* Asks for a page, 0 for the first, and expects it of that list. */
static void expect_page(struct world *world, int page, int list)
{
    char query[16], body[64];
    struct client *client = client_create(world, 0, "GET", "/pages", "");

    snprintf(query, sizeof query, "n=%d", page);
    snprintf(body, sizeof body, "page %d of list %d", page > 0 ? page : 1, list);
    client->request.has_query = page > 0;
    client->request.query = page > 0 ? bytes_of_text(query) : (struct bytes){0};
    client_start(client);
    wait_until_true(has_ended, client);
    EXPECT_TEXT(buffer_bytes(&client->body), bytes_of_text(body));
    client_destroy(client);
}

static void wait_for_pages(const struct two *two, int count)
{
    wait_for_requests(two->one, count);
    wait_until_true(are_visitors_gone, &two->one->stub);
    for (int round = 0; round < 4; round++) {
        on_worker(&two->one->runners[0], do_nothing, NULL);
        on_worker(&two->other->runners[0], do_nothing, NULL);
    }
}

TEST(pages_that_a_node_has_brought_go_with_the_first_whoever_sees_its_change)
{
    struct two two = two_create();

    prefetch_pages(two.one, &two);
    prefetch_pages(two.other, &two);
    expect_page(two.other, 0, 0);
    wait_for_pages(&two, 3);
    expect_page(two.one, 0, 0);
    EXPECT_EQ(requests(&two), 3);
    two.one->stub.list_version = 1;
    two.one->forward_ms += 11000;
    two.other->forward_ms += 11000;
    expect_page(two.one, 0, 1);
    wait_for_pages(&two, 6);
    expect_page(two.one, 2, 1);
    expect_page(two.one, 3, 1);
    EXPECT_EQ(requests(&two), 6);
    expect_page(two.other, 2, 0); /* it is fresh for itself */
    expect_page(two.other, 0, 1);
    EXPECT_EQ(requests(&two), 6);
    expect_page(two.other, 2, 1);
    two_destroy(&two);
}

/* ---- limits that all nodes share ----------------------------------------------------------------- */

/* Two nodes in front of an API with that limit. */
static struct two two_create_limited(char *rate_limits, int64_t burst)
{
    struct two two = two_create();
    struct world *worlds[] = {two.one, two.other};
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%d/", two.one->stub.port);
    for (size_t i = 0; i < COUNT_OF(worlds); i++) {
        struct upstream_policy policy = {.origin_urls = url,
                                         .connect_timeout_ms = 5000,
                                         .origin_connections_max = 64,
                                         .tunnels_max = 64,
                                         .rate_limits = rate_limits,
                                         .rate_burst = burst};
        struct route_plan *plan;
        EXPECT_EQ(gateway_plan(worlds[i]->gateway,
                               &(struct plan_spec){.upstreams = &(struct upstream_spec){.policy = policy},
                                                   .upstream_count = 1,
                                                   .policy = {.object_bytes_max = OBJECT_BYTES_MAX,
                                                              .first_byte_timeout_ms = 60000000,
                                                              .coalesce_timeout_ms = COALESCE_TIMEOUT_MS,
                                                              .upgrade = 1}},
                               &plan),
                  OK);
        gateway_follow(worlds[i]->gateway, plan);
        for (size_t j = 0; j < WORKERS; j++)
            on_worker(&worlds[i]->runners[j], do_nothing, NULL);
    }
    return two;
}

static void pass_hours(struct two *two, int64_t hours)
{
    two->one->forward_ms += hours * 3600000;
    two->other->forward_ms += hours * 3600000;
}

static bool knows_of_two(void *argument)
{
    const struct world *world = argument;
    return atomic_load(&world->gateway->fleet->node_count) == 2;
}

/* How many of so many requests at each node are sent on. */
static int count_sent(struct two *two, int ask_count)
{
    struct world *worlds[] = {two->one, two->other};
    int sent = 0;

    for (int i = 0; i < ask_count; i++)
        for (size_t j = 0; j < COUNT_OF(worlds); j++) {
            struct client *client = ask(worlds[j], "GET", "/private", "");
            EXPECT(client->status == 200 || client->status == 503);
            sent += client->status == 200;
            client_destroy(client);
        }
    EXPECT(sent <= requests(two));
    return sent;
}

TEST(all_nodes_together_send_no_more_than_the_limit)
{
    struct two two = two_create_limited((char[]){"8/d"}, 8);

    EXPECT_EQ(count_sent(&two, 20), 8);
    EXPECT(two.server->script_counts[FAKE_SHARE] > 0);
    EXPECT_EQ(requests(&two), 8);
    expect_answer(two.one, "GET", "/count", "Authorization: Bearer mine\n", 200, "9", NULL);
    pass_hours(&two, 13);
    EXPECT_EQ(count_sent(&two, 20), 0); /* all at once leaves none for the rest of the day */
    pass_hours(&two, 13);
    EXPECT(count_sent(&two, 20) > 0);
    two_destroy(&two);
}

TEST(while_the_tier_is_away_each_node_has_its_part)
{
    struct two two = two_create_limited((char[]){"8/d"}, 8);

    wait_until_true(knows_of_two, two.one);
    wait_until_true(knows_of_two, two.other);
    EXPECT_EQ(count_sent(&two, 20), 8);
    two.server->is_away = true;
    pass_hours(&two, 5); /* before that the tier had said that there are none */
    EXPECT_EQ(count_sent(&two, 5), 0);
    pass_hours(&two, 100); /* until all of both parts is there */
    EXPECT_EQ(count_sent(&two, 20), 8);
    two.server->is_away = false;
    two.one->forward_ms += 2000;
    two.other->forward_ms += 2000;
    EXPECT_EQ(count_sent(&two, 20), 0); /* the tier is told */
    two_destroy(&two);
}

/* It never finds a turn at hand: those of such a limit may be kept for 50 ms. */
TEST(a_tunnel_waits_for_what_the_tier_says)
{
    struct two two = two_create_limited((char[]){"100/s"}, 100);

    two.one->stub.scripted =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    for (int i = 0; i < 3; i++) {
        expect_answer(two.one, "GET", "/scripted", "Connection: Upgrade\nUpgrade: websocket\n", 101, NULL,
                      NULL);
        two.one->forward_ms += 2000;
        two.other->forward_ms += 2000;
    }
    two_destroy(&two);
}

RUN_TESTS(TEST_ROW(a_tunnel_waits_for_what_the_tier_says),
          TEST_ROW(pages_that_a_node_has_brought_go_with_the_first_whoever_sees_its_change),
          TEST_ROW(all_nodes_together_send_no_more_than_the_limit),
          TEST_ROW(while_the_tier_is_away_each_node_has_its_part),
          TEST_ROW(what_one_node_has_fetched_the_other_need_not),
          TEST_ROW(what_another_node_fetches_or_purges_is_told_to_who_watches),
          TEST_ROW(an_answer_is_as_old_at_the_other_node), TEST_ROW(variants_are_shared_too),
          TEST_ROW(a_crowd_at_both_nodes_is_one_request),
          TEST_ROW(what_is_not_for_all_holds_up_nobody_at_any_node),
          TEST_ROW(a_purge_at_one_node_is_a_purge_at_all),
          TEST_ROW(what_was_purged_before_a_node_came_is_not_brought_to_it),
          TEST_ROW(a_soft_purge_makes_stale_at_all_nodes),
          TEST_ROW(a_write_by_one_node_is_seen_by_the_other),
          TEST_ROW(what_was_asked_for_before_a_purge_elsewhere_is_not_kept_by_anybody),
          TEST_ROW(a_purge_that_is_heard_where_no_rule_more_has_room_touches_what_is_being_fetched),
          TEST_ROW(a_tier_that_tells_of_no_changes_is_not_asked_without_end),
          TEST_ROW(while_the_tier_is_away_each_goes_on_by_itself_and_purges_are_told_later),
          TEST_ROW(a_slow_fetch_that_a_write_elsewhere_has_overtaken_is_kept_by_nobody),
          TEST_ROW(what_was_fetched_while_the_tier_was_away_counts_no_longer_once_it_is_back),
          TEST_ROW(who_waits_for_a_slow_origin_asks_it_no_sooner_because_nothing_is_heard),
          TEST_ROW(a_lease_whose_holder_is_gone_is_taken_by_who_waits),
          TEST_ROW(who_has_waited_for_long_enough_asks_the_origin_once_for_all),
          TEST_ROW(without_the_url_s_witness_no_variant_counts),
          TEST_ROW(a_purge_that_cannot_be_told_holds_up_no_other),
          TEST_ROW(purges_that_are_too_many_to_remember_are_one_of_everything),
          TEST_ROW(purges_that_were_not_told_before_the_end_are_owed_by_the_next_life),
          TEST_ROW(while_the_tier_takes_nothing_each_goes_on_by_itself),
          TEST_ROW(who_purges_is_told_when_the_tier_has_it_or_that_it_could_not_be_reached),
          TEST_ROW(a_purge_that_is_heard_late_does_not_say_that_variants_are_not_for_all),
          TEST_ROW(who_asks_fenced_is_answered_by_the_tier),
          TEST_ROW(who_asks_fenced_is_given_nothing_of_before_any_purge_that_was_acknowledged),
          TEST_ROW(a_log_that_was_lost_and_goes_on_with_lower_numbers_is_heard_all_the_same),
          TEST_ROW(what_takes_long_to_be_put_is_older_by_that), TEST_ROW(a_hostile_tier_is_no_answer),
          TEST_ROW(what_is_large_comes_in_pieces))
