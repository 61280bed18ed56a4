/* test_valkey_servers.c — the client of a cluster against real servers, started and stopped here.
 * links: nuthatch-valkey */
#include "base/compiler.h"
#include "base/number.h"
#include "client/valkey/split.h"
#include "client/valkey/valkey.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SERVERS_MAX = 3, PATIENCE_MS = 30000 };

static struct server {
    pid_t pid;
    uint16_t port, bus_port;
} servers[SERVERS_MAX];
static int server_count;
static char folder[64];

/* ---- servers ------------------------------------------------------------------------------------------
 */

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    EXPECT_EQ(bind(fd, (struct sockaddr *)&address, size), 0);
    EXPECT_EQ(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void sleep_ms(int ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&time, NULL);
}

/* Sends words and returns what came within a moment, until the next call. */
static const char *command(int number, const char *format, ...) PRINTF_LIKE(2, 3);
static const char *command(int number, const char *format, ...)
{
    static char reply[65536];
    struct sockaddr_in address = loopback(servers[number].port);
    struct timeval patience = {.tv_sec = 5};
    char words[512];
    va_list arguments;
    ssize_t size;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    va_start(arguments, format);
    size = vsnprintf(words, sizeof words - 2, format, arguments);
    va_end(arguments);
    memcpy(words + size, "\r\n", 2);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    reply[0] = '\0';
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, words, (size_t)size + 2, MSG_NOSIGNAL) > 0) {
        size = recv(fd, reply, sizeof reply - 1, 0);
        reply[size > 0 ? size : 0] = '\0';
    }
    close(fd);
    return reply;
}

static bool becomes(int number, const char *words, const char *wanted)
{
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += 20) {
        if (strstr(command(number, "%s", words), wanted) != NULL)
            return true;
        sleep_ms(20);
    }
    return false;
}

static void start_server(bool is_cluster)
{
    struct server *server = &servers[server_count];
    char port[8], bus_port[8];

    server->port = free_port();
    server->bus_port = free_port();
    snprintf(port, sizeof port, "%u", server->port);
    snprintf(bus_port, sizeof bus_port, "%u", server->bus_port);
    server->pid = fork();
    if (server->pid == 0) {
        char own_folder[80];
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(null, 1);
        dup2(null, 2);
        snprintf(own_folder, sizeof own_folder, "%s/%s", folder, port);
        mkdir(own_folder, 0700);
        if (is_cluster)
            execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                   "--dir", own_folder, "--cluster-enabled", "yes", "--cluster-port", bus_port,
                   "--cluster-node-timeout", "2000", (char *)NULL);
        else
            execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                   "--dir", own_folder, (char *)NULL);
        _exit(127);
    }
    EXPECT(server->pid > 0);
    server_count++;
    EXPECT(becomes(server_count - 1, "PING", "PONG"));
}

static void stop_servers(void)
{
    char text[100];

    while (server_count > 0) {
        kill(servers[--server_count].pid, SIGKILL);
        waitpid(servers[server_count].pid, NULL, 0);
    }
    snprintf(text, sizeof text, "rm -r %s", folder);
    EXPECT_EQ(system(text), 0);
}

static bool have_servers(void)
{
    if (system("redis-server --version >/dev/null 2>&1") != 0) {
        print_message("skipped: there is no redis-server here\n");
        return false;
    }
    snprintf(folder, sizeof folder, "/tmp/nuthatch-valkey-XXXXXX");
    EXPECT(mkdtemp(folder) != NULL);
    return true;
}

static void start_cluster(void)
{
    for (int i = 0; i < SERVERS_MAX; i++) {
        start_server(true);
        EXPECT(becomes(i,
                       i == 0   ? "CLUSTER ADDSLOTSRANGE 0 5460"
                       : i == 1 ? "CLUSTER ADDSLOTSRANGE 5461 10922"
                                : "CLUSTER ADDSLOTSRANGE 10923 16383",
                       "+OK"));
        EXPECT(strstr(command(i, "CLUSTER SET-CONFIG-EPOCH %d", i + 1), "+OK") != NULL);
    }
    for (int i = 1; i < SERVERS_MAX; i++)
        EXPECT(strstr(command(0, "CLUSTER MEET 127.0.0.1 %u %u", servers[i].port, servers[i].bus_port),
                      "+OK") != NULL);
    for (int i = 0; i < SERVERS_MAX; i++) {
        EXPECT(becomes(i, "CLUSTER INFO", "cluster_state:ok"));
        EXPECT(becomes(i, "CLUSTER INFO", "cluster_known_nodes:3"));
    }
}

