/* links: nuthatch-server */
/* Plays every transcript of a folder against a server of its own, on both event loops, whole and byte by
 * byte, with a clock that only the transcript moves.
 *
 *   # words          a comment; the first line says what the file proves
 *   > bytes          sends the bytes and CR LF; several in a row are sent together
 *   >- bytes         the same without CR LF
 *   < bytes          these bytes and CR LF are the next that arrive; may follow a > after two spaces
 *   <- bytes         the same without CR LF
 *   @ +10s           moves the clock (ms, s, m, h, d)
 *   ! close          the server closes the connection and sends nothing more before
 *
 * Escapes: \r \n \t \0 \\ \xHH. */
#include "net/listen.h"
#include "server/server.h"
#include "test.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000, SILENCE_MS = 5 };

struct play {
    char path[512];
    enum loop_kind loop;
    bool byte_by_byte;
    enum role role;
    const char *listen;
    const char *password; /* of the server, or null */
    const char *rules;    /* the mock's, or null */
};

/* ---- the clock --------------------------------------------------------------------------------- */

static struct now read_moved(void *context)
{
    const int64_t began_wall_ms = 1767225600000; /* 2026-01-01T00:00:00Z */
    int64_t moved_ms = atomic_load((_Atomic int64_t *)context);
    return (struct now){.mono_ms = 1000000 + moved_ms, .wall_ms = began_wall_ms + moved_ms};
}

/* ---- the text ---------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void append_unescaped(struct buffer *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '\\' || i + 1 == size) {
            buffer_append_byte(out, text[i]);
            continue;
        }
        switch (text[++i]) {
        case 'r': buffer_append_byte(out, '\r'); break;
        case 'n': buffer_append_byte(out, '\n'); break;
        case 't': buffer_append_byte(out, '\t'); break;
        case '0': buffer_append_byte(out, '\0'); break;
        case '\\': buffer_append_byte(out, '\\'); break;
        case 'x':
            if (i + 2 >= size || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0)
                fail_msg("\\x wants two hex digits: %.*s", (int)size, text);
            buffer_append_byte(out, (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
            i += 2;
            break;
        default: fail_msg("unknown escape \\%c", text[i]);
        }
    }
}

/* `<` behind a `>` on one line: where it begins, or `size`. */
static size_t find_answer(const char *line, size_t size)
{
    for (size_t i = 0; i + 4 <= size; i++)
        if (memcmp(line + i, "  < ", 4) == 0)
            return i;
    return size;
}

static size_t trimmed(const char *text, size_t size)
{
    while (size > 0 && text[size - 1] == ' ')
        size--;
    return size;
}

/* ---- the conversation -------------------------------------------------------------------------- */

struct talk {
    const struct play *play;
    int fd, line;
    struct buffer to_send;
};

static void send_pending(struct talk *talk)
{
    size_t piece = talk->play->byte_by_byte ? 1 : talk->to_send.size;

    for (size_t sent = 0; sent < talk->to_send.size;) {
        size_t left = talk->to_send.size - sent;
        ssize_t got = send(talk->fd, talk->to_send.data + sent, left < piece ? left : piece, MSG_NOSIGNAL);
        if (got < 0) /* refused half-way: what comes back tells */
            break;
        sent += (size_t)got;
        if (talk->play->byte_by_byte && sent % 4 == 0)
            sched_yield();
    }
    buffer_clear(&talk->to_send);
}

/* Reads up to `size` bytes; less at the end or when patience is over. */
static size_t receive(struct talk *talk, char *bytes, size_t size, int patience_ms)
{
    size_t got = 0;

    while (got < size) {
        struct pollfd readable = {.fd = talk->fd, .events = POLLIN};
        ssize_t piece;
        if (poll(&readable, 1, patience_ms) <= 0)
            break;
        piece = recv(talk->fd, bytes + got, size - got, 0);
        if (piece <= 0)
            break;
        got += (size_t)piece;
    }
    return got;
}

