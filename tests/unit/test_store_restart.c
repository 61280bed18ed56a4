/* links: nuthatch-store */
/* Save and restore: what comes back, what must not, and files that nobody should trust. */
#include "store_words.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define WALL ((int64_t)1700000000000)

/* A folder of the test's own, and a file in it. */
static char folder[64], path[96];

static int make_folder(void **context __attribute__((unused)))
{
    const char *parent = access("/tmp", W_OK) == 0 ? "/tmp" : ".";
    snprintf(folder, sizeof folder, "%s/nuthatch-test-XXXXXX", parent);
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/image", folder);
    return 0;
}

static unsigned files_in_folder(void)
{
    unsigned count = 0;
    DIR *entries = opendir(folder);
    EXPECT(entries != NULL);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
    closedir(entries);
    return count;
}

static int remove_folder(void **context __attribute__((unused)))
{
    unlink(path);
    return rmdir(folder);
}

static bool is_file_there(void) { return access(path, F_OK) == 0; }

static void save(nh_store *store)
{
    EXPECT_EQ(nh_save(store, path, NOW, WALL), NH_OK);
    nh_destroy(store);
    EXPECT_EQ(files_in_folder(), 1);
}

/* A new store with what was saved; its clock begins elsewhere, and `gap_ms` have passed. */
enum { NEW_NOW = 5 };
static nh_store *restore(uint64_t memory_bytes, int64_t gap_ms, uint64_t wanted_count)
{
    nh_store *store = make_store(memory_bytes);
    uint64_t count = 12345;
    EXPECT_EQ(nh_restore(store, path, NEW_NOW, WALL + gap_ms, &count), NH_OK);
    EXPECT_EQ(count, wanted_count);
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), wanted_count);
    EXPECT_EQ(files_in_folder(), 0);
    return store;
}

static char *read_file(size_t *size)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    char *bytes;
    EXPECT(file != NULL);
    EXPECT_EQ(fstat(fileno(file), &status), 0);
    *size = (size_t)status.st_size;
    bytes = malloc(*size + 1);
    EXPECT_EQ(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void write_file(const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    EXPECT(file != NULL);
    EXPECT_EQ(fwrite(bytes, 1, size, file), size);
    EXPECT_EQ(fclose(file), 0);
}

TEST(everything_comes_back)
{
    enum { COUNT = 20000 };
    nh_store *store = make_store(32 << 20);
    size_t segment = stats_of(store).segment_bytes;
    const size_t sizes[] = {0, 1, 1000, segment - 1, segment, segment + 1, 3 * segment + 7};
    size_t largest = 3 * segment + 7;
    char *bytes = malloc(largest), text[32];
    nh_value value;

    for (unsigned n = 0; n < COUNT; n++) {
        nh_put_options options = {
            .size = sizeof options, .flags = n, .soft_ttl_ms = n % 5 == 0 ? 100 + n : 0};
        size_t size = (size_t)n % 200;
        pattern_fill(bytes, size, 0, n);
        EXPECT_EQ(nh_put(store, NOW, key_number_in(n % 3 * 500, text, n), (nh_bytes){bytes, size}, &options,
                         NULL),
                  NH_OK);
    }
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        pattern_fill(bytes, sizes[i], 0, i);
        EXPECT_EQ(nh_put(store, NOW, key_number_in(9, text, (unsigned)i), (nh_bytes){bytes, sizes[i]}, NULL,
                         NULL),
                  NH_OK);
    }
    memset(bytes, 'k', largest);
    EXPECT_EQ(nh_put(store, NOW, (nh_key){bytes, stats_of(store).key_bytes_max, 10}, value_of("long key"),
                     NULL, NULL),
              NH_OK);
    EXPECT_EQ(nh_put(store, NOW, (nh_key){"\0\n\xff", 3, 10}, value_of("odd key"), NULL, NULL), NH_OK);
    EXPECT_EQ(stats_of(store).evicted, 0);
    save(store);

    store = restore(32 << 20, 1000, COUNT + COUNT_OF(sizes) + 2);
    for (unsigned n = 0; n < COUNT; n++) {
        int64_t stale_ms = n % 5 == 0 ? NEW_NOW + 100 + (int64_t)n - 1000 : 0;
        if (nh_borrow(store, NEW_NOW, key_number_in(n % 3 * 500, text, n), &value) != NH_OK)
            fail_msg("key %u did not come back", n);
        expect_pattern(store, &value, n % 200, n);
        EXPECT_EQ(value.flags, n);
        EXPECT_EQ(value.expires_at_ms, 0);
        if (stale_ms != 0 || n % 5 != 0) /* a time of 0 would say: never */
            EXPECT_EQ(value.stale_at_ms, stale_ms);
        EXPECT_EQ(value.traits, n % 5 == 0 && stale_ms <= NEW_NOW ? NH_VALUE_STALE : 0);
        nh_release(store, &value);
    }
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        EXPECT_EQ(nh_borrow(store, NEW_NOW, key_number_in(9, text, (unsigned)i), &value), NH_OK);
        expect_pattern(store, &value, sizes[i], i);
        nh_release(store, &value);
    }
    expect_text(store, NEW_NOW, (nh_key){bytes, stats_of(store).key_bytes_max, 10}, "long key");
    expect_text(store, NEW_NOW, (nh_key){"\0\n\xff", 3, 10}, "odd key");
    for (uint32_t space = 0; space < 3; space++)
        EXPECT_EQ(nh_count(store, space * 500), COUNT / 3 + (space < COUNT % 3));
    expect_nothing_lent(store);
    free(bytes);
    nh_destroy(store);
}

