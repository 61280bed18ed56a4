/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* What the gateway keeps on the shared tier, as bytes: keys, witnesses, answers, the log of purges. */
#include "engine/gateway/fleet/fleet_key.h"
#include "engine/gateway/fleet/fleet_log.h"
#include "engine/gateway/fleet/fleet_value.h"
#include "engine/gateway/fleet/witness.h"
#include "engine/gateway/policy/stored_response.h"
#include "test.h"

/* ---- keys ---------------------------------------------------------------------------------------- */

static struct fleet_id id_of(const char *url, const char *behind)
{
    struct buffer key = {0};
    struct fleet_id id;

    buffer_append(&key, bytes_of_text(url));
    buffer_append(&key, bytes_of_text(behind));
    EXPECT(fleet_id_of(&id, buffer_bytes(&key), strlen(url)));
    buffer_fini(&key);
    return id;
}

TEST(all_keys_of_a_url_have_its_digest_as_hash_tag)
{
    struct fleet_id url = id_of("http://a/b", ""), variant = id_of("http://a/b", "\n12345678de"),
                    other = id_of("http://a/c", "");
    struct fleet_key key, of_variant;

    EXPECT(!fleet_id_is_of_variant(&url) && fleet_id_is_of_variant(&variant));
    EXPECT(url.url == variant.url && url.url != other.url);
    EXPECT(!fleet_id_equal(&url, &variant) && fleet_id_equal(&url, &(struct fleet_id){.url = url.url}));
    fleet_key_write(&key, &url, FLEET_WITNESS);
    EXPECT_EQ(key.size, strlen("nh:{0123456789abcdef}:w"));
    fleet_key_write(&of_variant, &variant, FLEET_WITNESS);
    EXPECT(bytes_start_with(fleet_key_bytes(&of_variant), fleet_key_bytes(&key)));
    EXPECT_EQ(of_variant.size, key.size + 33);
    fleet_key_write(&key, &url, FLEET_NAMES);
    fleet_key_write(&of_variant, &variant, FLEET_NAMES);
    EXPECT_TEXT(fleet_key_bytes(&of_variant), fleet_key_bytes(&key));
    fleet_key_write_chunk(&key, &url, UINT64_MAX, UINT32_MAX);
    EXPECT(key.size < FLEET_KEY_BYTES_MAX);
}

TEST(what_is_below_a_url_stays_at_its_node)
{
    struct fleet_id id;

    EXPECT(!fleet_id_of(&id, BYTES("http://a/b\n$12345678"), 20));
    EXPECT(!fleet_id_of(&id, (struct bytes){0}, 0));
}

/* ---- witnesses ----------------------------------------------------------------------------------- */

TEST(a_witness_is_read_as_it_was_written)
{
    const struct witness all[] = {{WITNESS_ANSWER, 1, false, {0}},
                                  {WITNESS_ANSWER, UINT64_MAX, true, {0}},
                                  {WITNESS_VARIANTS, 77, false, BYTES_INIT("accept\nx-b\n")},
                                  {WITNESS_NOT_SHAREABLE, 0, false, {0}}};

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct buffer text = {0};
        struct witness read = {0};
        witness_write(&text, &all[i]);
        EXPECT(text.size <= WITNESS_BYTES_MAX && witness_read(&read, buffer_bytes(&text)));
        EXPECT(read.kind == all[i].kind && read.number == all[i].number && read.is_soft == all[i].is_soft);
        EXPECT_TEXT(read.names, all[i].names);
        buffer_fini(&text);
    }
}

TEST(what_is_no_witness_is_not_read)
{
    static const char *const texts[] = {"",
                                        "x",
                                        "n-",
                                        "r",
                                        "r0000000000000001",
                                        "r0000000000000000-",
                                        "r000000000000000G-",
                                        "r000000000000000A-",
                                        "r0000000000000001x",
                                        "r0000000000000001-a\n",
                                        "v0000000000000001-",
                                        "v0000000000000001-accept",
                                        "v0000000000000001-Accept\n",
                                        "v0000000000000001-\n",
                                        "v0000000000000001-a\n\n",
                                        "v0000000000000001-a b\n"};
    struct witness read;

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (witness_read(&read, bytes_of_text(texts[i])))
            fail_msg("\"%s\" was read", texts[i]);
}

/* ---- answers ------------------------------------------------------------------------------------- */

