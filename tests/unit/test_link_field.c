/* links: nuthatch-gateway nuthatch-message nuthatch-base */
/* Link fields, as in RFC 8288 and as APIs write them. */
#include "base/buffer.h"
#include "engine/gateway/policy/link_field.h"
#include "test.h"

/* The target of the next page that the field says, or null. */
static void expect_next(const char *value, const char *target)
{
    struct buffer lines = {0};
    struct bytes found = {0};
    bool is_there;

    buffer_append_format(&lines, "Date: x\r\nLink: %s\r\nETag: \"1\"\r\n", value);
    is_there = link_find(buffer_bytes(&lines), BYTES("next"), &found);
    if (is_there != (target != NULL))
        fail_msg("%s: there is %s", value, is_there ? "one" : "none");
    if (target != NULL)
        EXPECT_TEXT(found, bytes_of_text(target));
    buffer_fini(&lines);
}

TEST(the_next_page_is_found_among_links)
{
    static const struct {
        const char *value, *target;
    } cases[] = {
        {"<https://api.github.com/issues?page=2>; rel=\"next\", <https://api.github.com/issues?page=9>; "
         "rel=\"last\"",
         "https://api.github.com/issues?page=2"},
        {"<?page=1>; rel=prev, <?page=3>; rel=next", "?page=3"},
        {"</a>;rel=next", "/a"},
        {"</a> ; REL = \"NEXT\"", "/a"},
        {"</a>; rel=\"last next\"", "/a"},
        {"</a>; rel=\" \t next \"", "/a"},
        {"</a>; title=\"x, y; rel=prev\"; rel=next", "/a"},
        {"</a>; title=\"say \\\"next\\\"\"; rel=next", "/a"},
        {"</a>; rel=\"\\n\\e\\x\\t\"", "/a"},
        {"</a,b;c>; rel=next", "/a,b;c"},
        {"<>; rel=next", ""},
        {",, ,</a>; rel=next,", "/a"},
        {"</a>; rel=next; rel=prev", "/a"},
        {"</a>; crossorigin; rel=next", "/a"},
        {"</a>; rel=next;", "/a"},
        {"</a>; rel=\"next", "/a"}, /* without an end: up to the end */
        {"</a>; rel=prev; rel=next", NULL},
        {"</a>; rel=nextpage", NULL},
        {"</a>; rel=nex", NULL},
        {"</a>; rel=\"previous-next\"", NULL},
        {"</a>; rel", NULL},
        {"</a>", NULL},
        {"</a>; rel=next; anchor=\"/b\"", NULL}, /* of something else */
        {"</a>; rel=prev, /b; rel=next", NULL},
        {"</a; rel=next", NULL},
        {"/a; rel=next", NULL},
        {"</a> rel=next", NULL},
        {"</a> x, </b>; rel=next", NULL}, /* what follows what is none is ignored */
        {"", NULL},
        {"<", NULL},
        {";", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_next(cases[i].value, cases[i].target);
}

TEST(links_may_be_in_several_fields)
{
    struct bytes target;

    EXPECT(link_find(BYTES("Link: </1>; rel=prev\r\nlink: </3>; rel=next\r\n"), BYTES("next"), &target));
    EXPECT_TEXT(target, BYTES("/3"));
    /* One that is none says nothing of the others. */
    EXPECT(link_find(BYTES("Link: nonsense\r\nLink: </3>; rel=next\r\n"), BYTES("next"), &target));
    EXPECT(!link_find(BYTES("Date: x\r\n"), BYTES("next"), &target));
    EXPECT(!link_find((struct bytes){0}, BYTES("next"), &target));
}

RUN_TESTS(TEST_ROW(the_next_page_is_found_among_links), TEST_ROW(links_may_be_in_several_fields))
