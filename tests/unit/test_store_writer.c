/* links: nuthatch-store */
/* Values written in pieces, and read while they grow. */
#include "store_words.h"

enum { MEMORY_BYTES = 32 << 20, VALUE_BYTES_MAX = 1 << 20 };

static nh_bytes pattern_of(char *bytes, size_t size, uint64_t offset, uint64_t seed)
{
    pattern_fill(bytes, size, offset, seed);
    return (nh_bytes){bytes, size};
}

/* Appends bytes `from` to `to` of the pattern. */
static void append_pattern(nh_writer *writer, uint64_t from, uint64_t to, uint64_t seed)
{
    char bytes[4096];
    while (from < to) {
        size_t size = to - from < sizeof bytes ? to - from : sizeof bytes;
        EXPECT_EQ(nh_writer_append(writer, NOW, pattern_of(bytes, size, from, seed)), NH_OK);
        from += size;
    }
}

/* Reads all there is of a lent value and returns how it ended: NH_MISSING, NH_GROWING or NH_ABORTED. */
static nh_result read_pattern(nh_store *store, const nh_value *value, uint64_t seed, uint64_t *size)
{
    nh_bytes piece;
    nh_result result;

    for (*size = 0; (result = nh_value_piece(store, value, *size, &piece)) == NH_OK; *size += piece.size) {
        EXPECT(piece.size > 0);
        EXPECT(is_pattern(piece.data, piece.size, *size, seed));
    }
    return result;
}

static nh_writer *make_writer(nh_store *store, const char *key, const nh_put_options *options)
{
    nh_writer *writer = NULL;
    EXPECT_EQ(nh_writer_create(store, NOW, key_of(key), options, &writer), NH_OK);
    EXPECT(writer != NULL);
    return writer;
}

static nh_store *make_store_for_writers(void)
{
    return make_store_of_values(MEMORY_BYTES, VALUE_BYTES_MAX);
}

TEST(nobody_sees_a_value_before_it_is_published_or_committed)
{
    nh_store *store = make_store_for_writers();
    nh_writer *writer;
    uint64_t version = 0;
    nh_value value;

    EXPECT_EQ(put_text(store, "old", "old"), NH_OK);
    for (int i = 0; i < 2; i++) {
        const char *key = i == 0 ? "new" : "old";
        writer = make_writer(store, key, NULL);
        append_pattern(writer, 0, 5000, 1);
        if (i == 0)
            expect_missing(store, NOW, key_of(key));
        else
            expect_text(store, NOW, key_of(key), "old");
        EXPECT_EQ(nh_count(store, 0), i == 0 ? 1 : 2);
        EXPECT_EQ(nh_writer_commit(writer, NOW, &version), NH_OK);
        EXPECT_EQ(nh_borrow(store, NOW, key_of(key), &value), NH_OK);
        expect_pattern(store, &value, 5000, 1);
        EXPECT_EQ(value.version, version);
        EXPECT_EQ(value.traits, 0);
        nh_release(store, &value);
    }
    EXPECT_EQ(nh_count(store, 0), 2);
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(a_written_value_has_what_its_options_say)
{
    nh_store *store = make_store_for_writers();
    nh_bytes tag = value_of("t");
    nh_put_options options = {
        .size = sizeof options, .ttl_ms = 100, .soft_ttl_ms = 50, .flags = 9, .tags = &tag, .tag_count = 1};
    nh_writer *writer;
    nh_fetch_state fetched;
    uint64_t lease;
    nh_value value;

    for (int is_published = 0; is_published < 2; is_published++) {
        writer = make_writer(store, "k", &options);
        append_pattern(writer, 0, 10, 1);
        if (is_published)
            EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK);
        append_pattern(writer, 10, 20, 1);
        EXPECT_EQ(nh_writer_commit(writer, NOW, NULL), NH_OK);
        EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
        expect_pattern(store, &value, 20, 1);
        EXPECT_EQ(value.expires_at_ms, NOW + 100);
        EXPECT_EQ(value.stale_at_ms, NOW + 50);
        EXPECT_EQ(value.flags, 9);
        nh_release(store, &value);
        EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
        expect_missing(store, NOW, key_of("k"));
    }
    options = (nh_put_options){.size = sizeof options, .negative = 1};
    EXPECT_EQ(nh_writer_commit(make_writer(store, "n", &options), NOW, NULL), NH_OK);
    expect_missing(store, NOW, key_of("n"));
    EXPECT_EQ(nh_fetch(store, NOW, key_of("n"), NULL, &fetched, &lease, &value), NH_OK);
    EXPECT_EQ(fetched, NH_FETCH_HIT);
    EXPECT_EQ(value.traits, NH_VALUE_NEGATIVE);
    nh_release(store, &value);
    options = (nh_put_options){.size = sizeof options, .ttl_ms = -1};
    EXPECT_EQ(nh_writer_create(store, NOW, key_of("e"), &options, &writer), NH_INVALID);
    options = (nh_put_options){.size = sizeof options, .keep_ttl = 1};
    EXPECT_EQ(nh_writer_create(store, NOW, key_of("e"), &options, &writer), NH_INVALID);
    nh_destroy(store);
}

