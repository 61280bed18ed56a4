/* links: nuthatch-valkey nuthatch-resp
 *
 * Commands as a server tells them: as a real one does, which the test starts (skipped where there is none),
 * and as none should. */
#include "base/compiler.h"
#include "client/valkey/server_commands.h"
#include "test.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 64, PATIENCE_MS = 30000 };

static const struct resp_reply_limits limits = {
    .reply_bytes_max = 16 << 20, .nodes_max = 1 << 20, .depth_max = RESP_DEPTH_MAX};

/* Words between spaces; `text` is kept by reference. */
static uint32_t split(const char *text, struct bytes arguments[ARGUMENTS_MAX])
{
    uint32_t count = 0;

    while (*text != '\0') {
        size_t size = strcspn(text, " ");
        EXPECT(count < ARGUMENTS_MAX);
        arguments[count++] = bytes_of(text, size);
        text += size + (text[size] == ' ');
    }
    return count;
}

/* ---- a real server ------------------------------------------------------------------------------ */

struct server {
    pid_t pid;
    char folder[32], path[64];
    int fd;
    struct buffer input;
    struct resp_reply_parser parser;
    size_t consumed; /* by the reply that was handed out last */
};

static const char *program(void)
{
    static const char *const paths[] = {"/usr/bin/valkey-server", "/usr/bin/redis-server"};

    for (size_t i = 0; i < COUNT_OF(paths); i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

static void server_start(struct server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *server = (struct server){.folder = "/tmp/commands-XXXXXX", .fd = -1};
    EXPECT(mkdtemp(server->folder) != NULL);
    snprintf(server->path, sizeof server->path, "%s/socket", server->folder);
    memcpy(address.sun_path, server->path, sizeof server->path);
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(program(), program(), "--port", "0", "--unixsocket", server->path, "--save", "", "--logfile",
              "/dev/null", (char *)NULL);
        _exit(127);
    }
    EXPECT(server->pid > 0);
    for (int waited_ms = 0; waited_ms < PATIENCE_MS && server->fd < 0; waited_ms += 5) {
        server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(server->fd, (struct sockaddr *)&address, sizeof address) != 0) {
            close(server->fd);
            server->fd = -1;
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        }
    }
    EXPECT(server->fd >= 0);
}

static void server_stop(struct server *server)
{
    close(server->fd);
    kill(server->pid, SIGKILL);
    EXPECT_EQ(waitpid(server->pid, NULL, 0), server->pid);
    unlink(server->path);
    rmdir(server->folder);
    resp_reply_parser_fini(&server->parser);
    buffer_fini(&server->input);
}

/* The reply is readable until the next question. */
static struct resp_reply server_ask(struct server *server, const struct bytes *arguments, uint32_t count)
{
    struct buffer command = {0};
    enum parse parse = PARSE_MORE;
    struct resp_reply reply = {0};
    struct bytes error;

    resp_render_command(&command, arguments, count);
    EXPECT_EQ(write(server->fd, command.data, command.size), command.size);
    buffer_fini(&command);
    buffer_consume(&server->input, server->consumed);
    while (parse == PARSE_MORE) {
        char *end = buffer_reserve(&server->input, 65536);
        ssize_t got = read(server->fd, end, 65536);
        EXPECT(got > 0);
        buffer_commit(&server->input, (size_t)got);
        parse = resp_reply_parse(&server->parser, &limits, buffer_bytes(&server->input), &reply,
                                 &server->consumed, &error);
    }
    EXPECT_EQ(parse, PARSE_DONE);
    return reply;
}

static struct server_commands *ask_for_commands(struct server *server, const char *version)
{
    struct bytes hello[] = {BYTES("HELLO"), bytes_of_text(version)}, command[] = {BYTES("COMMAND")};
    struct server_commands *commands = NULL;
    struct resp_reply reply;

    server_ask(server, hello, 2);
    reply = server_ask(server, command, 1);
    EXPECT_EQ(server_commands_create(&reply, &commands), OK);
    return commands;
}

enum saying { AS_THE_SERVER, NOT_SAID };

