/* links: nuthatch-server
 * A subscriber that reads nothing, on a clock that the test moves: much is too much at once, less after a
 * minute. */
#include "server/server.h"
#include "test.h"
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MIB = 1 << 20, LIMIT_MIB = 64 };

struct fixture {
    _Atomic int64_t moved_ms;
    struct clock clock;
    struct options options;
    struct server *server;
    int subscriber_fd, publisher_fd;
};

static struct now read_moved(void *context)
{
    int64_t moved_ms = atomic_load((_Atomic int64_t *)context);
    return (struct now){.mono_ms = 1000000 + moved_ms, .wall_ms = INT64_C(1767225600000) + moved_ms};
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    EXPECT_EQ(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_all(int fd, const char *bytes, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t got = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);
        EXPECT(got > 0);
        sent += (size_t)got;
    }
}

/* Publishes a mebibyte and returns how many subscriptions it was for. */
static int publish(struct fixture *fixture)
{
    static const char head[] = "*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$1048576\r\n";
    size_t size = sizeof head - 1 + MIB + 2;
    char *command = malloc(size), answer[16];
    ssize_t got;

    memset(command, 'x', size);
    memcpy(command, head, sizeof head - 1);
    memcpy(command + size - 2, "\r\n", 2);
    send_all(fixture->publisher_fd, command, size);
    free(command);
    got = recv(fixture->publisher_fd, answer, sizeof answer - 1, 0); /* ":1\r\n" comes in one piece */
    EXPECT_EQ(got, 4);
    return answer[1] - '0';
}

static void move(struct fixture *fixture, int64_t ms)
{
    atomic_fetch_add(&fixture->moved_ms, ms);
    server_wake(fixture->server);
    usleep(20000);
}

static void setup(struct fixture *fixture)
{
    static const char subscribe[] = "SUBSCRIBE a\r\n";
    struct buffer message = {0};
    struct role_options *role;
    char answer[64];

    *fixture = (struct fixture){.clock = {read_moved, &fixture->moved_ms}};
    options_init(&fixture->options);
    fixture->options.threads = 1;
    fixture->options.memory_bytes = 16 * MIB;
    fixture->options.loop = LOOP_EPOLL;
    fixture->options.connection_buffer_bytes = 1024 * MIB;
    fixture->options.write_timeout_ms = 3600 * 1000; /* it is not what cuts here */
    fixture->options.pubsub_output_bytes_max = (int64_t)LIMIT_MIB * MIB;
    role = options_add_role(&fixture->options, ROLE_CACHE, (struct place){0});
    EXPECT_EQ(option_set(option_find_key(ROLES_CACHE, BYTES("listen")), role, BYTES("resp://127.0.0.1:0"),
                         (struct place){0}, &message),
              OK);
    EXPECT_EQ(server_create(&fixture->options, NULL, &fixture->clock, &message, &fixture->server), OK);
    EXPECT_EQ(server_start(fixture->server), OK);
    fixture->subscriber_fd = connect_to(server_port(fixture->server, 0).port);
    fixture->publisher_fd = connect_to(server_port(fixture->server, 0).port);
    send_all(fixture->subscriber_fd, subscribe, sizeof subscribe - 1);
    EXPECT(recv(fixture->subscriber_fd, answer, sizeof answer, 0) > 0);
    buffer_fini(&message);
}

static void teardown(struct fixture *fixture)
{
    close(fixture->subscriber_fd);
    close(fixture->publisher_fd);
    server_drain(fixture->server, 0);
    server_join(fixture->server);
    server_destroy(fixture->server);
    options_fini(&fixture->options);
}

TEST(a_subscriber_that_has_read_nothing_of_much_is_cut)
{
    struct fixture fixture;
    int count = 0;

    setup(&fixture);
    while (count < 2 * LIMIT_MIB && publish(&fixture) == 1)
        count++;
    /* What the kernel has taken does not count. */
    EXPECT(count >= LIMIT_MIB && count < LIMIT_MIB + 32);
    teardown(&fixture);
}

TEST(a_subscriber_that_is_behind_for_a_minute_is_cut)
{
    struct fixture fixture;

    setup(&fixture);
    for (int i = 0; i < LIMIT_MIB / 4 + 32; i++)
        EXPECT_EQ(publish(&fixture), 1);
    move(&fixture, 59 * 1000);
    EXPECT_EQ(publish(&fixture), 1);
    EXPECT_EQ(publish(&fixture), 1);
    move(&fixture, 2 * 1000);
    EXPECT_EQ(publish(&fixture), 1); /* and is cut by this one */
    move(&fixture, 1);
    EXPECT_EQ(publish(&fixture), 0);
    teardown(&fixture);
}

TEST(a_subscriber_that_is_a_little_behind_stays)
{
    struct fixture fixture;

    setup(&fixture);
    for (int i = 0; i < LIMIT_MIB / 4; i++)
        EXPECT_EQ(publish(&fixture), 1);
    move(&fixture, 61 * 1000);
    EXPECT_EQ(publish(&fixture), 1);
    move(&fixture, 61 * 1000);
    EXPECT_EQ(publish(&fixture), 1);
    teardown(&fixture);
}

RUN_TESTS(TEST_ROW(a_subscriber_that_has_read_nothing_of_much_is_cut),
          TEST_ROW(a_subscriber_that_is_behind_for_a_minute_is_cut),
          TEST_ROW(a_subscriber_that_is_a_little_behind_stays))
