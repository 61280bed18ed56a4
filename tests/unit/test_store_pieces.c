/* links: nuthatch-store */
/* Values larger than a segment, whole and byte for byte, by every call that reads and writes them. */
#include "store_words.h"

/* The lent value is the first `size` bytes of `wanted`, by its pieces. */
static void expect_pieces(nh_store *store, const nh_value *value, const char *wanted, uint64_t size)
{
    uint64_t offset = 0;
    nh_bytes piece;

    EXPECT_EQ(value->size, size);
    EXPECT(value->bytes.size <= size);
    EXPECT(value->bytes.size == size || value->bytes.size > 0);
    EXPECT(size == 0 || memcmp(value->bytes.data, wanted, value->bytes.size) == 0);
    while (offset < size) {
        EXPECT_EQ(nh_value_piece(store, value, offset, &piece), NH_OK);
        EXPECT(piece.size > 0);
        EXPECT(piece.size <= size - offset);
        EXPECT_EQ(memcmp(piece.data, wanted + offset, piece.size), 0);
        offset += piece.size;
    }
    /* From any byte on, not only from where a piece begins. */
    for (offset = 0; offset < size; offset += size / 37 + 1) {
        EXPECT_EQ(nh_value_piece(store, value, offset, &piece), NH_OK);
        EXPECT(piece.size > 0);
        EXPECT(piece.size <= size - offset);
        EXPECT_EQ(memcmp(piece.data, wanted + offset, piece.size), 0);
    }
    EXPECT_EQ(nh_value_piece(store, value, size, &piece), NH_MISSING);
    EXPECT_EQ(nh_value_piece(store, value, size + 1, &piece), NH_MISSING);
    EXPECT_EQ(nh_value_piece(store, value, UINT64_MAX, &piece), NH_MISSING);
}

/* The key's value is the first `size` bytes of `wanted`, by every call that reads. */
static void expect_whole(nh_store *store, nh_key key, const char *wanted, size_t size, char *scratch)
{
    nh_get_request request = {.key = key, .buffer = scratch, .capacity = size};
    size_t told = 0;
    nh_value value;

    EXPECT_EQ(nh_borrow(store, NOW, key, &value), NH_OK);
    expect_pieces(store, &value, wanted, size);
    nh_release(store, &value);
    EXPECT_EQ(nh_peek(store, NOW, key, &value), NH_OK);
    expect_pieces(store, &value, wanted, size);
    nh_release(store, &value);
    EXPECT_EQ(nh_get(store, NOW, key, scratch, size, &told), NH_OK);
    EXPECT_EQ(told, size);
    EXPECT(size == 0 || memcmp(scratch, wanted, size) == 0);
    if (size > 1) { /* half of it, and nothing behind the half */
        memset(scratch, 0x55, size);
        EXPECT_EQ(nh_get(store, NOW, key, scratch, size / 2, &told), NH_OK);
        EXPECT_EQ(told, size);
        EXPECT_EQ(memcmp(scratch, wanted, size / 2), 0);
        EXPECT_EQ(scratch[size / 2], 0x55);
    }
    EXPECT_EQ(nh_get_many(store, NOW, &request, 1), NH_OK);
    EXPECT_EQ(request.result, NH_OK);
    EXPECT_EQ(request.value_bytes, size);
    EXPECT(size == 0 || memcmp(scratch, wanted, size) == 0);
}

/* A store, with bytes enough for a value one larger than it takes. */
struct place {
    nh_store *store;
    size_t segment_bytes;
    size_t value_bytes_max;
    char *bytes, *other, *scratch;
};

static void place_init(struct place *place, uint64_t memory_bytes, uint64_t value_bytes_max)
{
    place->store = make_store_of_values(memory_bytes, value_bytes_max);
    place->segment_bytes = stats_of(place->store).segment_bytes;
    place->value_bytes_max = value_bytes_max;
    place->bytes = malloc(value_bytes_max + 1);
    place->other = malloc(value_bytes_max + 1);
    place->scratch = malloc(value_bytes_max + 1);
    pattern_fill(place->bytes, value_bytes_max + 1, 0, 1);
    pattern_fill(place->other, value_bytes_max + 1, 0, 2);
}

static void place_fini(struct place *place)
{
    expect_nothing_lent(place->store);
    nh_destroy(place->store);
    free(place->bytes);
    free(place->other);
    free(place->scratch);
}