/* Our keys of `text`, against what the server says to COMMAND GETKEYS. */
static void expect_keys(struct server *server, const struct server_commands *commands, const char *text,
                        enum saying saying)
{
    struct bytes question[ARGUMENTS_MAX + 2] = {BYTES("COMMAND"), BYTES("GETKEYS")};
    struct bytes *arguments = question + 2;
    uint32_t argument_count = split(text, arguments), indexes[ARGUMENTS_MAX];
    const struct server_command *command = server_commands_find(commands, arguments, argument_count);
    struct resp_reply reply = server_ask(server, question, argument_count + 2);
    const struct resp_node *key = resp_first_member(reply.nodes);
    int count;

    if (command == NULL)
        fail_msg("\"%s\" is not known", text);
    count = server_command_keys(commands, command, arguments, argument_count, indexes, ARGUMENTS_MAX);
    if (saying == NOT_SAID) {
        if (count >= 0)
            fail_msg("%d keys in \"%s\"", count, text);
        return;
    }
    if (reply.nodes->type == RESP_ERROR) {
        if (count != 0)
            fail_msg("%d keys in \"%s\", but %.*s", count, text, BYTES_PRINTF(reply.nodes->bytes));
        return;
    }
    if (count != reply.nodes->integer)
        fail_msg("%d keys in \"%s\"; Redis finds %d", count, text, (int)reply.nodes->integer);
    for (int i = 0; i < count; i++, key = resp_next(key))
        EXPECT_TEXT(arguments[indexes[i]], key->bytes);
}

static const struct {
    const char *text;
    enum saying saying;
} with_keys[] = {
    {"GET k", AS_THE_SERVER},
    {"get k", AS_THE_SERVER},
    {"SET k v EX 10 GET", AS_THE_SERVER},
    {"MGET a b c", AS_THE_SERVER},
    {"MSET a 1 b 2 c 3", AS_THE_SERVER},
    {"DEL a", AS_THE_SERVER},
    {"BLPOP a b 0", AS_THE_SERVER},
    {"BRPOPLPUSH a b 0", AS_THE_SERVER},
    {"LMOVE a b LEFT RIGHT", AS_THE_SERVER},
    {"LMPOP 2 a b LEFT COUNT 3", AS_THE_SERVER},
    {"BLMPOP 0 2 a b LEFT", AS_THE_SERVER},
    {"BZMPOP 0 1 a MIN", AS_THE_SERVER},
    {"RENAME a b", AS_THE_SERVER},
    {"COPY a b DB 0", AS_THE_SERVER},
    {"SMOVE a b m", AS_THE_SERVER},
    {"SINTERCARD 2 a b LIMIT 1", AS_THE_SERVER},
    {"SINTERSTORE d a b", AS_THE_SERVER},
    {"SUNION a b c", AS_THE_SERVER},
    {"ZADD k 1 m", AS_THE_SERVER},
    {"ZUNION 2 a b WEIGHTS 1 2", AS_THE_SERVER},
    {"ZUNIONSTORE d 2 a b AGGREGATE MAX", AS_THE_SERVER},
    {"ZDIFFSTORE d 1 a", AS_THE_SERVER},
    {"ZINTERCARD 2 a b", AS_THE_SERVER},
    {"ZRANGESTORE d s 0 -1", AS_THE_SERVER},
    {"PFCOUNT a b", AS_THE_SERVER},
    {"PFMERGE d a b", AS_THE_SERVER},
    {"BITOP AND d a b", AS_THE_SERVER},
    {"BITFIELD k GET u8 0", AS_THE_SERVER},
    {"LCS a b LEN", AS_THE_SERVER},
    {"EVAL s 2 a b c", AS_THE_SERVER},
    {"EVAL s 0 a", AS_THE_SERVER},
    {"EVALSHA_RO h 1 a", AS_THE_SERVER},
    {"FCALL f 1 a b", AS_THE_SERVER},
    {"FCALL_RO f 0", AS_THE_SERVER},
    {"XREAD COUNT 2 STREAMS a b 0 0", AS_THE_SERVER},
    {"XREAD BLOCK 0 STREAMS a $", AS_THE_SERVER},
    {"xread streams streams 0", AS_THE_SERVER},
    {"XREADGROUP GROUP streams c COUNT 1 STREAMS a b > >", AS_THE_SERVER},
    {"XADD k * f v", AS_THE_SERVER},
    {"XGROUP CREATE k g $", AS_THE_SERVER},
    {"XINFO STREAM k", AS_THE_SERVER},
    {"XAUTOCLAIM k g c 0 0", AS_THE_SERVER},
    {"GEOADD k 1 2 m", AS_THE_SERVER},
    {"GEORADIUS k 1 2 3 km", AS_THE_SERVER},
    {"GEORADIUS k 1 2 3 km COUNT 2 STORE d", AS_THE_SERVER},
    {"GEORADIUSBYMEMBER k m 3 km STOREDIST d", AS_THE_SERVER},
    {"GEOSEARCHSTORE d s FROMMEMBER m BYRADIUS 1 km", AS_THE_SERVER},
    {"OBJECT ENCODING k", AS_THE_SERVER},
    {"MEMORY USAGE k SAMPLES 0", AS_THE_SERVER},
    {"DUMP k", AS_THE_SERVER},
    {"RESTORE k 0 x REPLACE", AS_THE_SERVER},
    {"WATCH a b", AS_THE_SERVER},
    /* none */
    {"PING", AS_THE_SERVER},
    {"DBSIZE", AS_THE_SERVER},
    {"CONFIG GET maxmemory", AS_THE_SERVER},
    {"PUBLISH c m", AS_THE_SERVER},
    {"SPUBLISH c m", AS_THE_SERVER},
    {"SCRIPT EXISTS a", AS_THE_SERVER},
    /* what only the server can say */
    {"SORT k", NOT_SAID},
    {"SORT k BY w GET g STORE d", NOT_SAID},
    {"SORT_RO k", NOT_SAID},
    {"MIGRATE h 1 k 0 100", NOT_SAID},
    {"MIGRATE h 1  0 100 KEYS a b", NOT_SAID},
    /* what nobody can */
    {"EVAL s 3 a b", NOT_SAID},
    {"EVAL s x a b", NOT_SAID},
    {"EVAL s -1 a b", NOT_SAID},
    {"EVAL s 9223372036854775807 a b", NOT_SAID},
    {"EVAL s", NOT_SAID},
    {"XREAD STREAMS", NOT_SAID},
    {"LMOVE a", NOT_SAID},
    {"GET", NOT_SAID},
};

