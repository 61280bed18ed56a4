/* links: nuthatch-net
 *
 * TLS of connections that we begin, against our own server of it, over both back ends. */
#include "certificates.h"
#include "loop_world.h"
#include "net/connect.h"
#include "net/tls.h"
#include "net/tls_client.h"

/* ---- one connection, both of its ends on the world's loop ---------------------------------------- */

enum behaviour { SHAKES_HANDS, SAYS_NOTHING, SPEAKS_PLAIN, HANGS_UP };

struct pair {
    struct world *world;
    struct listener listener;
    struct address address;
    int listen_fd;
    enum behaviour behaviour;
    struct tls_server *server;
    struct tls_client *client;
    const char *host;
    size_t sent_bytes;
    struct connector *connector;
    struct end {
        struct stream stream;
        struct pair *pair;
        struct buffer received;
        int opened_count, closed_count;
        enum err why;
    } near, far; /* ours; the server's */
};

static void end_received(struct stream *stream, struct bytes bytes)
{
    struct end *end = CONTAINER_OF(stream, struct end, stream);

    buffer_append(&end->received, bytes);
    if (end == &end->pair->far && end->pair->behaviour == SHAKES_HANDS)
        buffer_append(stream_output(stream), bytes);
}

static void end_ended(struct stream *stream) { stream_close(stream); }

static void end_drained(struct stream *stream) { (void)stream; }

static void end_closed(struct stream *stream, enum err why)
{
    struct end *end = CONTAINER_OF(stream, struct end, stream);
    end->closed_count++;
    end->why = why;
}

static const struct stream_callbacks end_callbacks = {end_received, end_ended, end_drained, end_closed};

static void end_accepted(struct listener *listener, int fd)
{
    struct pair *pair = CONTAINER_OF(listener, struct pair, listener);
    struct end *end = &pair->far;

    end->opened_count++;
    switch (pair->behaviour) {
    case SHAKES_HANDS:
        tls_stream_open(pair->world->loop, &end->stream, fd, &end_callbacks, pair->server, TLS_ALPN_NONE,
                        PATIENCE_MS);
        return;
    case SPEAKS_PLAIN:
        stream_open(pair->world->loop, &end->stream, fd, &end_callbacks);
        buffer_append_literal(stream_output(&end->stream), "-ERR Protocol error: this is no command\r\n");
        return;
    case SAYS_NOTHING: stream_open(pair->world->loop, &end->stream, fd, &end_callbacks); return;
    case HANGS_UP:
        stream_open(pair->world->loop, &end->stream, fd, &end_callbacks);
        stream_close(&end->stream);
        return;
    }
}

static void connected(void *owner, enum err err, int fd)
{
    struct pair *pair = owner;

    EXPECT_EQ(err, OK);
    pair->near.opened_count++;
    tls_client_stream_open(pair->world->loop, &pair->near.stream, fd, &end_callbacks, pair->client,
                           pair->host, 5000);
    append_counting(&pair->near.stream, pair->sent_bytes);
}

static void begin(struct world *world, void *argument)
{
    struct pair *pair = argument;
    struct connect_order order = {.host = "127.0.0.1",
                                  .port = address_port(&pair->address),
                                  .timeout_ms = PATIENCE_MS,
                                  .done = connected,
                                  .owner = pair};

    listener_start(world->loop, &pair->listener, pair->listen_fd, end_accepted);
    EXPECT_EQ(connect_begin(world->loop, &order, &pair->connector), OK);
}

static void finish(struct world *world, void *argument)
{
    struct pair *pair = argument;
    (void)world;
    listener_stop(&pair->listener);
    if (pair->near.opened_count > pair->near.closed_count)
        stream_close(&pair->near.stream);
}

/* Closed counts and sizes are the loop's: looked at from there. */
struct glance {
    struct pair *pair;
    size_t received_bytes;
    int closed_count, far_opened_count, far_open_count;
};

static void glance_at(struct world *world, void *argument)
{
    struct glance *glance = argument;
    (void)world;
    glance->received_bytes = glance->pair->near.received.size;
    glance->closed_count = glance->pair->near.closed_count;
    glance->far_opened_count = glance->pair->far.opened_count;
    glance->far_open_count = glance->pair->far.opened_count - glance->pair->far.closed_count;
}

/* Until our end has received all that it sent, or is closed. */
static void wait_for_near(struct pair *pair)
{
    struct glance glance = {.pair = pair};

    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms++) {
        on_loop(pair->world, glance_at, &glance);
        if (glance.closed_count > 0 || glance.received_bytes >= pair->sent_bytes)
            return;
        sleep_ms(1);
    }
    fail_msg("nothing came");
}

static void pair_begin(struct pair *pair, struct world *world)
{
    pair->world = world;
    pair->near.pair = pair->far.pair = pair;
    EXPECT_EQ(address_parse(BYTES("127.0.0.1:0"), &pair->address), OK);
    EXPECT_EQ(listen_open(&pair->address, false, &pair->listen_fd), OK);
    on_loop(world, begin, pair);
}

