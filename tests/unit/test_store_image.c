/* links: nuthatch-store */
/* Images that somebody made on purpose: every checksum is right and what stands beneath it is not. Whatever
 * nh_restore makes of one, nothing crashes and the store goes on. (What a disk does to a file:
 * test_store_restart.) */
#include "base/hash.h"
#include "store/saved.h"
#include "store_words.h"
#include <unistd.h>

enum { VALUES = 40, WALL = 1000000 };

struct image {
    char *bytes;
    size_t size;
};

static char path[64];

static int make_path(void **context __attribute__((unused)))
{
    int fd;
    snprintf(path, sizeof path, "%s/nuthatch-image-XXXXXX", access("/tmp", W_OK) == 0 ? "/tmp" : ".");
    fd = mkstemp(path);
    return fd < 0 || close(fd) != 0 ? -1 : unlink(path);
}

static void read_image(struct image *image)
{
    FILE *file = fopen(path, "rb");
    EXPECT(file != NULL);
    EXPECT_EQ(fseek(file, 0, SEEK_END), 0);
    image->size = (size_t)ftell(file);
    rewind(file);
    image->bytes = malloc(image->size);
    EXPECT_EQ(fread(image->bytes, 1, image->size, file), image->size);
    fclose(file);
}

static void make_image(struct image *image)
{
    nh_store *store = make_store(1 << 20);
    nh_bytes tags[2] = {value_of("a"), value_of("b")};
    char bytes[300], text[32];

    for (unsigned n = 0; n < VALUES; n++) {
        nh_put_options options = {.size = sizeof options,
                                  .flags = n,
                                  .ttl_ms = n % 3 == 0 ? 100000 + n : 0,
                                  .soft_ttl_ms = n % 4 == 0 ? 50000 + n : 0,
                                  .cost_ms = n,
                                  .tags = tags,
                                  .tag_count = n % 3,
                                  .negative = n % 10 == 9};
        pattern_fill(bytes, sizeof bytes, 0, n);
        EXPECT_EQ(
            nh_put(store, NOW, key_number_in(n % 7, text, n), (nh_bytes){bytes, n * 7}, &options, NULL),
            NH_OK);
    }
    EXPECT_EQ(nh_save(store, path, NOW, WALL), NH_OK);
    nh_destroy(store);
    read_image(image);
}

/* Makes the checksums right again: of each block, as far as it can be told where it ends, and of the head.
 */
static void mend(char *bytes, size_t size)
{
    struct saved_head head;
    size_t at = sizeof head;

    for (uint64_t number = 0; at + sizeof(struct saved_block) <= size; number++) {
        struct saved_block block;
        size_t left = size - at - sizeof block;
        memcpy(&block, bytes + at, sizeof block);
        block.checksum = hash_bytes(
            bytes_of(bytes + at + sizeof block, block.bytes < left ? block.bytes : left), number);
        memcpy(bytes + at, &block, sizeof block);
        if (block.bytes > left)
            break;
        at += sizeof block + block.bytes;
    }
    memcpy(&head, bytes, sizeof head);
    head.checksum = hash_bytes(bytes_of(&head, offsetof(struct saved_head, checksum)), 0);
    memcpy(bytes, &head, sizeof head);
}

