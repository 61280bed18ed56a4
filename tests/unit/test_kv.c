/* links: nuthatch-kv nuthatch-resp nuthatch-memcached nuthatch-store nuthatch-message nuthatch-base
 * Conversations with the engine in both protocols: bytes in, bytes out, on a clock that the test moves. */
#include "base/compiler.h"
#include "engine/kv/kv.h"
#include "protocol/memcached/memcached.h"
#include "protocol/resp/resp.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

enum { ARGUMENTS = 32 };

struct fixture {
    struct kv kv;
    struct counters counters;
    struct now now;
    struct session resp_session, memcached_session;
    struct buffer output;
    struct reply resp_reply, memcached_reply;
};

static void say_resp(struct reply *reply, const struct outcome *outcome)
{
    struct fixture *fixture = CONTAINER_OF(reply, struct fixture, resp_reply);
    resp_render(&fixture->output, fixture->resp_session.resp_version, outcome);
}

static void say_memcached(struct reply *reply, const struct outcome *outcome)
{
    memcached_render(&CONTAINER_OF(reply, struct fixture, memcached_reply)->output, outcome);
}

static void read_facts(void *context, struct kv_facts *facts)
{
    (void)context;
    *facts = (struct kv_facts){.started_mono_ms = 1000,
                               .thread_count = 2,
                               .connections_now = 3,
                               .connections_max = 100,
                               .resident_bytes = 3 << 20,
                               .tcp_port = 6379,
                               .loop_name = "epoll"};
    facts->metrics[METRIC_get_hits] = 5;
    facts->metrics[METRIC_get_misses] = 7;
}

static void setup(struct fixture *fixture)
{
    nh_options options = {.size = sizeof options, .memory_bytes = 8 << 20, .hash_seed = 1};

    *fixture = (struct fixture){
        .now = {.mono_ms = 61000, .wall_ms = INT64_C(1700000000000)},
        .resp_session = {.id = 7, .connected_at_ms = 1000, .resp_version = 2},
        .memcached_session = {.id = 8},
        .resp_reply = {say_resp, NULL},
        .memcached_reply = {say_memcached, NULL},
    };
    fixture->kv.counters = &fixture->counters;
    fixture->kv.read_facts = read_facts;
    EXPECT_EQ(nh_create(&options, &fixture->kv.store), NH_OK);
    EXPECT_EQ(kv_hub_create(1, NULL, NULL, &fixture->kv.hub), OK);
    kv_session_begin(&fixture->kv, &fixture->resp_session);
    kv_session_begin(&fixture->kv, &fixture->memcached_session);
    fixture->resp_session.active_ms = fixture->now.mono_ms;
    kv_begin(&fixture->kv);
}

static void teardown(struct fixture *fixture)
{
    nh_stats stats = {.size = sizeof stats};
    EXPECT_EQ(nh_stats_read(fixture->kv.store, &stats), NH_OK);
    EXPECT_EQ(stats.pinned_bytes, 0);
    nh_destroy(fixture->kv.store);
    kv_end(&fixture->kv);
    kv_session_end(&fixture->kv, &fixture->resp_session);
    kv_session_end(&fixture->kv, &fixture->memcached_session);
    kv_hub_destroy(fixture->kv.hub);
    buffer_fini(&fixture->output);
}

static void pass(struct fixture *fixture, int64_t ms)
{
    fixture->now.mono_ms += ms;
    fixture->now.wall_ms += ms;
}

/* The answer in RESP to an inline command; readable until the next. */
static struct bytes resp(struct fixture *fixture, const char *line)
{
    static const struct resp_limits limits = {
        .arguments_max = 1000, .bulk_bytes_max = 1 << 20, .inline_bytes_max = 65536};
    struct resp_parser parser = {0};
    struct buffer input = {0};
    struct bytes arguments[ARGUMENTS], error;
    struct command command;
    size_t consumed;

    buffer_append(&input, bytes_of_text(line));
    buffer_append_literal(&input, "\r\n");
    EXPECT_EQ(resp_parse(&parser, &limits, buffer_bytes(&input), arguments, ARGUMENTS, &command, &consumed,
                         &error),
              PARSE_DONE);
    buffer_clear(&fixture->output);
    kv_prefetch(&fixture->kv, &fixture->resp_session, &command, 1);
    kv_run(&fixture->kv, fixture->now, &fixture->resp_session, &command, &fixture->resp_reply);
    resp_parser_fini(&parser);
    buffer_fini(&input);
    return buffer_bytes(&fixture->output);
}

