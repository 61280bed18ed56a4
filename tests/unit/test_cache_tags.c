/* links: nuthatch-gateway nuthatch-message nuthatch-base
 * By which names a response can be purged, and which rules touch it. */
#include "base/compiler.h"
#include "engine/gateway/policy/cache_tags.h"
#include "engine/gateway/purge_rules.h"
#include "http_text.h"
#include "test.h"
#include <assert.h>
#include <stdio.h>

#define ORIGIN BYTES("https://a.test:1")

/* All names with a '|' behind each; of groups, what is behind their origin. */
static void expect_tags(const char *text, const char *wanted)
{
    struct cache_tags tags = {0};
    struct buffer names = {0};
    nh_bytes list[NH_TAGS_MAX];
    struct http_text fields;
    size_t count;

    http_text_read(&fields, text);
    cache_tags_read(&tags, &fields.fields, ORIGIN);
    count = cache_tags_list(&tags, list);
    for (size_t i = 0; i < count; i++) {
        buffer_append(&names, bytes_of(list[i].data, list[i].size));
        buffer_append_byte(&names, '|');
    }
    assert(names.size == 0 || names.data != NULL);
    EXPECT_TEXT(buffer_bytes(&names), bytes_of_text(wanted));
    EXPECT(!tags.are_too_many);
    buffer_fini(&names);
    cache_tags_fini(&tags);
}

