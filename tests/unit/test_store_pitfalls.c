/* links: nuthatch-store */
/* What has brought other stores down: workloads that a segmented log does not like by nature. */
#include "base/now.h"
#include "store_words.h"
#include <sys/wait.h>
#include <unistd.h>

static int64_t clock_ms(void) { return clock_read(&clock_system).mono_ms; }

static uint64_t draw(uint64_t *random, uint64_t below)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (*random >> 11) % below;
}

/* One of many lifetimes, from a second to a month, and none. */
static int64_t lifetime_ms(unsigned number)
{
    static const int64_t seconds[] = {0,    1,    3,     10,    30,    60,     200,    600,
                                      1800, 3600, 10000, 43200, 86400, 300000, 604800, 2592000};
    return seconds[number % COUNT_OF(seconds)] * 1000;
}

TEST(many_kinds_of_lifetime_fit_into_a_small_store)
{
    enum { SIZE = 500 };
    static const struct {
        uint64_t memory_bytes;
        unsigned spaces;
    } cases[] = {{16 << 20, 1}, {16 << 20, 64}, {2 << 20, 1}, {1 << 20, 8}};
    char bytes[SIZE] = {0}, text[32];

    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        nh_store *store = make_store(cases[c].memory_bytes);
        unsigned count = (unsigned)(2 * cases[c].memory_bytes / SIZE);
        for (unsigned n = 0; n < count; n++) {
            nh_put_options options = {.size = sizeof options, .ttl_ms = lifetime_ms(n)};
            nh_key key = key_number_in(n / 16 % cases[c].spaces, text, n);
            EXPECT_EQ(nh_put(store, NOW, key, (nh_bytes){bytes, SIZE}, &options, NULL), NH_OK);
            EXPECT_EQ(nh_get(store, NOW, key, NULL, 0, NULL), NH_OK);
        }
        EXPECT(nh_count(store, NH_SPACE_ALL) * SIZE >= cases[c].memory_bytes / 2);
        EXPECT(stats_of(store).memory_bytes <= cases[c].memory_bytes);
        nh_destroy(store);
    }
}

TEST(a_key_that_is_overwritten_for_ever_pushes_nothing_out)
{
    enum { SIZE = 200, COUNT = 8000 }; /* 1.6 MB of 4 MiB, read by nobody */
    nh_store *store = make_store(4 << 20);
    char bytes[SIZE] = {0}, text[32];
    unsigned there = 0;

    for (unsigned n = 0; n < COUNT; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, SIZE}, NULL, NULL), NH_OK);
    for (unsigned n = 0; n < 200000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_of("hot"), (nh_bytes){bytes, SIZE}, NULL, NULL), NH_OK);
    for (unsigned n = 0; n < COUNT; n++)
        there += is_there(store, NOW, key_number(text, n));
    EXPECT(there >= COUNT * 99 / 100);
    EXPECT_EQ(nh_count(store, 0), there + 1);
    nh_destroy(store);
}

TEST(keys_that_are_overwritten_all_over_stay)
{
    enum { SIZE = 200, COUNT = 5000 };
    nh_store *store = make_store(4 << 20);
    uint64_t random = 88172645463325252u;
    char bytes[SIZE] = {0}, text[32];
    unsigned there = 0;

    for (unsigned n = 0; n < COUNT; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, SIZE}, NULL, NULL), NH_OK);
    for (unsigned i = 0; i < 150000; i++) {
        size_t size = 100 + draw(&random, 100);
        EXPECT_EQ(nh_put(store, NOW, key_number(text, (unsigned)draw(&random, COUNT)),
                         (nh_bytes){bytes, size}, NULL, NULL),
                  NH_OK);
        if (i % 256 == 0)
            nh_sweep(store, NOW, 256);
    }
    for (unsigned n = 0; n < COUNT; n++)
        there += is_there(store, NOW, key_number(text, n));
    EXPECT(there >= COUNT * 99 / 100);
    nh_destroy(store);
}