/* Lengths at which something may change: around 1, 2, … segments, and the maximum. */
enum { LENGTHS_MAX = 400 };
static size_t lengths_of(const struct place *place, size_t lengths[LENGTHS_MAX])
{
    static const int64_t near[] = {-1000, -300, -129, -128, -100, -80, -72, -65, -64, -63, -57,
                                   -56,   -49,  -48,  -47,  -41,  -40, -39, -33, -32, -31, -25,
                                   -24,   -23,  -17,  -16,  -15,  -9,  -8,  -7,  -4,  -2,  -1,
                                   0,     1,    2,    7,    8,    9,   16,  64,  100};
    static const size_t small[] = {0, 1, 2, 7, 8, 9, 255, 256, 257, 4095, 4096, 4097};
    static const int64_t quarters_of_segment[] = {1, 2,  3, 4,
                                                  8, 12, 20}; /* where large may begin, and many pieces */
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(small); i++)
        lengths[count++] = small[i];
    for (size_t q = 0; q < COUNT_OF(quarters_of_segment); q++)
        for (size_t i = 0; i < COUNT_OF(near); i++) {
            int64_t length = (int64_t)place->segment_bytes * quarters_of_segment[q] / 4 + near[i];
            if (length > 0 && length < (int64_t)place->value_bytes_max)
                lengths[count++] = (size_t)length;
        }
    lengths[count++] = place->value_bytes_max - 1;
    lengths[count++] = place->value_bytes_max;
    return count;
}

TEST(values_of_every_length_around_a_segments_are_kept_byte_for_byte)
{
    static const struct {
        uint64_t memory_bytes, value_bytes_max;
    } stores[] = {{4 * MIB, 300 * KIB}, {64 * MIB, 2 * MIB}};
    for (size_t s = 0; s < COUNT_OF(stores); s++) {
        size_t lengths[LENGTHS_MAX], count;
        struct place place;
        place_init(&place, stores[s].memory_bytes, stores[s].value_bytes_max);
        count = lengths_of(&place, lengths);
        for (size_t i = 0; i < count; i++) {
            size_t key_bytes = i % 3 == 0 ? 1 : i % 3 == 1 ? 250 : stats_of(place.store).key_bytes_max;
            nh_key key = {place.other, key_bytes, 0};
            nh_value before;
            int32_t had_before;
            EXPECT_EQ(nh_put(place.store, NOW, key, (nh_bytes){place.bytes, lengths[i]}, NULL, NULL),
                      NH_OK);
            expect_whole(place.store, key, place.bytes, lengths[i], place.scratch);
            EXPECT_EQ(nh_exchange(place.store, NOW, key, (nh_bytes){place.other, lengths[i]}, NULL, &before,
                                  &had_before),
                      NH_OK);
            EXPECT_EQ(had_before, 1);
            expect_pieces(place.store, &before, place.bytes, lengths[i]);
            expect_whole(place.store, key, place.other, lengths[i], place.scratch);
            expect_pieces(place.store, &before, place.bytes, lengths[i]);
            nh_release(place.store, &before);
        }
        place_fini(&place);
    }
}