TEST(lifetimes_go_on_across_the_gap)
{
    static const int64_t ttls_ms[] = {1, 500, 501, 999, 1000, 4294967296, (int64_t)365 * 24 * 3600 * 1000};
    static const int64_t gaps_ms[] = {0, 1, 500, 100000, 4294967296 + 5};
    char text[32];

    for (size_t g = 0; g < COUNT_OF(gaps_ms); g++) {
        nh_store *store = make_store(1 << 20);
        unsigned alive = 0;
        for (unsigned i = 0; i < COUNT_OF(ttls_ms); i++) {
            nh_put_options options = {
                .size = sizeof options, .ttl_ms = ttls_ms[i], .soft_ttl_ms = 2 * ttls_ms[i]};
            EXPECT_EQ(nh_put(store, NOW, key_number(text, i), value_of("v"), &options, NULL), NH_OK);
            alive += ttls_ms[i] > gaps_ms[g];
        }
        save(store);
        store = restore(1 << 20, gaps_ms[g], alive);
        for (unsigned i = 0; i < COUNT_OF(ttls_ms); i++) {
            int64_t end_ms = NEW_NOW + ttls_ms[i] - gaps_ms[g];
            nh_value value;
            if (end_ms <= NEW_NOW) {
                expect_missing(store, NEW_NOW, key_number(text, i));
                continue;
            }
            EXPECT_EQ(nh_borrow(store, NEW_NOW, key_number(text, i), &value), NH_OK);
            EXPECT_EQ(value.expires_at_ms, end_ms);
            EXPECT_EQ(value.stale_at_ms, end_ms + ttls_ms[i]);
            nh_release(store, &value);
            EXPECT(is_there(store, end_ms - 1, key_number(text, i)));
            EXPECT(!is_there(store, end_ms, key_number(text, i)));
        }
        nh_destroy(store);
    }
}