/* Far below the limit, too: memory that was never touched is not taken while there is dead to be reused. */
TEST(a_store_that_is_overwritten_does_not_grow_to_its_limit)
{
    enum { SIZE = 100, COUNT = 100000, LIMIT = 256 << 20 };
    nh_store *store = make_store(LIMIT);
    uint64_t random = 88172645463325252u, empty_bytes = stats_of(store).memory_bytes, filled_bytes;
    char bytes[SIZE] = {0}, text[32];

    for (unsigned n = 0; n < COUNT; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, SIZE}, NULL, NULL), NH_OK);
    filled_bytes = stats_of(store).memory_bytes - empty_bytes;
    for (unsigned i = 0; i < 20 * COUNT; i++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, (unsigned)draw(&random, COUNT)),
                         (nh_bytes){bytes, SIZE}, NULL, NULL),
                  NH_OK);
    EXPECT(stats_of(store).memory_bytes - empty_bytes <= 3 * filled_bytes);
    EXPECT_EQ(nh_count(store, 0), COUNT);
    nh_destroy(store);
}

TEST(what_was_deleted_makes_room_before_what_is_alive)
{
    enum { SIZE = 300 };
    nh_store *store = make_store(4 << 20);
    char bytes[SIZE] = {0}, text[32];
    unsigned there = 0;

    for (unsigned n = 0; n < 3000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number_in(1, text, n), (nh_bytes){bytes, SIZE}, NULL, NULL),
                  NH_OK);
    for (unsigned n = 0; n < 100000; n++) { /* a queue: ten at once */
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, SIZE}, NULL, NULL), NH_OK);
        if (n >= 10)
            EXPECT_EQ(nh_delete(store, NOW, key_number(text, n - 10)), NH_OK);
    }
    for (unsigned n = 0; n < 3000; n++)
        there += is_there(store, NOW, key_number_in(1, text, n));
    EXPECT(there >= 2970);
    nh_destroy(store);
}

/* Everything is dear, and more comes: each put must find room with little copying. */
TEST(when_all_is_hot_puts_succeed_in_bounded_work)
{
    enum { SIZE = 200, MORE = 8000 };
    nh_store *store = make_store(4 << 20);
    char bytes[SIZE] = {0}, text[32];
    unsigned count = 0;
    uint64_t moved, freed;

    while (stats_of(store).evicted == 0) {
        EXPECT_EQ(nh_put(store, NOW, key_number(text, count), (nh_bytes){bytes, SIZE}, NULL, NULL), NH_OK);
        for (int i = 0; i < 4; i++)
            nh_get(store, NOW, key_number(text, count), NULL, 0, NULL);
        EXPECT(count++ < 100000);
    }
    moved = stats_of(store).moved;
    freed = stats_of(store).evicted;
    for (unsigned n = 0; n < MORE; n++) {
        EXPECT_EQ(nh_put(store, NOW, key_number(text, count + n), (nh_bytes){bytes, SIZE}, NULL, NULL),
                  NH_OK);
        for (unsigned i = 0; i < 16; i++) /* whichever is there stays hot. NOLINTNEXTLINE(*DivideZero) */
            nh_get(store, NOW, key_number(text, (n * 16 + i) % (count + n)), NULL, 0, NULL);
        for (int i = 0; i < 3; i++)
            nh_get(store, NOW, key_number(text, count + n), NULL, 0, NULL);
    }
    moved = stats_of(store).moved - moved;
    freed = stats_of(store).evicted - freed;
    EXPECT(freed > MORE / 2);
    EXPECT(moved <= 24 * (uint64_t)MORE); /* each move spends a use, and there were 19 reads for each put */
    EXPECT_EQ(stats_of(store).rejected, 0);
    nh_destroy(store);
}

