/* links: nuthatch-store -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=mmap */
/* The system gives no memory: each of a call's allocations fails once, and nothing is lost but the call. */
#include "store_words.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* How many allocations still succeed before one fails; negative: all do. Volatile, as compilers know malloc
 * and think that it looks at nothing of ours. */
static volatile int successes_left = -1;

static bool must_fail(void)
{
    if (successes_left >= 0)
        successes_left = successes_left - 1;
    else
        return false;
    return successes_left < 0;
}

/* The linker sends the store's calls of the functions of these names here. */
#define WRAP(type, name, failure, parameters, arguments)                                                   \
    type __real_##name parameters;                                                                         \
    __attribute__((used)) type __wrap_##name parameters;                                                   \
    type __wrap_##name parameters                                                                          \
    {                                                                                                      \
        if (!must_fail())                                                                                  \
            return __real_##name arguments;                                                                \
        errno = ENOMEM;                                                                                    \
        return failure;                                                                                    \
    }
WRAP(void *, malloc, NULL, (size_t size), (size))
WRAP(void *, calloc, NULL, (size_t count, size_t size), (count, size))
WRAP(void *, realloc, NULL, (void *block, size_t size), (block, size))
WRAP(void *, mmap, MAP_FAILED, (void *at, size_t size, int access, int flags, int fd, off_t offset),
     (at, size, access, flags, fd, offset))

enum { ATTEMPTS_MAX = 100 };

/* Ends an attempt in which one allocation was to fail; true if it came to that. */
static bool has_failed(void)
{
    bool failed = successes_left < 0;
    successes_left = -1;
    return failed;
}

TEST(a_store_is_made_or_not)
{
    nh_options options = {
        .size = sizeof options, .memory_bytes = 16 << 20, .insight_spaces = 2, .huge_pages = 1};
    unsigned failures = 0;

    for (int n = 0;; n++) {
        nh_store *store = NULL;
        nh_result result;
        EXPECT(n < ATTEMPTS_MAX);
        successes_left = n;
        result = nh_create(&options, &store);
        if (!has_failed()) {
            EXPECT_EQ(result, NH_OK);
            nh_destroy(store);
            break;
        }
        failures++;
        EXPECT(result == NH_NO_MEMORY || result == NH_OK); /* some things it can do without */
        EXPECT((store != NULL) == (result == NH_OK));
        nh_destroy(store);
    }
    EXPECT(failures >= 1);
}

TEST(a_walk_goes_on_or_says_that_it_cannot)
{
    nh_store *store = make_store(4 << 20);
    char text[32];

    for (unsigned n = 0; n < 2000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("v"), NULL, NULL), NH_OK);
    for (int n = 0;; n++) {
        nh_cursor *cursor = NULL;
        unsigned seen = 0;
        nh_result result;
        nh_value value;
        nh_key key;
        EXPECT(n < ATTEMPTS_MAX);
        successes_left = n;
        result = nh_cursor_create(store, 0, &cursor);
        if (result == NH_OK)
            while ((result = nh_cursor_next(cursor, NOW, &key, &value)) == NH_OK)
                seen++;
        nh_cursor_destroy(cursor);
        expect_nothing_lent(store);
        if (!has_failed()) {
            EXPECT_EQ(result, NH_MISSING);
            EXPECT(seen >= 2000);
            break;
        }
        EXPECT(result == NH_NO_MEMORY || (result == NH_MISSING && seen >= 2000));
    }
    nh_destroy(store);
}

TEST(a_writer_is_made_or_not_and_the_old_value_stays)
{
    nh_store *store = make_store(4 << 20);
    char *bytes = calloc(1, 500000);

    for (int n = 0;; n++) {
        nh_writer *writer = NULL;
        nh_result result;
        EXPECT(n < ATTEMPTS_MAX);
        EXPECT_EQ(put_text(store, "k", "old"), NH_OK);
        successes_left = n;
        result = nh_writer_create(store, NOW, key_of("k"), NULL, &writer);
        if (result == NH_OK) {
            result = nh_writer_append(writer, NOW, (nh_bytes){bytes, 500000});
            if (result == NH_OK)
                result = nh_writer_commit(writer, NOW, NULL);
            else
                nh_writer_abort(writer);
        }
        if (!has_failed()) {
            EXPECT_EQ(result, NH_OK);
            break;
        }
        EXPECT_EQ(result, NH_NO_MEMORY);
        expect_text(store, NOW, key_of("k"), "old");
    }
    free(bytes);
    nh_destroy(store);
}

