/* links: nuthatch-store */
/* A note beside a value, and a version of the caller's: what changes in place, and what outlives what. */
#include "store_words.h"

static uint32_t note_of(nh_store *store, const char *key)
{
    nh_value value;
    uint32_t note;

    EXPECT_EQ(nh_peek(store, NOW, key_of(key), &value), NH_OK);
    note = value.note != NULL ? __atomic_load_n(value.note, __ATOMIC_RELAXED) : 0;
    nh_release(store, &value);
    return note;
}

static uint64_t version_of(nh_store *store, const char *key)
{
    nh_value value;

    EXPECT_EQ(nh_borrow(store, NOW, key_of(key), &value), NH_OK);
    nh_release(store, &value);
    return value.version;
}

TEST(a_note_is_changed_in_place_and_the_version_stays)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options noted = {.size = sizeof noted, .note = 5, .flags = 9};
    uint64_t version;
    nh_value value;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &noted, &version), NH_OK);
    EXPECT_EQ(nh_peek(store, NOW, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.flags, 9);
    EXPECT_EQ(__atomic_exchange_n(value.note, 6, __ATOMIC_RELAXED), 5);
    nh_release(store, &value);
    EXPECT_EQ(note_of(store, "k"), 6);
    EXPECT_EQ(version_of(store, "k"), version);
    expect_text(store, NOW, key_of("k"), "v");
    nh_destroy(store);
}

TEST(a_note_lasts_until_the_value_is_put_anew)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options noted = {
        .size = sizeof noted, .note = 7, .tags = (nh_bytes[]){{"t", 1}}, .tag_count = 1};

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("1"), &noted, NULL), NH_OK);
    EXPECT_EQ(nh_touch(store, NOW, key_of("k"), 1000), NH_OK); /* a copy: it had no expiry */
    EXPECT_EQ(nh_append(store, NOW, key_of("k"), value_of("2"), NULL), NH_OK);
    EXPECT_EQ(nh_increment(store, NOW, key_of("k"), 1, NH_INCREMENT_SIGNED, NULL), NH_OK);
    EXPECT_EQ(note_of(store, "k"), 7);
    expect_text(store, NOW, key_of("k"), "13");
    EXPECT_EQ(put_text(store, "k", "new"), NH_OK);
    EXPECT_EQ(note_of(store, "k"), 0);
    nh_destroy(store);
}

TEST(a_value_without_a_note_is_annotated_once)
{
    enum { LARGE_BYTES = 200000 };
    nh_store *store = make_store(4 << 20);
    char *large = calloc(1, LARGE_BYTES);
    uint64_t version, large_version;

    EXPECT_EQ(nh_annotate(store, NOW, key_of("k"), 1), NH_MISSING);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), NULL, &version), NH_OK);
    EXPECT_EQ(nh_annotate(store, NOW, key_of("k"), 0), NH_INVALID);
    EXPECT_EQ(nh_annotate(store, NOW, key_of("k"), 3), NH_OK);
    EXPECT_EQ(nh_annotate(store, NOW, key_of("k"), 4), NH_EXISTS);
    EXPECT_EQ(note_of(store, "k"), 3);
    EXPECT_EQ(version_of(store, "k"), version);
    expect_text(store, NOW, key_of("k"), "v");

    EXPECT_EQ(nh_put(store, NOW, key_of("large"), (nh_bytes){large, LARGE_BYTES}, NULL, &large_version),
              NH_OK);
    EXPECT_EQ(nh_annotate(store, NOW, key_of("large"), 3), NH_OK);
    EXPECT_EQ(nh_annotate(store, NOW, key_of("large"), 4), NH_EXISTS);
    EXPECT_EQ(note_of(store, "large"), 3);
    EXPECT_EQ(version_of(store, "large"), large_version);
    free(large);
    nh_destroy(store);
}

TEST(a_given_version_is_the_values_until_it_is_written_again)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options given = {.size = sizeof given, .version = 777};
    uint64_t version = 0;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &given, &version), NH_OK);
    EXPECT_EQ(version, 777);
    EXPECT_EQ(version_of(store, "k"), 777);
    EXPECT_EQ(nh_touch(store, NOW, key_of("k"), 1000), NH_OK);
    EXPECT_EQ(version_of(store, "k"), 777);
    EXPECT_EQ(nh_cas(store, NOW, key_of("k"), value_of("w"), NULL, 776, NULL), NH_CHANGED);
    EXPECT_EQ(nh_cas(store, NOW, key_of("k"), value_of("w"), NULL, 777, NULL), NH_OK);
    EXPECT(version_of(store, "k") != 777);
    nh_destroy(store);
}

TEST(notes_and_given_versions_survive_the_moves_of_eviction)
{
    enum { KEPT = 50, PASSING = 60000 };
    nh_store *store = make_store(1 << 20);
    char text[32], value[64] = {0};
    unsigned met = 0;

    for (unsigned n = 0; n < KEPT; n++) {
        nh_put_options noted = {.size = sizeof noted, .note = n + 1, .version = n + 1000};
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("v"), &noted, NULL), NH_OK);
    }
    for (unsigned n = KEPT; n < PASSING; n++) {
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){value, sizeof value}, NULL, NULL),
                  NH_OK);
        if (n % 16 == 0)
            nh_get(store, NOW, key_number(text, n / 16 % KEPT), value, sizeof value, NULL);
    }
    for (unsigned n = 0; n < KEPT; n++) {
        nh_value kept;
        if (nh_borrow(store, NOW, key_number(text, n), &kept) != NH_OK)
            continue;
        met++;
        EXPECT_EQ(*kept.note, n + 1);
        EXPECT_EQ(kept.version, n + 1000);
        nh_release(store, &kept);
    }
    EXPECT(met > 0);
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(a_note_is_changed_in_place_and_the_version_stays),
          TEST_ROW(a_note_lasts_until_the_value_is_put_anew),
          TEST_ROW(a_value_without_a_note_is_annotated_once),
          TEST_ROW(a_given_version_is_the_values_until_it_is_written_again),
          TEST_ROW(notes_and_given_versions_survive_the_moves_of_eviction))