TEST(keys_are_where_the_server_itself_finds_them)
{
    static const char *const versions[] = {"2", "3"};
    struct server server;

    if (program() == NULL)
        skip();
    server_start(&server);
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        struct server_commands *commands = ask_for_commands(&server, versions[i]);
        for (size_t j = 0; j < COUNT_OF(with_keys); j++)
            expect_keys(&server, commands, with_keys[j].text, with_keys[j].saying);
        server_commands_destroy(commands);
    }
    server_stop(&server);
}

static const struct {
    const char *text;
    struct server_command as;
} described[] = {
    {"GET k", {.name = "get", .arity = 2, .flags = SERVER_COMMAND_READS, 1, 1, 1}},
    {"sEt k v",
     {.name = "set", .arity = -3, .flags = SERVER_COMMAND_WRITES | SERVER_COMMAND_DENYOOM, 1, 1, 1}},
    {"BLPOP k 0",
     {.name = "blpop", .arity = -3, .flags = SERVER_COMMAND_WRITES | SERVER_COMMAND_BLOCKS, 1, -2, 1}},
    {"EVAL s 0",
     {.name = "eval", .arity = -3, .flags = SERVER_COMMAND_SCRIPT | SERVER_COMMAND_MOVABLE_KEYS}},
    {"SUBSCRIBE c", {.name = "subscribe", .arity = -2, .flags = SERVER_COMMAND_PUBSUB}},
    {"DBSIZE",
     {.name = "dbsize",
      .arity = 1,
      .flags = SERVER_COMMAND_READS | SERVER_COMMAND_EVERY_SHARD,
      .reply_policy = REPLY_SUM}},
    {"KEYS *",
     {.name = "keys",
      .arity = 2,
      .flags = SERVER_COMMAND_READS | SERVER_COMMAND_EVERY_SHARD,
      .reply_policy = REPLY_CONCATENATED}},
    {"FLUSHALL",
     {.name = "flushall",
      .arity = -1,
      .flags = SERVER_COMMAND_WRITES | SERVER_COMMAND_EVERY_SHARD,
      .reply_policy = REPLY_ALL_SUCCEEDED}},
    {"WAIT 1 0",
     {.name = "wait", .arity = 3, .flags = SERVER_COMMAND_EVERY_SHARD, .reply_policy = REPLY_MIN}},
    {"CONFIG", {.name = "config", .arity = -2, .flags = SERVER_COMMAND_HAS_SUBCOMMANDS}},
    {"Config Get x", {.name = "config|get", .arity = -3, .flags = SERVER_COMMAND_ADMIN}},
    {"SCRIPT KILL",
     {.name = "script|kill",
      .arity = 2,
      .flags = SERVER_COMMAND_SCRIPT | SERVER_COMMAND_EVERY_SHARD,
      .reply_policy = REPLY_ONE_SUCCEEDED}},
    {"SCRIPT EXISTS a",
     {.name = "script|exists",
      .arity = -3,
      .flags = SERVER_COMMAND_SCRIPT | SERVER_COMMAND_EVERY_SHARD,
      .reply_policy = REPLY_AND}},
};

