/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* What the fleet's scripts do, in a Redis or Valkey of the test's own; skipped where there is none. */
#include "base/buffer.h"
#include "engine/gateway/fleet/fleet_log.h"
#include "engine/gateway/fleet/fleet_scripts.h"
#include "test.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    pid_t pid;
    int fd;
    char folder[64];
} server;

static void run_server(const char *path)
{
    static const char *const programs[] = {"valkey-server", "redis-server"};

    if (freopen("/dev/null", "w", stdout) == NULL)
        _exit(1);
    for (size_t i = 0; i < COUNT_OF(programs); i++)
        execlp(programs[i], programs[i], "--port", "0", "--unixsocket", path, "--save", "", (char *)NULL);
    _exit(127);
}

static bool connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    server.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (int tries = 0; tries < 2000; tries++) {
        if (connect(server.fd, (struct sockaddr *)&address, sizeof address) == 0)
            return true;
        if (waitpid(server.pid, NULL, WNOHANG) != 0) { /* there is no such program */
            server.pid = 0;
            return false;
        }
        usleep(10000);
    }
    return false;
}

static int start(void **state)
{
    char path[96];

    (void)state;
    snprintf(server.folder, sizeof server.folder, "/tmp/nuthatch-scripts-XXXXXX");
    if (mkdtemp(server.folder) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/socket", server.folder);
    server.pid = fork();
    if (server.pid == 0)
        run_server(path);
    if (!connect_to(path)) {
        close(server.fd);
        server.fd = -1;
    }
    return 0;
}

static int stop(void **state)
{
    char path[96];

    (void)state;
    if (server.pid > 0) {
        kill(server.pid, SIGKILL);
        waitpid(server.pid, NULL, 0);
    }
    if (server.fd >= 0)
        close(server.fd);
    snprintf(path, sizeof path, "%s/socket", server.folder);
    unlink(path);
    rmdir(server.folder);
    return 0;
}

static void append_command(struct buffer *output, const struct bytes *arguments, size_t count)
{
    buffer_append_format(output, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buffer_append_format(output, "$%zu\r\n", arguments[i].size);
        buffer_append(output, arguments[i]);
        buffer_append_literal(output, "\r\n");
    }
}

/* Asks, and returns the reply in words: "int 1", "text …", "null", "error …". Good until the next call. */
static struct bytes ask_list(const struct bytes *arguments, size_t count)
{
    static struct buffer input, said;
    struct buffer output = {0};
    size_t wanted = SIZE_MAX;

    append_command(&output, arguments, count);
    EXPECT(write(server.fd, output.data, output.size) == (ssize_t)output.size);
    buffer_fini(&output);
    buffer_clear(&input);
    while (input.size < wanted) {
        char *to = buffer_reserve(&input, 65536), *end;
        ssize_t got = read(server.fd, to, 65536);
        EXPECT(got > 0);
        buffer_commit(&input, (size_t)got);
        end = memchr(input.data, '\n', input.size);
        if (end == NULL)
            continue;
        wanted = (size_t)(end + 1 - input.data);
        if (input.data[0] == '$' && input.data[1] != '-')
            wanted += strtoul(input.data + 1, NULL, 10) + 2;
    }
    buffer_clear(&said);
    if (input.data[0] == '$' && input.data[1] == '-') {
        buffer_append_literal(&said, "null");
    } else if (input.data[0] == '$') {
        size_t size = strtoul(input.data + 1, NULL, 10);
        buffer_append_literal(&said, "text ");
        buffer_append(&said, bytes_of(input.data + wanted - size - 2, size));
    } else {
        buffer_append(&said, input.data[0] == ':'   ? BYTES("int ")
                             : input.data[0] == '+' ? BYTES("text ")
                                                    : BYTES("error "));
        buffer_append(&said, bytes_of(input.data + 1, wanted - 3));
    }
    buffer_append_byte(&said, '\0'); /* for strtoull */
    return bytes_of(said.data, said.size - 1);
}

#define ASK(...)                                                                                           \
    ask_list((const struct bytes[]){__VA_ARGS__}, COUNT_OF(((const struct bytes[]){__VA_ARGS__})))
#define T(text)                  bytes_of_text(text)
#define EVAL(script, count, ...) ASK(BYTES("EVAL"), T(script), BYTES(count), __VA_ARGS__)

#define EXPECT_SAID(said, wanted) EXPECT_TEXT(said, BYTES(wanted))

static void begin(void)
{
    if (server.fd < 0)
        skip();
    ASK(T("FLUSHALL"));
}

static struct bytes take(const char *lease, const char *token)
{
    return EVAL(fleet_script_take, "2", T(lease), T("{u}:s"), T(token), T("10000"));
}

static struct bytes fill(const char *token, const char *witness, const char *pieces)
{
    return EVAL(fleet_script_fill, "4", T("{u}:l"), T("{u}:s"), T("{u}:w"), T("{u}:a"), T(token), T("5000"),
                T(witness), T("answer"), T("{u}:c:"), T(pieces));
}

static struct bytes purge(const char *how)
{
    return EVAL(fleet_script_purge, "3", T("{u}:s"), T("{u}:w"), T("{u}:l"), T(how));
}

TEST(a_lease_is_one_s_alone_and_its_holder_s_to_keep)
{
    begin();
    EXPECT_SAID(take("{u}:l", "me"), "int 1");
    EXPECT_SAID(take("{u}:l", "you"), "int 0");
    EXPECT_SAID(EVAL(fleet_script_renew, "1", T("{u}:l"), T("you"), T("9000")), "int 0");
    EXPECT_SAID(EVAL(fleet_script_renew, "1", T("{u}:l"), T("me"), T("9000")), "int 1");
    EXPECT_SAID(fill("you", "r1111111111111111-", "0"), "int 0");
    EXPECT_SAID(fill("me", "r1111111111111111-", "0"), "int 1");
    EXPECT_SAID(ASK(T("GET"), T("{u}:w")), "text r1111111111111111-");
    EXPECT_SAID(ASK(T("GET"), T("{u}:a")), "text answer");
    EXPECT_SAID(take("{u}:l", "you"), "int 1");
}

TEST(a_purge_takes_out_all_of_a_url_and_its_leases)
{
    begin();
    take("{u}:l", "me");
    fill("me", "r1111111111111111-", "0");
    take("{u}:l", "me");
    take("{u}:l:V", "me");
    purge("h");
    EXPECT_SAID(ASK(T("DBSIZE")), "int 0");
    EXPECT_SAID(fill("me", "r2222222222222222-", "0"), "int 0");
    EXPECT_SAID(ASK(T("DBSIZE")), "int 0");
}

TEST(a_soft_purge_leaves_answers_and_says_that_they_are_stale)
{
    begin();
    take("{u}:l", "me");
    fill("me", "r1111111111111111-", "0");
    take("{u}:l", "me");
    purge("s");
    EXPECT_SAID(ASK(T("GET"), T("{u}:w")), "text r1111111111111111s");
    EXPECT_SAID(fill("me", "r2222222222222222-", "0"), "int 0");
    EXPECT_SAID(ASK(T("GET"), T("{u}:a")), "text answer");
}

TEST(a_marker_of_variants_lives_as_long_as_the_longest_of_them)
{
    begin();
    take("{u}:l:V", "me");
    EXPECT_SAID(EVAL(fleet_script_fill, "5", T("{u}:l:V"), T("{u}:s"), T("{u}:w:V"), T("{u}:a:V"),
                     T("{u}:w"), T("me"), T("5000000"), T("r1111111111111111-"), T("answer"), T("{u}:c:"),
                     T("0"), T("v3333333333333333-accept\n")),
                "int 1");
    take("{u}:l:W", "me");
    EVAL(fleet_script_fill, "5", T("{u}:l:W"), T("{u}:s"), T("{u}:w:W"), T("{u}:a:W"), T("{u}:w"), T("me"),
         T("5000"), T("r1111111111111111-"), T("answer"), T("{u}:c:"), T("0"),
         T("v3333333333333333-accept\n"));
    EXPECT(atoi(ASK(T("PTTL"), T("{u}:w")).data + 4) > 4000000);
    EXPECT(atoi(ASK(T("PTTL"), T("{u}:s")).data + 4) > 4000000);
    purge("h");
    EXPECT_SAID(ASK(T("DBSIZE")), "int 0");
}

TEST(the_pieces_of_a_body_go_with_it)
{
    begin();
    take("{u}:l", "me");
    ASK(T("SET"), T("{u}:c:1111111111111111:0"), T("piece"));
    ASK(T("SET"), T("{u}:c:1111111111111111:1"), T("piece"));
    fill("me", "r1111111111111111-", "2");
    take("{u}:l", "me");
    ASK(T("SET"), T("{u}:c:2222222222222222:0"), T("piece"));
    fill("me", "r2222222222222222-", "1");
    EXPECT_SAID(ASK(T("DBSIZE")), "int 4"); /* names, witness, answer, piece */
    EXPECT(atoi(ASK(T("PTTL"), T("{u}:c:2222222222222222:0")).data + 4) > 4000);
    purge("h");
    EXPECT_SAID(ASK(T("DBSIZE")), "int 0");
}

TEST(an_answer_of_which_a_piece_has_gone_is_not_put)
{
    begin();
    take("{u}:l", "me");
    ASK(T("SET"), T("{u}:c:1111111111111111:0"), T("piece"));
    EXPECT_SAID(fill("me", "r1111111111111111-", "2"), "int 0");
    EXPECT_SAID(ASK(T("EXISTS"), T("{u}:w"), T("{u}:a"), T("{u}:l")), "int 0");
}

/* An LRU may choose it first: nobody reads it. */
/* What struct share_reply is made of. */
static void expect_share(struct bytes said, int64_t count, int64_t due_ms_least, int64_t due_ms_most,
                         int64_t left_percent)
{
    int64_t number;

    EXPECT(bytes_start_with(said, T("text ")));
    number = strtoll(said.data + 5, NULL, 10);
    EXPECT_EQ(number >> 31, count);
    EXPECT_EQ(number & 127, left_percent);
    if ((number >> 7 & 0xffffff) < due_ms_least || (number >> 7 & 0xffffff) > due_ms_most)
        fail_msg("due in %lld ms", (long long)(number >> 7 & 0xffffff));
}

#define SHARE(key, count, own, remembers)                                                                  \
    EVAL(fleet_script_share, "1", T(key), T(count), T(own), T(remembers), T("4"), T("3600000000"))

TEST(turns_are_taken_from_a_bucket_that_all_nodes_share)
{
    begin();
    expect_share(SHARE("{r}:b", "3", "0", "0"), 3, 0, 0, 25);
    expect_share(SHARE("{r}:b", "3", "0", "0"), 1, 0, 0, 0);
    expect_share(SHARE("{r}:b", "3", "0", "1"), 0, 3590000, 3600000, 0);
    expect_share(SHARE("{r}:b", "1", "2", "1"), 0, 10790000, 10800000, 0); /* two were sent without it */
    expect_share(SHARE("{r}:b", "1", "9999999", "1"), 0, 16777215, 16777215, 0); /* as much as it holds */
    ASK(T("DEL"), T("{r}:b"));
    expect_share(SHARE("{r}:b", "3", "0", "1"), 0, 3590000, 3600000, 0); /* it was used, and lost */
    ASK(T("DEL"), T("{r}:b"));
    ASK(T("SET"), T("{r}:b"), T("what others put there"));
    expect_share(SHARE("{r}:b", "9", "0", "0"), 4, 0, 0, 0);
    /* Of several limits that which has least. */
    expect_share(EVAL(fleet_script_share, "1", T("{s}:b"), T("9"), T("0"), T("0"), T("8"), T("1000000000"),
                      T("2"), T("3600000000")),
                 2, 0, 0, 0);
    EXPECT(strtoll(ASK(T("PTTL"), T("{s}:b")).data + 4, NULL, 10) > 3600000);
}

TEST(nodes_are_counted_while_they_say_that_they_are_there)
{
    begin();
    EXPECT_SAID(EVAL(fleet_script_here, "1", T("{n}"), T("one"), T("60000")), "int 1");
    EXPECT_SAID(EVAL(fleet_script_here, "1", T("{n}"), T("other"), T("60000")), "int 2");
    EXPECT_SAID(EVAL(fleet_script_here, "1", T("{n}"), T("one"), T("60000")), "int 2");
    usleep(20000);
    EXPECT_SAID(EVAL(fleet_script_here, "1", T("{n}"), T("one"), T("10")), "int 1");
}

TEST(a_purge_needs_no_list_of_names)
{
    static const struct {
        const char *how, *before, *after;
    } rows[] = {
        {"h", "r1111111111111111-", "null"},
        {"s", "r1111111111111111-", "text r1111111111111111s"},
        {"h", "v1111111111111111-accept\n", "null"},
        {"s", "v1111111111111111-accept\n", "null"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin();
        take("{u}:l", "me");
        fill("me", rows[i].before, "0");
        ASK(T("DEL"), T("{u}:s"));
        purge(rows[i].how);
        EXPECT_TEXT(ASK(T("GET"), T("{u}:w")), bytes_of_text(rows[i].after));
    }
}

TEST(who_waits_for_a_variant_is_told_that_its_lease_was_purged)
{
    begin();
    take("{u}:l:V", "me");
    ASK(T("SET"), T("{u}:w"), T("v1111111111111111-accept\n"));
    ASK(T("WATCH"), T("{u}:w:V"));
    purge("h");
    EXPECT_SAID(ASK(T("MULTI")), "text OK");
    EXPECT_SAID(ASK(T("EXEC")), "error -1"); /* no list: what is watched was written */
    EXPECT_SAID(ASK(T("EXISTS"), T("{u}:w:V"), T("{u}:w"), T("{u}:l:V")), "int 0");
}

TEST(keys_of_another_type_are_in_nobodys_way)
{
    static const char *const keys[] = {"{u}:l", "{u}:s", "{u}:w", "{u}:a"};
    struct fleet_log log;
    struct bytes said;

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        begin();
        ASK(T("LPUSH"), T(keys[i]), T("x"));
        EXPECT_SAID(take("{u}:l", "me"), "int 1");
        EXPECT_SAID(fill("me", "r1111111111111111-", "0"), "int 1");
        EXPECT_SAID(ASK(T("GET"), T("{u}:w")), "text r1111111111111111-");
        for (size_t j = 0; j < 2; j++) {
            ASK(T("DEL"), T(keys[i]));
            ASK(T("LPUSH"), T(keys[i]), T("x"));
            EXPECT_SAID(purge(j == 0 ? "s" : "h"), "int 1");
        }
        EXPECT_SAID(ASK(T("EXISTS"), T("{u}:w")), "int 0");
    }
    begin();
    ASK(T("LPUSH"), FLEET_LOG_KEY, T("x"));
    EVAL(fleet_script_log, "1", FLEET_LOG_KEY, T("12345678"), T(""), T("h"), T("0"), T(""), T("0"));
    said = ASK(T("GET"), FLEET_LOG_KEY);
    EXPECT(fleet_log_read(&log, bytes_after(said, 5)));
}

TEST(a_url_has_no_more_keys_than_so_many_whatever_is_asked_for)
{
    begin();
    for (int i = 0; i < 1000; i++) {
        char lease[32], witness[32];
        snprintf(lease, sizeof lease, "{u}:l:%d", i);
        snprintf(witness, sizeof witness, "{u}:w:%d", i);
        EXPECT_SAID(take(lease, "me"), "int 1");
        if (i % 2 == 0)
            EVAL(fleet_script_release, "3", T(lease), T("{u}:s"), T(witness), T("me"), T("n"), T("9000"));
    }
    EXPECT(atoi(ASK(T("SCARD"), T("{u}:s")).data + 4) <= 401);
    EXPECT(atoi(ASK(T("DBSIZE")).data + 4) <= 500);
}

TEST(purges_need_no_memory)
{
    begin();
    take("{u}:l", "me");
    fill("me", "r1111111111111111-", "0");
    ASK(T("CONFIG"), T("SET"), T("maxmemory"), T("1"));
    EXPECT(bytes_start_with(take("{u}:l", "me"), BYTES("error OOM")));
    EXPECT_SAID(purge("h"), "int 1");
    EXPECT_SAID(ASK(T("EXISTS"), T("{u}:w")), "int 0");
    EXPECT(bytes_start_with(
        EVAL(fleet_script_log, "1", FLEET_LOG_KEY, T("12345678"), T("p"), T("h"), T("0"), T("/a"), T("0")),
        BYTES("text 1")));
    ASK(T("CONFIG"), T("SET"), T("maxmemory"), T("0"));
}

TEST(a_lease_is_given_back_with_a_note_or_without_one)
{
    begin();
    take("{u}:l", "me");
    EXPECT_SAID(
        EVAL(fleet_script_release, "3", T("{u}:l"), T("{u}:s"), T("{u}:w"), T("you"), T("n"), T("1000")),
        "int 0");
    EXPECT_SAID(
        EVAL(fleet_script_release, "3", T("{u}:l"), T("{u}:s"), T("{u}:w"), T("me"), T("n"), T("1000")),
        "int 1");
    EXPECT_SAID(ASK(T("GET"), T("{u}:w")), "text n");
    take("{u}:l", "me");
    EXPECT_SAID(EVAL(fleet_script_release, "3", T("{u}:l"), T("{u}:s"), T("{u}:w"), T("me"), T(""), T("0")),
                "int 1");
    EXPECT_SAID(ASK(T("EXISTS"), T("{u}:l")), "int 0");
}

static struct bytes take_turn(const char *token, const char *keep_ms)
{
    return EVAL(fleet_script_turn, "1", T("{v}:t"), T(token), T(keep_ms));
}

TEST(a_turn_is_one_s_until_its_time_is_over_or_it_is_given_back)
{
    struct bytes left;

    begin();
    EXPECT_SAID(take_turn("me", "10000"), "int 0");
    left = take_turn("you", "90000");
    EXPECT(bytes_start_with(left, BYTES("int ")) && atoi(left.data + 4) > 5000 &&
           atoi(left.data + 4) <= 10000);
    EXPECT_SAID(take_turn("me", "50000"), "int 0");
    EXPECT(atoi(take_turn("you", "0").data + 4) > 10000);
    EXPECT_SAID(ASK(T("GET"), T("{v}:t")), "text me");
    EXPECT_SAID(take_turn("me", "0"), "int 0");
    EXPECT_SAID(ASK(T("EXISTS"), T("{v}:t")), "int 0");
    EXPECT_SAID(take_turn("me", "0"), "int 0");
    EXPECT_SAID(take_turn("you", "1"), "int 0");
    usleep(5000);
    EXPECT_SAID(take_turn("me", "1000"), "int 0");
    ASK(T("SET"), T("{v}:t"), T("somebody")); /* with no end to it: nobody of ours */
    EXPECT_SAID(take_turn("me", "1000"), "int 0");
    ASK(T("DEL"), T("{v}:t"));
    ASK(T("LPUSH"), T("{v}:t"), T("x"));
    EXPECT_SAID(take_turn("me", "1000"), "int 0");
}

static uint64_t add(const char *rule, const char *soft, const char *place, const char *text)
{
    return strtoull(EVAL(fleet_script_log, "1", FLEET_LOG_KEY, T("12345678"), T(rule), T(soft), T(place),
                         T(text), T("0"))
                            .data +
                        5,
                    NULL, 10);
}

TEST(the_log_remembers_of_old_purges_what_it_must)
{
    struct fleet_record record;
    struct fleet_log log;
    uint64_t first, tag, prefix, number = 0;
    struct bytes said;
    size_t count = 0;

    begin();
    first = add("", "h", "0", "");
    EXPECT(first > 1000000000000000 && add("", "h", "0", "") == first);
    tag = add("t", "h", "9", "birds");
    prefix = add("p", "s", "0", "/a");
    EXPECT(first < tag && tag < prefix);
    said = ASK(T("GET"), FLEET_LOG_KEY);
    EXPECT(fleet_log_read(&log, bytes_after(said, 5)));
    EXPECT(log.number == prefix && log.forgotten == first && log.left == first);
    EXPECT(fleet_log_next(&log, &record) && record.rule == FLEET_TAG && record.number == tag);
    EXPECT_TEXT(record.text, BYTES("birds"));
    EXPECT(fleet_log_next(&log, &record) && record.rule == FLEET_PREFIX && record.is_soft);
    for (int i = 0; i < FLEET_LOG_RECORDS_MAX; i++)
        number = add("u", "h", "0", "http://a/b");
    said = ASK(T("GET"), FLEET_LOG_KEY);
    EXPECT(fleet_log_read(&log, bytes_after(said, 5)));
    EXPECT(log.number == number && log.forgotten == prefix && log.left == prefix);
    EXPECT(fleet_log_tag_number(&log, 9) == tag && fleet_log_tag_number(&log, 8) == 0);
    while (fleet_log_next(&log, &record))
        count++;
    EXPECT_EQ(count, FLEET_LOG_RECORDS_MAX);
}

TEST(a_log_that_was_lost_or_broken_forgets_all_before_it)
{
    struct fleet_log log;
    struct bytes said;
    uint64_t before;

    begin();
    before = add("t", "h", "9", "birds");
    ASK(T("SET"), FLEET_LOG_KEY, T("somebody else's"));
    EXPECT(add("", "h", "0", "") > before);
    said = ASK(T("GET"), FLEET_LOG_KEY);
    EXPECT(fleet_log_read(&log, bytes_after(said, 5)) && log.forgotten > before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ROW(a_lease_is_one_s_alone_and_its_holder_s_to_keep),
        TEST_ROW(a_purge_takes_out_all_of_a_url_and_its_leases),
        TEST_ROW(a_soft_purge_leaves_answers_and_says_that_they_are_stale),
        TEST_ROW(a_marker_of_variants_lives_as_long_as_the_longest_of_them),
        TEST_ROW(the_pieces_of_a_body_go_with_it),
        TEST_ROW(an_answer_of_which_a_piece_has_gone_is_not_put),
        TEST_ROW(turns_are_taken_from_a_bucket_that_all_nodes_share),
        TEST_ROW(nodes_are_counted_while_they_say_that_they_are_there),
        TEST_ROW(a_purge_needs_no_list_of_names),
        TEST_ROW(who_waits_for_a_variant_is_told_that_its_lease_was_purged),
        TEST_ROW(keys_of_another_type_are_in_nobodys_way),
        TEST_ROW(a_url_has_no_more_keys_than_so_many_whatever_is_asked_for),
        TEST_ROW(purges_need_no_memory),
        TEST_ROW(a_lease_is_given_back_with_a_note_or_without_one),
        TEST_ROW(a_turn_is_one_s_until_its_time_is_over_or_it_is_given_back),
        TEST_ROW(the_log_remembers_of_old_purges_what_it_must),
        TEST_ROW(a_log_that_was_lost_or_broken_forgets_all_before_it),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