static void expect(struct talk *talk, const char *text, size_t size, bool line_end)
{
    struct buffer wanted = {0};
    char *actual;
    size_t got;

    send_pending(talk);
    append_unescaped(&wanted, text, size);
    if (line_end)
        buffer_append_literal(&wanted, "\r\n");
    actual = malloc(wanted.size + 1);
    got = receive(talk, actual, wanted.size, PATIENCE_MS);
    /* What has a size has bytes. NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    if (got != wanted.size || memcmp(actual, wanted.data, got) != 0)
        fail_msg("%s:%d: got \"%.*s\" (%zu bytes), wanted \"%.*s\"", talk->play->path, talk->line, (int)got,
                 actual, got, (int)wanted.size, wanted.data);
    free(actual);
    buffer_fini(&wanted);
}

static void expect_close(struct talk *talk)
{
    char byte;
    struct pollfd readable = {.fd = talk->fd, .events = POLLIN};

    send_pending(talk);
    if (poll(&readable, 1, PATIENCE_MS) <= 0)
        fail_msg("%s:%d: the connection stays open", talk->play->path, talk->line);
    if (recv(talk->fd, &byte, 1, 0) > 0)
        fail_msg("%s:%d: got a byte (0x%02x) instead of the end", talk->play->path, talk->line,
                 (unsigned char)byte);
}

static void expect_silence(struct talk *talk)
{
    char byte;
    send_pending(talk);
    if (receive(talk, &byte, 1, SILENCE_MS) != 0)
        fail_msg("%s: got more than the transcript says, beginning with 0x%02x", talk->play->path,
                 (unsigned char)byte);
}

static int64_t duration_ms(const struct talk *talk, const char *text)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    char *unit;
    long long amount = strtoll(text, &unit, 10);

    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (strcmp(unit, units[i].unit) == 0)
            return amount * units[i].ms;
    fail_msg("%s:%d: no such unit: %s", talk->play->path, talk->line, unit);
    return 0;
}

static void play_line(struct talk *talk, struct server *server, _Atomic int64_t *moved_ms, char *line)
{
    size_t size = strlen(line), answer;

    if (size == 0 || line[0] == '#')
        return;
    if (line[0] == '>') {
        bool line_end = line[1] != '-';
        size_t start = line_end ? 2 : 3;
        answer = find_answer(line, size);
        if (answer > start)
            append_unescaped(&talk->to_send, line + start,
                             answer < size ? trimmed(line + start, answer - start) : answer - start);
        if (line_end)
            buffer_append_literal(&talk->to_send, "\r\n");
        if (answer < size)
            expect(talk, line + answer + 4, size - answer - 4, true);
    } else if (line[0] == '<') {
        bool line_end = line[1] != '-';
        size_t start = line_end ? 2 : 3;
        expect(talk, line + start, size > start ? size - start : 0, line_end);
    } else if (line[0] == '@') {
        /* What was sent before must have been dealt with: the answer that was expected tells. */
        send_pending(talk);
        atomic_fetch_add(moved_ms, duration_ms(talk, line + 2 + (line[2] == '+')));
        server_wake(server);
        usleep(2000);
    } else if (strcmp(line, "! close") == 0) {
        expect_close(talk);
    } else {
        fail_msg("%s:%d: not a line of a transcript: %s", talk->play->path, talk->line, line);
    }
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void play_file(void **state)
{
    const struct play *play = *state;
    _Atomic int64_t moved_ms = 0;
    const struct clock clock = {read_moved, &moved_ms};
    struct options options;
    struct buffer message = {0};
    struct server *server = NULL;
    struct role_options *role;
    struct talk talk = {.play = play};
    char line[8192];
    FILE *file;
    enum err err;

    options_init(&options);
    options.threads = 1;
    options.memory_bytes = 16 * 1024 * 1024;
    options.loop = play->loop;
    options.connection_buffer_bytes = 64 * 1024 * 1024;
    options.password = play->password != NULL ? strdup(play->password) : NULL;
    role = options_add_role(&options, play->role, (struct place){0});
    assert_non_null(role);
    assert_int_equal(option_set(option_find_key(1u << play->role, BYTES("listen")), role,
                                bytes_of_text(play->listen), (struct place){0}, &message),
                     OK);
    if (play->rules != NULL)
        assert_int_equal(option_set(option_find_key(1u << play->role, BYTES("rules")), role,
                                    bytes_of_text(play->rules), (struct place){0}, &message),
                         OK);
    err = server_create(&options, NULL, &clock, &message, &server);
    if (err == ERR_UNSUPPORTED && play->loop == LOOP_URING) {
        buffer_fini(&message);
        options_fini(&options);
        skip();
    }
    if (err != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
    assert_int_equal(server_start(server), OK);
    talk.fd = connect_to(server_port(server, 0).port);

    file = fopen(play->path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        talk.line++;
        line[strcspn(line, "\n")] = '\0';
        play_line(&talk, server, &moved_ms, line);
    }
    fclose(file);
    expect_silence(&talk);

    close(talk.fd);
    server_drain(server, 0);
    server_join(server);
    server_destroy(server);
    buffer_fini(&talk.to_send);
    buffer_fini(&message);
    options_fini(&options);
}

/* ---- every file, four ways --------------------------------------------------------------------- */

static const struct {
    const char *folder;
    enum role role;
    const char *listen, *password, *rules;
} folders[] = {
    {"resp", ROLE_CACHE, "resp://127.0.0.1:0", NULL, NULL},
    {"memcached", ROLE_CACHE, "memcached://127.0.0.1:0", NULL, NULL},
    {"memcached_auth", ROLE_CACHE, "memcached://127.0.0.1:0", "wren house", NULL},
    {"detect", ROLE_CACHE, "tcp://127.0.0.1:0", NULL, NULL},
    {"http", ROLE_MOCK, "http://127.0.0.1:0", NULL, NULL},
    {"mock_rules", ROLE_MOCK, "http://127.0.0.1:0", NULL, TALK_FOLDER "/mock_rules/rules.yaml"},
    {"kv_http", ROLE_CACHE, "kv+http://127.0.0.1:0", NULL, NULL},
};

static struct CMUnitTest *tests;
static size_t test_count;

static void add_plays(const char *path, size_t folder)
{
    for (int way = 0; way < 4; way++) {
        struct play *play = calloc(1, sizeof *play);
        char *name;

        snprintf(play->path, sizeof play->path, "%s", path);
        play->loop = way < 2 ? LOOP_URING : LOOP_EPOLL;
        play->byte_by_byte = way % 2 == 1;
        play->role = folders[folder].role;
        play->listen = folders[folder].listen;
        play->password = folders[folder].password;
        play->rules = folders[folder].rules;
        tests = realloc(tests, (test_count + 1) * sizeof *tests);
        if (asprintf(&name, "%s, %s, %s", path + sizeof TALK_FOLDER, way < 2 ? "io_uring" : "epoll",
                     way % 2 == 1 ? "byte by byte" : "whole") < 0)
            exit(1);
        tests[test_count++] = (struct CMUnitTest){name, play_file, NULL, NULL, play};
    }
}

/* With arguments: only transcripts whose path holds one of them. */
static bool is_chosen(const char *path, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strstr(path, argv[i]) != NULL)
            return true;
    return argc < 2;
}

int main(int argc, char **argv)
{
    int failed;

    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        struct dirent **files;
        char path[512];
        int count;

        snprintf(path, sizeof path, TALK_FOLDER "/%s", folders[i].folder);
        count = scandir(path, &files, NULL, alphasort);
        if (count < 0) {
            fprintf(stderr, "%s: %s\n", path, strerror(errno));
            return 1;
        }
        for (int j = 0; j < count; j++) {
            const char *ending = strrchr(files[j]->d_name, '.');
            snprintf(path, sizeof path, TALK_FOLDER "/%s/%s", folders[i].folder, files[j]->d_name);
            if (ending != NULL && strcmp(ending, ".talk") == 0 && is_chosen(path, argc, argv))
                add_plays(path, i);
            free(files[j]);
        }
        free(files);
    }
    failed = _cmocka_run_group_tests("talk", tests, test_count, NULL, NULL);
    for (size_t i = 0; i < test_count; i++) {
        free(tests[i].initial_state);
        free((char *)(uintptr_t)tests[i].name);
    }
    free(tests);
    return failed;
}