/* The same in memcached; `line` holds the data block too, but not the last line end. */
static struct bytes memcached(struct fixture *fixture, const char *line)
{
    static const struct memcached_limits limits = {65536, 1 << 20};
    struct memcached_parser parser = {0};
    struct buffer input = {0};
    struct bytes arguments[ARGUMENTS], error;
    struct command command;
    size_t consumed;

    buffer_append(&input, bytes_of_text(line));
    buffer_append_literal(&input, "\r\n");
    EXPECT_EQ(memcached_parse(&parser, &limits, buffer_bytes(&input), arguments, ARGUMENTS, &command,
                              &consumed, &error),
              PARSE_DONE);
    buffer_clear(&fixture->output);
    kv_prefetch(&fixture->kv, &fixture->memcached_session, &command, 1);
    kv_run(&fixture->kv, fixture->now, &fixture->memcached_session, &command, &fixture->memcached_reply);
    memcached_parser_fini(&parser);
    buffer_fini(&input);
    return buffer_bytes(&fixture->output);
}

struct line {
    const char *says, *wanted;
};

/* A conversation in RESP from the beginning. */
static void expect_resp(const struct line *lines, size_t count)
{
    struct fixture fixture;
    setup(&fixture);
    for (size_t i = 0; i < count; i++)
        EXPECT_TEXT(resp(&fixture, lines[i].says), bytes_of_text(lines[i].wanted));
    teardown(&fixture);
}

static void expect_memcached(const struct line *lines, size_t count)
{
    struct fixture fixture;
    setup(&fixture);
    for (size_t i = 0; i < count; i++)
        EXPECT_TEXT(memcached(&fixture, lines[i].says), bytes_of_text(lines[i].wanted));
    teardown(&fixture);
}

TEST(every_row_of_the_table_is_found_by_its_name_in_any_case)
{
    for (enum command_id id = COMMAND_UNKNOWN + 1; id < COMMAND_COUNT; id++) {
        const struct command_row *row = command_row(id);
        char name[64];
        size_t size = strlen(row->name);

        EXPECT_EQ(row->name_bytes, size);
        for (size_t i = 0; i < size; i++)
            name[i] = row->name[i] >= 'a' && row->name[i] <= 'z' ? row->name[i] - 32 : row->name[i];
        EXPECT_EQ(command_find(row->dialect, bytes_of(row->name, size)), id);
        EXPECT_EQ(command_find(row->dialect, bytes_of(name, size)), id);
        name[size] = '\0'; /* a zero byte behind it makes it another name */
        EXPECT_EQ(command_find(row->dialect, bytes_of(name, size + 1)), COMMAND_UNKNOWN);
        for (size_t i = 0; i < size; i++) { /* so does any other byte that differs in more than its case */
            name[i] ^= (char)0x80;
            EXPECT_EQ(command_find(row->dialect, bytes_of(name, size)), COMMAND_UNKNOWN);
            name[i] ^= (char)0x80;
        }
    }
    EXPECT_EQ(command_find(DIALECT_resp, BYTES("")), COMMAND_UNKNOWN);
    EXPECT_EQ(command_find(DIALECT_resp, BYTES("g")), COMMAND_UNKNOWN);
    EXPECT_EQ(command_find(DIALECT_resp, BYTES("{|")), COMMAND_UNKNOWN);
    EXPECT_EQ(command_find(DIALECT_resp, BYTES("flush_all")), COMMAND_UNKNOWN);
    EXPECT_EQ(command_find(DIALECT_memcached, BYTES("ping")), COMMAND_UNKNOWN);
    EXPECT_EQ(command_find(DIALECT_resp, BYTES("getgetgetgetgetgetgetgetgetgetgetgetget")),
              COMMAND_UNKNOWN);
}