TEST(what_is_gone_stays_gone)
{
    nh_store *store = make_store(4 << 20);
    nh_bytes hard = value_of("hard"), soft = value_of("soft"), kept = value_of("kept");
    nh_put_options options = {.size = sizeof options, .tags = &hard, .tag_count = 1};
    nh_fetch_state fetched;
    uint64_t lease;
    nh_value value;

    EXPECT_EQ(put_text(store, "deleted", "v"), NH_OK);
    EXPECT_EQ(nh_delete(store, NOW, key_of("deleted")), NH_OK);
    EXPECT_EQ(nh_put(store, NOW, key_in(1, "cleared"), value_of("v"), NULL, NULL), NH_OK);
    nh_clear(store, 1);
    EXPECT_EQ(nh_put(store, NOW, key_in(1, "after"), value_of("v"), NULL, NULL), NH_OK);
    EXPECT_EQ(nh_put(store, NOW, key_of("purged"), value_of("v"), &options, NULL), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, hard, NH_PURGE_DROP), NH_OK);
    EXPECT_EQ(nh_put(store, NOW, key_of("tagged again"), value_of("v"), &options, NULL), NH_OK);
    options.tags = &soft;
    EXPECT_EQ(nh_put(store, NOW, key_of("stale"), value_of("v"), &options, NULL), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, soft, NH_PURGE_SOFT), NH_OK);
    options.tags = &kept;
    EXPECT_EQ(nh_put(store, NOW, key_of("kept"), value_of("v"), &options, NULL), NH_OK);
    EXPECT_EQ(put_text(store, "overwritten", "old"), NH_OK);
    EXPECT_EQ(put_text(store, "overwritten", "new"), NH_OK);
    EXPECT_EQ(nh_fetch(store, NOW, key_of("leased"), NULL, &fetched, &lease, &value), NH_OK);
    save(store);

    store = restore(4 << 20, 0, 5);
    expect_missing(store, NEW_NOW, key_of("deleted"));
    expect_missing(store, NEW_NOW, key_in(1, "cleared"));
    expect_missing(store, NEW_NOW, key_of("purged"));
    expect_text(store, NEW_NOW, key_in(1, "after"), "v");
    expect_text(store, NEW_NOW, key_of("overwritten"), "new");
    EXPECT_EQ(nh_fetch(store, NEW_NOW, key_of("stale"), NULL, &fetched, &lease, &value), NH_OK);
    EXPECT_EQ(fetched, NH_FETCH_STALE_LEASE);
    nh_release(store, &value);
    EXPECT_EQ(nh_fetch(store, NEW_NOW, key_of("kept"), NULL, &fetched, &lease, &value), NH_OK);
    EXPECT_EQ(fetched, NH_FETCH_HIT);
    nh_release(store, &value);
    EXPECT_EQ(nh_fetch(store, NEW_NOW, key_of("leased"), NULL, &fetched, &lease, &value), NH_OK);
    EXPECT_EQ(fetched, NH_FETCH_MISS_LEASE); /* nobody is left to fill the old one */
    /* Tags go on to purge. */
    EXPECT_EQ(nh_purge_tag(store, kept, NH_PURGE_SOFT), NH_OK);
    EXPECT_EQ(nh_borrow(store, NEW_NOW, key_of("kept"), &value), NH_OK);
    EXPECT_EQ(value.traits, NH_VALUE_STALE);
    nh_release(store, &value);
    EXPECT_EQ(nh_purge_tag(store, kept, NH_PURGE_DROP), NH_OK);
    expect_missing(store, NEW_NOW, key_of("kept"));
    expect_text(store, NEW_NOW, key_of("tagged again"), "v");
    EXPECT_EQ(nh_purge_tag(store, hard, NH_PURGE_DROP), NH_OK);
    expect_missing(store, NEW_NOW, key_of("tagged again"));
    EXPECT_EQ(nh_purge_tag(store, soft, NH_PURGE_DROP), NH_OK);
    expect_missing(store, NEW_NOW, key_of("stale"));
    nh_destroy(store);
}

TEST(tags_purge_though_the_store_is_of_another_size_and_seed)
{
    static const uint64_t memories[] = {1 << 20, 4 << 20, 64 << 20};
    for (size_t m = 0; m < COUNT_OF(memories); m++) {
        nh_options options = {.size = sizeof options, .memory_bytes = memories[m], .hash_seed = 99};
        nh_store *store = make_store(4 << 20);
        nh_bytes tags[2] = {value_of("a"), value_of("b")};
        nh_put_options put = {.size = sizeof put, .tags = tags, .tag_count = 2};
        EXPECT_EQ(nh_purge_tag(store, tags[0], NH_PURGE_DROP),
                  NH_OK); /* so that its slot is not at nought */
        EXPECT_EQ(nh_purge_tag(store, tags[1], NH_PURGE_SOFT), NH_OK);
        EXPECT_EQ(nh_put(store, NOW, key_of("ab"), value_of("v"), &put, NULL), NH_OK);
        put.tag_count = 1;
        EXPECT_EQ(nh_put(store, NOW, key_of("a"), value_of("v"), &put, NULL), NH_OK);
        save(store);
        EXPECT_EQ(nh_create(&options, &store), NH_OK);
        EXPECT_EQ(nh_restore(store, path, NEW_NOW, WALL, NULL), NH_OK);
        expect_text(store, NEW_NOW, key_of("ab"), "v");
        expect_text(store, NEW_NOW, key_of("a"), "v");
        EXPECT_EQ(nh_purge_tag(store, tags[1], NH_PURGE_DROP), NH_OK);
        expect_missing(store, NEW_NOW, key_of("ab"));
        expect_text(store, NEW_NOW, key_of("a"), "v");
        EXPECT_EQ(nh_purge_tag(store, tags[0], NH_PURGE_DROP), NH_OK);
        expect_missing(store, NEW_NOW, key_of("a"));
        nh_destroy(store);
    }
}