static const struct fleet_answer sample = {
    .number = 7,
    .birth = 1764000000000000,
    .status = 200,
    .flags = STORED_NO_CACHE | STORED_IMMUTABLE,
    .resided_ms = 12,
    .keep_ms = 86400000,
    .initial_age_ms = 3000,
    .lifetime_ms = 60000,
    .stale_if_error_ms = -1,
    .stale_while_revalidate_ms = 5000,
    .key = BYTES_INIT("http://a/b"),
    .fields = BYTES_INIT("ETag: \"1\"\r\nContent-Type: text/plain\r\n"),
    .hidden = BYTES_INIT("Surrogate-Key: x y\r\n"),
    .reason = BYTES_INIT(""),
    .body_bytes = 4,
    .piece = BYTES_INIT("four"),
};

TEST(an_answer_is_read_as_it_was_written)
{
    struct buffer value = {0};
    struct fleet_answer read;

    fleet_answer_encode(&value, &sample);
    EXPECT(fleet_answer_decode(buffer_bytes(&value), &read));
    EXPECT(read.number == 7 && read.birth == sample.birth && read.status == 200);
    EXPECT(read.flags == sample.flags && read.resided_ms == 12 && read.keep_ms == 86400000);
    EXPECT(read.initial_age_ms == 3000 && read.lifetime_ms == 60000 && read.stale_if_error_ms == -1);
    EXPECT(read.stale_while_revalidate_ms == 5000 && read.body_bytes == 4);
    EXPECT_TEXT(read.key, sample.key);
    EXPECT_TEXT(read.fields, sample.fields);
    EXPECT_TEXT(read.hidden, sample.hidden);
    EXPECT(read.reason.data != NULL && read.reason.size == 0);
    EXPECT_TEXT(read.piece, BYTES("four"));
    buffer_fini(&value);
}

TEST(an_answer_with_any_bit_changed_or_cut_off_is_none)
{
    struct buffer value = {0};
    struct fleet_answer read;

    fleet_answer_encode(&value, &sample);
    for (size_t i = 0; i < value.size; i++) {
        value.data[i] ^= 4;
        EXPECT(!fleet_answer_decode(buffer_bytes(&value), &read));
        value.data[i] ^= 4;
        EXPECT(!fleet_answer_decode(bytes_of(value.data, i), &read));
    }
    buffer_fini(&value);
}

TEST(an_answer_that_cannot_be_is_none_whatever_its_checksum)
{
    struct fleet_answer wrong[16];
    size_t count = 0;

#define WRONG(member, ...)                                                                                 \
    wrong[count] = sample;                                                                                 \
    wrong[count++].member = __VA_ARGS__
    WRONG(number, 0);
    WRONG(status, 199);
    WRONG(status, 600);
    WRONG(resided_ms, -1);
    WRONG(lifetime_ms, INT64_MAX);
    WRONG(initial_age_ms, INT64_MAX);
    WRONG(stale_if_error_ms, -2);
    WRONG(body_bytes, UINT64_MAX);
    WRONG(body_bytes, FLEET_PIECE_BYTES + 1); /* and a piece is here */
    WRONG(key, (struct bytes){0});
    WRONG(fields, BYTES("Content-Length: 5\r\n"));
    WRONG(fields, BYTES("Transfer-Encoding: chunked\r\n"));
    WRONG(fields, BYTES("A: b\r\nno line"));
    WRONG(fields, BYTES("A b: c\r\n"));
    WRONG(fields, BYTES("A: b\rc\r\n"));
    WRONG(reason, BYTES("a\r\nb"));
#undef WRONG
    for (size_t i = 0; i < count; i++) {
        struct buffer value = {0};
        struct fleet_answer read;
        fleet_answer_encode(&value, &wrong[i]);
        if (fleet_answer_decode(buffer_bytes(&value), &read))
            fail_msg("number %zu was read", i);
        buffer_fini(&value);
    }
}

TEST(a_piece_is_smaller_where_that_can_be_and_comes_back_whole)
{
    static char zeroes[100000];
    const struct bytes bodies[] = {{NULL, 0}, BYTES_INIT("short"), {zeroes, sizeof zeroes}};

    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct buffer piece = {0}, body = {0};
        fleet_piece_encode(&piece, bodies[i], true);
        EXPECT(piece.size < 600);
        EXPECT(!fleet_piece_decode(&body, buffer_bytes(&piece), bodies[i].size + 1) && body.size == 0);
        EXPECT(fleet_piece_decode(&body, buffer_bytes(&piece), bodies[i].size));
        EXPECT(bytes_equal(buffer_bytes(&body), bodies[i]));
        for (size_t at = 0; at < piece.size; at++) {
            piece.data[at] ^= 1;
            buffer_clear(&body);
            if (fleet_piece_decode(&body, buffer_bytes(&piece), bodies[i].size))
                EXPECT(bytes_equal(buffer_bytes(&body), bodies[i])); /* zstd has bits that say nothing */
            piece.data[at] ^= 1;
        }
        buffer_fini(&piece);
        buffer_fini(&body);
    }
}