TEST(what_a_command_does_is_as_the_server_says)
{
    static const char *const versions[] = {"2", "3"};
    static const char *const unknown[] = {"NOSUCH", "config|get x", "CONFIG nosuch", "GET|",
                                          "CONFIG get|x"};
    struct bytes arguments[ARGUMENTS_MAX];
    struct server server;

    if (program() == NULL)
        skip();
    server_start(&server);
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        struct server_commands *commands = ask_for_commands(&server, versions[i]);
        for (size_t j = 0; j < COUNT_OF(described); j++) {
            uint32_t count = split(described[j].text, arguments);
            const struct server_command *command = server_commands_find(commands, arguments, count),
                                        *as = &described[j].as;
            EXPECT(command != NULL);
            assert_string_equal(command->name, as->name);
            EXPECT_EQ(command->arity, as->arity);
            EXPECT_EQ(command->flags, as->flags);
            EXPECT_EQ(command->first_key, as->first_key);
            EXPECT_EQ(command->last_key, as->last_key);
            EXPECT_EQ(command->key_step, as->key_step);
            EXPECT_EQ(command->reply_policy, as->reply_policy);
        }
        for (size_t j = 0; j < COUNT_OF(unknown); j++)
            EXPECT(server_commands_find(commands, arguments, split(unknown[j], arguments)) == NULL);
        server_commands_destroy(commands);
    }
    server_stop(&server);
}

/* ---- made up ------------------------------------------------------------------------------------ */

static enum err create_from(const char *text, struct server_commands **commands)
{
    struct resp_reply_parser parser = {0};
    struct resp_reply reply;
    struct bytes error;
    size_t consumed;
    enum err err;

    if (resp_reply_parse(&parser, &limits, bytes_of_text(text), &reply, &consumed, &error) != PARSE_DONE)
        fail_msg("the test's own: %s", text);
    err = server_commands_create(&reply, commands);
    resp_reply_parser_fini(&parser);
    return err;
}

TEST(what_is_no_reply_to_command_is_refused)
{
    static const char *const texts[] = {
        "+OK\r\n",
        "-ERR unknown command\r\n",
        "*0\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n*5\r\n+get\r\n:2\r\n*0\r\n:1\r\n:1\r\n",                 /* too few */
        "*1\r\n*6\r\n:1\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n",             /* the name */
        "*1\r\n*6\r\n+\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n",              /* the name */
        "*1\r\n*6\r\n$3\r\na\nb\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n",     /* the name */
        "*1\r\n*6\r\n+get\r\n+2\r\n*0\r\n:1\r\n:1\r\n:1\r\n",           /* the arity */
        "*1\r\n*6\r\n+get\r\n:2\r\n+x\r\n:1\r\n:1\r\n:1\r\n",           /* the flags */
        "*1\r\n*6\r\n+get\r\n:2\r\n*0\r\n:1\r\n:99999999999\r\n:1\r\n", /* the last key */
        "*2\r\n*6\r\n+get\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n+x\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct server_commands *commands = NULL;
        EXPECT_EQ(create_from(texts[i], &commands), ERR_SYNTAX);
        EXPECT(commands == NULL);
    }
}