static void pair_end(struct pair *pair)
{
    struct glance glance = {.pair = pair};

    on_loop(pair->world, finish, pair);
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms++) {
        on_loop(pair->world, glance_at, &glance);
        if (glance.closed_count == pair->near.opened_count && glance.far_open_count == 0)
            break;
        atomic_fetch_add(&pair->world->fake.mono_ms, 10); /* whoever lingers shall end */
        sleep_ms(1);
    }
    EXPECT_EQ(pair->near.closed_count, 1);
    EXPECT_EQ(pair->far.closed_count, pair->far.opened_count);
    close(pair->listen_fd);
    buffer_fini(&pair->near.received);
    buffer_fini(&pair->far.received);
}

static void expect_log(struct world *world, const char *text)
{
    char log[4096];
    size_t size;

    fflush(world->log_stream);
    rewind(world->log_stream);
    size = fread(log, 1, sizeof log - 1, world->log_stream);
    log[size] = '\0';
    if (strstr(log, text) == NULL)
        fail_msg("no \"%s\" in the log:\n%s", text, log);
}

/* ---- certificates ------------------------------------------------------------------------------- */

static struct {
    struct certificates certificates, others;
    const char *authority, *other_authority;
    char *good[2], *of_nobody[2], *expired[2], *ours[2]; /* certificate and key */
} files;

static int make_files(void **state)
{
    (void)state;
    certificates_init(&files.certificates, "authority", &files.authority);
    certificates_init(&files.others, "another authority", &files.other_authority);
    certificates_add(&files.certificates, "good", "DNS:localhost,DNS:*.tier.example,IP:127.0.0.1,IP:::1",
                     3600, &files.good[0], &files.good[1]);
    certificates_add(&files.certificates, "localhost", NULL, 3600, &files.of_nobody[0],
                     &files.of_nobody[1]);
    certificates_add(&files.certificates, "expired", "DNS:localhost", -60, &files.expired[0],
                     &files.expired[1]);
    certificates_add(&files.certificates, "ours", NULL, 3600, &files.ours[0], &files.ours[1]);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    certificates_fini(&files.certificates);
    certificates_fini(&files.others);
    return 0;
}

static struct tls_server *make_server(char **pair, enum tls_client_auth auth)
{
    struct tls_files server_files = {
        .certificates = &pair[0],
        .keys = &pair[1],
        .count = 1,
        .authorities = files.authority,
        .client_auth = auth,
    };
    struct buffer why = {0};
    struct tls_server *server;

    if (tls_server_create(&server_files, &why, &server) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&why)));
    buffer_fini(&why);
    return server;
}

static struct tls_client *make_client(const char *authority, char **pair)
{
    struct tls_client_files client_files = {
        .authorities = authority,
        .certificate = pair != NULL ? pair[0] : NULL,
        .key = pair != NULL ? pair[1] : NULL,
    };
    struct buffer why = {0};
    struct tls_client *client;

    if (tls_client_create(&client_files, &why, &client) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&why)));
    buffer_fini(&why);
    return client;
}

/* ---- tests -------------------------------------------------------------------------------------- */

