/* links: nuthatch-store */
/* Values that are written anew with all that is kept of them: over themselves, and at other keys. */
#include "store_words.h"

static const nh_bytes tag = {"tag", 3};

/* Puts `size` bytes with flags, an expiry, a soft expiry and a tag. */
static void put_with_all(nh_store *store, const char *key, const char *bytes, size_t size)
{
    nh_put_options options = {.size = sizeof options,
                              .ttl_ms = 1000,
                              .soft_ttl_ms = 500,
                              .flags = 77,
                              .tags = &tag,
                              .tag_count = 1};
    EXPECT_EQ(nh_put(store, NOW, key_of(key), (nh_bytes){bytes, size}, &options, NULL), NH_OK);
}

static void expect_all(nh_store *store, const char *key, const char *bytes, size_t size)
{
    char *seen = malloc(size + 1);
    nh_value value;
    size_t told;

    EXPECT_EQ(nh_borrow(store, NOW, key_of(key), &value), NH_OK);
    EXPECT_EQ(value.size, size);
    EXPECT_EQ(value.flags, 77);
    EXPECT_EQ(value.expires_at_ms, NOW + 1000);
    EXPECT_EQ(value.stale_at_ms, NOW + 500);
    nh_release(store, &value);
    EXPECT_EQ(nh_get(store, NOW, key_of(key), seen, size, &told), NH_OK);
    EXPECT_EQ(told, size);
    EXPECT(size == 0 || memcmp(seen, bytes, size) == 0);
    free(seen);
}

static const size_t sizes[] = {0, 1, 300, 40000, 400000};

static char *some_bytes(size_t size)
{
    char *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 131 >> 3);
    return bytes;
}

static uint64_t version_of(nh_store *store, const char *key)
{
    nh_value value;
    EXPECT_EQ(nh_borrow(store, NOW, key_of(key), &value), NH_OK);
    nh_release(store, &value);
    return value.version;
}

TEST(a_copy_has_all_that_the_value_has_and_is_purged_with_it)
{
    char *bytes = some_bytes(400000);

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        nh_store *store = make_store(8 << 20);
        uint64_t version = 0;

        put_with_all(store, "from", bytes, sizes[i]);
        EXPECT_EQ(put_text(store, "to", "another"), NH_OK);
        EXPECT_EQ(nh_copy(store, NOW, key_of("from"), key_of("to"), &version), NH_OK);
        expect_all(store, "from", bytes, sizes[i]);
        expect_all(store, "to", bytes, sizes[i]);
        EXPECT_EQ(version_of(store, "to"), version);
        EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
        expect_missing(store, NOW, key_of("from"));
        expect_missing(store, NOW, key_of("to"));
        EXPECT_EQ(nh_copy(store, NOW, key_of("from"), key_of("to"), NULL), NH_MISSING);
        expect_nothing_lent(store);
        nh_destroy(store);
    }
    free(bytes);
}

TEST(a_copy_onto_itself_changes_nothing_but_the_version)
{
    nh_store *store = make_store(1 << 20);

    put_with_all(store, "k", "value", 5);
    EXPECT_EQ(nh_copy(store, NOW, key_of("k"), key_of("k"), NULL), NH_OK);
    expect_all(store, "k", "value", 5);
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 1);
    nh_destroy(store);
}

TEST(a_value_that_replaces_another_keeps_all_else)
{
    char *bytes = some_bytes(400000);

    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t j = 0; j < COUNT_OF(sizes); j++) {
            nh_store *store = make_store(8 << 20);
            nh_bytes value = {bytes, sizes[j]};
            uint64_t before, version = 0;

            put_with_all(store, "k", bytes, sizes[i]);
            before = version_of(store, "k");
            EXPECT_EQ(nh_cas_value(store, NOW, key_of("k"), value, before, &version), NH_OK);
            expect_all(store, "k", bytes, sizes[j]);
            EXPECT_EQ(version_of(store, "k"), version);
            EXPECT_EQ(nh_cas_value(store, NOW, key_of("k"), value, before, NULL), NH_CHANGED);
            EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
            EXPECT_EQ(nh_cas_value(store, NOW, key_of("k"), value, version, NULL), NH_MISSING);
            expect_nothing_lent(store);
            nh_destroy(store);
        }
    free(bytes);
}

/* The touch leaves the version as it was, so the value may be replaced; by then it has another expiry. */
TEST(a_value_that_replaces_another_has_the_expiry_of_the_last_touch)
{
    char *bytes = some_bytes(400000);

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        nh_store *store = make_store(8 << 20);
        uint64_t version;
        nh_value value;

        put_with_all(store, "k", bytes, sizes[i]);
        version = version_of(store, "k");
        EXPECT_EQ(nh_touch(store, NOW, key_of("k"), 0), NH_OK);
        EXPECT_EQ(nh_cas_value(store, NOW, key_of("k"), value_of("new"), version, NULL), NH_OK);
        EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
        EXPECT_EQ(value.expires_at_ms, 0);
        EXPECT_EQ(value.flags, 77);
        nh_release(store, &value);
        nh_destroy(store);
    }
    free(bytes);
}

TEST(what_cannot_be_copied_or_put_is_refused)
{
    nh_store *store = make_store_of_values(1 << 20, 1000);
    nh_bytes null = {NULL, 1}, large = {some_bytes(1001), 1001};
    nh_writer *writer;

    EXPECT_EQ(put_text(store, "k", "v"), NH_OK);
    EXPECT_EQ(nh_cas_value(store, NOW, key_of("k"), null, 1, NULL), NH_INVALID);
    EXPECT_EQ(nh_cas_value(store, NOW, key_of("k"), large, version_of(store, "k"), NULL), NH_TOO_LARGE);
    expect_text(store, NOW, key_of("k"), "v");
    EXPECT_EQ(nh_writer_create(store, NOW, key_of("growing"), NULL, &writer), NH_OK);
    EXPECT_EQ(nh_writer_append(writer, NOW, value_of("v")), NH_OK);
    EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK);
    EXPECT_EQ(nh_copy(store, NOW, key_of("growing"), key_of("k"), NULL), NH_GROWING);
    expect_text(store, NOW, key_of("k"), "v");
    nh_writer_abort(writer);
    expect_nothing_lent(store);
    free((void *)large.data);
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(a_copy_has_all_that_the_value_has_and_is_purged_with_it),
          TEST_ROW(a_copy_onto_itself_changes_nothing_but_the_version),
          TEST_ROW(a_value_that_replaces_another_keeps_all_else),
          TEST_ROW(a_value_that_replaces_another_has_the_expiry_of_the_last_touch),
          TEST_ROW(what_cannot_be_copied_or_put_is_refused))