TEST(values_of_every_length_are_written_in_pieces_of_any_length)
{
    static const size_t steps[] = {1, 63, 1000, 4096, 65536, 300000, VALUE_BYTES_MAX};
    nh_store *store = make_store_for_writers();
    size_t segment = stats_of(store).segment_bytes;
    const size_t sizes[] = {0,
                            1,
                            100,
                            segment / 4,
                            segment / 2,
                            segment - 64,
                            segment - 32,
                            segment - 1,
                            segment,
                            segment + 1,
                            2 * segment,
                            2 * segment + 1,
                            5 * segment,
                            VALUE_BYTES_MAX - 1,
                            VALUE_BYTES_MAX};
    char *bytes = malloc(VALUE_BYTES_MAX);

    pattern_fill(bytes, VALUE_BYTES_MAX, 0, 1);
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t s = 0; s < COUNT_OF(steps); s++) {
            size_t size = sizes[i];
            nh_writer *writer;
            nh_value value;
            if (size > VALUE_BYTES_MAX || size / steps[s] > 10000)
                continue;
            writer = make_writer(store, "k", NULL);
            EXPECT_EQ(nh_writer_append(writer, NOW, (nh_bytes){NULL, 0}), NH_OK);
            for (size_t offset = 0; offset < size; offset += steps[s])
                EXPECT_EQ(nh_writer_append(writer, NOW,
                                           (nh_bytes){bytes + offset,
                                                      size - offset < steps[s] ? size - offset : steps[s]}),
                          NH_OK);
            EXPECT_EQ(nh_writer_commit(writer, NOW, NULL), NH_OK);
            EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
            EXPECT_EQ(value.traits, 0);
            expect_pattern(store, &value, size, 1);
            nh_release(store, &value);
        }
    EXPECT_EQ(stats_of(store).evicted, 0);
    expect_nothing_lent(store);
    free(bytes);
    nh_destroy(store);
}

