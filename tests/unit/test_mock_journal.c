/* links: nuthatch-mock nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "engine/mock/json/json_pretty.h"
#include "engine/mock/storage/journal.h"
#include "test.h"

static const struct file_identity base = {.number = 17, .size = 2048, .changed_ns = 1700000000000000000};

static void append_all(struct buffer *journal)
{
    static const struct journal_change changes[] = {
        {.kind = JOURNAL_PUT,
         .name = BYTES_INIT("posts"),
         .id = BYTES_INIT("1"),
         .json = BYTES_INIT("{\"id\":1,\n\"a\":\"b\\n\"}")},
        {.kind = JOURNAL_PUT, .name = BYTES_INIT("pro\"file"), .json = BYTES_INIT("{}")},
        {.kind = JOURNAL_REMOVE, .name = BYTES_INIT("posts"), .id = BYTES_INIT("x\ny")},
    };

    journal_append_base(journal, &base);
    for (size_t i = 0; i < COUNT_OF(changes); i++)
        journal_append_change(journal, &changes[i]);
}

static enum err note(void *context, const struct journal_change *change)
{
    struct buffer *said = context;

    buffer_append_format(said, "%s %.*s/%.*s%s %.*s;", change->kind == JOURNAL_PUT ? "put" : "remove",
                         BYTES_PRINTF(change->name), (int)change->id.size,
                         change->id.data != NULL ? change->id.data : "", change->id_is_number ? "#" : "",
                         (int)change->json.size, change->json.data != NULL ? change->json.data : "");
    return OK;
}

static void replay(struct bytes journal, const char *wanted, size_t wanted_count, bool wanted_torn)
{
    struct buffer said = {0};
    size_t count, good_bytes;

    EXPECT_EQ(journal_replay(journal, BYTES("id"), note, &said, &count, &good_bytes), OK);
    EXPECT_TEXT(buffer_bytes(&said), bytes_of_text(wanted));
    EXPECT_EQ(count, wanted_count);
    EXPECT_EQ(good_bytes < journal.size, wanted_torn);
    buffer_fini(&said);
}

TEST(changes_come_back_in_their_order)
{
    struct buffer journal = {0};

    append_all(&journal);
    replay(buffer_bytes(&journal),
           "put posts/1# {\"id\":1,\"a\":\"b\\n\"};put pro\"file/ {};remove posts/x\ny ;", 3, false);
    buffer_fini(&journal);
}

TEST(a_journal_cut_anywhere_gives_the_changes_before_the_cut)
{
    struct buffer journal = {0};
    size_t count, good_bytes, before = 0;

    append_all(&journal);
    for (size_t size = 0; size <= journal.size; size++) {
        struct buffer said = {0};
        struct bytes cut = bytes_first(buffer_bytes(&journal), size);
        EXPECT_EQ(journal_replay(cut, BYTES("id"), note, &said, &count, &good_bytes), OK);
        EXPECT(count == before || count == before + 1);
        EXPECT(good_bytes == 0 || journal.data[good_bytes - 1] == '\n');
        EXPECT(memchr(cut.data + good_bytes, '\n', size - good_bytes) == NULL);
        before = count;
        buffer_fini(&said);
    }
    EXPECT_EQ(before, 3);
    buffer_fini(&journal);
}

TEST(what_is_no_change_ends_a_journal)
{
    replay(BYTES(""), "", 0, false);
    replay(BYTES("[\"remove\",\"a\",\"1\"]\n\0\0\0\0\n[\"remove\",\"a\",\"2\"]\n"), "remove a/1 ;", 1,
           true);
    replay(BYTES("[\"remove\",\"a\",null]\n"), "", 0, true);
    replay(BYTES("[\"put\",\"a\",\"1\",7]\n"), "", 0, true);
    replay(BYTES("[\"rename\",\"a\",\"1\"]\n"), "", 0, true);
    replay(BYTES("{}\n"), "", 0, true);
}

static enum err refuse_second(void *context, const struct journal_change *change)
{
    size_t *count = context;

    (void)change;
    return ++*count == 2 ? ERR_FULL : OK;
}

TEST(what_is_good_of_a_journal_ends_before_what_cannot_be_made_again)
{
    static const struct bytes journal = BYTES_INIT("[\"remove\",\"a\",\"1\"]\n[\"remove\",\"a\",\"2\"]\n");
    size_t asked = 0, count, good_bytes;

    EXPECT_EQ(journal_replay(journal, BYTES("id"), refuse_second, &asked, &count, &good_bytes), ERR_FULL);
    EXPECT_EQ(count, 1);
    EXPECT_EQ(good_bytes, journal.size / 2);
}

TEST(a_journal_is_about_the_files_it_names)
{
    struct buffer journal = {0};
    struct file_identity next = base, other = base;
    size_t begin;

    next.size++;
    other.changed_ns++;
    append_all(&journal);
    EXPECT(journal_is_about(buffer_bytes(&journal), &base, &begin));
    EXPECT(!journal_is_about(buffer_bytes(&journal), &next, &begin));
    journal_append_base(&journal, &next);
    EXPECT(journal_is_about(buffer_bytes(&journal), &base, &begin));
    EXPECT(journal_is_about(buffer_bytes(&journal), &next, &begin));
    EXPECT(!journal_is_about(buffer_bytes(&journal), &other, &begin));
    buffer_fini(&journal);
}

/* They may be of documents that have been replaced as a whole before the file was written. */
TEST(changes_that_are_in_the_file_are_not_made_again)
{
    static const struct journal_change later = {
        .kind = JOURNAL_REMOVE, .name = BYTES_INIT("posts"), .id = BYTES_INIT("9")};
    struct buffer journal = {0};
    struct file_identity next = base;
    size_t begin = 0;

    next.size++;
    append_all(&journal);
    journal_append_base(&journal, &next);
    EXPECT(journal_is_about(buffer_bytes(&journal), &next, &begin));
    replay(bytes_after(buffer_bytes(&journal), begin), "", 0, false);
    journal_append_change(&journal, &later);
    replay(bytes_after(buffer_bytes(&journal), begin), "remove posts/9 ;", 1, false);
    EXPECT(journal_is_about(buffer_bytes(&journal), &base, &begin)); /* the next one was not put in place */
    replay(bytes_after(buffer_bytes(&journal), begin),
           "put posts/1# {\"id\":1,\"a\":\"b\\n\"};put pro\"file/ {};remove posts/x\ny ;"
           "remove posts/9 ;",
           4, false);
    buffer_fini(&journal);
}