TEST(huge_values_and_tiny_ones_live_together)
{
    enum { HUGE_BYTES = 1 << 20, TINY = 20000 };
    nh_store *store = make_store(16 << 20);
    char *bytes = calloc(1, HUGE_BYTES), text[32];
    uint64_t random = 4711;
    unsigned there = 0;

    for (unsigned n = 0; n < TINY; n++) {
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("tiny"), NULL, NULL), NH_OK);
        nh_get(store, NOW, key_number(text, n), NULL, 0, NULL);
    }
    for (unsigned n = 0; n < 300; n++) {
        size_t size = 1 + draw(&random, HUGE_BYTES);
        bytes[0] = bytes[size - 1] = (char)n;
        EXPECT_EQ(nh_put(store, NOW, key_number_in(1, text, n % 40), (nh_bytes){bytes, size}, NULL, NULL),
                  NH_OK);
        EXPECT_EQ(nh_get(store, NOW, key_number_in(1, text, n % 40), bytes, HUGE_BYTES, NULL), NH_OK);
        EXPECT_EQ(bytes[0], (char)n);
        EXPECT_EQ(bytes[size - 1], (char)n);
        for (unsigned i = 0; i < TINY / 20; i++) /* the tiny ones are in use */
            nh_get(store, NOW, key_number(text, (n * (TINY / 20) + i) % TINY), NULL, 0, NULL);
        EXPECT(stats_of(store).memory_bytes <= 16 << 20);
    }
    for (unsigned n = 0; n < TINY; n++)
        there += is_there(store, NOW, key_number(text, n));
    EXPECT(there > TINY * 9 / 10);
    EXPECT_EQ(stats_of(store).rejected, 0);
    free(bytes);
    nh_destroy(store);
}

/* Tiny ones fill the store, then large ones, then tiny ones again: no memory stays with a size for ever,
 * but for the index, which has grown to the most values there ever were. */
TEST(no_size_of_value_keeps_memory_from_another)
{
    static const size_t sizes[] = {1, 100000, 10, 500000, 100, 3000, 1, 20000};
    nh_store *store = make_store(4 << 20);
    char *bytes = calloc(1, 500000), text[32];

    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        unsigned count = (unsigned)(8000000 / (sizes[s] + 60));
        for (unsigned n = 0; n < count; n++)
            EXPECT_EQ(nh_put(store, NOW, key_number_in((uint32_t)s, text, n), (nh_bytes){bytes, sizes[s]},
                             NULL, NULL),
                      NH_OK);
        EXPECT(nh_count(store, (uint32_t)s) * (sizes[s] + 60) >= 1200000);
        EXPECT(is_there(store, NOW, key_number_in((uint32_t)s, text, count - 1)));
    }
    free(bytes);
    nh_destroy(store);
}

TEST(a_small_value_costs_little_beside_itself)
{
    enum { KEY_AND_VALUE_BYTES = 16, AROUND_BYTES = 32 };
    nh_store *store = make_store(8 << 20);

    for (uint64_t n = 0; n < 300000; n++)
        EXPECT_EQ(nh_put(store, NOW, (nh_key){&n, sizeof n, 0}, (nh_bytes){&n, sizeof n}, NULL, NULL),
                  NH_OK);
    EXPECT(stats_of(store).evicted > 0);
    EXPECT(nh_count(store, 0) * (KEY_AND_VALUE_BYTES + AROUND_BYTES) >= (8 << 20) * 7 / 10);
    nh_destroy(store);
}

TEST(a_clear_costs_the_same_however_much_there_is)
{
    nh_store *store = make_store(64 << 20);
    int64_t begin_ms;
    char text[32];

    for (unsigned n = 0; n < 200000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number_in(n % 8, text, n), value_of("v"), NULL, NULL), NH_OK);
    begin_ms = clock_ms();
    for (unsigned n = 0; n < 5000; n++) {
        nh_clear(store, n % 2 ? NH_SPACE_ALL : n % 8);
        EXPECT_EQ(nh_put(store, NOW, key_number_in(n % 8, text, n), value_of("v"), NULL, NULL), NH_OK);
        EXPECT_EQ(nh_count(store, n % 2 ? NH_SPACE_ALL : n % 8), 1);
    }
    EXPECT(clock_ms() - begin_ms < 10000); /* a walk over all that each time would take longer */
    sweep_all(store, NOW);
    nh_destroy(store);
}

