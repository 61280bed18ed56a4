/* links: nuthatch-net */
#include "base/compiler.h"
#include "net/listen.h"
#include "test.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(an_address_is_read_strictly_and_written_back)
{
    static const struct {
        const char *text;
        enum err err;
        const char *back;
    } cases[] = {
        {"127.0.0.1:6379", OK, "127.0.0.1:6379"},
        {"0.0.0.0:0", OK, "0.0.0.0:0"},
        {"[::1]:6379", OK, "[::1]:6379"},
        {"[::]:65535", OK, "[::]:65535"},
        {"127.0.0.1:00080", OK, "127.0.0.1:80"},
        {"127.0.0.1:65536", ERR_RANGE, NULL},
        {"127.0.0.1:99999999999999999999999", ERR_RANGE, NULL},
        {"127.0.0.1:-1", ERR_SYNTAX, NULL},
        {"127.0.0.1:+1", ERR_SYNTAX, NULL},
        {"127.0.0.1: 1", ERR_SYNTAX, NULL},
        {"127.0.0.1:1 ", ERR_SYNTAX, NULL},
        {"127.0.0.1:", ERR_SYNTAX, NULL},
        {"127.0.0.1", ERR_SYNTAX, NULL},
        {":6379", ERR_SYNTAX, NULL},
        {"[]:6379", ERR_SYNTAX, NULL},
        {"::1:6379", ERR_SYNTAX, NULL},
        {"", ERR_SYNTAX, NULL},
        {"[127.0.0.1]x:1", ERR_MISSING, NULL},
        {"256.256.256.256:1", ERR_MISSING, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct address address;
        char text[ADDRESS_TEXT_BYTES];
        EXPECT_EQ(address_parse(bytes_of_text(cases[i].text), &address), cases[i].err);
        if (cases[i].err == OK) {
            address_format(&address, text);
            EXPECT_TEXT(bytes_of_text(text), bytes_of_text(cases[i].back));
        }
    }
}

TEST(a_long_host_or_one_with_a_zero_byte_is_refused)
{
    char text[400];
    struct address address;
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 2, ":1", 2);
    EXPECT_EQ(address_parse(bytes_of(text, sizeof text), &address), ERR_SYNTAX);
    EXPECT_EQ(address_parse(BYTES("127.0.0.1\0x:1"), &address), ERR_SYNTAX);
}