TEST(readers_follow_a_value_as_it_grows)
{
    nh_store *store = make_store_for_writers();
    size_t segment = stats_of(store).segment_bytes;
    const uint64_t sizes[] = {0,          1, 100, 5000, segment - 1, segment, segment + 1, 2 * segment + 77,
                              3 * segment};
    nh_writer *writer = make_writer(store, "k", NULL);
    nh_value values[COUNT_OF(sizes)], value;
    char bytes[64];
    uint64_t size, version;
    size_t told;

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        append_pattern(writer, i == 0 ? 0 : sizes[i - 1], sizes[i], 1);
        if (i == 0)
            EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK); /* as yet empty */
        EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &values[i]), NH_OK);
        EXPECT_EQ(values[i].traits, NH_VALUE_GROWING);
        EXPECT_EQ(values[i].size, sizes[i]);
        EXPECT_EQ(nh_peek(store, NOW, key_of("k"), &value), NH_OK);
        EXPECT_EQ(value.traits, NH_VALUE_GROWING);
        nh_release(store, &value);
        EXPECT_EQ(nh_get(store, NOW, key_of("k"), bytes, sizeof bytes, &told), NH_OK);
        EXPECT_EQ(told, sizes[i]);
        EXPECT(is_pattern(bytes, told < sizeof bytes ? told : sizeof bytes, 0, 1));
        for (size_t j = 0; j <= i; j++) { /* each of those before sees what has come since */
            EXPECT_EQ(read_pattern(store, &values[j], 1, &size), NH_GROWING);
            EXPECT_EQ(size, sizes[i]);
        }
    }
    EXPECT_EQ(nh_count(store, 0), 1);
    EXPECT_EQ(nh_writer_commit(writer, NOW, &version), NH_OK);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        EXPECT_EQ(read_pattern(store, &values[i], 1, &size), NH_MISSING);
        EXPECT_EQ(size, 3 * segment);
        nh_release(store, &values[i]);
    }
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.traits, 0);
    EXPECT_EQ(value.version, version);
    expect_pattern(store, &value, 3 * segment, 1);
    nh_release(store, &value);
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(a_walk_and_a_fetch_show_a_growing_value)
{
    nh_store *store = make_store_for_writers();
    nh_writer *writer = make_writer(store, "k", NULL);
    nh_fetch_state fetched;
    nh_cursor *cursor;
    uint64_t lease;
    nh_value value;
    nh_key key;

    append_pattern(writer, 0, 100, 1);
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    EXPECT_EQ(nh_cursor_next(cursor, NOW, &key, &value), NH_MISSING);
    nh_cursor_destroy(cursor);
    EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK);
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    EXPECT_EQ(nh_cursor_next(cursor, NOW, &key, &value), NH_OK);
    EXPECT_EQ(value.traits, NH_VALUE_GROWING);
    EXPECT_EQ(value.size, 100);
    nh_cursor_destroy(cursor);
    EXPECT_EQ(nh_fetch(store, NOW, key_of("k"), NULL, &fetched, &lease, &value), NH_OK);
    EXPECT_EQ(fetched, NH_FETCH_HIT);
    EXPECT_EQ(value.traits, NH_VALUE_GROWING);
    nh_release(store, &value);
    EXPECT_EQ(nh_writer_commit(writer, NOW, NULL), NH_OK);
    nh_destroy(store);
}

/* What happens to the key while its value grows; the value itself goes on for those who have it. */
TEST(a_write_or_delete_of_the_key_wins_over_a_growing_value)
{
    for (int deed = 0; deed < 7; deed++)
        for (int is_large = 0; is_large < 2; is_large++) {
            nh_store *store = make_store_for_writers();
            uint64_t begun = is_large ? 2 * stats_of(store).segment_bytes : 100, size;
            nh_writer *writer = make_writer(store, "k", NULL);
            const char *after = NULL;
            nh_value value, before;
            int32_t had_before;

            append_pattern(writer, 0, begun, 1);
            EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK);
            EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
            switch (deed) {
            case 0: EXPECT_EQ(nh_delete(store, NOW, key_of("k")), NH_OK); break;
            case 1: EXPECT_EQ(put_text(store, "k", after = "put"), NH_OK); break;
            case 2:
                EXPECT_EQ(nh_replace(store, NOW, key_of("k"), value_of(after = "r"), NULL, NULL), NH_OK);
                break;
            case 3:
                EXPECT_EQ(nh_cas(store, NOW, key_of("k"), value_of(after = "c"), NULL, value.version, NULL),
                          NH_OK);
                break;
            case 4:
                EXPECT_EQ(
                    nh_exchange(store, NOW, key_of("k"), value_of(after = "x"), NULL, &before, &had_before),
                    NH_OK);
                EXPECT_EQ(had_before, 1);
                EXPECT_EQ(before.traits, NH_VALUE_GROWING);
                EXPECT_EQ(read_pattern(store, &before, 1, &size), NH_GROWING);
                EXPECT_EQ(size, begun);
                nh_release(store, &before);
                break;
            case 5: EXPECT_EQ(nh_touch(store, NOW, key_of("k"), -1), NH_OK); break;
            case 6: /* another writer */
                EXPECT_EQ(nh_writer_commit(make_writer(store, "k", NULL), NOW, NULL), NH_OK);
                after = "";
                break;
            }
            for (int is_committed = 0; is_committed < 2; is_committed++) {
                if (after != NULL)
                    expect_text(store, NOW, key_of("k"), after);
                else
                    expect_missing(store, NOW, key_of("k"));
                if (is_committed)
                    break;
                append_pattern(writer, begun, begun + 5000, 1);
                EXPECT_EQ(read_pattern(store, &value, 1, &size), NH_GROWING);
                EXPECT_EQ(size, begun + 5000);
                EXPECT_EQ(nh_writer_commit(writer, NOW, NULL), NH_CHANGED);
            }
            EXPECT_EQ(read_pattern(store, &value, 1, &size), NH_MISSING);
            EXPECT_EQ(size, begun + 5000);
            nh_release(store, &value);
            expect_nothing_lent(store);
            nh_destroy(store);
        }
}

