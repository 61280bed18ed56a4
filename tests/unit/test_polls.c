/* links: nuthatch-poll nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-base */
/* Resources that a gateway asks for by itself, with a clock that is put forward. */
#include "engine/poll/polls.h"
#include "gateway_world.h"

static char state_url[] = "/state", fresh_url[] = "/fresh", template[] = "/{name}", state_name[] = "state",
            count_name[] = "count";

struct office {
    struct world *world;
    struct polls *polls;
};

static void create(void *argument)
{
    struct office *office = argument;
    struct runner *runner = &office->world->runners[0];

    EXPECT_EQ(polls_create(runner->worker, runner->loop, &runner->counters, &office->polls), OK);
}

static struct office *office_create(void)
{
    struct office *office = calloc(1, sizeof *office);

    office->world = world_create();
    stub_set_state(&office->world->stub, "a");
    on_worker(&office->world->runners[0], create, office);
    return office;
}

static void destroy(void *argument) { polls_destroy(((struct office *)argument)->polls); }

static void office_destroy(struct office *office)
{
    on_worker(&office->world->runners[0], destroy, office);
    world_destroy(office->world);
    free(office);
}

static void follow(struct office *office, char *url, int64_t interval_ms_min, int64_t interval_ms_max)
{
    struct poll_spec spec = {
        .url = url, .interval_ms_min = interval_ms_min, .interval_ms_max = interval_ms_max};

    EXPECT_EQ(polls_follow(office->polls, &spec, url != NULL), OK);
    on_worker(&office->world->runners[0], do_nothing, NULL);
}

struct seen {
    struct poll_report report;
    int count;
};
static void note(void *context, const struct poll_report *report)
{
    struct seen *seen = context;
    seen->report = *report;
    seen->count++;
}
static struct seen look(struct office *office)
{
    struct seen seen = {0};
    polls_report(office->polls, world_now(office->world).mono_ms, note, &seen);
    return seen;
}

static void pass(struct office *office, int64_t ms)
{
    office->world->forward_ms += ms;
    for (int round = 0; round < 2; round++)
        on_worker(&office->world->runners[0], do_nothing, NULL);
}

struct wanted {
    struct office *office;
    uint64_t sum; /* of polls and of those that others did */
};
static bool has_sum(void *argument)
{
    struct wanted *wanted = argument;
    struct seen seen = look(wanted->office);
    return seen.report.polls + seen.report.seen >= wanted->sum;
}
static void wait_for_sum(struct office *office, uint64_t sum)
{
    wait_until_true(has_sum, &(struct wanted){office, sum});
    on_worker(&office->world->runners[0], do_nothing, NULL); /* and it is known when it is due */
}

TEST(what_is_polled_is_there_for_who_comes)
{
    struct office *office = office_create();

    follow(office, fresh_url, 20000, 20000);
    pass(office, 5000);
    wait_for_sum(office, 1);
    expect_answer(office->world, "GET", "/fresh", "", 200, "fresh", "hit");
    EXPECT_EQ(office->world->stub.request_count, 1);
    office_destroy(office);
}

TEST(a_resource_is_polled_without_any_client)
{
    struct office *office = office_create();

    follow(office, state_url, 20000, 20000);
    pass(office, 5000);
    wait_for_sum(office, 1);
    EXPECT_EQ(look(office).report.unchanged, 1); /* the first is no change */
    stub_set_state(&office->world->stub, "b");
    pass(office, 22001);
    wait_for_sum(office, 2);
    EXPECT_EQ(look(office).report.changes, 1);
    EXPECT_EQ(look(office).report.status, 200);
    pass(office, 22001);
    wait_for_sum(office, 3);
    EXPECT_EQ(look(office).report.unchanged, 2);
    EXPECT_TEXT(look(office).report.url, BYTES("/state"));
    EXPECT_EQ(office->world->stub.request_count, 3);
    office_destroy(office);
}

TEST(what_a_client_has_fetched_just_now_will_do)
{
    struct office *office = office_create();

    follow(office, state_url, 20000, 20000);
    pass(office, 5000);
    wait_for_sum(office, 1);
    pass(office, 17000); /* not due before 18 s, stale since a second */
    wait_for_sum(office, 1);
    if (look(office).report.polls == 1) {
        expect_answer(office->world, "GET", "/state", "Cache-Control: no-cache", 200, "a", NULL);
        EXPECT_EQ(office->world->stub.request_count, 2);
        pass(office, 5100);
        wait_for_sum(office, 2);
        EXPECT_EQ(look(office).report.seen, 1);
        EXPECT_EQ(office->world->stub.request_count, 2);
    }
    office_destroy(office);
}

TEST(failures_are_told_and_wait_longer)
{
    struct office *office = office_create();

    stub_set_state(&office->world->stub, "a");
    stub_set(&office->world->stub, false, true);
    follow(office, state_url, 20000, 20000);
    pass(office, 5000);
    wait_for_sum(office, 1);
    EXPECT_EQ(look(office).report.failures, 1);
    EXPECT_EQ(look(office).report.status, 500);
    EXPECT(look(office).report.due_ms > 30000);
    office_destroy(office);
}