static int count_keys(const struct server_commands *commands, const char *text)
{
    struct bytes arguments[ARGUMENTS_MAX];
    uint32_t count = split(text, arguments), indexes[2];
    const struct server_command *command = server_commands_find(commands, arguments, count);

    EXPECT(command != NULL);
    return server_command_keys(commands, command, arguments, count, indexes, COUNT_OF(indexes));
}

TEST(categories_are_as_the_server_tells_them)
{
    static const char text[] =
        "*2\r\n*7\r\n+get\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n*4\r\n+@read\r\n+@Fast\r\n+\r\n:1\r\n"
        "*6\r\n+old\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n";
    static const struct bytes get = BYTES_INIT("GET"), old = BYTES_INIT("OLD");
    const struct server_command *command;
    struct server_commands *commands = NULL;

    EXPECT_EQ(create_from(text, &commands), OK);
    command = server_commands_find(commands, &get, 1);
    EXPECT(server_command_is_of(command, BYTES("read")));
    EXPECT(server_command_is_of(command, BYTES("fast")));
    EXPECT(!server_command_is_of(command, BYTES("rea")));
    EXPECT(!server_command_is_of(command, BYTES("ast")));
    EXPECT(!server_command_is_of(command, BYTES("read fast")));
    EXPECT(!server_command_is_of(command, BYTES("")));
    command = server_commands_find(commands, &old, 1);
    EXPECT_EQ(command->categories[0], '\0');
    EXPECT(!server_command_is_of(command, BYTES("read")));
    server_commands_destroy(commands);
}

TEST(an_old_servers_positions_are_gone_by_and_movable_keys_are_not_guessed)
{
    struct server_commands *commands;

    EXPECT_EQ(create_from("*4\r\n"
                          "*6\r\n+mset\r\n:-3\r\n*1\r\n+write\r\n:1\r\n:-1\r\n:2\r\n"
                          "*6\r\n+ping\r\n:-1\r\n*0\r\n:0\r\n:0\r\n:0\r\n"
                          "*6\r\n+sort\r\n:-2\r\n*2\r\n+write\r\n+movablekeys\r\n:1\r\n:1\r\n:1\r\n"
                          "*6\r\n+odd\r\n:-2\r\n*0\r\n:1\r\n:-1\r\n:0\r\n",
                          &commands),
              OK);
    EXPECT_EQ(count_keys(commands, "MSET a 1 b 2"), 2);
    EXPECT_EQ(count_keys(commands, "MSET a 1 b 2 c 3"), 3); /* more than there is room for */
    EXPECT_EQ(count_keys(commands, "MSET"), -1);
    EXPECT_EQ(count_keys(commands, "PING x"), 0);
    EXPECT_EQ(count_keys(commands, "SORT k"), -1);
    EXPECT_EQ(count_keys(commands, "ODD a b"), -1); /* with a step of 0 it would take for ever */
    server_commands_destroy(commands);
}

/* A command "c" with one key specification. */
static int keys_by_spec(const char *begin, const char *find, const char *text)
{
    char reply[512];
    struct server_commands *commands;
    int count;

    snprintf(reply, sizeof reply,
             "*1\r\n*10\r\n+c\r\n:-1\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n"
             "*1\r\n*6\r\n+flags\r\n*0\r\n+begin_search\r\n%s+find_keys\r\n%s*0\r\n",
             begin, find);
    EXPECT_EQ(create_from(reply, &commands), OK);
    count = count_keys(commands, text);
    server_commands_destroy(commands);
    return count;
}

#define INDEX(number) "*4\r\n+type\r\n+index\r\n+spec\r\n*2\r\n+index\r\n:" number "\r\n"
#define KEYWORD(word, from)                                                                                \
    "*4\r\n+type\r\n+keyword\r\n+spec\r\n*4\r\n+keyword\r\n+" word "\r\n+startfrom\r\n:" from "\r\n"