TEST(a_purge_an_expiry_or_a_clear_hides_a_growing_value)
{
    for (int deed = 0; deed < 3; deed++) {
        nh_store *store = make_store_for_writers();
        nh_bytes tag = value_of("t");
        nh_put_options options = {.size = sizeof options, .ttl_ms = 10, .tags = &tag, .tag_count = 1};
        nh_writer *writer = make_writer(store, "k", &options);
        int64_t now_ms = deed == 1 ? NOW + 10 : NOW;
        nh_result result;

        append_pattern(writer, 0, 100, 1);
        EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK);
        EXPECT(is_there(store, NOW, key_of("k")));
        if (deed == 0)
            EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
        if (deed == 2)
            nh_clear(store, 0);
        EXPECT(!is_there(store, now_ms, key_of("k")));
        EXPECT_EQ(nh_writer_append(writer, now_ms, value_of("more")), NH_OK);
        EXPECT(!is_there(store, now_ms, key_of("k")));
        result = nh_writer_commit(writer, now_ms, NULL);
        EXPECT(result == NH_CHANGED || (result == NH_OK && deed == 1));
        EXPECT(!is_there(store, now_ms, key_of("k")));
        nh_destroy(store);
    }
}

TEST(an_abort_before_the_publish_leaves_what_was_there)
{
    nh_store *store = make_store_for_writers();
    nh_writer *writer;
    uint64_t before;

    EXPECT_EQ(put_text(store, "k", "old"), NH_OK);
    before = stats_of(store).memory_bytes;
    for (int i = 0; i < 100; i++) { /* and gives the memory back */
        writer = make_writer(store, "k", NULL);
        append_pattern(writer, 0, 2 * stats_of(store).segment_bytes + 1, 1);
        nh_writer_abort(writer);
        expect_text(store, NOW, key_of("k"), "old");
    }
    sweep_all(store, NOW);
    EXPECT(stats_of(store).memory_bytes <= before + 4 * stats_of(store).segment_bytes);
    EXPECT_EQ(stats_of(store).evicted, 0);
    nh_destroy(store);
}

TEST(an_abort_after_the_publish_is_seen_by_who_reads_and_leaves_nothing)
{
    for (int is_deleted = 0; is_deleted < 2; is_deleted++)
        for (int is_large = 0; is_large < 2; is_large++) {
            nh_store *store = make_store_for_writers();
            uint64_t begun = is_large ? 2 * stats_of(store).segment_bytes + 5 : 100, size;
            nh_writer *writer = make_writer(store, "k", NULL);
            nh_value value;

            append_pattern(writer, 0, begun, 1);
            EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK);
            EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
            if (is_deleted)
                EXPECT_EQ(put_text(store, "k", "new"), NH_OK);
            nh_writer_abort(writer);
            if (is_deleted)
                expect_text(store, NOW, key_of("k"), "new");
            else
                expect_missing(store, NOW, key_of("k"));
            EXPECT_EQ(nh_count(store, 0), is_deleted);
            EXPECT_EQ(read_pattern(store, &value, 1, &size), NH_ABORTED);
            EXPECT_EQ(size, begun);
            nh_release(store, &value);
            expect_nothing_lent(store);
            nh_destroy(store);
        }
}