TEST(a_value_above_the_maximum_is_refused_by_all_who_write_and_the_old_one_stays)
{
    struct place place;
    nh_bytes largest, too_large;
    nh_key key = key_of("k");
    nh_fetch_state fetched;
    nh_writer *writer;
    uint64_t lease;
    nh_value value;
    int32_t had_before;

    place_init(&place, 64 * MIB, 1 * MIB);
    largest = (nh_bytes){place.bytes, place.value_bytes_max};
    too_large = (nh_bytes){place.bytes, place.value_bytes_max + 1};
    EXPECT_EQ(nh_add(place.store, NOW, key, too_large, NULL, NULL), NH_TOO_LARGE);
    EXPECT_EQ(nh_put(place.store, NOW, key, largest, NULL, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(place.store, NOW, key, &value), NH_OK);
    EXPECT_EQ(nh_put(place.store, NOW, key, too_large, NULL, NULL), NH_TOO_LARGE);
    EXPECT_EQ(nh_put(place.store, NOW, key, (nh_bytes){place.bytes, SIZE_MAX}, NULL, NULL), NH_TOO_LARGE);
    EXPECT_EQ(nh_put(place.store, NOW, key, (nh_bytes){place.bytes, (size_t)UINT32_MAX + 1}, NULL, NULL),
              NH_TOO_LARGE);
    EXPECT_EQ(nh_replace(place.store, NOW, key, too_large, NULL, NULL), NH_TOO_LARGE);
    EXPECT_EQ(nh_cas(place.store, NOW, key, too_large, NULL, value.version, NULL), NH_TOO_LARGE);
    nh_release(place.store, &value);
    EXPECT_EQ(nh_exchange(place.store, NOW, key, too_large, NULL, &value, &had_before), NH_TOO_LARGE);
    EXPECT_EQ(had_before, 0);
    EXPECT_EQ(nh_append(place.store, NOW, key, (nh_bytes){"x", 1}, NULL), NH_TOO_LARGE);
    EXPECT_EQ(nh_prepend(place.store, NOW, key, (nh_bytes){"x", 1}, NULL), NH_TOO_LARGE);
    EXPECT_EQ(nh_append(place.store, NOW, key, (nh_bytes){place.bytes, SIZE_MAX}, NULL), NH_TOO_LARGE);
    EXPECT_EQ(nh_fetch(place.store, NOW, key_of("m"), NULL, &fetched, &lease, &value), NH_OK);
    EXPECT_EQ(nh_fill(place.store, NOW, key_of("m"), lease, too_large, NULL, NULL), NH_TOO_LARGE);
    EXPECT(stats_of(place.store).rejected >= 10);
    EXPECT_EQ(nh_writer_create(place.store, NOW, key, NULL, &writer), NH_OK);
    EXPECT_EQ(nh_writer_append(writer, NOW, largest), NH_OK);
    EXPECT_EQ(nh_writer_append(writer, NOW, (nh_bytes){"x", 1}), NH_TOO_LARGE);
    nh_writer_abort(writer);
    expect_whole(place.store, key, place.bytes, place.value_bytes_max, place.scratch);
    EXPECT(!is_there(place.store, NOW, key_of("m")));
    place_fini(&place);
}

/* Borrowed it may not be, as it would pin more than an eighth; but read it can be. */
TEST(a_value_of_half_the_memory_can_be_read)
{
    enum { SIZE = 2 << 20 };
    nh_store *store = make_store(2 * SIZE);
    char *bytes = malloc(SIZE), *copy = malloc(SIZE);
    nh_result result;
    nh_value value;
    size_t size;

    pattern_fill(bytes, SIZE, 0, 1);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), (nh_bytes){bytes, SIZE}, NULL, NULL), NH_OK);
    EXPECT_EQ(nh_get(store, NOW, key_of("k"), copy, SIZE, &size), NH_OK);
    EXPECT_EQ(size, SIZE);
    EXPECT_EQ(memcmp(bytes, copy, SIZE), 0);
    EXPECT_EQ(nh_peek(store, NOW, key_of("k"), &value), NH_OK);
    expect_pieces(store, &value, bytes, SIZE);
    nh_release(store, &value);
    result = nh_borrow(store, NOW, key_of("k"), &value);
    EXPECT(result == NH_OK || result == NH_FULL);
    if (result == NH_OK) {
        expect_pieces(store, &value, bytes, SIZE);
        nh_release(store, &value);
    }
    expect_nothing_lent(store);
    free(bytes);
    free(copy);
    nh_destroy(store);
}

TEST(large_values_that_come_and_go_push_nothing_out)
{
    struct place place;
    char text[32];

    place_init(&place, 16 * MIB, 1 * MIB);
    for (unsigned n = 0; n < 1000; n++)
        EXPECT_EQ(nh_put(place.store, NOW, key_number(text, n), value_of("stays"), NULL, NULL), NH_OK);
    for (unsigned i = 0; i < 200; i++) {
        EXPECT_EQ(nh_put(place.store, NOW, key_of("large"), (nh_bytes){place.bytes, place.value_bytes_max},
                         NULL, NULL),
                  NH_OK);
        if (i % 3 == 0)
            EXPECT_EQ(nh_delete(place.store, NOW, key_of("large")), NH_OK);
    }
    EXPECT_EQ(stats_of(place.store).evicted, 0);
    for (unsigned n = 0; n < 1000; n++)
        expect_text(place.store, NOW, key_number(text, n), "stays");
    place_fini(&place);
}