/* Restores what was made up, and uses the store in every way. */
static nh_result try_image(const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    nh_store *store = make_store(1 << 20);
    char text[32], filler[3000] = {0};
    nh_cursor *cursor;
    nh_result result;
    nh_value value;
    uint64_t count = 0, seen = 0;
    nh_key key;

    EXPECT(file != NULL);
    EXPECT_EQ(fwrite(bytes, 1, size, file), size);
    EXPECT_EQ(fclose(file), 0);
    result = nh_restore(store, path, NOW, WALL, &count);
    EXPECT(result == NH_OK || result == NH_CORRUPT);
    EXPECT_EQ(access(path, F_OK) == 0, result != NH_OK);
    unlink(path);
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), count);
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    for (; nh_cursor_next(cursor, NOW, &key, &value) == NH_OK; seen++) {
        uint64_t offset = 0, sum = 0;
        nh_bytes piece;
        for (size_t i = 0; i < key.size; i++)
            sum += ((const unsigned char *)key.data)[i];
        for (; nh_value_piece(store, &value, offset, &piece) == NH_OK; offset += piece.size)
            for (size_t i = 0; i < piece.size; i++)
                sum += ((const unsigned char *)piece.data)[i];
        EXPECT_EQ(offset, value.size);
        EXPECT(sum < UINT64_MAX); /* so that it is read */
    }
    nh_cursor_destroy(cursor);
    EXPECT(seen <= count);
    EXPECT(result == NH_OK || count == 0);
    EXPECT_EQ(nh_purge_tag(store, value_of("a"), NH_PURGE_DROP), NH_OK);
    for (unsigned n = 0; n < 20; n++) {
        nh_increment(store, NOW, key_number_in(n % 7, text, n), 1, NH_INCREMENT_SIGNED, NULL);
        nh_append(store, NOW, key_number_in(n % 7, text, n), value_of("x"), NULL);
        nh_touch(store, NOW, key_number_in(n % 7, text, n), 1000000);
    }
    sweep_all(store, NOW + 1000);
    for (unsigned n = 0; n < 400; n++)
        EXPECT_EQ(nh_put(store, NOW + 1000, key_number_in(9, text, n), (nh_bytes){filler, sizeof filler},
                         NULL, NULL),
                  NH_OK);
    nh_clear(store, NH_SPACE_ALL);
    sweep_all(store, NOW + 1000);
    expect_nothing_lent(store);
    nh_destroy(store);
    return result;
}

static const uint64_t extremes[] = {
    0,
    1,
    2,
    7,
    15,
    16,
    17,
    255,
    256,
    1023,
    1024,
    65534,
    65535,
    65536,
    0x7fffffff,
    0x80000000,
    UINT32_MAX,
    (uint64_t)1 << 32,
    INT64_MAX,
    INT64_MIN,
    UINT64_MAX,
    UINT64_MAX - 7,
    (uint64_t)1 << 40,
    NOW,
    NOW - 1,
    NOW + 1,
};

/* Tries each extreme in each field of the struct at `at`, with all checksums mended. */
static void try_fields(const struct image *image, size_t at, const size_t sizes[], size_t field_count)
{
    char *bytes = malloc(image->size);
    for (size_t f = 0; f < field_count; at += sizes[f++])
        for (size_t e = 0; e < COUNT_OF(extremes); e++) {
            memcpy(bytes, image->bytes, image->size);
            memcpy(bytes + at, &extremes[e], sizes[f] < 8 ? sizes[f] : 8);
            mend(bytes, image->size);
            try_image(bytes, image->size);
        }
    free(bytes);
}

TEST(an_image_that_was_mended_for_nothing_is_as_good_as_new)
{
    struct image image;
    make_image(&image);
    mend(image.bytes, image.size);
    EXPECT_EQ(try_image(image.bytes, image.size), NH_OK);
    free(image.bytes);
}

TEST(heads_that_lie_harm_nobody)
{
    static const size_t head_fields[] = {16, 4, 4, 8, 8, 8, 8, 8, 8, 8}, block_fields[] = {8, 8};
    struct image image;
    make_image(&image);
    EXPECT_EQ(16 + 2 * 4 + 7 * 8 + 8, sizeof(struct saved_head));
    try_fields(&image, 0, head_fields, COUNT_OF(head_fields));
    try_fields(&image, sizeof(struct saved_head), block_fields, COUNT_OF(block_fields));
    free(image.bytes);
}