/* ---- the client ---------------------------------------------------------------------------------------
 */

static struct loop *loop;
static struct valkey *valkey;
static struct source_state states[16];
static struct counters counters;
static struct valkey_options options;
static int came_count, stopped_count, moved_count, invalidated_count;
static struct timer patience;

static void on_invalidated(void *owner, struct source *source, struct bytes key)
{
    (void)owner;
    (void)source;
    (void)key;
    invalidated_count++;
}
static void on_flushed(void *owner, struct source *source, enum source_flush why)
{
    (void)owner;
    (void)source;
    (void)why;
}
static void on_slot_moved(void *owner, uint16_t slot)
{
    (void)owner;
    (void)slot;
    moved_count++;
}
static void on_came(void *owner)
{
    (void)owner;
    came_count++;
}
static void on_went(void *owner) { (void)owner; }
static void on_stopped(void *owner)
{
    (void)owner;
    stopped_count++;
}
static void patience_ends(struct timer *timer)
{
    (void)timer;
    fail_msg("it has not come true in time");
}
static void stop_loop(struct timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

/* Runs the loop until `*what` is at least `count`. */
static void run_until(const int *what, int count)
{
    timer_set(loop, &patience, loop_now(loop).mono_ms + PATIENCE_MS);
    while (*what < count) {
        struct timer tick;
        timer_init(&tick, stop_loop);
        timer_set(loop, &tick, loop_now(loop).mono_ms + 1);
        loop_run(loop);
        timer_cancel(loop, &tick);
    }
    timer_cancel(loop, &patience);
}

static void client_begin(enum valkey_resp resp)
{
    static const struct valkey_callbacks callbacks = {.invalidated = on_invalidated,
                                                      .flushed = on_flushed,
                                                      .slot_moved = on_slot_moved,
                                                      .came = on_came,
                                                      .went = on_went};
    struct loop_options loop_options = {.kind = LOOP_EPOLL, .clock = &clock_system};

    EXPECT_EQ(loop_create(&loop_options, &loop), OK);
    timer_init(&patience, patience_ends);
    came_count = stopped_count = moved_count = invalidated_count = 0;
    memset(&counters, 0, sizeof counters);
    options = (struct valkey_options){.seeds = {{"127.0.0.1", servers[0].port}},
                                      .seed_count = 1,
                                      .resp = resp,
                                      .connect_timeout_ms = 5000,
                                      .call_timeout_ms = 5000,
                                      .canary_interval_ms = 50,
                                      .redirections_max = 8,
                                      .in_flight_max = 4096,
                                      .queued_bytes_max = 1 << 20,
                                      .reply_bytes_max = 1 << 20,
                                      .backoff_min_ms = 10,
                                      .backoff_max_ms = 100,
                                      .breaker_failures = 5,
                                      .seed = 1};
    EXPECT_EQ(valkey_create(&options, loop, &counters, states, 0, 16, &callbacks, NULL, &valkey), OK);
    run_until(&came_count, 1);
}

static void client_end(void)
{
    valkey_stop(valkey, on_stopped);
    run_until(&stopped_count, 1);
    valkey_destroy(valkey);
    for (int i = 0; i < 20; i++) { /* connections close in a later turn */
        struct timer tick;
        timer_init(&tick, stop_loop);
        timer_set(loop, &tick, loop_now(loop).mono_ms + 1);
        loop_run(loop);
    }
    loop_destroy(loop);
}

struct asked {
    struct valkey_call call;
    int is_done;
    enum err err;
    bool may_be_kept;
    char reply[256];
};

static void note_reply(struct asked *asked, const struct valkey_answer *answer)
{
    size_t size = 0;

    asked->err = answer->err;
    asked->may_be_kept = answer->source != NULL;
    if (answer->err == OK)
        for (uint32_t i = 0; i < answer->replies[0].node_count; i++) {
            const struct resp_node *node = &answer->replies[0].nodes[i];
            if (node->type == RESP_INTEGER)
                size += (size_t)snprintf(asked->reply + size, sizeof asked->reply - size, ":%lld ",
                                         (long long)node->integer);
            else if (node->type != RESP_ARRAY)
                size += (size_t)snprintf(asked->reply + size, sizeof asked->reply - size, "%.*s ",
                                         BYTES_PRINTF(node->bytes));
        }
    else
        snprintf(asked->reply, sizeof asked->reply, "%.*s", BYTES_PRINTF(answer->text));
    asked->is_done = 1;
}

static void call_done(struct valkey_call *call, const struct valkey_answer *answer)
{
    note_reply(CONTAINER_OF(call, struct asked, call), answer);
}
static void split_done(void *owner, const struct valkey_answer *answer) { note_reply(owner, answer); }

static uint32_t take_words(char *words, struct bytes *arguments)
{
    uint32_t count = 0;
    char *word;

    while ((word = strsep(&words, " ")) != NULL)
        arguments[count++] = bytes_of_text(word);
    return count;
}

static void ask(struct asked *asked, const char *text)
{
    struct bytes arguments[16] = {0};
    char words[512];
    struct valkey_command one = {.arguments = arguments};

    snprintf(words, sizeof words, "%s", text);
    one.argument_count = take_words(words, arguments);
    *asked = (struct asked){.call.done = call_done};
    valkey_ask(valkey, &asked->call,
               &(struct valkey_order){.commands = &one,
                                      .command_count = 1,
                                      .target = VALKEY_SLOT,
                                      .slot = valkey_slot(arguments[1])});
}

static void expect(const char *text, const char *wanted)
{
    struct asked asked;

    ask(&asked, text);
    run_until(&asked.is_done, 1);
    if (asked.err != OK || strcmp(asked.reply, wanted) != 0)
        fail_msg("%s: %s: \"%s\", not \"%s\"", text, err_text(asked.err), asked.reply, wanted);
}

static void expect_split(const char *text, const char *wanted)
{
    struct bytes arguments[16];
    char words[512];
    struct asked asked = {0};
    struct split_call *split;

    snprintf(words, sizeof words, "%s", text);
    EXPECT_EQ(split_ask(valkey, arguments, take_words(words, arguments), 0, 0, split_done, &asked, &split),
              OK);
    run_until(&asked.is_done, 1);
    if (asked.err != OK || strcmp(asked.reply, wanted) != 0)
        fail_msg("%s: %s: \"%s\", not \"%s\"", text, err_text(asked.err), asked.reply, wanted);
}

static void id_of(int number, char id[41])
{
    EXPECT(sscanf(command(number, "CLUSTER MYID"), "$40\r\n%40s", id) == 1);
}

static int owner_of(uint16_t slot) { return slot <= 5460 ? 0 : slot <= 10922 ? 1 : 2; }

/* ---- tests --------------------------------------------------------------------------------------------
 */

/* A slot goes to another server while it is asked, key by key. */
static void migrate_under_way(const char *tag)
{
    uint16_t slot = valkey_slot(bytes_of_text(tag));
    int from = owner_of(slot), to = (from + 1) % SERVERS_MAX;
    char from_id[41], to_id[41], text[128];
    struct asked asked;
    int before = moved_count;

    id_of(from, from_id);
    id_of(to, to_id);
    EXPECT(strstr(command(to, "CLUSTER SETSLOT %u IMPORTING %s", slot, from_id), "+OK") != NULL);
    EXPECT(strstr(command(from, "CLUSTER SETSLOT %u MIGRATING %s", slot, to_id), "+OK") != NULL);
    snprintf(text, sizeof text, "SET {%s}new 1", tag);
    expect(text, "OK "); /* by ASK */
    EXPECT_EQ(counters_read(&counters, METRIC_tier_ask), 1);
    snprintf(text, sizeof text, "GET {%s}new", tag);
    ask(&asked, text);
    run_until(&asked.is_done, 1);
    EXPECT_EQ(strcmp(asked.reply, "1 "), 0);
    EXPECT(!asked.may_be_kept);
    EXPECT_EQ(moved_count, before);
    for (int i = 0; i < SERVERS_MAX; i++)
        EXPECT(strstr(command((to + i) % SERVERS_MAX, "CLUSTER SETSLOT %u NODE %s", slot, to_id), "+OK") !=
               NULL);
    ask(&asked, text);
    run_until(&asked.is_done, 1);
    EXPECT_EQ(strcmp(asked.reply, "1 "), 0);
    EXPECT(asked.may_be_kept);
    EXPECT_EQ(moved_count, before + 1);
    EXPECT(counters_read(&counters, METRIC_tier_moved) <= 1); /* 0: the canary has met it before */
}

/* Calls of one key keep their order while the slot is taken away between them. */
static void keep_order_through_a_move(const char *key)
{
    enum { COUNT = 40 };
    uint16_t slot = valkey_slot(bytes_of_text(key));
    int from = owner_of(slot), to = (from + 1) % SERVERS_MAX;
    struct asked asked[COUNT];
    char to_id[41], text[128], wanted[2 * COUNT + 4] = "";

    id_of(to, to_id);
    for (int i = 0; i < COUNT; i++) {
        if (i == COUNT / 2)
            for (int k = 0; k < SERVERS_MAX; k++)
                EXPECT(strstr(command((to + k) % SERVERS_MAX, "CLUSTER SETSLOT %u NODE %s", slot, to_id),
                              "+OK") != NULL);
        snprintf(text, sizeof text, "APPEND %s %c", key, 'A' + i);
        ask(&asked[i], text);
        snprintf(wanted + i, sizeof wanted - (size_t)i, "%c ", 'A' + i);
    }
    for (int i = 0; i < COUNT; i++) {
        run_until(&asked[i].is_done, 1);
        EXPECT_EQ(asked[i].err, OK);
    }
    snprintf(text, sizeof text, "GET %s", key);
    expect(text, wanted);
}

static void play_in_cluster(enum valkey_resp resp)
{
    client_begin(resp);
    EXPECT(valkey_is_cluster(valkey));
    EXPECT_EQ(valkey_primary_count(valkey), SERVERS_MAX);
    for (int i = 0; i < 30; i++) {
        char text[64];
        snprintf(text, sizeof text, "SET key%d value", i);
        expect(text, "OK ");
    }
    EXPECT_EQ(counters_read(&counters, METRIC_tier_moved), 0);
    expect_split("MSET a 1 b 2 c 3 d 4", "OK ");
    expect_split("MGET d c none b a", "4 3  2 1 ");
    expect_split("DEL a b c d none", ":4 ");
    expect("GET a", " ");
    if (resp == VALKEY_RESP_3) {
        migrate_under_way("moving");
        keep_order_through_a_move("ordered");
    }
    /* what is read is tracked */
    invalidated_count = 0;
    expect("GET key1", "value ");
    EXPECT(strstr(command(owner_of(valkey_slot(BYTES("key1"))), "SET key1 other"), "+OK") != NULL);
    run_until(&invalidated_count, 1);
    client_end();
}

TEST(a_real_cluster_is_spoken_to_in_both_protocols_also_while_slots_move)
{
    if (!have_servers())
        skip();
    start_cluster();
    play_in_cluster(VALKEY_RESP_2);
    play_in_cluster(VALKEY_RESP_3);
    stop_servers();
}

TEST(a_real_server_alone_or_named_by_its_replica_is_found)
{
    if (!have_servers())
        skip();
    start_server(false);
    start_server(false);
    client_begin(VALKEY_RESP_AUTO);
    EXPECT(!valkey_is_cluster(valkey));
    EXPECT_EQ(valkey_primary_count(valkey), 1);
    expect("SET foo bar", "OK ");
    expect("GET foo", "bar ");
    client_end();
    EXPECT(strstr(command(0, "REPLICAOF 127.0.0.1 %u", servers[1].port), "+OK") != NULL);
    EXPECT(becomes(0, "ROLE", "connected"));
    client_begin(VALKEY_RESP_AUTO);
    expect("SET foo bar", "OK ");
    EXPECT(strstr(command(1, "GET foo"), "bar") != NULL);
    client_end();
    stop_servers();
}

RUN_TESTS(TEST_ROW(a_real_cluster_is_spoken_to_in_both_protocols_also_while_slots_move),
          TEST_ROW(a_real_server_alone_or_named_by_its_replica_is_found))