TEST(a_clock_that_leaps_ahead_costs_nothing_but_what_has_expired)
{
    enum { COUNT = 20000 };
    nh_store *store = make_store(16 << 20);
    int64_t now_ms = NOW, begin_ms = clock_ms();
    char text[32];

    for (unsigned leap = 0; leap < 20; leap++) {
        for (unsigned n = 0; n < COUNT; n++) {
            nh_put_options options = {.size = sizeof options, .ttl_ms = n % 10 ? lifetime_ms(n) + 1 : 0};
            EXPECT_EQ(nh_put(store, now_ms, key_number(text, n), value_of("v"), &options, NULL), NH_OK);
        }
        now_ms += (int64_t)1 << (2 * leap);
        for (unsigned n = 0; n < COUNT; n += 7) {
            int64_t ttl_ms = n % 10 ? lifetime_ms(n) + 1 : 0;
            EXPECT_EQ(is_there(store, now_ms, key_number(text, n)),
                      ttl_ms == 0 || ttl_ms > (int64_t)1 << (2 * leap));
        }
    }
    EXPECT_EQ(stats_of(store).evicted, 0);
    EXPECT(clock_ms() - begin_ms < 60000);
    nh_destroy(store);
}

TEST(a_child_that_destroys_its_copy_leaves_the_parents_alone)
{
    enum { COUNT = 5000 };
    nh_store *store = make_store(4 << 20);
    int status = -1;
    char text[32];
    pid_t child;

    for (unsigned n = 0; n < COUNT; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("parent's"), NULL, NULL), NH_OK);
    child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        nh_result result = NH_OK;
        for (unsigned n = 0; n < COUNT && result == NH_OK; n++)
            result = nh_put(store, NOW, key_number(text, n), value_of("child's"), NULL, NULL);
        nh_clear(store, NH_SPACE_ALL);
        nh_destroy(store);
        _exit(result == NH_OK ? 0 : 1);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    for (unsigned n = 0; n < COUNT; n++)
        expect_text(store, NOW, key_number(text, n), "parent's");
    EXPECT_EQ(nh_count(store, 0), COUNT);
    nh_destroy(store);
}

/* So many that the index takes all it may: then keys leave, and new ones come. */
TEST(keys_that_are_all_index_make_room_for_each_other)
{
    static const uint64_t memories[] = {1 << 20, 4 << 20, 16 << 20};

    for (size_t m = 0; m < COUNT_OF(memories); m++) {
        nh_store *store = make_store(memories[m]);
        uint32_t count = (uint32_t)(memories[m] / 14);
        for (uint32_t n = 0; n < count; n++)
            EXPECT_EQ(nh_put(store, NOW, (nh_key){&n, sizeof n, 0}, (nh_bytes){NULL, 0}, NULL, NULL),
                      NH_OK);
        EXPECT(stats_of(store).evicted > 0);
        EXPECT_EQ(stats_of(store).rejected, 0);
        EXPECT(is_there(store, NOW, (nh_key){&(uint32_t){count - 1}, sizeof count, 0}));
        nh_destroy(store);
    }
}

RUN_TESTS(TEST_ROW(keys_that_are_all_index_make_room_for_each_other),
          TEST_ROW(many_kinds_of_lifetime_fit_into_a_small_store),
          TEST_ROW(a_key_that_is_overwritten_for_ever_pushes_nothing_out),
          TEST_ROW(keys_that_are_overwritten_all_over_stay),
          TEST_ROW(a_store_that_is_overwritten_does_not_grow_to_its_limit),
          TEST_ROW(what_was_deleted_makes_room_before_what_is_alive),
          TEST_ROW(when_all_is_hot_puts_succeed_in_bounded_work),
          TEST_ROW(huge_values_and_tiny_ones_live_together),
          TEST_ROW(no_size_of_value_keeps_memory_from_another),
          TEST_ROW(a_small_value_costs_little_beside_itself),
          TEST_ROW(a_clear_costs_the_same_however_much_there_is),
          TEST_ROW(a_clock_that_leaps_ahead_costs_nothing_but_what_has_expired),
          TEST_ROW(a_child_that_destroys_its_copy_leaves_the_parents_alone))