/* Borrowers hold an eighth of the segments: what is lent from now on must be copied, and cannot. */
TEST(what_cannot_be_copied_is_not_lent)
{
    enum { COUNT = 3500 };
    nh_store *store = make_store(4 << 20);
    nh_value *values = calloc(COUNT, sizeof *values), value;
    char bytes[1000] = {0}, text[32];
    nh_put_options stale = {.size = sizeof stale, .soft_ttl_ms = 1};
    nh_fetch_state fetched;
    int32_t had_before;
    uint64_t lease;

    for (unsigned n = 0; n < COUNT; n++) {
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, sizeof bytes}, &stale, NULL),
                  NH_OK);
        EXPECT_EQ(nh_borrow(store, NOW, key_number(text, n), &values[n]), NH_OK);
    }
    EXPECT(stats_of(store).borrowed_copied_bytes > 0);
    for (int call = 0; call < 4; call++)
        for (int n = 0;; n++) {
            uint64_t copied = stats_of(store).borrowed_copied_bytes;
            nh_key key = key_number(text, COUNT - 1 - (unsigned)call);
            nh_result result = NH_OK;
            bool is_lent;
            EXPECT(n < ATTEMPTS_MAX);
            successes_left = n;
            switch (call) {
            case 0: result = nh_borrow(store, NOW + 1, key, &value); break;
            case 1: result = nh_get_and_touch(store, NOW + 1, key, 1000, &value); break;
            case 2: result = nh_fetch(store, NOW + 1, key, NULL, &fetched, &lease, &value); break;
            case 3:
                had_before = 9;
                result = nh_exchange(store, NOW + 1, key, (nh_bytes){bytes, sizeof bytes}, NULL, &value,
                                     &had_before);
                EXPECT(result == NH_OK || had_before == 0);
                break;
            }
            is_lent = result == NH_OK;
            if (is_lent)
                nh_release(store, &value);
            EXPECT_EQ(stats_of(store).borrowed_copied_bytes, copied);
            EXPECT(is_there(store, NOW + 1, key));
            if (!has_failed()) {
                EXPECT_EQ(result, NH_OK);
                break;
            }
            EXPECT(result == NH_NO_MEMORY || result == NH_OK);
        }
    /* To read without borrowing takes no memory. */
    successes_left = 0;
    EXPECT_EQ(nh_get(store, NOW + 1, key_number(text, COUNT - 1), bytes, sizeof bytes, NULL), NH_OK);
    EXPECT_EQ(nh_peek(store, NOW + 1, key_number(text, COUNT - 1), &value), NH_OK);
    nh_release(store, &value);
    for (unsigned n = 0; n < 10000; n++)
        EXPECT_EQ(
            nh_put(store, NOW + 1, key_number_in(1, text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
            NH_OK);
    EXPECT_EQ(successes_left, 0); /* nor does to write */
    successes_left = -1;
    for (unsigned n = 0; n < COUNT; n++)
        nh_release(store, &values[n]);
    expect_nothing_lent(store);
    free(values);
    nh_destroy(store);
}

TEST(a_save_or_restore_without_memory_harms_nothing)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "%s/nuthatch-test-XXXXXX", access("/tmp", W_OK) == 0 ? "/tmp" : ".");
    fd = mkstemp(path);
    EXPECT(fd >= 0);
    EXPECT_EQ(close(fd), 0);
    EXPECT_EQ(unlink(path), 0);
    for (int is_restore = 0; is_restore < 2; is_restore++) {
        bool failed = true;
        for (int n = 0; failed; n++) {
            nh_store *store = make_store(1 << 20);
            nh_result result;
            EXPECT(n < ATTEMPTS_MAX);
            EXPECT_EQ(put_text(store, "k", "v"), NH_OK);
            if (is_restore) {
                EXPECT_EQ(nh_save(store, path, NOW, NOW), NH_OK);
                nh_destroy(store);
                store = make_store(1 << 20);
            }
            successes_left = n;
            result = is_restore ? nh_restore(store, path, NOW, NOW, NULL) : nh_save(store, path, NOW, NOW);
            failed = has_failed();
            EXPECT(result == NH_OK || (failed && (result == NH_NO_MEMORY || result == NH_IO)));
            EXPECT_EQ(access(path, F_OK) == 0, (result == NH_OK) != is_restore);
            if (is_restore) {
                EXPECT_EQ(is_there(store, NOW, key_of("k")), result == NH_OK);
                EXPECT_EQ(put_text(store, "k", "v"), NH_OK);
            }
            nh_destroy(store);
        }
    }
    unlink(path);
}

RUN_TESTS(TEST_ROW(a_store_is_made_or_not), TEST_ROW(a_walk_goes_on_or_says_that_it_cannot),
          TEST_ROW(a_writer_is_made_or_not_and_the_old_value_stays),
          TEST_ROW(what_cannot_be_copied_is_not_lent),
          TEST_ROW(a_save_or_restore_without_memory_harms_nothing))
