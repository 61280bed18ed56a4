/* links: nuthatch-server */
/* The file of a running server, read again: which gateway goes on as which, and what needs a restart. */
#include "base/compiler.h"
#include "server/reread.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/nuthatch-reread.yaml";

static void read_text(struct options *options, const char *text)
{
    struct buffer message = {0};

    options_init(options);
    if (options_read_yaml(options, path, bytes_of_text(text), &message) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
}

TEST(what_only_a_restart_changes_is_named_and_the_rest_is_not)
{
    static const struct {
        const char *running, *fresh, *said;
    } cases[] = {
        {"gateway:\n  origin: http://a\n", "gateway:\n  origin: http://a\n", ""},
        {"gateway:\n  origin: http://a\n",
         "gateway:\n  stale-if-error: 1h\n  connect-timeout: 1s\n  upstreams: {b: {origin: http://b}}\n"
         "  routes: [{upstream: b}]\n",
         ""},
        {"cache:\n", "threads: 2\nmemory: 1M\nrequirepass: hidden\ncache:\n",
         "1:10: threads is another than runs: that needs a restart\n"
         "2:9: memory is another than runs: that needs a restart\n"
         "3:14: requirepass is another than runs: that needs a restart\n"},
        {"threads: 2\ncache:\n", "cache:\n",
         "nuthatch: threads is another than runs: that needs a restart\n"},
        {"notify-keyspace-events: KEA\ncache:\n", "notify-keyspace-events: K\ncache:\n",
         "1:25: notify-keyspace-events is another than runs: that needs a restart\n"},
        {"gateway:\n  origin: http://a\n", "gateway:\n  origin: http://a\n  listen: http://127.0.0.1:1\n",
         "2:3: listen is another than runs: that needs a restart\n"},
        {"gateway:\n  origin: http://a\n  listen: http://127.0.0.1:1\n",
         "gateway:\n  origin: http://a\n  listen: [http://127.0.0.1:1, http://127.0.0.1:2]\n",
         "2:3: listen is another than runs: that needs a restart\n"},
        {"mock:\n  data: a\n", "mock:\n  data: b\n  latency: 1s\n",
         "2:3: data is another than runs: that needs a restart\n"
         "2:3: latency is another than runs: that needs a restart\n"},
        {"cache:\ngateway:\n  origin: http://a\n", "gateway:\n  origin: http://a\n",
         "nuthatch: a cache that runs is not in the file: that needs a restart\n"},
        {"gateway:\n  origin: http://a\n", "cache:\ngateway:\n  origin: http://a\n",
         "nuthatch: there are more roles in the file than run: that needs a restart\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options running, fresh;
        struct buffer message = {0}, wanted = {0};
        const char *at = cases[i].said;

        read_text(&running, cases[i].running);
        read_text(&fresh, cases[i].fresh);
        options_report_restarts(&running, &fresh, &message);
        while (*at != '\0') { /* the file's name is left out of what is wanted */
            size_t size = strcspn(at, "\n") + 1;
            if (*at >= '0' && *at <= '9')
                buffer_append_format(&wanted, "%s:", path);
            buffer_append(&wanted, bytes_of(at, size));
            at += size;
        }
        EXPECT_TEXT(buffer_bytes(&message), buffer_bytes(&wanted));
        options_fini(&running);
        options_fini(&fresh);
        buffer_fini(&message);
        buffer_fini(&wanted);
    }
}

TEST(a_gateway_goes_on_as_the_one_with_its_listeners_wherever_that_stands)
{
    struct options running, fresh;

    read_text(&running, "gateway:\n"
                        "  - {origin: http://a, listen: http://127.0.0.1:1}\n"
                        "  - {origin: http://b, listen: http://127.0.0.1:2}\n"
                        "  - {origin: http://c, listen: http://127.0.0.1:3}\n"
                        "  - {origin: http://d, listen: http://127.0.0.1:4}\n");
    read_text(&fresh, "cache:\n"
                      "gateway:\n"
                      "  - {origin: http://moved, listen: http://127.0.0.1:5}\n"
                      "  - {origin: http://two, listen: http://127.0.0.1:2}\n"
                      "  - {origin: http://one, listen: http://127.0.0.1:1}\n");
    assert_string_equal(options_successor(&running, &fresh, 0)->upstream_policy.origin_urls, "http://one");
    assert_string_equal(options_successor(&running, &fresh, 1)->upstream_policy.origin_urls, "http://two");
    /* The third has no partner; it is the first of those, as is the one that moved. */
    assert_string_equal(options_successor(&running, &fresh, 2)->upstream_policy.origin_urls,
                        "http://moved");
    assert_null(options_successor(&running, &fresh, 3));
    options_fini(&running);
    options_fini(&fresh);
}

TEST(what_the_command_line_said_is_said_again)
{
    char *arguments[] = {(char[]){"nuthatch"},
                         (char[]){"serve"},
                         path,
                         (char[]){"--threads=3"},
                         (char[]){"--requirepass=ab"},
                         NULL};
    struct options running, fresh;
    struct buffer message = {0};
    FILE *file = fopen(path, "w");

    fputs("threads: 2\nmemory: 2M\ncache:\n", file);
    fclose(file);
    options_init(&running);
    EXPECT_EQ(options_parse_arguments(&running, 5, arguments, &message), OK);
    EXPECT_EQ(options_reread(&running, &fresh, &message), OK);
    EXPECT_EQ(fresh.threads, 3);
    EXPECT_EQ(fresh.memory_bytes, 2 << 20);
    assert_string_equal(fresh.password, "ab");
    options_report_restarts(&running, &fresh, &message);
    EXPECT_EQ(message.size, 0);
    options_fini(&fresh);
    unlink(path);

    EXPECT_EQ(options_reread(&running, &fresh, &message), ERR_MISSING);
    options_fini(&fresh);
    options_fini(&running);
    buffer_fini(&message);
}

RUN_TESTS(TEST_ROW(what_only_a_restart_changes_is_named_and_the_rest_is_not),
          TEST_ROW(a_gateway_goes_on_as_the_one_with_its_listeners_wherever_that_stands),
          TEST_ROW(what_the_command_line_said_is_said_again))