ON_BOTH(a_server_is_believed_if_its_certificate_is_known_good_and_of_the_name_that_was_meant)
{
    const struct {
        char **server;
        const char *authority, *host;
        enum err why;
        const char *log;
    } cases[] = {
        {files.good, files.authority, "localhost", OK, NULL},
        {files.good, files.authority, "LocalHost.", OK, NULL},
        {files.good, files.authority, "one.tier.example", OK, NULL},
        {files.good, files.authority, "127.0.0.1", OK, NULL},
        {files.good, files.authority, "::1", OK, NULL},
        {files.good, files.authority, "redis.example", ERR_TLS, "hostname mismatch"},
        {files.good, files.authority, "a.b.tier.example", ERR_TLS, "hostname mismatch"},
        {files.good, files.authority, "127.0.0.2", ERR_TLS, "IP address mismatch"},
        {files.good, files.other_authority, "localhost", ERR_TLS, "unable to get local issuer certificate"},
        {files.of_nobody, files.authority, "localhost", ERR_TLS, "hostname mismatch"},
        {files.expired, files.authority, "localhost", ERR_TLS, "certificate has expired"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world *world = world_create(kind);
        struct pair pair = {.server = make_server(cases[i].server, TLS_CLIENT_AUTH_NONE),
                            .client = make_client(cases[i].authority, NULL),
                            .host = cases[i].host,
                            .sent_bytes = 100};

        pair_begin(&pair, world);
        wait_for_near(&pair);
        if (cases[i].why == OK) {
            EXPECT_EQ(pair.near.received.size, 100);
            EXPECT(is_counting((const unsigned char *)pair.near.received.data, 100));
        } else {
            EXPECT_EQ(pair.near.received.size, 0);
            EXPECT_EQ(pair.far.received.size, 0); /* nothing was told to whom it was not meant for */
            expect_log(world, cases[i].log);
        }
        pair_end(&pair);
        EXPECT_EQ(pair.near.why, cases[i].why);
        tls_server_destroy(pair.server);
        tls_client_destroy(pair.client);
        world_destroy(world);
    }
}

ON_BOTH(much_goes_both_ways)
{
    struct world *world = world_create(kind);
    struct pair pair = {.server = make_server(files.good, TLS_CLIENT_AUTH_NONE),
                        .client = make_client(files.authority, NULL),
                        .host = "localhost",
                        .sent_bytes = 3 * MEBIBYTE};

    pair_begin(&pair, world);
    wait_for_near(&pair);
    EXPECT_EQ(pair.near.received.size, pair.sent_bytes);
    EXPECT(is_counting((const unsigned char *)pair.near.received.data, pair.sent_bytes));
    pair_end(&pair);
    EXPECT_EQ(pair.near.why, OK);
    EXPECT_EQ(pair.far.why, OK);
    tls_server_destroy(pair.server);
    tls_client_destroy(pair.client);
    world_destroy(world);
}

ON_BOTH(we_show_a_certificate_of_ours_where_one_is_asked_for)
{
    for (int with = 0; with <= 1; with++) {
        struct world *world = world_create(kind);
        struct pair pair = {.server = make_server(files.good, TLS_CLIENT_AUTH_REQUIRED),
                            .client = make_client(files.authority, with ? files.ours : NULL),
                            .host = "localhost",
                            .sent_bytes = 10};

        pair_begin(&pair, world);
        wait_for_near(&pair);
        EXPECT_EQ(pair.near.received.size, with ? 10 : 0);
        if (!with)
            expect_log(world, "certificate required");
        pair_end(&pair);
        EXPECT_EQ(pair.near.why, with ? OK : ERR_TLS);
        tls_server_destroy(pair.server);
        tls_client_destroy(pair.client);
        world_destroy(world);
    }
}

ON_BOTH(what_does_not_shake_hands_is_closed)
{
    static const struct {
        enum behaviour behaviour;
        enum err why;
        const char *log;
    } cases[] = {
        {SPEAKS_PLAIN, ERR_TLS, "it answers in plain text"},
        {SAYS_NOTHING, ERR_TIMEOUT, "its TLS handshake does not end"},
        {HANGS_UP, ERR_TRUNCATED, ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world *world = world_create_with(kind, true);
        struct pair pair = {.behaviour = cases[i].behaviour,
                            .client = make_client(files.authority, NULL),
                            .host = "localhost",
                            .sent_bytes = 10};
        struct glance glance = {.pair = &pair};

        pair_begin(&pair, world);
        for (int waited_ms = 0; waited_ms < PATIENCE_MS && glance.far_opened_count == 0; waited_ms++) {
            on_loop(world, glance_at, &glance); /* the handshake's time begins only then */
            sleep_ms(1);
        }
        if (cases[i].behaviour == SAYS_NOTHING)
            for (int passed_ms = 0; passed_ms < 6000; passed_ms += 100) {
                atomic_fetch_add(&world->fake.mono_ms, 100);
                on_loop(world, do_nothing, NULL);
            }
        wait_for_near(&pair);
        expect_log(world, cases[i].log);
        pair_end(&pair);
        EXPECT_EQ(pair.near.why, cases[i].why);
        EXPECT_EQ(pair.near.received.size, 0);
        tls_client_destroy(pair.client);
        world_destroy(world);
    }
}

TEST(files_that_cannot_be_used_are_told)
{
    const struct {
        struct tls_client_files files;
        struct bytes why;
    } cases[] = {
        {{.authorities = "/nowhere/ca.pem"},
         BYTES("the authorities of /nowhere/ca.pem: No such file or directory")},
        {{.authorities = files.authority, .certificate = "/nowhere/us.pem", .key = files.ours[1]},
         BYTES("the certificate /nowhere/us.pem: No such file or directory")},
        {{.authorities = files.authority, .certificate = files.ours[0], .key = files.good[1]}, {0}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer why = {0};
        struct tls_client *client;

        EXPECT_EQ(tls_client_create(&cases[i].files, &why, &client), ERR_TLS);
        if (cases[i].why.data != NULL)
            EXPECT_TEXT(buffer_bytes(&why), cases[i].why);
        EXPECT(why.size > 0);
        buffer_fini(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROWS(a_server_is_believed_if_its_certificate_is_known_good_and_of_the_name_that_was_meant),
        ROWS(much_goes_both_ways),
        ROWS(we_show_a_certificate_of_ours_where_one_is_asked_for),
        ROWS(what_does_not_shake_hands_is_closed),
        TEST_ROW(files_that_cannot_be_used_are_told),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
