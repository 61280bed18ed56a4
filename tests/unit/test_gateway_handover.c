/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* From one gateway to the next: the seal and the age of what is stored, over a change of both clocks. */
#include "engine/gateway/gateway_state.h"
#include "engine/gateway/page_set.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

enum { SPACE = 256, MEMORY_BYTES = 1 << 20, HOUR_MS = 3600 * 1000 };

/* A life of the gateway: a store and when it began. */
struct life {
    nh_store *store;
    struct gateway *gateway;
    struct now now;
};

static void begin_life(struct life *life, struct now now)
{
    life->now = now;
    EXPECT_EQ(
        nh_create(&(nh_options){.size = sizeof(nh_options), .memory_bytes = MEMORY_BYTES}, &life->store),
        NH_OK);
    EXPECT_EQ(
        gateway_create(
            &(struct gateway_options){
                .plan = {.upstreams =
                             &(struct upstream_spec){.policy = {.origin_urls = (char[]){"http://origin"}}},
                         .upstream_count = 1},
                .store = life->store,
                .space = SPACE},
            &life->gateway),
        OK);
}

static void destroy_life(struct life *life)
{
    gateway_destroy(life->gateway);
    nh_destroy(life->store);
}

static char path[32];

static void end_life(struct life *life, bool hands_over)
{
    int fd;

    memcpy(path, "/tmp/nuthatch-XXXXXX", sizeof "/tmp/nuthatch-XXXXXX");
    fd = mkstemp(path);
    EXPECT(fd >= 0);
    close(fd);
    if (hands_over)
        gateway_hand_over(life->gateway, life->now);
    EXPECT_EQ(nh_save(life->store, path, life->now.mono_ms, life->now.wall_ms), NH_OK);
    destroy_life(life);
}

static void resume_life(struct life *life, struct now now)
{
    begin_life(life, now);
    EXPECT_EQ(nh_restore(life->store, path, now.mono_ms, now.wall_ms, NULL), NH_OK);
    gateway_take_over(life->gateway, now);
}

static nh_key key_of(const struct life *life)
{
    return gateway_key(life->gateway, BYTES("http://origin/x"));
}

/* As fetch.c does it. */
static void store(const struct life *life, int64_t initial_age_ms)
{
    struct stored_response response = {
        .status = 200,
        .received_mono_ms = life->now.mono_ms + life->gateway->stored_clock_offset_ms,
        .initial_age_ms = initial_age_ms,
        .lifetime_ms = HOUR_MS,
    };
    struct buffer value = {0};

    stored_response_encode(&value, life->gateway->seed, &response);
    EXPECT_EQ(nh_put(life->store, life->now.mono_ms, key_of(life), (nh_bytes){value.data, value.size}, NULL,
                     NULL),
              NH_OK);
    buffer_fini(&value);
}

static int64_t age_ms(const struct life *life)
{
    struct stored_response response;
    nh_value value;
    int64_t age;

    EXPECT_EQ(nh_borrow(life->store, life->now.mono_ms, key_of(life), &value), NH_OK);
    EXPECT(
        value_response(life->gateway, bytes_of(key_of(life).data, key_of(life).size), &value, &response));
    age = stored_age_ms(&response, life->now.mono_ms);
    nh_release(life->store, &value);
    return age;
}

static void pass(struct life *life, int64_t ms)
{
    life->now.mono_ms += ms;
    life->now.wall_ms += ms;
}

TEST(an_age_goes_on_over_any_number_of_lives_whatever_the_monotonic_clock_says)
{
    static const int64_t begins_at_mono_ms[] = {5, INT64_C(900000000), 900000100, 1};
    struct life life;
    int64_t wall_ms = 1700000000000, wanted_ms = 7000;

    begin_life(&life, (struct now){1000000, wall_ms});
    store(&life, 7000);
    for (size_t i = 0; i < sizeof begins_at_mono_ms / sizeof *begins_at_mono_ms; i++) {
        pass(&life, 1500);
        EXPECT_EQ(age_ms(&life), wanted_ms + 1500);
        wall_ms = life.now.wall_ms + 40000;
        end_life(&life, true);
        resume_life(&life, (struct now){begins_at_mono_ms[i], wall_ms});
        wanted_ms += 1500 + 40000;
        EXPECT_EQ(age_ms(&life), wanted_ms);
        EXPECT_EQ(nh_count(life.store, SPACE), 1); /* nothing is left of the handing over */
    }
    store(&life, 0); /* what this life puts is as old as it is */
    pass(&life, 10);
    EXPECT_EQ(age_ms(&life), 10);
    destroy_life(&life);
}

static bool is_purge(const struct life *life, struct bytes first_page)
{
    uint64_t before = nh_purge_number(life->store);

    page_set_drop(life->gateway, first_page, false);
    return nh_purge_number(life->store) != before;
}

TEST(sets_of_pages_are_known_in_the_next_life_and_no_others)
{
    struct life life;

    begin_life(&life, (struct now){1000, 1700000000000});
    end_life(&life, true);
    resume_life(&life, (struct now){2000, 1700000001000});
    EXPECT(!is_purge(&life, BYTES("http://origin/list")));
    page_set_begin(life.gateway, page_set_of(BYTES("http://origin/list")));
    end_life(&life, true);
    for (int i = 0; i < 2; i++) {
        resume_life(&life, (struct now){3000, 1700000002000});
        EXPECT_EQ(nh_count(life.store, SPACE), 0); /* nothing is left of the handing over */
        EXPECT(is_purge(&life, BYTES("http://origin/list")));
        EXPECT(!is_purge(&life, BYTES("http://origin/other")));
        end_life(&life, true);
    }
}

TEST(what_nobody_handed_over_is_dropped_and_other_spaces_are_left_alone)
{
    struct life life;

    begin_life(&life, (struct now){1000, 1700000000000});
    store(&life, 0);
    EXPECT_EQ(nh_put(life.store, 1000, (nh_key){"k", 1, 0}, (nh_bytes){"v", 1}, NULL, NULL), NH_OK);
    end_life(&life, false);
    resume_life(&life, (struct now){2000, 1700000001000});
    EXPECT_EQ(nh_count(life.store, SPACE), 0);
    EXPECT_EQ(nh_count(life.store, 0), 1);
    destroy_life(&life);
}

TEST(a_record_from_the_future_or_of_another_size_is_none)
{
    for (int is_short = 0; is_short <= 1; is_short++) {
        struct life life;

        begin_life(&life, (struct now){1000, 1700000000000});
        store(&life, 0);
        if (is_short)
            EXPECT_EQ(nh_put(life.store, 1000, gateway_key(life.gateway, BYTES("\n")), (nh_bytes){"v", 1},
                             NULL, NULL),
                      NH_OK);
        else
            gateway_hand_over(life.gateway, (struct now){1000, 1700000000001});
        gateway_take_over(life.gateway, life.now);
        EXPECT_EQ(nh_count(life.store, SPACE), 0);
        destroy_life(&life);
    }
}

static int remove_file(void **context __attribute__((unused)))
{
    unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ROW(an_age_goes_on_over_any_number_of_lives_whatever_the_monotonic_clock_says),
        TEST_ROW(sets_of_pages_are_known_in_the_next_life_and_no_others),
        TEST_ROW(what_nobody_handed_over_is_dropped_and_other_spaces_are_left_alone),
        TEST_ROW(a_record_from_the_future_or_of_another_size_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, remove_file);
}