TEST(records_that_lie_harm_nobody)
{
    static const size_t fields[] = {8, 8, 8, 4, 4, 4, 4, 1, 1, 1, 1, 4};
    struct image image;
    size_t at = sizeof(struct saved_head) + sizeof(struct saved_block);
    unsigned tried = 0;

    make_image(&image);
    for (unsigned number = 0; at + sizeof(struct saved_record) <= image.size; number++) {
        struct saved_record record;
        memcpy(&record, image.bytes + at, sizeof record);
        if (number % 13 == 0 || record.tag_count == 2) {
            try_fields(&image, at, fields, COUNT_OF(fields));
            if (++tried == 3)
                break;
        }
        at += sizeof record + record.tag_count * sizeof(uint32_t) + record.key_bytes + record.value_bytes;
    }
    EXPECT(tried >= 3);
    free(image.bytes);
}

/* The one block is made ever shorter, and the head agrees. */
TEST(a_block_that_ends_within_a_record_is_refused)
{
    size_t start = sizeof(struct saved_head) + sizeof(struct saved_block);
    struct saved_block block;
    struct saved_head head;
    struct image image;
    char *bytes;

    make_image(&image);
    bytes = malloc(image.size);
    memcpy(&block, image.bytes + sizeof head, sizeof block);
    EXPECT_EQ(start + block.bytes, image.size);
    for (size_t size = 0; size < block.bytes; size += size < 600 ? 1 : 97) {
        memcpy(bytes, image.bytes, start + size);
        block.bytes = size;
        memcpy(bytes + sizeof head, &block, sizeof block);
        memcpy(&head, bytes, sizeof head);
        head.file_bytes = start + size;
        memcpy(bytes, &head, sizeof head);
        mend(bytes, start + size);
        EXPECT_EQ(try_image(bytes, start + size), NH_CORRUPT);
        memcpy(&block, image.bytes + sizeof head, sizeof block);
    }
    free(bytes);
    free(image.bytes);
}

/* The same keys twice, in two blocks: one value for each. */
TEST(a_key_that_comes_twice_is_one_key)
{
    struct saved_block block;
    struct saved_head head;
    struct image image;
    size_t tail_bytes;
    char *bytes;

    make_image(&image);
    tail_bytes = image.size - sizeof head;
    bytes = malloc(image.size + tail_bytes);
    memcpy(bytes, image.bytes, image.size);
    memcpy(bytes + image.size, image.bytes + sizeof head, tail_bytes);
    memcpy(&head, bytes, sizeof head);
    memcpy(&block, image.bytes + sizeof head, sizeof block);
    head.block_count = 2;
    head.record_count *= 2;
    head.file_bytes = image.size + tail_bytes;
    memcpy(bytes, &head, sizeof head);
    mend(bytes, image.size + tail_bytes);
    EXPECT_EQ(try_image(bytes, image.size + tail_bytes), NH_OK);
    free(bytes);
    free(image.bytes);
}

/* Random bytes changed in the payload and in the heads, mended each time. */
TEST(random_changes_beneath_right_checksums_harm_nobody)
{
    struct image image;
    uint64_t random = 88172645463325252u;
    char *bytes;

    make_image(&image);
    bytes = malloc(image.size);
    for (unsigned i = 0; i < 800; i++) {
        memcpy(bytes, image.bytes, image.size);
        for (unsigned changes = 1 + i % 4; changes > 0; changes--) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            bytes[(random >> 20) % image.size] = (char)(random >> 56);
        }
        mend(bytes, image.size);
        try_image(bytes, image.size);
    }
    free(bytes);
    free(image.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ROW(an_image_that_was_mended_for_nothing_is_as_good_as_new),
        TEST_ROW(heads_that_lie_harm_nobody),
        TEST_ROW(records_that_lie_harm_nobody),
        TEST_ROW(a_block_that_ends_within_a_record_is_refused),
        TEST_ROW(a_key_that_comes_twice_is_one_key),
        TEST_ROW(random_changes_beneath_right_checksums_harm_nobody),
    };
    return cmocka_run_group_tests(tests, make_path, NULL);
}