TEST(negative_entries_and_costs_come_back)
{
    nh_store *store = make_store(4 << 20);
    nh_put_options negative = {.size = sizeof negative, .ttl_ms = 1000, .negative = 1};
    nh_put_options dear = {.size = sizeof dear, .ttl_ms = 1000, .cost_ms = 100000};
    nh_fetch_options early = {.size = sizeof early, .early_percent = 1000};
    nh_fetch_state fetched = NH_FETCH_HIT;
    uint64_t lease;
    nh_value value;

    EXPECT_EQ(nh_put(store, NOW, key_of("negative"), value_of("404"), &negative, NULL), NH_OK);
    EXPECT_EQ(nh_put(store, NOW, key_of("dear"), value_of("v"), &dear, NULL), NH_OK);
    save(store);
    store = restore(4 << 20, 10, 2);
    expect_missing(store, NEW_NOW, key_of("negative"));
    EXPECT_EQ(nh_fetch(store, NEW_NOW, key_of("negative"), NULL, &fetched, &lease, &value), NH_OK);
    EXPECT_EQ(fetched, NH_FETCH_HIT);
    EXPECT_EQ(value.traits, NH_VALUE_NEGATIVE);
    EXPECT_TEXT(lent(&value), BYTES("404"));
    EXPECT_EQ(value.expires_at_ms, NEW_NOW + 990);
    nh_release(store, &value);
    for (int i = 0; i < 100 && fetched == NH_FETCH_HIT; i++) {
        EXPECT_EQ(nh_fetch(store, NEW_NOW + 989, key_of("dear"), &early, &fetched, &lease, &value), NH_OK);
        nh_release(store, &value);
    }
    EXPECT_EQ(fetched, NH_FETCH_HIT_LEASE);
    nh_destroy(store);
}