/* ---- the log ------------------------------------------------------------------------------------- */

static void append_number(struct buffer *to, uint64_t number, int size)
{
    for (int i = 0; i < size; i++)
        buffer_append_byte(to, (char)(unsigned char)(number >> 8 * i));
}

static void begin_log(struct buffer *value, uint64_t number, uint64_t forgotten, uint64_t left)
{
    *value = (struct buffer){0};
    buffer_append_literal(value, "nhPurge1");
    append_number(value, number, 8);
    append_number(value, forgotten, 8);
    append_number(value, left, 8);
    for (unsigned i = 0; i < FLEET_LOG_TAGS; i++)
        append_number(value, i == 5 ? 99 : 0, 8);
}

static void append_record(struct buffer *value, uint64_t number, const char *rule, const char *text)
{
    append_number(value, number, 8);
    append_number(value, 4711, 8);
    buffer_append(value, bytes_of_text(rule));
    append_number(value, 0, 2);
    append_number(value, strlen(text), 2);
    buffer_append(value, bytes_of_text(text));
}

TEST(the_log_is_read_record_by_record)
{
    struct buffer value;
    struct fleet_record record;
    struct fleet_log log;

    begin_log(&value, 120, 90, 100);
    append_record(&value, 110, "th", "birds");
    append_record(&value, 120, "ps", "/a");
    EXPECT(fleet_log_read(&log, buffer_bytes(&value)));
    EXPECT(log.number == 120 && log.forgotten == 90);
    EXPECT(fleet_log_goes_back_to(&log, 100) && fleet_log_goes_back_to(&log, 120));
    EXPECT(!fleet_log_goes_back_to(&log, 99) && !fleet_log_goes_back_to(&log, 121));
    EXPECT(fleet_log_tag_number(&log, 5) == 99 && fleet_log_tag_number(&log, 6) == 0);
    EXPECT(fleet_log_next(&log, &record) && record.rule == FLEET_TAG && !record.is_soft);
    EXPECT(record.number == 110 && record.node == 4711);
    EXPECT_TEXT(record.text, BYTES("birds"));
    EXPECT(fleet_log_next(&log, &record) && record.rule == FLEET_PREFIX && record.is_soft);
    EXPECT(!fleet_log_next(&log, &record));
    buffer_fini(&value);
}

TEST(a_broken_log_is_none)
{
    struct fleet_log log;
    struct buffer value;

    begin_log(&value, 120, 90, 100);
    EXPECT(!fleet_log_read(&log, bytes_of(value.data, value.size - 1)));
    append_record(&value, 121, "th", "too late");
    EXPECT(!fleet_log_read(&log, buffer_bytes(&value)));
    buffer_fini(&value);
    begin_log(&value, 120, 90, 100);
    append_record(&value, 110, "xh", "of no rule");
    EXPECT(!fleet_log_read(&log, buffer_bytes(&value)));
    buffer_fini(&value);
    begin_log(&value, 120, 90, 100);
    append_record(&value, 110, "th", "cut off");
    EXPECT(!fleet_log_read(&log, bytes_of(value.data, value.size - 1)));
    append_record(&value, 110, "th", "twice");
    EXPECT(!fleet_log_read(&log, buffer_bytes(&value)));
    buffer_fini(&value);
    begin_log(&value, 120, 110, 100);
    EXPECT(!fleet_log_read(&log, buffer_bytes(&value)));
    buffer_fini(&value);
}

RUN_TESTS(TEST_ROW(all_keys_of_a_url_have_its_digest_as_hash_tag),
          TEST_ROW(what_is_below_a_url_stays_at_its_node), TEST_ROW(a_witness_is_read_as_it_was_written),
          TEST_ROW(what_is_no_witness_is_not_read), TEST_ROW(an_answer_is_read_as_it_was_written),
          TEST_ROW(an_answer_with_any_bit_changed_or_cut_off_is_none),
          TEST_ROW(an_answer_that_cannot_be_is_none_whatever_its_checksum),
          TEST_ROW(a_piece_is_smaller_where_that_can_be_and_comes_back_whole),
          TEST_ROW(the_log_is_read_record_by_record), TEST_ROW(a_broken_log_is_none))