TEST(loopback_is_told_from_the_rest)
{
    static const struct {
        const char *text;
        bool is_loopback;
    } cases[] = {
        {"127.0.0.1:1", true}, {"127.8.9.10:1", true}, {"[::1]:1", true},       {"0.0.0.0:1", false},
        {"[::]:1", false},     {"128.0.0.1:1", false}, {"10.0.0.127:1", false}, {"[::2]:1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address address;
        EXPECT_EQ(address_parse(bytes_of_text(cases[i].text), &address), OK);
        EXPECT_EQ(address_is_loopback(&address), cases[i].is_loopback);
    }
}

TEST(localhost_is_looked_up)
{
    struct address address;
    EXPECT_EQ(address_parse(BYTES("localhost:7"), &address), OK);
    EXPECT_EQ(address_port(&address), 7);
}

static int open_on(const char *text, bool shared, struct address *address)
{
    int fd = -1;
    EXPECT_EQ(address_parse(bytes_of_text(text), address), OK);
    EXPECT_EQ(listen_open(address, shared, &fd), OK);
    return fd;
}

TEST(port_0_becomes_a_free_port_and_connecting_works)
{
    struct address address;
    int fd = open_on("127.0.0.1:0", false, &address), accepted, client, on = 0;
    char of_client[ADDRESS_TEXT_BYTES], of_peer[ADDRESS_TEXT_BYTES];
    socklen_t size = sizeof on;

    EXPECT(address_port(&address) != 0);
    EXPECT(fcntl(fd, F_GETFL) & O_NONBLOCK);
    EXPECT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    client = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(connect(client, (struct sockaddr *)&address.storage, address.size), 0);
    accepted = accept(fd, NULL, NULL);
    EXPECT(accepted >= 0);
    EXPECT_EQ(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    EXPECT(on);
    address_of_self(client, of_client);
    address_of_peer(accepted, of_peer);
    EXPECT_TEXT(bytes_of_text(of_client), bytes_of_text(of_peer));
    EXPECT(of_client[0] != '\0');
    address_of_peer(fd, of_peer); /* not connected */
    EXPECT_TEXT(bytes_of_text(of_peer), BYTES(""));
    close(client);
    close(accepted);
    close(fd);
}

TEST(a_port_in_use_is_refused_unless_both_share_it)
{
    static const struct {
        bool first_shared, second_shared;
        enum err err;
    } cases[] = {
        {false, false, ERR_ADDRESS_IN_USE},
        {false, true, ERR_ADDRESS_IN_USE},
        {true, false, ERR_ADDRESS_IN_USE},
        {true, true, OK},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct address address;
        int first = open_on("127.0.0.1:0", cases[i].first_shared, &address), second = -1;
        EXPECT_EQ(listen_open(&address, cases[i].second_shared, &second), cases[i].err);
        EXPECT_EQ(second >= 0, cases[i].err == OK);
        if (second >= 0)
            close(second);
        close(first);
    }
}

TEST(a_port_that_another_process_shares_is_refused)
{
    struct address address;
    int pipe_fds[2], fd, status;
    pid_t pid;
    char byte;

    EXPECT_EQ(pipe(pipe_fds), 0);
    fd = open_on("127.0.0.1:0", true, &address);
    pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) { /* the child keeps the socket until the pipe closes */
        close(pipe_fds[1]);
        _exit(read(pipe_fds[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(fd);
    EXPECT_EQ(listen_open(&address, true, &fd), ERR_ADDRESS_IN_USE);
    close(pipe_fds[1]);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(listen_open(&address, true, &fd), OK);
    close(fd);
    close(pipe_fds[0]);
}

/* A folder of the test's own, with room for names in it. */
struct folder {
    char path[64], socket[80];
};

static struct folder make_folder(void)
{
    struct folder folder = {.path = "/tmp/nuthatch-listen-XXXXXX"};
    EXPECT(mkdtemp(folder.path) != NULL);
    snprintf(folder.socket, sizeof folder.socket, "%s/s", folder.path);
    return folder;
}

TEST(a_path_is_absolute_and_no_longer_than_the_kernel_takes)
{
    char long_path[LISTEN_PATH_BYTES_MAX + 1];
    struct address address;

    memset(long_path, 'a', sizeof long_path);
    long_path[0] = '/';
    EXPECT_EQ(address_of_path(BYTES(""), &address), ERR_SYNTAX);
    EXPECT_EQ(address_of_path(BYTES("a"), &address), ERR_SYNTAX);
    EXPECT_EQ(address_of_path(BYTES("/a\0b"), &address), ERR_SYNTAX);
    EXPECT_EQ(address_of_path(bytes_of(long_path, LISTEN_PATH_BYTES_MAX + 1), &address), ERR_TOO_LARGE);
    EXPECT_EQ(address_of_path(bytes_of(long_path, LISTEN_PATH_BYTES_MAX), &address), OK);
}

TEST(a_unix_socket_has_the_mode_asked_for_and_both_ends_are_called_by_its_path)
{
    struct folder folder = make_folder();
    struct address address;
    struct socket_file file;
    struct stat status;
    int fd, client, accepted;
    char of_peer[ADDRESS_TEXT_BYTES], of_self[ADDRESS_TEXT_BYTES], wanted[ADDRESS_TEXT_BYTES];

    EXPECT_EQ(address_of_path(bytes_of_text(folder.socket), &address), OK);
    EXPECT_EQ(listen_open_unix(&address, 0640, &file, &fd), OK);
    EXPECT_EQ(stat(folder.socket, &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0640);
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(connect(client, (struct sockaddr *)&address.storage, address.size), 0);
    accepted = accept(fd, NULL, NULL);
    EXPECT(accepted >= 0);
    address_of_peer(accepted, of_peer);
    address_of_self(accepted, of_self);
    snprintf(wanted, sizeof wanted, "%s:0", folder.socket);
    EXPECT_TEXT(bytes_of_text(of_peer), bytes_of_text(wanted));
    EXPECT_TEXT(bytes_of_text(of_self), bytes_of_text(wanted));
    socket_file_remove(&address, &file);
    EXPECT(access(folder.socket, F_OK) != 0);
    close(client);
    close(accepted);
    close(fd);
    rmdir(folder.path);
}

TEST(a_unix_socket_is_replaced_only_if_nobody_listens_on_it)
{
    struct folder folder = make_folder();
    struct address address;
    struct socket_file first_file, file;
    int first, fd;

    EXPECT_EQ(address_of_path(bytes_of_text(folder.socket), &address), OK);
    EXPECT_EQ(listen_open_unix(&address, -1, &first_file, &first), OK);
    EXPECT_EQ(listen_open_unix(&address, -1, &file, &fd), ERR_ADDRESS_IN_USE);
    close(first); /* as after a crash: the file stays */
    EXPECT_EQ(access(folder.socket, F_OK), 0);
    EXPECT_EQ(listen_open_unix(&address, -1, &file, &fd), OK);
    close(fd);
    unlink(folder.socket);

    fd = open(folder.socket, O_CREAT | O_WRONLY, 0600);
    EXPECT(fd >= 0);
    close(fd);
    EXPECT_EQ(listen_open_unix(&address, -1, &file, &fd), ERR_EXISTS);
    socket_file_remove(&address, &file); /* it is another's */
    EXPECT_EQ(access(folder.socket, F_OK), 0);
    unlink(folder.socket);
    rmdir(folder.path);
    EXPECT_EQ(listen_open_unix(&address, -1, &file, &fd), ERR_MISSING);
}

RUN_TESTS(TEST_ROW(an_address_is_read_strictly_and_written_back),
          TEST_ROW(a_long_host_or_one_with_a_zero_byte_is_refused),
          TEST_ROW(loopback_is_told_from_the_rest), TEST_ROW(localhost_is_looked_up),
          TEST_ROW(port_0_becomes_a_free_port_and_connecting_works),
          TEST_ROW(a_port_in_use_is_refused_unless_both_share_it),
          TEST_ROW(a_port_that_another_process_shares_is_refused),
          TEST_ROW(a_path_is_absolute_and_no_longer_than_the_kernel_takes),
          TEST_ROW(a_unix_socket_has_the_mode_asked_for_and_both_ends_are_called_by_its_path),
          TEST_ROW(a_unix_socket_is_replaced_only_if_nobody_listens_on_it))