TEST(a_restored_store_goes_on_as_any_other)
{
    enum { COUNT = 3000 };
    nh_store *store = make_store(4 << 20);
    uint64_t old_version, version, newer;
    char text[32], bytes[500] = {0};
    nh_value value;

    for (unsigned n = 0; n < COUNT; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("5"), NULL, &old_version), NH_OK);
    save(store);
    for (int round = 0; round < 3; round++) { /* saved and restored again and again */
        store = restore(4 << 20, 0, COUNT);
        EXPECT_EQ(nh_borrow(store, NEW_NOW, key_number(text, 1), &value), NH_OK);
        version = value.version;
        EXPECT_EQ(nh_cas(store, NEW_NOW, key_number(text, 1), value_of("5"), NULL, version, &newer), NH_OK);
        EXPECT(newer != version);
        EXPECT_EQ(nh_cas(store, NEW_NOW, key_number(text, 1), value_of("5"), NULL, version, NULL),
                  NH_CHANGED);
        EXPECT_TEXT(lent(&value), BYTES("5"));
        nh_release(store, &value);
        EXPECT_EQ(nh_increment(store, NEW_NOW, key_number(text, 2), 1, NH_INCREMENT_SIGNED, NULL), NH_OK);
        EXPECT_EQ(nh_append(store, NEW_NOW, key_number(text, 3), value_of("0"), NULL), NH_OK);
        EXPECT_EQ(nh_delete(store, NEW_NOW, key_number(text, 4)), NH_OK);
        EXPECT_EQ(nh_add(store, NEW_NOW, key_number(text, 4), value_of("5"), NULL, NULL), NH_OK);
        EXPECT_EQ(nh_touch(store, NEW_NOW, key_number(text, 5), 1000000), NH_OK);
        EXPECT_EQ(nh_save(store, path, NEW_NOW, WALL), NH_OK);
        nh_destroy(store);
    }
    store = restore(4 << 20, 0, COUNT);
    expect_text(store, NEW_NOW, key_number(text, 2), "8");
    expect_text(store, NEW_NOW, key_number(text, 3), "5000");
    for (unsigned n = 0; n < 50000; n++) /* and it evicts */
        EXPECT_EQ(
            nh_put(store, NEW_NOW, key_number_in(1, text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
            NH_OK);
    EXPECT(stats_of(store).evicted > 0);
    EXPECT(stats_of(store).memory_bytes <= 4 << 20);
    nh_clear(store, 0);
    EXPECT_EQ(nh_count(store, 0), 0);
    nh_destroy(store);
}

/* Whoever remembers a version from before a restart finds no other value under it. */
TEST(a_version_does_not_come_back_after_a_restart)
{
    enum { ROUNDS = 4, PUTS = 150 };
    uint64_t versions[ROUNDS * PUTS];
    nh_store *store = make_store(1 << 20);
    unsigned count = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned n = 0; n < PUTS; n++)
            EXPECT_EQ(nh_put(store, round == 0 ? NOW : NEW_NOW, key_of("k"), value_of("v"), NULL,
                             &versions[count++]),
                      NH_OK);
        EXPECT_EQ(nh_save(store, path, round == 0 ? NOW : NEW_NOW, WALL), NH_OK);
        nh_destroy(store);
        store = restore(1 << 20, 0, 1);
    }
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < i; j++)
            EXPECT(versions[i] != versions[j]);
    nh_destroy(store);
}

TEST(a_store_of_another_size_takes_what_fits)
{
    enum { COUNT = 8000, SIZE = 1000 };
    static const uint64_t memories[] = {1 << 20, 2 << 20, 5 << 20, 16 << 20, 64 << 20};
    char text[32], *bytes = malloc(2 << 20);

    for (size_t m = 0; m < COUNT_OF(memories); m++) {
        nh_store *store = make_store(16 << 20);
        uint64_t count = 0, there = 0;
        size_t long_key = stats_of(store).key_bytes_max;
        for (unsigned n = 0; n < COUNT; n++) {
            pattern_fill(bytes, SIZE, 0, n);
            EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, SIZE}, NULL, NULL), NH_OK);
        }
        pattern_fill(bytes, 2 << 20, 0, 1);
        EXPECT_EQ(nh_put(store, NOW, key_of("large"), (nh_bytes){bytes, 2 << 20}, NULL, NULL), NH_OK);
        EXPECT_EQ(nh_put(store, NOW, (nh_key){bytes, long_key, 1}, value_of("v"), NULL, NULL), NH_OK);
        EXPECT_EQ(stats_of(store).evicted, 0);
        save(store);
        store = make_store(memories[m]);
        EXPECT_EQ(nh_restore(store, path, NEW_NOW, WALL, &count), NH_OK);
        EXPECT(!is_file_there());
        for (unsigned n = 0; n < COUNT; n++) {
            size_t size;
            if (nh_get(store, NEW_NOW, key_number(text, n), bytes, SIZE, &size) != NH_OK)
                continue;
            EXPECT_EQ(size, SIZE);
            EXPECT(is_pattern(bytes, SIZE, 0, n));
            there++;
        }
        if (memories[m] >= 16 << 20) {
            EXPECT_EQ(count, COUNT + 2);
            EXPECT_EQ(there, COUNT);
            EXPECT(is_there(store, NEW_NOW, key_of("large")));
        }
        EXPECT_EQ(nh_count(store, NH_SPACE_ALL), count);
        EXPECT(there * SIZE > memories[m] / 4 || there == COUNT);
        EXPECT(stats_of(store).memory_bytes <= memories[m]);
        EXPECT_EQ(nh_put(store, NEW_NOW, key_of("k"), value_of("v"), NULL, NULL), NH_OK);
        expect_text(store, NEW_NOW, key_of("k"), "v");
        nh_destroy(store);
    }
    free(bytes);
}