TEST(appends_and_prepends_build_a_value_of_many_pieces)
{
    static const size_t steps[] = {1, 7, 100, 4096, 9999, 65536};
    struct place place;

    place_init(&place, 32 * MIB, 600 * KIB);
    for (size_t s = 2; s < COUNT_OF(steps); s++) {
        size_t size = 0, begin = place.value_bytes_max; /* what is prepended grows towards the front */
        EXPECT_EQ(nh_put(place.store, NOW, key_of("a"), (nh_bytes){NULL, 0}, NULL, NULL), NH_OK);
        EXPECT_EQ(nh_put(place.store, NOW, key_of("p"), (nh_bytes){NULL, 0}, NULL, NULL), NH_OK);
        for (unsigned round = 0; size + steps[s] <= place.value_bytes_max && round < 200; round++) {
            size_t step = round % 3 == 0 ? steps[round / 3 % 2] : steps[s];
            begin -= step;
            EXPECT_EQ(nh_append(place.store, NOW, key_of("a"), (nh_bytes){place.bytes + size, step}, NULL),
                      NH_OK);
            EXPECT_EQ(
                nh_prepend(place.store, NOW, key_of("p"), (nh_bytes){place.bytes + begin, step}, NULL),
                NH_OK);
            size += step;
            if (round % 16 == 0 || size + steps[s] > place.value_bytes_max) {
                expect_whole(place.store, key_of("a"), place.bytes, size, place.scratch);
                expect_whole(place.store, key_of("p"), place.bytes + begin, size, place.scratch);
            }
        }
        expect_whole(place.store, key_of("a"), place.bytes, size, place.scratch);
        expect_whole(place.store, key_of("p"), place.bytes + begin, size, place.scratch);
    }
    place_fini(&place);
}

TEST(appending_keeps_flags_times_and_what_was_borrowed)
{
    struct place place;
    nh_put_options options = {.size = sizeof options, .ttl_ms = 100, .soft_ttl_ms = 50, .flags = 7};
    uint64_t first, second = 0;
    nh_value held, value;

    place_init(&place, 32 * MIB, 1 * MIB);
    EXPECT_EQ(nh_append(place.store, NOW, key_of("k"), value_of("x"), &second), NH_MISSING);
    EXPECT_EQ(nh_prepend(place.store, NOW, key_of("k"), value_of("x"), &second), NH_MISSING);
    EXPECT_EQ(second, 0);
    EXPECT_EQ(nh_put(place.store, NOW, key_of("k"), value_of("middle"), &options, &first), NH_OK);
    EXPECT_EQ(nh_borrow(place.store, NOW, key_of("k"), &held), NH_OK);
    EXPECT_EQ(nh_append(place.store, NOW + 1, key_of("k"), value_of(" end"), &second), NH_OK);
    EXPECT(second != first);
    EXPECT_EQ(nh_prepend(place.store, NOW + 1, key_of("k"), value_of("begin "), &first), NH_OK);
    EXPECT(second != first);
    EXPECT_EQ(nh_append(place.store, NOW + 1, key_of("k"), (nh_bytes){NULL, 0}, &first), NH_OK);
    EXPECT_TEXT(lent(&held), BYTES("middle"));
    nh_release(place.store, &held);
    EXPECT_EQ(nh_borrow(place.store, NOW + 1, key_of("k"), &value), NH_OK);
    EXPECT_TEXT(lent(&value), BYTES("begin middle end"));
    EXPECT_EQ(value.flags, 7);
    EXPECT_EQ(value.expires_at_ms, NOW + 100);
    EXPECT_EQ(value.stale_at_ms, NOW + 50);
    EXPECT_EQ(value.version, first);
    nh_release(place.store, &value);
    place_fini(&place);
}

RUN_TESTS(TEST_ROW(values_of_every_length_around_a_segments_are_kept_byte_for_byte),
          TEST_ROW(a_value_above_the_maximum_is_refused_by_all_who_write_and_the_old_one_stays),
          TEST_ROW(a_value_of_half_the_memory_can_be_read),
          TEST_ROW(large_values_that_come_and_go_push_nothing_out),
          TEST_ROW(appends_and_prepends_build_a_value_of_many_pieces),
          TEST_ROW(appending_keeps_flags_times_and_what_was_borrowed))