#define RANGE(last, step, limit)                                                                           \
    "*4\r\n+type\r\n+range\r\n+spec\r\n*6\r\n+lastkey\r\n:" last "\r\n+keystep\r\n:" step                  \
    "\r\n+limit\r\n:" limit "\r\n"
#define NUMBER(at, first, step)                                                                            \
    "*4\r\n+type\r\n+keynum\r\n+spec\r\n*6\r\n+keynumidx\r\n:" at "\r\n+firstkey\r\n:" first               \
    "\r\n+keystep\r\n:" step "\r\n"

TEST(key_specifications_that_make_no_sense_are_not_gone_by)
{
    EXPECT_EQ(keys_by_spec(INDEX("1"), RANGE("0", "1", "0"), "c a b"), 1);
    EXPECT_EQ(keys_by_spec(INDEX("1"), RANGE("-1", "1", "0"), "c a b"), 2);
    EXPECT_EQ(keys_by_spec(INDEX("1"), RANGE("-1", "1", "2"), "c a b 1 2"), 2);
    EXPECT_EQ(keys_by_spec(INDEX("1"), NUMBER("0", "1", "2"), "c 2 a x b x"), 2);
    EXPECT_EQ(keys_by_spec(KEYWORD("K", "1"), RANGE("-1", "1", "0"), "c x k a b"), 2);
    EXPECT_EQ(keys_by_spec(KEYWORD("K", "-2"), RANGE("0", "1", "0"), "c k x k a"), 1);
    EXPECT_EQ(keys_by_spec(KEYWORD("K", "-5"), RANGE("0", "1", "0"), "c k x"),
              0); /* before the beginning */
    EXPECT_EQ(keys_by_spec(KEYWORD("K", "9"), RANGE("0", "1", "0"), "c k x"), 0);
    EXPECT_EQ(keys_by_spec(INDEX("0"), RANGE("0", "1", "0"), "c a"), -1); /* the command's name is no key */
    EXPECT_EQ(keys_by_spec(INDEX("-1"), RANGE("0", "1", "0"), "c a"), -1);
    EXPECT_EQ(keys_by_spec(INDEX("9999999999"), RANGE("0", "1", "0"), "c a"), -1);
    EXPECT_EQ(keys_by_spec(INDEX("1"), RANGE("0", "0", "0"), "c a"), -1);
    EXPECT_EQ(keys_by_spec(INDEX("1"), RANGE("-1", "-1", "0"), "c a b"), -1);
    EXPECT_EQ(keys_by_spec(INDEX("1"), RANGE("1000000", "1", "0"), "c a"), -1);
    EXPECT_EQ(keys_by_spec(INDEX("1"), RANGE("-1000000", "1", "0"), "c a"), -1);
    EXPECT_EQ(keys_by_spec(INDEX("1"), NUMBER("0", "1", "1000000"), "c 2 a b"), -1);
    EXPECT_EQ(keys_by_spec(INDEX("1"), NUMBER("-1", "1", "1"), "c 2 a b"), -1);
    EXPECT_EQ(keys_by_spec(KEYWORD("K", "0"), RANGE("0", "1", "0"), "c k a"), -1);
    EXPECT_EQ(keys_by_spec("*0\r\n", RANGE("0", "1", "0"), "c a"), -1);
    EXPECT_EQ(keys_by_spec("+x\r\n", "$-1\r\n", "c a"), -1);
    EXPECT_EQ(keys_by_spec("*3\r\n+type\r\n+index\r\n+spec\r\n", RANGE("0", "1", "0"), "c a"), -1);
}

RUN_TESTS(TEST_ROW(keys_are_where_the_server_itself_finds_them),
          TEST_ROW(what_a_command_does_is_as_the_server_says),
          TEST_ROW(what_is_no_reply_to_command_is_refused),
          TEST_ROW(categories_are_as_the_server_tells_them),
          TEST_ROW(an_old_servers_positions_are_gone_by_and_movable_keys_are_not_guessed),
          TEST_ROW(key_specifications_that_make_no_sense_are_not_gone_by))