TEST(an_empty_store_is_saved_and_restored)
{
    save(make_store(1 << 20));
    nh_destroy(restore(1 << 20, 0, 0));
}

/* ---- what cannot be restored ---------------------------------------------------------------------- */

/* A store in which a restore failed is empty and works. */
static void expect_empty_and_usable(nh_store *store)
{
    char text[32];
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 0);
    EXPECT_EQ(stats_of(store).items, 0);
    expect_missing(store, NEW_NOW, key_number(text, 0));
    EXPECT_EQ(nh_put(store, NEW_NOW, key_number(text, 0), value_of("new"), NULL, NULL), NH_OK);
    expect_text(store, NEW_NOW, key_number(text, 0), "new");
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 1);
    expect_nothing_lent(store);
}

TEST(a_file_that_is_not_there_is_missing_and_a_folder_is_none_of_ours)
{
    nh_store *store = make_store(1 << 20);
    nh_result result;
    uint64_t count = 7;
    char below[128];

    EXPECT_EQ(nh_restore(store, path, NEW_NOW, WALL, &count), NH_MISSING);
    EXPECT_EQ(nh_restore(store, "/no such folder/image", NEW_NOW, WALL, NULL), NH_MISSING);
    result = nh_restore(store, folder, NEW_NOW, WALL, NULL);
    EXPECT(result == NH_IO || result == NH_CORRUPT);
    EXPECT_EQ(access(folder, F_OK), 0);
    write_file("x", 1);
    snprintf(below, sizeof below, "%s/below", path); /* below a file */
    result = nh_restore(store, below, NEW_NOW, WALL, NULL);
    EXPECT(result == NH_IO || result == NH_MISSING);
    if (geteuid() != 0) { /* to root nothing is unreadable */
        EXPECT_EQ(chmod(path, 0), 0);
        EXPECT_EQ(nh_restore(store, path, NEW_NOW, WALL, NULL), NH_IO);
    }
    EXPECT(is_file_there());
    EXPECT_EQ(unlink(path), 0);
    expect_empty_and_usable(store);
    nh_destroy(store);
}

TEST(a_place_that_cannot_be_written_is_told_and_leaves_nothing_behind)
{
    struct rlimit before, small;
    nh_store *store = make_store(4 << 20);
    char text[32], bytes[1000] = {0};
    void (*on_signal)(int);

    EXPECT_EQ(nh_save(store, "/no such folder/image", NOW, WALL), NH_IO);
    EXPECT(errno != 0);
    nh_destroy(store);
    store = make_store(4 << 20);
    EXPECT_EQ(nh_save(store, folder, NOW, WALL), NH_IO);
    nh_destroy(store);
    EXPECT_EQ(access(folder, W_OK), 0);
    store = make_store(4 << 20);
    for (unsigned n = 0; n < 2000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
                  NH_OK);
    /* As if the disk were full after 64 KiB. */
    on_signal = signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 65536;
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    EXPECT_EQ(nh_save(store, path, NOW, WALL), NH_IO);
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, on_signal);
    EXPECT_EQ(files_in_folder(), 0);
    nh_destroy(store);
}

TEST(a_save_replaces_the_file_of_another)
{
    nh_store *store;

    write_file("something else", 14);
    store = make_store(1 << 20);
    EXPECT_EQ(put_text(store, "k", "v"), NH_OK);
    save(store);
    store = restore(1 << 20, 0, 1);
    expect_text(store, NEW_NOW, key_of("k"), "v");
    nh_destroy(store);
}

TEST(a_clock_that_went_back_is_not_trusted)
{
    nh_store *store = make_store(1 << 20);
    uint64_t count = 7;

    EXPECT_EQ(put_text(store, "k", "v"), NH_OK);
    save(store);
    store = make_store(1 << 20);
    EXPECT_EQ(nh_restore(store, path, NEW_NOW, WALL - 1, &count), NH_CORRUPT);
    EXPECT(is_file_there());
    expect_empty_and_usable(store);
    nh_destroy(store);
    store = restore(1 << 20, 0, 1);
    nh_destroy(store);
}

