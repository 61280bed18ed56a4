/* links: nuthatch-live nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message
 * nuthatch-base */
/* Resources that are followed from inside the process. */
#include "live_world.h"

struct follow {
    struct hub *hub;
    size_t index;
    const char *path, *wanted;
    struct live_follower *follower;
    struct buffer heard; /* on the worker's thread */
    bool is_so;
};

static void told(void *owner, struct bytes message)
{
    struct follow *follow = owner;

    buffer_append(&follow->heard, message);
    buffer_append_literal(&follow->heard, "\n");
}

static void begin_follow(void *argument)
{
    struct follow *follow = argument;

    follow->follower =
        live_follow(follow->hub->workers[follow->index], bytes_of_text(follow->path), told, follow);
    EXPECT(follow->follower != NULL);
    EXPECT_EQ(follow->heard.size, 0);
}

static void end_follow(void *argument) { live_unfollow(((struct follow *)argument)->follower); }

static void ask_may_follow(void *argument)
{
    struct follow *follow = argument;

    follow->is_so = live_may_follow(follow->hub->workers[follow->index], bytes_of_text(follow->path));
}

static void look_at_heard(void *argument)
{
    struct follow *follow = argument;

    follow->is_so = follow->heard.size > 0 && memmem(follow->heard.data, follow->heard.size, follow->wanted,
                                                     strlen(follow->wanted)) != NULL;
}

static struct runner *runner_of(const struct follow *follow)
{
    return &follow->hub->world->runners[follow->index];
}

static bool has_heard(void *argument)
{
    struct follow *follow = argument;

    on_worker(runner_of(follow), look_at_heard, follow);
    return follow->is_so;
}

static void expect_told(struct follow *follow, const char *wanted)
{
    follow->wanted = wanted;
    wait_until_true(has_heard, follow);
}

static void end(struct follow *follow)
{
    on_worker(runner_of(follow), end_follow, follow);
    buffer_fini(&follow->heard);
}

TEST(who_follows_is_told_of_changes_and_not_of_what_was_there)
{
    struct hub *hub = hub_create("{\"a\":1}");
    struct follow one = {.hub = hub, .index = 0, .path = "/state"},
                  two = {.hub = hub, .index = 1, .path = "/state"};
    struct watch_client *witness = watch(hub, 0, "");

    expect_heard(witness, "data: {\"a\":1}\n\n");
    on_worker(runner_of(&one), begin_follow, &one);
    on_worker(runner_of(&two), begin_follow, &two);
    for (int i = 0; i < 3; i++) /* until both know what is there */
        pass(hub, 4000);
    stub_set_state(&hub->world->stub, "{\"a\":2}");
    for (int i = 0; i < 2; i++)
        pass(hub, 12000);
    expect_told(&one, "\"event\":\"message\",\"data\":{\"a\":2}}\n");
    expect_told(&two, "{\"path\":\"/state\",\"id\":\"");
    one.wanted = "{\"a\":1}";
    EXPECT(!has_heard(&one));
    end(&one);
    end(&two);
    leave_watch(witness);
    EXPECT_EQ(counted(hub, METRIC_live_watchers), counted(hub, METRIC_live_watchers_gone));
    hub_destroy(hub);
}

static void hear_once(void *owner, struct bytes message)
{
    struct follow *follow = owner;

    told(owner, message);
    live_unfollow(follow->follower);
}

static void follow_once(void *argument)
{
    struct follow *follow = argument;

    follow->follower =
        live_follow(follow->hub->workers[follow->index], bytes_of_text(follow->path), hear_once, follow);
}

TEST(who_is_told_may_unfollow_and_is_told_no_more)
{
    struct hub *hub = hub_create("1");
    struct follow one = {.hub = hub, .path = "/state"}, none = {.hub = hub, .path = "/nothing"};
    struct watch_client *witness = watch(hub, 1, "");

    expect_heard(witness, "data: 1\n\n");
    on_worker(runner_of(&one), follow_once, &one);
    on_worker(runner_of(&none), follow_once, &none);
    expect_told(&none, "\"event\":\"end\"");
    stub_set_state(&hub->world->stub, "2");
    pass(hub, 12000);
    expect_told(&one, "\"data\":2}\n");
    stub_set_state(&hub->world->stub, "3");
    pass(hub, 12000);
    expect_heard(witness, "data: 3\n\n");
    one.wanted = "\"data\":3";
    EXPECT(!has_heard(&one));
    buffer_fini(&one.heard);
    buffer_fini(&none.heard);
    leave_watch(witness);
    EXPECT_EQ(counted(hub, METRIC_live_watchers), counted(hub, METRIC_live_watchers_gone));
    hub_destroy(hub);
}

TEST(who_follows_what_cannot_be_is_told_so_later)
{
    struct hub *hub = hub_create("1");
    struct follow none = {.hub = hub, .path = "/nothing"}, odd = {.hub = hub, .path = "/a/../b"},
                  other = {.hub = hub, .path = "/\xff\xc3\xa9"};

    on_worker(runner_of(&none), begin_follow, &none);
    expect_told(&none, "{\"path\":\"/nothing\",\"event\":\"end\",\"data\":{");
    on_worker(runner_of(&odd), begin_follow, &odd);
    expect_told(&odd, "{\"path\":\"/a/../b\",\"event\":\"end\",\"data\":{");
    on_worker(runner_of(&other), begin_follow, &other);
    expect_told(&other, "{\"path\":\"/%FF%C3%A9\",\"event\":\"end\",\"data\":{");
    expect_told(&other, "percent-encode");
    end(&none);
    end(&odd);
    end(&other);
    none.path = "state";
    on_worker(runner_of(&none), ask_may_follow, &none);
    EXPECT(!none.is_so);
    none.path = "/state";
    on_worker(runner_of(&none), ask_may_follow, &none);
    EXPECT(none.is_so);
    hub_destroy(hub);
}

TEST(a_follower_may_outlive_the_stop)
{
    struct hub *hub = hub_create("1");
    struct follow one = {.hub = hub, .path = "/state"};

    on_worker(runner_of(&one), begin_follow, &one);
    hub_stop(hub);
    on_worker(runner_of(&one), ask_may_follow, &one);
    EXPECT(!one.is_so);
    end(&one);
    hub_destroy(hub);
}

RUN_TESTS(TEST_ROW(who_follows_is_told_of_changes_and_not_of_what_was_there),
          TEST_ROW(who_is_told_may_unfollow_and_is_told_no_more),
          TEST_ROW(who_follows_what_cannot_be_is_told_so_later), TEST_ROW(a_follower_may_outlive_the_stop))
