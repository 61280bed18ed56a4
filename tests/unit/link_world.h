/* link_world.h — a server that a test plays itself, with blocking sockets, and a loop whose connections to
 * it note down what they are told, a line each. Of a note's lines a test waits for the last. */
#pragma once
#include "base/buffer.h"
#include "base/compiler.h"
#include "client/valkey/link.h"
#include "loop_world.h"

enum { REQUESTS_MAX = 32, WAIT_MS = 20000 };

struct fixture;

/* One request; what comes of it is noted under its letter. */
struct asked {
    struct link_request request;
    struct fixture *fixture;
    char letter;
    uint32_t reply_count, failure_count;
};

struct fixture {
    struct world *world;
    struct valkey_options options;
    struct link_address address;
    int listen_fd, fd; /* the server's: `fd` is the connection accepted last */
    struct buffer note;
    struct link *link;
    struct asked asked[REQUESTS_MAX];
    void (*on_reply)(struct fixture *fixture, struct asked *asked);
    enum err err;
    struct bytes bytes; /* what on_loop is to send, and how many replies there will be */
    uint32_t count;
    int which;
};

/* ---- the server ---------------------------------------------------------------------------------- */

static inline int server_open(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    EXPECT_EQ(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    EXPECT_EQ(listen(fd, 16), 0);
    EXPECT_EQ(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static inline int server_accept(struct fixture *f)
{
    struct timeval patience = {.tv_sec = WAIT_MS / 1000};
    struct pollfd poll_fd = {.fd = f->listen_fd, .events = POLLIN};
    int on = 1;

    EXPECT_EQ(poll(&poll_fd, 1, WAIT_MS), 1);
    f->fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    EXPECT(f->fd >= 0);
    setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(f->fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    return f->fd;
}

/* A command, its words between spaces, as a client renders it. */
static inline void append_command(struct buffer *buffer, const char *line)
{
    struct bytes words[16];
    size_t count = 0;

    while (*line != '\0') {
        const char *space = strchr(line, ' ');
        size_t size = space != NULL ? (size_t)(space - line) : strlen(line);
        words[count++] = bytes_of(line, size);
        line += size + (space != NULL ? 1 : 0);
    }
    resp_render_command(buffer, words, count);
}

/* Exactly these commands come next, from fd. */
static inline void server_hears_on(int fd, const char *const *lines, size_t count)
{
    struct buffer wanted = {0};
    char *got;
    size_t size;

    for (size_t i = 0; i < count; i++)
        append_command(&wanted, lines[i]);
    got = malloc(wanted.size);
    size = receive_all(fd, got, wanted.size);
    EXPECT_TEXT(bytes_of(got, size), buffer_bytes(&wanted));
    free(got);
    buffer_fini(&wanted);
}
#define SERVER_HEARS(f, ...)                                                                               \
    server_hears_on((f)->fd, (const char *const[]){__VA_ARGS__},                                           \
                    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static inline void server_says(struct fixture *f, const char *text) { send_all(f->fd, text, strlen(text)); }

static inline void server_closes(struct fixture *f)
{
    close(f->fd);
    f->fd = -1;
}

static const char HELLO_MAP[] = "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n";

/* ---- what is noted ------------------------------------------------------------------------------- */

static inline void note_node(struct buffer *note, const struct resp_node *node)
{
    uint32_t members;

    switch (node->type) {
    case RESP_INTEGER:
    case RESP_BOOLEAN: buffer_append_int64(note, node->integer); return;
    case RESP_NULL:
    case RESP_NULL_ARRAY: buffer_append_literal(note, "null"); return;
    case RESP_ARRAY:
    case RESP_SET:
    case RESP_PUSH:
    case RESP_MAP:
        buffer_append_literal(note, "[");
        members = (uint32_t)node->integer * (node->type == RESP_MAP ? 2 : 1);
        node = resp_first_member(node);
        for (uint32_t i = 0; i < members; i++, node = resp_next(node)) {
            if (i > 0)
                buffer_append_literal(note, " ");
            note_node(note, node);
        }
        buffer_append_literal(note, "]");
        return;
    case RESP_ERROR: buffer_append_literal(note, "-"); break;
    case RESP_SIMPLE:
    case RESP_BULK:
    case RESP_DOUBLE:
    case RESP_BIG_NUMBER:
    case RESP_VERBATIM: break;
    }
    if (node->bytes.size > 60)
        buffer_append_format(note, "%zu bytes", node->bytes.size);
    else
        buffer_append(note, node->bytes);
}

static inline void on_replied(struct link_request *request, const struct resp_reply *reply)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, request);
    struct buffer *note = &asked->fixture->note;

    asked->reply_count++;
    buffer_append_format(note, "%c: ", asked->letter);
    note_node(note, reply->nodes);
    if (request->left_count > 0)
        buffer_append_format(note, ", %u left", request->left_count);
    buffer_append_literal(note, "\n");
    if (asked->fixture->on_reply != NULL)
        asked->fixture->on_reply(asked->fixture, asked);
}

static inline void on_failed(struct link_request *request, enum err why, bool was_sent)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, request);

    asked->failure_count++;
    buffer_append_format(&asked->fixture->note, "%c failed: %s%s\n", asked->letter, err_text(why),
                         was_sent ? ", was sent" : "");
}

static inline void on_opened(void *owner)
{
    buffer_append_literal(&((struct fixture *)owner)->note, "opened\n");
}

static inline void on_pushed(void *owner, const struct resp_reply *push)
{
    struct fixture *f = owner;

    buffer_append_literal(&f->note, "push: ");
    note_node(&f->note, push->nodes);
    buffer_append_literal(&f->note, "\n");
}

static inline void on_ending(void *owner)
{
    buffer_append_literal(&((struct fixture *)owner)->note, "ending\n");
}

static inline void on_closed(void *owner, enum err why, struct bytes text)
{
    struct fixture *f = owner;

    f->link = NULL;
    buffer_append_format(&f->note, "closed: %s: %.*s\n", err_text(why), BYTES_PRINTF(text));
}

struct look {
    struct fixture *fixture;
    size_t size; /* of the note, that is waited for */
    bool is_there;
    char *text;
};

static inline void look_at_note(struct world *world, void *argument)
{
    struct look *look = argument;
    struct bytes note = buffer_bytes(&look->fixture->note);

    (void)world;
    look->is_there = note.size >= look->size;
    free(look->text);
    look->text = strndup(note.size > 0 ? note.data : "", note.size);
}

static inline void take_note(struct world *world, void *argument)
{
    (void)world;
    buffer_clear(&((struct fixture *)argument)->note);
}

/* Waits until as much is noted as `wanted` is, and that must be it. Then the note begins anew. */
static inline void expect_note(struct fixture *f, const char *wanted)
{
    struct look look = {.fixture = f, .size = strlen(wanted)};

    for (int waited_ms = 0; waited_ms < WAIT_MS && !look.is_there; waited_ms += 2) {
        on_loop(f->world, look_at_note, &look);
        if (!look.is_there)
            sleep_ms(2);
    }
    EXPECT_TEXT(bytes_of_text(look.text), bytes_of_text(wanted));
    free(look.text);
    on_loop(f->world, take_note, f);
}

static inline void look_at_link(struct world *world, void *argument)
{
    struct look *look = argument;
    (void)world;
    look->is_there = look->fixture->link == NULL;
}

static inline bool link_is_gone(struct fixture *f)
{
    struct look look = {.fixture = f};
    on_loop(f->world, look_at_link, &look);
    return look.is_there;
}

static inline void wait_until_gone(struct fixture *f)
{
    for (int waited_ms = 0; !link_is_gone(f); waited_ms++) {
        EXPECT(waited_ms < WAIT_MS);
        sleep_ms(1);
    }
}

/* ---- a loop and an address ------------------------------------------------------------------------- */

static inline void fixture_init_with(struct fixture *f, enum loop_kind kind, bool fake_clock)
{
    *f = (struct fixture){.fd = -1};
    f->world = world_create_with(kind, fake_clock);
    f->listen_fd = server_open(&f->address.port);
    strcpy(f->address.host, "127.0.0.1");
    f->options = (struct valkey_options){.connect_timeout_ms = 2000,
                                         .call_timeout_ms = 1000,
                                         .canary_interval_ms = 250,
                                         .in_flight_max = 16,
                                         .queued_bytes_max = 1024 * 1024,
                                         .reply_bytes_max = 1024 * 1024,
                                         .backoff_min_ms = 100,
                                         .backoff_max_ms = 1000,
                                         .breaker_failures = 3,
                                         .seed = 7};
    for (int i = 0; i < REQUESTS_MAX; i++)
        f->asked[i] = (struct asked){.request = {.replied = on_replied, .failed = on_failed},
                                     .fixture = f,
                                     .letter = (char)('a' + i)};
}

static inline void fixture_init(struct fixture *f, enum loop_kind kind)
{
    fixture_init_with(f, kind, true);
}

static inline void fixture_fini(struct fixture *f)
{
    if (f->fd >= 0)
        close(f->fd);
    close(f->listen_fd);
    world_destroy(f->world);
    buffer_fini(&f->note);
}

static inline void pass_ms(struct fixture *f, int64_t ms)
{
    atomic_fetch_add(&f->world->fake.mono_ms, ms);
    on_loop(f->world, do_nothing, NULL); /* a turn in which timers fire */
    on_loop(f->world, do_nothing, NULL);
}