TEST(a_writer_that_goes_beyond_the_maximum_can_only_end)
{
    for (int way = 0; way < 4; way++) {
        bool is_published = way & 1, is_committed = way & 2;
        nh_store *store = make_store_for_writers();
        char *bytes = calloc(1, VALUE_BYTES_MAX);
        nh_writer *writer = make_writer(store, "k", NULL);
        nh_value value = {0};
        uint64_t size;

        EXPECT_EQ(put_text(store, "k", "old"), NH_OK);
        append_pattern(writer, 0, 1000, 1);
        if (is_published) {
            EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK);
            EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
        }
        EXPECT_EQ(nh_writer_append(writer, NOW, (nh_bytes){bytes, VALUE_BYTES_MAX - 999}), NH_TOO_LARGE);
        EXPECT(nh_writer_append(writer, NOW, (nh_bytes){bytes, SIZE_MAX}) != NH_OK);
        if (is_published) {
            EXPECT_EQ(read_pattern(store, &value, 1, &size), NH_GROWING);
            EXPECT_EQ(size, 1000);
        }
        if (is_committed)
            EXPECT_EQ(nh_writer_commit(writer, NOW, NULL), NH_TOO_LARGE);
        else
            nh_writer_abort(writer);
        if (is_published) {
            EXPECT_EQ(read_pattern(store, &value, 1, &size), NH_ABORTED);
            nh_release(store, &value);
            expect_missing(store, NOW, key_of("k"));
        } else {
            expect_text(store, NOW, key_of("k"), "old");
        }
        free(bytes);
        nh_destroy(store);
    }
}

TEST(of_two_writers_of_a_key_the_last_to_publish_wins)
{
    nh_store *store = make_store_for_writers();
    nh_writer *first = make_writer(store, "k", NULL), *second = make_writer(store, "k", NULL);
    nh_value value;

    append_pattern(first, 0, 100, 1);
    append_pattern(second, 0, 200, 2);
    EXPECT_EQ(nh_writer_publish(second, NOW), NH_OK);
    EXPECT_EQ(nh_writer_publish(first, NOW), NH_OK);
    append_pattern(second, 200, 300, 2);
    append_pattern(first, 100, 300, 1);
    EXPECT_EQ(nh_writer_commit(second, NOW, NULL), NH_CHANGED);
    EXPECT_EQ(nh_writer_commit(first, NOW, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
    expect_pattern(store, &value, 300, 1);
    nh_release(store, &value);
    /* A put between begin and commit is over when the commit comes. */
    first = make_writer(store, "k", NULL);
    append_pattern(first, 0, 10, 3);
    EXPECT_EQ(put_text(store, "k", "between"), NH_OK);
    EXPECT_EQ(nh_writer_commit(first, NOW, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
    expect_pattern(store, &value, 10, 3);
    nh_release(store, &value);
    nh_destroy(store);
}

TEST(nobody_adds_to_a_value_while_its_writer_does_but_touch_it_one_may)
{
    for (int call = 0; call < 3; call++) {
        nh_store *store = make_store_for_writers();
        nh_writer *writer = make_writer(store, "k", NULL);
        nh_result result = NH_OK;
        nh_value value;
        uint64_t size;

        append_pattern(writer, 0, 100, 1);
        EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK);
        EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
        switch (call) {
        case 0: result = nh_append(store, NOW, key_of("k"), value_of("x"), NULL); break;
        case 1: result = nh_prepend(store, NOW, key_of("k"), value_of("x"), NULL); break;
        case 2: result = nh_touch(store, NOW, key_of("k"), 1000); break;
        }
        append_pattern(writer, 100, 200, 1);
        EXPECT_EQ(read_pattern(store, &value, 1, &size), NH_GROWING);
        EXPECT_EQ(size, 200);
        EXPECT_EQ(result, call == 2 ? NH_OK : NH_GROWING);
        EXPECT_EQ(nh_writer_commit(writer, NOW, NULL), NH_OK);
        EXPECT_EQ(read_pattern(store, &value, 1, &size), NH_MISSING);
        EXPECT_EQ(size, 200);
        nh_release(store, &value);
        EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
        EXPECT_EQ(value.size, 200);
        EXPECT_EQ(value.expires_at_ms, call == 2 ? NOW + 1000 : 0);
        nh_release(store, &value);
        nh_destroy(store);
    }
}

TEST(many_writers_at_once_are_told_that_the_store_is_full_and_leave_it_as_it_was)
{
    enum { WRITERS = 500, STEP_BYTES = 10000 };
    nh_store *store = make_store_of_values(8 << 20, 4 << 20);
    nh_writer **writers = calloc(WRITERS, sizeof *writers);
    char *bytes = malloc(STEP_BYTES), text[32];
    unsigned created = 0, full = 0;
    nh_result result;

    pattern_fill(bytes, STEP_BYTES, 0, 1);
    for (int is_published = 0; is_published < 2; is_published++) {
        created = full = 0;
        for (unsigned n = 0; n < 2000; n++)
            EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("v"), NULL, NULL), NH_OK);
        for (; created < WRITERS; created++) {
            result = nh_writer_create(store, NOW, key_number_in(1, text, created), NULL, &writers[created]);
            EXPECT(result == NH_OK || result == NH_FULL);
            if (result == NH_FULL)
                break;
            if (is_published) {
                result = nh_writer_publish(writers[created], NOW);
                EXPECT(result == NH_OK || result == NH_FULL);
            }
        }
        EXPECT(created > 4);
        for (unsigned round = 0; round < 3000 && full == 0; round++) {
            nh_writer *writer = writers[round % created];
            result = nh_writer_append(writer, NOW, (nh_bytes){bytes, STEP_BYTES});
            EXPECT(result == NH_OK || result == NH_FULL);
            full += result == NH_FULL;
            result = nh_put(store, NOW, key_number(text, round), value_of("w"), NULL, NULL);
            EXPECT(result == NH_OK || result == NH_FULL);
            EXPECT(stats_of(store).memory_bytes <= 8 << 20);
        }
        /* Those published may be evicted to make room; those that are not cannot. */
        EXPECT(full > 0 || is_published);
        for (unsigned n = 0; n < created; n++)
            nh_writer_abort(writers[n]);
        EXPECT_EQ(nh_count(store, 1), 0);
        for (unsigned n = 0; n < 2000; n++)
            EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, 1000}, NULL, NULL), NH_OK);
        EXPECT_EQ(nh_put(store, NOW, key_of("large"), (nh_bytes){bytes, STEP_BYTES}, NULL, NULL), NH_OK);
        expect_nothing_lent(store);
    }
    free(writers);
    free(bytes);
    nh_destroy(store);
}