TEST(unknown_commands_and_wrong_counts_are_answered_in_redis_words)
{
    static const struct line lines[] = {
        {"foo", "-ERR unknown command 'foo', with args beginning with: \r\n"},
        {"foo a 'b c'", "-ERR unknown command 'foo', with args beginning with: 'a' 'b c' \r\n"},
        {"\"f\\r\\no\" \"\\n\"", "-ERR unknown command 'f  o', with args beginning with: ' ' \r\n"},
        {"get", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"get a b", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"set a", "-ERR wrong number of arguments for 'set' command\r\n"},
        {"mset a b c", "-ERR wrong number of arguments for 'mset' command\r\n"},
        {"client", "-ERR wrong number of arguments for 'client' command\r\n"},
        {"client foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n"},
        {"client setname", "-ERR wrong number of arguments for 'client|setname' command\r\n"},
        {"''", "-ERR unknown command '', with args beginning with: \r\n"},
    };
    expect_resp(lines, COUNT_OF(lines));
}

TEST(an_unknown_command_quotes_no_more_than_redis_does_of_what_it_was_sent)
{
    struct fixture fixture;
    char line[3000];
    struct bytes answer;

    setup(&fixture);
    memset(line, 'a', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    line[1000] = line[1001 + 500] = ' ';
    answer = resp(&fixture, line);
    EXPECT_EQ(answer.size,
              strlen("-ERR unknown command '', with args beginning with: '' \r\n") + 128 + 128);
    teardown(&fixture);
}

TEST(set_obeys_its_conditions_and_answers_with_what_was_there)
{
    static const struct line lines[] = {
        {"set k 1 xx", "$-1\r\n"},
        {"set k 1 xx get", "$-1\r\n"},
        {"get k", "$-1\r\n"},
        {"set k 1 nx get", "$-1\r\n"},
        {"set k 2 nx", "$-1\r\n"},
        {"set k 2 nx get", "$1\r\n1\r\n"},
        {"get k", "$1\r\n1\r\n"},
        {"set k 3 xx get", "$1\r\n1\r\n"},
        {"set k 4 get", "$1\r\n3\r\n"},
        {"set k 5 xx", "+OK\r\n"},
        {"get k", "$1\r\n5\r\n"},
        {"set k 1 nx xx", "-ERR syntax error\r\n"},
        {"set k 1 ex", "-ERR syntax error\r\n"},
        {"set k 1 keepttl ex 1", "-ERR syntax error\r\n"},
        {"set k 1 ex 1 px 1", "-ERR syntax error\r\n"},
        {"set k 1 ex a", "-ERR value is not an integer or out of range\r\n"},
        {"set k 1 ex 0", "-ERR invalid expire time in 'set' command\r\n"},
        {"set k 1 ex 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"},
        {"set k 1 px 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"},
        {"get k", "$1\r\n5\r\n"},
    };
    expect_resp(lines, COUNT_OF(lines));
}

TEST(a_value_lives_exactly_as_long_as_it_was_given)
{
    static const struct {
        const char *set;
        int64_t ttl_ms;
    } cases[] = {
        {"set k v ex 10", 10000},
        {"set k v px 1500", 1500},
        {"set k v exat 1700000020", 20000},
        {"set k v pxat 1700000000001", 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture fixture;
        struct buffer wanted = {0};

        setup(&fixture);
        resp(&fixture, cases[i].set);
        buffer_append_format(&wanted, ":%lld\r\n", (long long)cases[i].ttl_ms);
        EXPECT_TEXT(resp(&fixture, "pttl k"), buffer_bytes(&wanted));
        pass(&fixture, cases[i].ttl_ms - 1);
        EXPECT_TEXT(resp(&fixture, "get k"), BYTES("$1\r\nv\r\n"));
        EXPECT_TEXT(resp(&fixture, "pttl k"), BYTES(":1\r\n"));
        pass(&fixture, 1);
        EXPECT_TEXT(resp(&fixture, "get k"), BYTES("$-1\r\n"));
        EXPECT_TEXT(resp(&fixture, "pttl k"), BYTES(":-2\r\n"));
        buffer_fini(&wanted);
        teardown(&fixture);
    }
}

TEST(a_plain_set_drops_the_expiry_and_keepttl_keeps_it)
{
    static const struct line lines[] = {
        {"set k v ex 10", "+OK\r\n"}, {"set k w keepttl", "+OK\r\n"}, {"ttl k", ":10\r\n"},
        {"set k x", "+OK\r\n"},       {"ttl k", ":-1\r\n"},           {"set k y exat 1", "+OK\r\n"},
        {"get k", "$-1\r\n"},
    };
    expect_resp(lines, COUNT_OF(lines));
}

TEST(expire_obeys_its_conditions)
{
    static const struct line lines[] = {
        {"expire k 10", ":0\r\n"},
        {"set k v", "+OK\r\n"},
        {"expire k 10 xx", ":0\r\n"},
        {"expire k 10 gt", ":0\r\n"},
        {"expire k 10 nx", ":1\r\n"},
        {"expire k 20 nx", ":0\r\n"},
        {"expire k 10 gt", ":0\r\n"},
        {"expire k 20 gt", ":1\r\n"},
        {"expire k 20 lt", ":0\r\n"},
        {"pexpire k 15000 lt xx", ":1\r\n"},
        {"pttl k", ":15000\r\n"},
        {"expire k 1 nx xx", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"},
        {"expire k 1 gt lt", "-ERR GT and LT options at the same time are not compatible\r\n"},
        {"expire k 1 q", "-ERR Unsupported option q\r\n"},
        {"expire k 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"},
        {"expire k -9223372036854775808", "-ERR invalid expire time in 'expire' command\r\n"},
        {"pexpire k 0", ":1\r\n"},
        {"exists k", ":0\r\n"},
    };
    expect_resp(lines, COUNT_OF(lines));
}

TEST(ttl_rounds_to_the_nearest_second)
{
    static const struct line lines[] = {
        {"set k v px 1499", "+OK\r\n"}, {"ttl k", ":1\r\n"},
        {"set k v px 1500", "+OK\r\n"}, {"ttl k", ":2\r\n"},
        {"set k v px 499", "+OK\r\n"},  {"ttl k", ":0\r\n"},
    };
    expect_resp(lines, COUNT_OF(lines));
}

TEST(numbers_are_counted_up_to_the_edge_and_not_beyond)
{
    static const struct line lines[] = {
        {"incr n", ":1\r\n"},
        {"decr n", ":0\r\n"},
        {"decrby n 5", ":-5\r\n"},
        {"incrby n 9223372036854775807", ":9223372036854775802\r\n"},
        {"incrby n 6", "-ERR increment or decrement would overflow\r\n"},
        {"incrby n 5", ":9223372036854775807\r\n"},
        {"incr n", "-ERR increment or decrement would overflow\r\n"},
        {"decrby n -9223372036854775808", "-ERR decrement would overflow\r\n"},
        {"incrby n 01", "-ERR value is not an integer or out of range\r\n"},
        {"set n ' 1'", "+OK\r\n"},
        {"incr n", "-ERR value is not an integer or out of range\r\n"},
    };
    expect_resp(lines, COUNT_OF(lines));
}

TEST(spaces_do_not_see_each_others_keys_and_flushall_empties_all_of_the_clients)
{
    struct fixture fixture;
    nh_key foreign = {"page", 4, 16}; /* as a gateway might keep */
    nh_value value;

    setup(&fixture);
    EXPECT_EQ(nh_put(fixture.kv.store, fixture.now.mono_ms, foreign, (nh_bytes){"x", 1}, NULL, NULL),
              NH_OK);
    resp(&fixture, "set k 0");
    EXPECT_TEXT(resp(&fixture, "select 15"), BYTES("+OK\r\n"));
    EXPECT_TEXT(resp(&fixture, "get k"), BYTES("$-1\r\n"));
    resp(&fixture, "mset k 1 l 2");
    EXPECT_TEXT(resp(&fixture, "dbsize"), BYTES(":2\r\n"));
    EXPECT_TEXT(resp(&fixture, "flushdb"), BYTES("+OK\r\n"));
    EXPECT_TEXT(resp(&fixture, "dbsize"), BYTES(":0\r\n"));
    resp(&fixture, "select 0");
    EXPECT_TEXT(resp(&fixture, "dbsize"), BYTES(":1\r\n"));
    EXPECT_TEXT(resp(&fixture, "flushall async"), BYTES("+OK\r\n"));
    EXPECT_TEXT(resp(&fixture, "dbsize"), BYTES(":0\r\n"));
    EXPECT_EQ(nh_borrow(fixture.kv.store, fixture.now.mono_ms, foreign, &value), NH_OK);
    nh_release(fixture.kv.store, &value);
    teardown(&fixture);
}

TEST(hello_chooses_the_version_only_if_all_of_it_is_understood)
{
    static const struct line lines[] = {
        {"hello x", "-ERR Protocol version is not an integer or out of range\r\n"},
        {"hello 4", "-NOPROTO unsupported protocol version\r\n"},
        {"hello 3 auth other x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"hello 3 foo", "-ERR Syntax error in HELLO option 'foo'\r\n"},
        {"hello 3 setname 'a b'",
         "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {"get k", "$-1\r\n"},
        {"hello 3 auth default x setname me",
         "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n$"
         "2\r\nid\r\n:7\r\n"
         "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"},
        {"get k", "_\r\n"},
        {"client getname", "$2\r\nme\r\n"},
        {"reset", "+RESET\r\n"},
        {"get k", "$-1\r\n"},
        {"client getname", "$-1\r\n"},
        {"auth x",
         "-ERR AUTH <password> called without any password configured for the default user. Are you "
         "sure your configuration is correct?\r\n"},
        {"auth default x", "+OK\r\n"},
    };
    expect_resp(lines, COUNT_OF(lines));
}

TEST(client_info_has_every_field_that_redis_7_has)
{
    static const struct line lines[] = {
        {"client setname me", "+OK\r\n"},
        {"client info", "$243\r\nid=7 addr= laddr= fd=0 name=me age=60 idle=0 flags=N db=0 sub=0 psub=0 "
                        "ssub=0 multi=-1 qbuf=0 "
                        "qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 "
                        "events=r cmd=client|info "
                        "user=default redir=-1 resp=2 lib-name= lib-ver=\n\r\n"},
    };
    expect_resp(lines, COUNT_OF(lines));
}

TEST(client_reply_silences_what_it_was_asked_to)
{
    static const struct line lines[] = {
        {"client reply skip", ""},      {"ping", ""},          {"ping", "+PONG\r\n"},
        {"client reply off", ""},       {"ping", ""},          {"foo", ""},
        {"client reply skip", ""},      {"ping", ""},          {"ping", ""},
        {"client reply on", "+OK\r\n"}, {"ping", "+PONG\r\n"},
    };
    expect_resp(lines, COUNT_OF(lines));
}

TEST(a_value_set_in_one_protocol_is_read_in_the_other)
{
    struct fixture fixture;

    setup(&fixture);
    resp(&fixture, "set a 'x y'");
    EXPECT_TEXT(memcached(&fixture, "get a"), BYTES("VALUE a 0 3\r\nx y\r\nEND\r\n"));
    memcached(&fixture, "set b 7 10 1\r\n5");
    EXPECT_TEXT(resp(&fixture, "get b"), BYTES("$1\r\n5\r\n"));
    EXPECT_TEXT(resp(&fixture, "ttl b"), BYTES(":10\r\n"));
    EXPECT_TEXT(resp(&fixture, "incrby b 5"), BYTES(":10\r\n"));
    EXPECT_TEXT(memcached(&fixture, "get b"), BYTES("VALUE b 7 2\r\n10\r\nEND\r\n"));
    EXPECT_TEXT(memcached(&fixture, "decr b 1"), BYTES("9\r\n"));
    EXPECT_TEXT(memcached(&fixture, "get b"), BYTES("VALUE b 7 2\r\n9 \r\nEND\r\n"));
    EXPECT_TEXT(resp(&fixture, "incr b"), BYTES(":10\r\n"));
    EXPECT_TEXT(memcached(&fixture, "get b"), BYTES("VALUE b 7 2\r\n10\r\nEND\r\n"));
    EXPECT_TEXT(resp(&fixture, "ttl b"), BYTES(":10\r\n"));
    teardown(&fixture);
}

TEST(a_padded_number_overflows_as_any_other)
{
    struct fixture fixture;

    setup(&fixture);
    memcached(&fixture, "set n 0 0 20\r\n9223372036854775807 ");
    EXPECT_TEXT(resp(&fixture, "incr n"), BYTES("-ERR increment or decrement would overflow\r\n"));
    memcached(&fixture, "set n 0 0 3\r\n1 x");
    EXPECT_TEXT(resp(&fixture, "incr n"), BYTES("-ERR value is not an integer or out of range\r\n"));
    memcached(&fixture, "set n 0 0 1\r\n ");
    EXPECT_TEXT(resp(&fixture, "incr n"), BYTES("-ERR value is not an integer or out of range\r\n"));
    teardown(&fixture);
}

TEST(memcached_counts_modulo_two_to_the_64_and_not_below_zero)
{
    static const struct line lines[] = {
        {"incr n 1", "NOT_FOUND\r\n"},
        {"set n 3 0 2\r\n10", "STORED\r\n"},
        {"decr n 1", "9\r\n"},
        {"get n", "VALUE n 3 2\r\n9 \r\nEND\r\n"},
        {"incr n 1", "10\r\n"},
        {"incr n 90", "100\r\n"},
        {"decr n 1000", "0\r\n"},
        {"get n", "VALUE n 3 3\r\n0  \r\nEND\r\n"},
        {"incr n 18446744073709551615", "18446744073709551615\r\n"},
        {"incr n 1", "0\r\n"},
        {"incr n -1", "CLIENT_ERROR invalid numeric delta argument\r\n"},
        {"incr n x", "CLIENT_ERROR invalid numeric delta argument\r\n"},
        {"set n 0 0 0\r\n", "STORED\r\n"},
        {"incr n 1", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
        {"set n 0 0 2\r\n-1", "STORED\r\n"},
        {"incr n 1", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
    };
    expect_memcached(lines, COUNT_OF(lines));
}

TEST(memcached_stores_by_its_conditions)
{
    static const struct line lines[] = {
        {"replace k 0 0 1\r\na", "NOT_STORED\r\n"},
        {"append k 0 0 1\r\na", "NOT_STORED\r\n"},
        {"cas k 0 0 1 1\r\na", "NOT_FOUND\r\n"},
        {"add k 7 0 1\r\na", "STORED\r\n"},
        {"add k 0 0 1\r\nb", "NOT_STORED\r\n"},
        {"append k 0 0 2\r\nbc", "STORED\r\n"},
        {"prepend k 0 0 1\r\nz", "STORED\r\n"},
        {"get k", "VALUE k 7 4\r\nzabc\r\nEND\r\n"},
        {"replace k 0 0 1\r\nb", "STORED\r\n"},
        {"set k 0 0 1 noreply\r\nc", ""},
        {"get k nope k", "VALUE k 0 1\r\nc\r\nVALUE k 0 1\r\nc\r\nEND\r\n"},
        {"delete k 1", "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"},
        {"delete k 0", "DELETED\r\n"},
        {"delete k", "NOT_FOUND\r\n"},
        {"set k x 0 1\r\na", "CLIENT_ERROR bad command line format\r\n"},
        {"set k 4294967296 0 1\r\na", "CLIENT_ERROR bad command line format\r\n"},
        {"set k 0 x 1\r\na", "CLIENT_ERROR bad command line format\r\n"},
        {"cas k 0 0 1 -1\r\na", "CLIENT_ERROR bad command line format\r\n"},
        {"get k", "END\r\n"},
        {"flush_all 10", "OK\r\n"},
        {"flush_all x", "CLIENT_ERROR invalid exptime argument\r\n"},
        {"touch k x", "CLIENT_ERROR invalid exptime argument\r\n"},
        {"verbosity 1", "OK\r\n"},
        {"stats foo", "ERROR\r\n"},
    };
    expect_memcached(lines, COUNT_OF(lines));
}

TEST(a_cas_with_the_version_that_gets_told_is_stored_once)
{
    struct fixture fixture;
    char line[100];
    struct bytes answer;
    uint64_t version;

    setup(&fixture);
    memcached(&fixture, "set k 0 0 1\r\na");
    answer = memcached(&fixture, "gets k");
    EXPECT(bytes_start_with(answer, BYTES("VALUE k 0 1 ")));
    version = strtoull(answer.data + strlen("VALUE k 0 1 "), NULL, 10);
    snprintf(line, sizeof line, "cas k 0 0 1 %llu\r\nb", (unsigned long long)version);
    EXPECT_TEXT(memcached(&fixture, line), BYTES("STORED\r\n"));
    EXPECT_TEXT(memcached(&fixture, line), BYTES("EXISTS\r\n"));
    EXPECT_TEXT(memcached(&fixture, "get k"), BYTES("VALUE k 0 1\r\nb\r\nEND\r\n"));
    teardown(&fixture);
}

TEST(an_exptime_is_relative_up_to_thirty_days_and_a_date_beyond)
{
    static const struct {
        const char *exptime;
        int64_t ttl_ms; /* 0: for ever; negative: gone at once */
    } cases[] = {
        {"0", 0},
        {"1", 1000},
        {"2592000", INT64_C(2592000000)},
        {"2592001", -1},
        {"1699999999", -1},
        {"1700000000", -1},
        {"1700000010", 10000},
        {"-1", -1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture fixture;
        char line[100];

        setup(&fixture);
        snprintf(line, sizeof line, "set k 0 %s 1\r\na", cases[i].exptime);
        EXPECT_TEXT(memcached(&fixture, line), BYTES("STORED\r\n"));
        snprintf(line, sizeof line, "touch k %s", cases[i].exptime);
        if (cases[i].ttl_ms >= 0) {
            EXPECT_TEXT(memcached(&fixture, line), BYTES("TOUCHED\r\n"));
            pass(&fixture, cases[i].ttl_ms - 1);
            EXPECT_TEXT(memcached(&fixture, "get k"), BYTES("VALUE k 0 1\r\na\r\nEND\r\n"));
            pass(&fixture, 1);
        }
        if (cases[i].ttl_ms != 0)
            EXPECT_TEXT(memcached(&fixture, "get k"), BYTES("END\r\n"));
        teardown(&fixture);
    }
}

TEST(quit_closes_in_both_protocols)
{
    struct fixture fixture;

    setup(&fixture);
    EXPECT_TEXT(resp(&fixture, "quit"), BYTES("+OK\r\n"));
    EXPECT(fixture.resp_session.closing);
    EXPECT_TEXT(memcached(&fixture, "quit"), BYTES(""));
    EXPECT(fixture.memcached_session.closing);
    teardown(&fixture);
}

static void expect_contains(struct bytes text, const char *part)
{
    if (memmem(text.data, text.size, part, strlen(part)) == NULL)
        fail_msg("no \"%s\" in \"%.*s\"", part, BYTES_PRINTF(text));
}

TEST(info_and_stats_tell_what_dashboards_read)
{
    static const char *const info_parts[] = {
        "# Server\r\nredis_version:7.0.15\r\n",
        "\r\nuptime_in_seconds:60\r\n",
        "\r\ntcp_port:6379\r\n",
        "\r\n\r\n# Clients\r\nconnected_clients:3\r\n",
        "\r\n\r\n# Memory\r\nused_memory:",
        "\r\nmaxmemory:8388608\r\n",
        "\r\nmaxmemory_human:8.00M\r\n",
        "\r\nused_memory_rss_human:3.00M\r\n",
        "\r\nloading:0\r\n",
        "\r\nkeyspace_hits:5\r\n",
        "\r\nkeyspace_misses:7\r\n",
        "\r\nrole:master\r\n",
        "\r\n\r\n# Nuthatch\r\nconnections_accepted:",
        "\r\ngateway_hits:",
        "\r\n\r\n# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\ndb3:keys=2,",
    };
    static const char *const stats_parts[] = {
        "STAT uptime 60\r\n",
        "STAT time 1700000000\r\n",
        "STAT cmd_get 12\r\n",
        "STAT get_hits 5\r\n",
        "STAT curr_connections 3\r\n",
        "STAT curr_items 1\r\n",
        "STAT limit_maxbytes 8388608\r\n",
    };
    struct fixture fixture;
    struct bytes text;

    setup(&fixture);
    resp(&fixture, "set k v");
    resp(&fixture, "select 3");
    resp(&fixture, "mset k v l w");
    for (size_t i = 0; i < COUNT_OF(info_parts); i++)
        expect_contains(resp(&fixture, "info"), info_parts[i]);
    EXPECT_TEXT(resp(&fixture, "info nothing"), BYTES("$0\r\n\r\n"));
    text = resp(&fixture, "info CLUSTER modules");
    EXPECT_TEXT(text, BYTES("$43\r\n# Modules\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n"));
    for (size_t i = 0; i < COUNT_OF(stats_parts); i++)
        expect_contains(memcached(&fixture, "stats"), stats_parts[i]);
    teardown(&fixture);
}

TEST(hits_and_misses_are_counted_per_key)
{
    struct fixture fixture;

    setup(&fixture);
    resp(&fixture, "set k v");
    resp(&fixture, "mget k l k");
    memcached(&fixture, "get k nope");
    EXPECT_EQ(counters_read(&fixture.counters, METRIC_get_hits), 3);
    EXPECT_EQ(counters_read(&fixture.counters, METRIC_get_misses), 2);
    EXPECT_EQ(counters_read(&fixture.counters, METRIC_commands), 3);
    teardown(&fixture);
}

TEST(a_key_may_be_empty_and_one_that_no_store_can_hold_is_refused)
{
    struct fixture fixture;
    struct buffer line = {0};

    setup(&fixture);
    EXPECT_TEXT(resp(&fixture, "get ''"), BYTES("$-1\r\n"));
    EXPECT_TEXT(resp(&fixture, "set '' v"), BYTES("+OK\r\n"));
    EXPECT_TEXT(resp(&fixture, "get ''"), BYTES("$1\r\nv\r\n"));
    buffer_append_literal(&line, "set ");
    for (int i = 0; i < 8000; i++)
        buffer_append_byte(&line, 'k');
    buffer_append(&line, bytes_of(" v", 3));
    EXPECT_TEXT(resp(&fixture, line.data), BYTES("+OK\r\n"));
    line.size -= 3;
    for (int i = 0; i < 30000; i++) /* more than half a segment of this small store */
        buffer_append_byte(&line, 'k');
    buffer_append(&line, bytes_of(" v", 3));
    EXPECT_TEXT(resp(&fixture, line.data), BYTES("-ERR key or value exceeds the maximum allowed size\r\n"));
    buffer_fini(&line);
    teardown(&fixture);
}

RUN_TESTS(TEST_ROW(every_row_of_the_table_is_found_by_its_name_in_any_case),
          TEST_ROW(unknown_commands_and_wrong_counts_are_answered_in_redis_words),
          TEST_ROW(an_unknown_command_quotes_no_more_than_redis_does_of_what_it_was_sent),
          TEST_ROW(set_obeys_its_conditions_and_answers_with_what_was_there),
          TEST_ROW(a_value_lives_exactly_as_long_as_it_was_given),
          TEST_ROW(a_plain_set_drops_the_expiry_and_keepttl_keeps_it),
          TEST_ROW(expire_obeys_its_conditions), TEST_ROW(ttl_rounds_to_the_nearest_second),
          TEST_ROW(numbers_are_counted_up_to_the_edge_and_not_beyond),
          TEST_ROW(spaces_do_not_see_each_others_keys_and_flushall_empties_all_of_the_clients),
          TEST_ROW(hello_chooses_the_version_only_if_all_of_it_is_understood),
          TEST_ROW(client_info_has_every_field_that_redis_7_has),
          TEST_ROW(client_reply_silences_what_it_was_asked_to),
          TEST_ROW(a_value_set_in_one_protocol_is_read_in_the_other),
          TEST_ROW(a_padded_number_overflows_as_any_other),
          TEST_ROW(memcached_counts_modulo_two_to_the_64_and_not_below_zero),
          TEST_ROW(memcached_stores_by_its_conditions),
          TEST_ROW(a_cas_with_the_version_that_gets_told_is_stored_once),
          TEST_ROW(an_exptime_is_relative_up_to_thirty_days_and_a_date_beyond),
          TEST_ROW(quit_closes_in_both_protocols), TEST_ROW(info_and_stats_tell_what_dashboards_read),
          TEST_ROW(hits_and_misses_are_counted_per_key),
          TEST_ROW(a_key_may_be_empty_and_one_that_no_store_can_hold_is_refused))