enum { IMAGE_VALUES = 300 };

/* An image with small and large values, tags and lifetimes; returns its bytes. */
static char *make_image(size_t *size)
{
    nh_store *store = make_store(1 << 20);
    nh_bytes tag = value_of("t");
    size_t large_bytes = 2 * stats_of(store).segment_bytes + 100;
    char *bytes = malloc(large_bytes), text[32];

    if (large_bytes > 200000)
        large_bytes = 200000;
    for (unsigned n = 0; n < IMAGE_VALUES; n++) {
        nh_put_options options = {.size = sizeof options,
                                  .flags = n,
                                  .tags = &tag,
                                  .tag_count = n % 3 == 0,
                                  .ttl_ms = n % 4 == 0 ? 1000000 : 0};
        size_t value_bytes = n == 7 ? large_bytes : n % 100;
        pattern_fill(bytes, value_bytes, 0, n);
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, value_bytes}, &options, NULL),
                  NH_OK);
    }
    EXPECT_EQ(stats_of(store).evicted, 0);
    free(bytes);
    save(store);
    return read_file(size);
}

/* Makes the file what `image` is, which differs from it at most in `size` bytes from `offset` on. */
static void write_change(const char *image, size_t image_size, size_t offset, size_t size)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0) {
        write_file(image, image_size);
        return;
    }
    EXPECT_EQ(pwrite(fd, image + offset, size, (off_t)offset), (ssize_t)size);
    EXPECT_EQ(close(fd), 0);
}

/* Restores the file at `path`: it is refused, or all that comes back is right. Nothing else may happen. */
static nh_result restore_doubtful(void)
{
    nh_store *store = make_store(1 << 20);
    uint64_t count = 0;
    nh_result result = nh_restore(store, path, NEW_NOW, WALL, &count);
    char text[32];

    if (result == NH_OK) {
        EXPECT(!is_file_there());
        EXPECT_EQ(nh_count(store, NH_SPACE_ALL), IMAGE_VALUES);
        for (unsigned n = 0; n < IMAGE_VALUES; n++) {
            nh_value value;
            EXPECT_EQ(nh_borrow(store, NEW_NOW, key_number(text, n), &value), NH_OK);
            EXPECT_EQ(value.flags, n);
            expect_pattern(store, &value, n == 7 ? value.size : n % 100, n);
            EXPECT_EQ(value.expires_at_ms, n % 4 == 0 ? NEW_NOW + 1000000 : 0);
            nh_release(store, &value);
        }
    } else {
        EXPECT_EQ(result, NH_CORRUPT);
        EXPECT(is_file_there());
        expect_empty_and_usable(store);
    }
    nh_destroy(store);
    return result;
}

TEST(a_file_that_was_cut_short_is_refused)
{
    size_t size;
    char *image = make_image(&size);
    uint64_t random = 88172645463325252u;

    EXPECT(size > 0);
    EXPECT_EQ(restore_doubtful(), NH_OK); /* as it is */
    for (size_t cut = 0; cut < size; cut += 4096) {
        write_file(image, cut);
        EXPECT_EQ(restore_doubtful(), NH_CORRUPT);
    }
    for (size_t cut = 1; cut < 256 && cut < size; cut++) {
        write_file(image, cut);
        EXPECT_EQ(restore_doubtful(), NH_CORRUPT);
        write_file(image, size - cut);
        EXPECT_EQ(restore_doubtful(), NH_CORRUPT);
    }
    for (unsigned i = 0; i < 200; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        write_file(image, (random >> 16) % size);
        EXPECT_EQ(restore_doubtful(), NH_CORRUPT);
    }
    unlink(path);
    free(image);
}

TEST(a_file_with_a_byte_changed_is_refused_or_right)
{
    enum { HEADER_BYTES = 4096 };
    size_t size, refused = 0, tries = 0, step;
    char *image = make_image(&size);

    for (size_t i = 0; i < size; i += step) { /* every byte at first, and then ever fewer */
        step = i < 512 ? 1 : i < HEADER_BYTES ? 7 : 211;
        image[i] ^= (char)(1 << i % 8);
        write_change(image, size, i, 1);
        refused += restore_doubtful() == NH_CORRUPT;
        image[i] ^= (char)(1 << i % 8);
        write_change(image, size, i, 1);
        tries++;
    }
    EXPECT(refused > tries / 2);
    image[0] ^= 1; /* the first is somebody else's file for certain */
    write_file(image, size);
    EXPECT_EQ(restore_doubtful(), NH_CORRUPT);
    unlink(path);
    free(image);
}