TEST(json_is_indented_however_it_is_cut)
{
    static const struct bytes json =
        BYTES_INIT("{\"a\":[1, 2,{}],\n\"b\":{ },\"c\\\"{\":\"x:,[]\\\\\",\"d\":[[]],\"e\":null}");
    static const struct bytes wanted = BYTES_INIT(
        "{\n  \"a\": [\n    1,\n    2,\n    {}\n  ],\n  \"b\": {},\n  \"c\\\"{\": \"x:,[]\\\\\",\n"
        "  \"d\": [\n    []\n  ],\n  \"e\": null\n}");

    for (size_t cut = 0; cut <= json.size; cut++) {
        struct json_pretty pretty = {0};
        struct buffer out = {0};
        json_pretty_append(&pretty, bytes_first(json, cut), &out);
        json_pretty_append(&pretty, bytes_after(json, cut), &out);
        EXPECT_TEXT(buffer_bytes(&out), wanted);
        buffer_fini(&out);
    }
}

RUN_TESTS(TEST_ROW(changes_come_back_in_their_order),
          TEST_ROW(a_journal_cut_anywhere_gives_the_changes_before_the_cut),
          TEST_ROW(what_is_no_change_ends_a_journal),
          TEST_ROW(what_is_good_of_a_journal_ends_before_what_cannot_be_made_again),
          TEST_ROW(a_journal_is_about_the_files_it_names),
          TEST_ROW(changes_that_are_in_the_file_are_not_made_again),
          TEST_ROW(json_is_indented_however_it_is_cut))