TEST(each_field_has_its_own_separators_and_a_name_counts_once)
{
    static const struct {
        const char *fields, *tags;
    } cases[] = {
        {"", ""},
        {"X: a", ""},
        {"Surrogate-Key: a b", "a|b|"},
        {"Surrogate-Key:   a \t b  \nsurrogate-key: c", "a|b|c|"},
        {"Surrogate-Key: a,b", "a,b|"},
        {"Surrogate-Key:", ""},
        {"Cache-Tag: a, b", "a|b|"},
        {"Cache-Tag: a b ,,c", "a b|c|"},
        {"xkey: a b,c", "a|b|c|"},
        {"xkey: a\nCache-Tag: b, a\nSurrogate-Key: c b", "a|b|c|"},
        {"Cache-Groups: \"a\", \"B b\"", "https://a.test:1\na|https://a.test:1\nB b|"},
        {"Cache-Groups: \"a\\\"b\";x=1", "https://a.test:1\na\"b|"},
        {"Cache-Groups: \"a\"\nCache-Groups: \"b\"", "https://a.test:1\na|https://a.test:1\nb|"},
        {"Cache-Groups: a", ""},
        {"Cache-Groups: \"a\", b", ""},
        {"Cache-Groups: (\"a\")", ""},
        {"Cache-Groups: \"a\",", ""},
        {"Cache-Groups: \"a", ""},
        {"Cache-Groups: \"\"", "https://a.test:1\n|"},
        {"xkey: a\nCache-Groups: \"a\"", "a|https://a.test:1\na|"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_tags(cases[i].fields, cases[i].tags);
}

TEST(more_names_than_a_value_can_carry_are_told)
{
    struct buffer text = {0};
    struct cache_tags tags = {0};
    struct http_text fields;

    buffer_append_literal(&text, "xkey:");
    for (unsigned i = 0; i < NH_TAGS_MAX; i++)
        buffer_append_format(&text, " tag%u tag%u", i, i / 2);
    buffer_append_byte(&text, '\0');
    http_text_read(&fields, text.data);
    cache_tags_read(&tags, &fields.fields, ORIGIN);
    EXPECT_EQ(tags.count, NH_TAGS_MAX);
    EXPECT(!tags.are_too_many);
    http_text_read(&fields, "xkey: one-more");
    cache_tags_read(&tags, &fields.fields, ORIGIN);
    EXPECT(tags.are_too_many);
    cache_tags_fini(&tags);
    buffer_fini(&text);
}

static void note_tag(void *context, struct bytes tag)
{
    struct buffer *all = context;
    buffer_append(all, tag);
    buffer_append_byte(all, '|');
}

TEST(groups_to_invalidate_are_strings_of_the_same_origin)
{
    static const struct {
        const char *fields, *tags;
    } cases[] = {
        {"Cache-Group-Invalidation: \"a\", \"b\"", "https://a.test:1\na|https://a.test:1\nb|"},
        {"Cache-Group-Invalidation: \"a\", b", ""},
        {"Cache-Group-Invalidation:", ""},
        {"Cache-Groups: \"a\"", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer all = {0};
        struct http_text fields;
        http_text_read(&fields, cases[i].fields);
        cache_groups_invalidated(&fields.fields, ORIGIN, note_tag, &all);
        EXPECT_TEXT(buffer_bytes(&all), bytes_of_text(cases[i].tags));
        buffer_fini(&all);
    }
}

TEST(an_origin_is_what_stands_before_the_path)
{
    EXPECT_TEXT(origin_of_url(BYTES("https://a.test:1/b/c")), BYTES("https://a.test:1"));
    EXPECT_TEXT(origin_of_url(BYTES("http://a.test")), BYTES("http://a.test"));
    EXPECT_TEXT(origin_of_url(BYTES("http://a.test/")), BYTES("http://a.test"));
}

/* ---- rules --------------------------------------------------------------------------------------- */

TEST(a_rule_touches_what_was_begun_before_it_and_begins_so)
{
    static const struct {
        const char *prefix, *key;
        bool is_touched;
    } cases[] = {
        {"", "http://a/b", true},
        {"/", "http://a/b", true},
        {"/b", "http://a/b", true},
        {"/b", "http://a/bc?d", true},
        {"/b/", "http://a/b", false},
        {"/a", "http://a/b", false},
        {"/b?", "http://a/b?c", true},
        {"http://a/", "http://a/b", true},
        {"http://a/", "http://ab/b", false},
        {"https://a/", "http://a/b", false},
        {"/b", "http://a/b\n12345678x\n", true}, /* a variant */
        {"/b", "host.test {0123} http://a/b", true},
        {"http://a/", "{0123} http://a/b", true},
        {"http://b/", "b {0123} http://a/b", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct purge_rules rules;
        struct bytes key = bytes_of_text(cases[i].key);
        uint64_t before;

        purge_rules_init(&rules);
        before = purge_rules_birth(&rules);
        EXPECT_EQ(purge_rules_ask(&rules, before, key), PURGED_NOT);
        EXPECT_EQ(purge_rules_add(&rules, bytes_of_text(cases[i].prefix), false), OK);
        EXPECT_EQ(purge_rules_ask(&rules, before, key), cases[i].is_touched ? PURGED : PURGED_NOT);
        EXPECT_EQ(purge_rules_permit(&rules, before, key), !cases[i].is_touched);
        EXPECT_EQ(purge_rules_ask(&rules, purge_rules_birth(&rules), key), PURGED_NOT);
        purge_rules_fini(&rules);
    }
}

TEST(of_two_rules_the_hard_one_counts)
{
    struct purge_rules rules;

    purge_rules_init(&rules);
    EXPECT_EQ(purge_rules_add(&rules, BYTES("/a"), true), OK);
    EXPECT_EQ(purge_rules_ask(&rules, 0, BYTES("http://x/a")), PURGED_SOFTLY);
    EXPECT_EQ(purge_rules_add(&rules, BYTES("/a"), false), OK);
    EXPECT_EQ(purge_rules_add(&rules, BYTES("/a"), true), OK);
    EXPECT_EQ(purge_rules_ask(&rules, 0, BYTES("http://x/a")), PURGED);
    EXPECT_EQ(purge_rules_ask(&rules, 2, BYTES("http://x/a")), PURGED_SOFTLY);
    EXPECT_EQ(purge_rules_ask(&rules, 3, BYTES("http://x/a")), PURGED_NOT);
    purge_rules_fini(&rules);
}

TEST(a_rule_that_was_let_go_still_forbids_what_was_begun_before_it)
{
    const struct bytes key = BYTES("http://x/a");
    struct purge_rules rules;

    purge_rules_init(&rules);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(purge_rules_add(&rules, BYTES("/a"), false), OK);
    purge_rules_retire(&rules, 2);
    EXPECT_EQ(rules.count, 1);
    EXPECT_EQ(purge_rules_newest(&rules), 3);
    EXPECT(!purge_rules_permit(&rules, 2, key)); /* by the one that is left */
    purge_rules_retire(&rules, 3);
    EXPECT_EQ(purge_rules_newest(&rules), 0);
    EXPECT_EQ(purge_rules_ask(&rules, 2, key), PURGED_NOT);
    EXPECT(!purge_rules_permit(&rules, 2, key)); /* by one that only what was begun before it asks */
    EXPECT(purge_rules_permit(&rules, 3, key));
    purge_rules_fini(&rules);
}

TEST(what_was_begun_before_a_purge_of_an_earlier_life_may_be_touched_by_it)
{
    const struct bytes key = BYTES("http://x/a");
    struct purge_rules rules;

    purge_rules_init(&rules);
    EXPECT(purge_rules_permit(&rules, 0, key));
    purge_rules_start(&rules, 3);
    EXPECT(!purge_rules_permit(&rules, 2, key));
    EXPECT(purge_rules_permit(&rules, 3, key));
    EXPECT(purge_rules_permit(&rules, purge_rules_birth(&rules), key));
    purge_rules_fini(&rules);
}

TEST(what_a_rule_did_not_touch_may_be_stored_after_it_was_let_go)
{
    struct purge_rules rules;

    purge_rules_init(&rules);
    for (unsigned i = 0; i < 10 * PURGE_RULES_MAX; i++) { /* one prefix, purged again and again */
        EXPECT_EQ(purge_rules_add(&rules, BYTES("/a"), i % 2 == 0), OK);
        purge_rules_retire(&rules, purge_rules_newest(&rules));
    }
    EXPECT(purge_rules_permit(&rules, 0, BYTES("http://x/b")));
    EXPECT(!purge_rules_permit(&rules, 0, BYTES("http://x/a")));
    EXPECT(!purge_rules_permit(&rules, purge_rules_birth(&rules) - 1, BYTES("http://x/a")));
    EXPECT(purge_rules_permit(&rules, purge_rules_birth(&rules), BYTES("http://x/a")));
    purge_rules_fini(&rules);
}

TEST(what_is_older_than_the_rules_that_are_remembered_may_not_be_stored)
{
    const struct bytes key = BYTES("http://x/a");
    struct purge_rules rules;
    char prefix[32];

    purge_rules_init(&rules);
    for (unsigned i = 1; i <= PURGE_RULES_MAX + 3; i++) {
        EXPECT_EQ(purge_rules_permit(&rules, 0, key), i <= PURGE_RULES_MAX + 1);
        snprintf(prefix, sizeof prefix, "/b/%u/", i);
        EXPECT_EQ(purge_rules_add(&rules, bytes_of_text(prefix), false), OK);
        purge_rules_retire(&rules, i);
    }
    EXPECT(!purge_rules_permit(&rules, 2, key)); /* by the third, for all that anybody knows */
    EXPECT(purge_rules_permit(&rules, 3, key));
    EXPECT(!purge_rules_permit(&rules, 3, BYTES("http://x/b/4/c")));
    /* One that says what the others said, and more, makes room. */
    EXPECT_EQ(purge_rules_add(&rules, BYTES("/b/"), false), OK);
    purge_rules_retire(&rules, purge_rules_newest(&rules));
    EXPECT_EQ(rules.retired_count, 1);
    EXPECT(!purge_rules_permit(&rules, 2, key));
    EXPECT(purge_rules_permit(&rules, 3, key));
    EXPECT(!purge_rules_permit(&rules, 3, BYTES("http://x/b/4/c")));
    purge_rules_fini(&rules);
}

TEST(rules_are_bounded)
{
    struct purge_rules rules;

    purge_rules_init(&rules);
    for (unsigned i = 0; i < PURGE_RULES_MAX; i++)
        EXPECT_EQ(purge_rules_add(&rules, BYTES("/a"), false), OK);
    EXPECT_EQ(purge_rules_add(&rules, BYTES("/b"), false), ERR_RANGE);
    EXPECT_EQ(purge_rules_ask(&rules, 0, BYTES("http://x/b")), PURGED_NOT);
    purge_rules_retire(&rules, 1);
    EXPECT_EQ(purge_rules_add(&rules, BYTES("/b"), false), OK);
    EXPECT_EQ(purge_rules_ask(&rules, 0, BYTES("http://x/b")), PURGED);
    purge_rules_fini(&rules);
}

TEST(what_was_begun_before_all_was_forgotten_is_refused_whatever_comes_later)
{
    const struct bytes key = BYTES("http://h/z");
    struct purge_rules rules;
    char prefix[32];
    uint64_t before;

    purge_rules_init(&rules);
    EXPECT_EQ(purge_rules_add(&rules, BYTES("/a"), false), OK);
    before = purge_rules_birth(&rules);
    EXPECT(purge_rules_permit(&rules, before, key));
    purge_rules_forget(&rules);
    EXPECT(!purge_rules_permit(&rules, before, key));
    purge_rules_retire(&rules, before); /* a walk that began before */
    EXPECT(!purge_rules_permit(&rules, before, key));
    for (int i = 0; i < PURGE_RULES_MAX; i++) { /* the first leaves the list of those that are remembered */
        snprintf(prefix, sizeof prefix, "/b/%d/", i);
        EXPECT_EQ(purge_rules_add(&rules, bytes_of_text(prefix), false), OK);
        purge_rules_retire(&rules, purge_rules_newest(&rules));
    }
    EXPECT(!purge_rules_permit(&rules, before, key));
    EXPECT(purge_rules_permit(&rules, purge_rules_birth(&rules), key));
    purge_rules_fini(&rules);
}

RUN_TESTS(TEST_ROW(each_field_has_its_own_separators_and_a_name_counts_once),
          TEST_ROW(more_names_than_a_value_can_carry_are_told),
          TEST_ROW(groups_to_invalidate_are_strings_of_the_same_origin),
          TEST_ROW(an_origin_is_what_stands_before_the_path),
          TEST_ROW(a_rule_touches_what_was_begun_before_it_and_begins_so),
          TEST_ROW(of_two_rules_the_hard_one_counts),
          TEST_ROW(a_rule_that_was_let_go_still_forbids_what_was_begun_before_it),
          TEST_ROW(what_was_begun_before_a_purge_of_an_earlier_life_may_be_touched_by_it),
          TEST_ROW(what_a_rule_did_not_touch_may_be_stored_after_it_was_let_go),
          TEST_ROW(what_is_older_than_the_rules_that_are_remembered_may_not_be_stored),
          TEST_ROW(rules_are_bounded),
          TEST_ROW(what_was_begun_before_all_was_forgotten_is_refused_whatever_comes_later))