TEST(a_growing_value_is_not_evicted)
{
    nh_store *store = make_store_of_values(4 << 20, 1 << 20);
    nh_writer *writer = make_writer(store, "k", NULL);
    char bytes[1000] = {0}, text[32];
    nh_value value;
    uint64_t size;

    append_pattern(writer, 0, 1000, 1);
    EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK);
    for (unsigned n = 0; n < 20000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
                  NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
    append_pattern(writer, 1000, 100000, 1);
    EXPECT_EQ(read_pattern(store, &value, 1, &size), NH_GROWING);
    EXPECT_EQ(size, 100000);
    for (unsigned n = 0; n < 20000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
                  NH_OK);
    EXPECT_EQ(nh_writer_commit(writer, NOW, NULL), NH_OK);
    EXPECT(is_there(store, NOW, key_of("k")));
    EXPECT_EQ(read_pattern(store, &value, 1, &size), NH_MISSING);
    EXPECT_EQ(size, 100000);
    nh_release(store, &value);
    expect_nothing_lent(store);
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(nobody_sees_a_value_before_it_is_published_or_committed),
          TEST_ROW(a_written_value_has_what_its_options_say),
          TEST_ROW(values_of_every_length_are_written_in_pieces_of_any_length),
          TEST_ROW(readers_follow_a_value_as_it_grows), TEST_ROW(a_walk_and_a_fetch_show_a_growing_value),
          TEST_ROW(a_write_or_delete_of_the_key_wins_over_a_growing_value),
          TEST_ROW(a_purge_an_expiry_or_a_clear_hides_a_growing_value),
          TEST_ROW(an_abort_before_the_publish_leaves_what_was_there),
          TEST_ROW(an_abort_after_the_publish_is_seen_by_who_reads_and_leaves_nothing),
          TEST_ROW(a_writer_that_goes_beyond_the_maximum_can_only_end),
          TEST_ROW(of_two_writers_of_a_key_the_last_to_publish_wins),
          TEST_ROW(nobody_adds_to_a_value_while_its_writer_does_but_touch_it_one_may),
          TEST_ROW(many_writers_at_once_are_told_that_the_store_is_full_and_leave_it_as_it_was),
          TEST_ROW(a_growing_value_is_not_evicted))