TEST(numbers_in_a_file_that_are_beyond_all_bounds_harm_nobody)
{
    static const uint64_t numbers[] = {
        0,          1,         0x7fffffff, 0x80000000,        UINT32_MAX,
        UINT64_MAX, INT64_MAX, 1u << 20,   (uint64_t)1 << 40, 0xfffffffffffff000};
    size_t size;
    char *image = make_image(&size);

    for (size_t place = 0; place + 8 <= size && place < 1024; place += place < 256 ? 4 : 64)
        for (size_t i = 0; i < COUNT_OF(numbers); i++)
            for (size_t width = 2; width <= 8; width *= 2) {
                char before[8];
                memcpy(before, image + place, width);
                memcpy(image + place, &numbers[i], width); /* its low bytes, on this machine */
                if (memcmp(before, image + place, width) != 0) {
                    write_change(image, size, place, width);
                    restore_doubtful();
                }
                memcpy(image + place, before, width);
                write_change(image, size, place, width);
            }
    unlink(path);
    free(image);
}

TEST(garbage_is_refused)
{
    static const size_t sizes[] = {0, 1, 7, 8, 63, 64, 4095, 4096, 4097, 65536, 300000};
    size_t size;
    char *image = make_image(&size), *bytes = malloc(2 * size + 300000);

    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (int kind = 0; kind < 4; kind++) {
            if (kind == 0)
                memset(bytes, 0, sizes[i]);
            else if (kind == 1)
                memset(bytes, 0xff, sizes[i]);
            else if (kind == 2)
                pattern_fill(bytes, sizes[i], 0, 4);
            else { /* begins like one of ours */
                pattern_fill(bytes, sizes[i], 0, 5);
                memcpy(bytes, image, sizes[i] < 64 ? sizes[i] : 64);
            }
            write_file(bytes, sizes[i]);
            EXPECT_EQ(restore_doubtful(), NH_CORRUPT);
        }
    memcpy(bytes, image, size); /* twice over, and with a tail */
    memcpy(bytes + size, image, size);
    write_file(bytes, 2 * size);
    restore_doubtful();
    write_file(bytes, size + 1);
    restore_doubtful();
    for (size_t block = 0; block + 8192 <= size; block += 4096) { /* two blocks that have changed places */
        memcpy(bytes, image, size);
        memcpy(bytes + block, image + block + 4096, 4096);
        memcpy(bytes + block + 4096, image + block, 4096);
        if (memcmp(bytes, image, size) == 0)
            continue;
        write_file(bytes, size);
        restore_doubtful();
    }
    unlink(path);
    free(image);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ROW(everything_comes_back),
        TEST_ROW(lifetimes_go_on_across_the_gap),
        TEST_ROW(what_is_gone_stays_gone),
        TEST_ROW(tags_purge_though_the_store_is_of_another_size_and_seed),
        TEST_ROW(negative_entries_and_costs_come_back),
        TEST_ROW(a_restored_store_goes_on_as_any_other),
        TEST_ROW(a_version_does_not_come_back_after_a_restart),
        TEST_ROW(a_store_of_another_size_takes_what_fits),
        TEST_ROW(an_empty_store_is_saved_and_restored),
        TEST_ROW(a_file_that_is_not_there_is_missing_and_a_folder_is_none_of_ours),
        TEST_ROW(a_place_that_cannot_be_written_is_told_and_leaves_nothing_behind),
        TEST_ROW(a_save_replaces_the_file_of_another),
        TEST_ROW(a_clock_that_went_back_is_not_trusted),
        TEST_ROW(a_file_that_was_cut_short_is_refused),
        TEST_ROW(a_file_with_a_byte_changed_is_refused_or_right),
        TEST_ROW(numbers_in_a_file_that_are_beyond_all_bounds_harm_nobody),
        TEST_ROW(garbage_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