TEST(another_list_keeps_what_is_known_of_those_that_stay)
{
    struct office *office = office_create();
    char *over[] = {state_name, count_name};
    struct poll_spec both = {
        .url = template, .over = over, .over_count = 2, .interval_ms_min = 20000, .interval_ms_max = 20000};

    follow(office, state_url, 20000, 20000);
    pass(office, 5000);
    wait_for_sum(office, 1);
    EXPECT_EQ(polls_follow(office->polls, &both, 1), OK);
    on_worker(&office->world->runners[0], do_nothing, NULL);
    EXPECT_EQ(look(office).count, 2);
    follow(office, state_url, 5000, 5000);
    EXPECT_EQ(look(office).count, 1);
    EXPECT_EQ(look(office).report.polls, 1);
    EXPECT_EQ(look(office).report.interval_ms, 5000);
    EXPECT(look(office).report.due_ms <= 5000);
    follow(office, NULL, 0, 0);
    EXPECT_EQ(look(office).count, 0);
    pass(office, 600000);
    EXPECT(office->world->stub.request_count <= 2); /* /count may have begun */
    office_destroy(office);
}

TEST(what_stays_fresh_is_not_asked_for_before_its_end)
{
    struct office *office = office_create();

    follow(office, fresh_url, 1000, 600000);
    pass(office, 1000);
    wait_for_sum(office, 1);
    EXPECT_EQ(look(office).report.interval_ms, 1500);
    EXPECT(look(office).report.due_ms > 50000 && look(office).report.due_ms <= 60000);
    pass(office, 40000);
    expect_answer(office->world, "GET", "/fresh", "Cache-Control: no-cache", 200, "fresh", NULL);
    pass(office, 20000); /* what the client brought is less than half a wait old */
    wait_for_sum(office, 2);
    EXPECT_EQ(look(office).report.seen, 1);
    EXPECT(look(office).report.due_ms > 30000 && look(office).report.due_ms <= 40000);
    EXPECT_EQ(office->world->stub.request_count, 2);
    office_destroy(office);
}

TEST(an_answer_that_may_not_be_kept_is_counted_as_such_and_not_waited_for)
{
    struct office *office = office_create();

    follow(office, (char[]){"/stream"}, 1000, 600000);
    pass(office, 1000);
    wait_for_sum(office, 1);
    EXPECT_EQ(look(office).report.unkept, 1);
    EXPECT_EQ(look(office).report.unchanged, 0);
    EXPECT_EQ(look(office).report.interval_ms, 1500); /* as seldom as may be: it is in vain */
    wait_until_true(are_visitors_gone, &office->world->stub);
    EXPECT(office->world->stub.streamed_bytes < STREAM_BYTES);
    office_destroy(office);
}

enum { CROWD = 40, AT_ONCE = 16 };

/* So many resources, none of which is there. */
static void follow_crowd(struct office *office)
{
    static char names[CROWD][8];
    char *over[CROWD];
    struct poll_spec spec = {.url = template,
                             .over = over,
                             .over_count = CROWD,
                             .interval_ms_min = 1000,
                             .interval_ms_max = 1000};

    for (int i = 0; i < CROWD; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        over[i] = names[i];
    }
    stub_set(&office->world->stub, true, false);
    EXPECT_EQ(polls_follow(office->polls, &spec, 1), OK);
    on_worker(&office->world->runners[0], do_nothing, NULL);
    pass(office, 1000);
    wait_for_requests(office->world, AT_ONCE);
    sleep_ms(20);
    EXPECT_EQ(office->world->stub.request_count, AT_ONCE);
}

static void add_polls(void *context, const struct poll_report *report)
{
    *(uint64_t *)context += report->polls;
}
static bool has_had_its_turn(void *argument)
{
    struct office *office = argument;
    uint64_t sum = 0;
    polls_report(office->polls, world_now(office->world).mono_ms, add_polls, &sum);
    return sum == CROWD;
}

TEST(so_many_of_an_upstream_are_asked_for_at_once_and_the_others_after_them)
{
    struct office *office = office_create();

    follow_crowd(office);
    stub_set(&office->world->stub, false, false);
    wait_until_true(has_had_its_turn, office);
    EXPECT_EQ(office->world->stub.request_count, CROWD);
    office_destroy(office);
}

TEST(whatever_is_under_way_ends_when_it_is_not_wanted_any_more)
{
    struct office *office = office_create();

    follow_crowd(office);
    follow(office, NULL, 0, 0);
    EXPECT_EQ(look(office).count, 0);
    stub_set(&office->world->stub, false, false);
    pass(office, 5000);
    EXPECT_EQ(office->world->stub.request_count, AT_ONCE);
    office_destroy(office);
    office = office_create();
    follow_crowd(office);
    office_destroy(office);
}

TEST(there_is_a_bound)
{
    struct office *office = office_create();
    char **over = calloc(POLL_RESOURCES_MAX + 1, sizeof *over);
    struct poll_spec spec = {.url = template,
                             .over = over,
                             .over_count = POLL_RESOURCES_MAX + 1,
                             .interval_ms_min = 1000,
                             .interval_ms_max = 1000};

    EXPECT_EQ(polls_follow(office->polls, &spec, 1), ERR_FULL);
    free(over);
    office_destroy(office);
}

RUN_TESTS(TEST_ROW(what_is_polled_is_there_for_who_comes),
          TEST_ROW(a_resource_is_polled_without_any_client),
          TEST_ROW(what_a_client_has_fetched_just_now_will_do), TEST_ROW(failures_are_told_and_wait_longer),
          TEST_ROW(another_list_keeps_what_is_known_of_those_that_stay),
          TEST_ROW(what_stays_fresh_is_not_asked_for_before_its_end),
          TEST_ROW(so_many_of_an_upstream_are_asked_for_at_once_and_the_others_after_them),
          TEST_ROW(an_answer_that_may_not_be_kept_is_counted_as_such_and_not_waited_for),
          TEST_ROW(whatever_is_under_way_ends_when_it_is_not_wanted_any_more), TEST_ROW(there_is_a_bound))
