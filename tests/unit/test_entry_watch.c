/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* Who watches an entry hears of what becomes of it. */
#include "engine/gateway/entry_watch.h"
#include "engine/gateway/purge.h"
#include "gateway_world.h"

struct watcher {
    struct runner *runner;
    struct entry_watch *watch;
    struct cache_key key;
    _Atomic int count;
};

static void on_changed(void *owner) { ((struct watcher *)owner)->count++; }

static void begin(void *argument)
{
    struct watcher *watcher = argument;

    watcher->watch = entry_watch_begin(watcher->runner->worker, &watcher->key, on_changed, watcher);
    EXPECT(watcher->watch != NULL);
}

static void end(void *argument) { entry_watch_end(((struct watcher *)argument)->watch); }

static struct watcher *watcher_create(struct world *world, size_t worker, const char *path)
{
    struct watcher *watcher = calloc(1, sizeof *watcher);
    struct http_request request = {.authority = BYTES("client.example"), .path = bytes_of_text(path)};
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%d", world->stub.port);
    EXPECT(cache_key_init(&watcher->key, bytes_of_text(url), &request));
    watcher->runner = &world->runners[worker];
    on_worker(watcher->runner, begin, watcher);
    return watcher;
}

static void watcher_destroy(struct watcher *watcher)
{
    on_worker(watcher->runner, end, watcher);
    free(watcher);
}

static bool has_heard(void *argument) { return ((struct watcher *)argument)->count > 0; }

static void expect_told(struct watcher *watcher)
{
    wait_until_true(has_heard, watcher);
    watcher->count = 0;
}

static void nothing(void *argument) { (void)argument; }

static void expect_nothing_told(struct watcher *watcher)
{
    for (int i = 0; i < 3; i++) /* turns of its loop */
        on_worker(watcher->runner, nothing, NULL);
    EXPECT_EQ(watcher->count, 0);
}

TEST(who_watches_hears_of_what_any_worker_stores)
{
    struct world *world = world_create();
    struct watcher *watcher = watcher_create(world, 1, "/brief"),
                   *other = watcher_create(world, 0, "/fresh");

    expect_answer(world, "GET", "/brief", "", 200, "old", NULL);
    expect_told(watcher);
    expect_answer(world, "GET", "/brief", "", 200, "old", "; hit");
    expect_nothing_told(watcher);
    world->forward_ms += 2000;
    expect_answer(world, "GET", "/brief", "", 200, "old", "fwd-status=304"); /* it is confirmed */
    expect_told(watcher);
    expect_nothing_told(other);
    watcher_destroy(watcher);
    watcher_destroy(other);
    world_destroy(world);
}

struct purge {
    struct runner *runner;
    struct purge_order order;
};

static void purge(void *argument)
{
    struct purge *wanted = argument;

    EXPECT_EQ(gateway_purge(wanted->runner->worker, loop_now(wanted->runner->loop).mono_ms, &wanted->order),
              OK);
}

TEST(who_watches_hears_of_purges_and_of_writes)
{
    static const struct {
        enum purge_kind kind;
        bool is_soft;
        const char *text;
    } cases[] = {{PURGE_URL, false, "/fresh"},
                 {PURGE_URL, true, "/fresh"},
                 {PURGE_PREFIX, false, "/f"},
                 {PURGE_TAG, true, "a-tag"},
                 {PURGE_ALL, false, ""}};
    struct world *world = world_create();
    struct watcher *watcher = watcher_create(world, 0, "/fresh");

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct purge wanted = {&world->runners[1],
                               {cases[i].kind, cases[i].is_soft, bytes_of_text(cases[i].text)}};
        on_worker(wanted.runner, purge, &wanted);
        expect_told(watcher);
    }
    expect_answer(world, "POST", "/fresh", "", 201, NULL, NULL);
    expect_told(watcher);
    watcher_destroy(watcher);
    world_destroy(world);
}

struct pair {
    struct watcher *watcher;
    struct purge purge;
};

static void purge_and_end(void *argument)
{
    struct pair *pair = argument;

    purge(&pair->purge);
    entry_watch_end(pair->watcher->watch);
}

TEST(who_has_left_hears_nothing_though_it_was_on_its_way)
{
    struct world *world = world_create();
    struct watcher *watcher = watcher_create(world, 0, "/fresh");
    struct pair pair = {watcher, {watcher->runner, {PURGE_ALL, false, BYTES("")}}};

    on_worker(watcher->runner, purge_and_end, &pair);
    expect_nothing_told(watcher);
    free(watcher);
    world_destroy(world);
}

RUN_TESTS(TEST_ROW(who_watches_hears_of_what_any_worker_stores),
          TEST_ROW(who_watches_hears_of_purges_and_of_writes),
          TEST_ROW(who_has_left_hears_nothing_though_it_was_on_its_way))
