/* links: nuthatch-valkey nuthatch-net
 *
 * Tracked connections to a real Redis or Valkey server, which the test starts; skipped where there is none.
 */
#include "certificates.h"
#include "client/valkey/source.h"
#include "link_world.h"
#include "net/tls_client.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct real {
    struct fixture f; /* `fd` is another client of the server, in RESP2 */
    pid_t pid;
    struct source *source;
    struct source_state state;
    int64_t coherent_ms;
};

/* ---- the server ---------------------------------------------------------------------------------- */

static const char *server_program(void)
{
    static const char *const paths[] = {"/usr/bin/valkey-server", "/usr/bin/redis-server"};

    for (size_t i = 0; i < COUNT_OF(paths); i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    print_message("skipped: there is no redis-server\n");
    return NULL;
}

static void connect_client(struct real *r)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(r->f.address.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = WAIT_MS / 1000};

    for (int waited_ms = 0;; waited_ms += 5) {
        EXPECT(waited_ms < WAIT_MS);
        r->f.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(r->f.fd, (struct sockaddr *)&address, sizeof address) == 0)
            break;
        close(r->f.fd);
        sleep_ms(5);
    }
    setsockopt(r->f.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

struct secrets {
    struct tls_client *client;
    char *certificate, *key;
    const char *authority;
};

/* Its port is plain; with `secrets` it has another one beside, which the address is then of. */
static void start_server(struct real *r, const char *program, const struct secrets *secrets)
{
    char port[8], tls_port[8] = "0";
    uint16_t tls_number = 0;

    if (secrets != NULL) {
        int fd = server_open(&tls_number);
        sprintf(tls_port, "%u", tls_number);
        close(fd);
    }
    close(r->f.listen_fd); /* its port is free now */
    sprintf(port, "%u", r->f.address.port);
    r->pid = fork();
    if (r->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(program, program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
              "--logfile", "/dev/null", "--tls-port", tls_port, "--tls-cert-file",
              secrets != NULL ? secrets->certificate : "", "--tls-key-file",
              secrets != NULL ? secrets->key : "", "--tls-ca-cert-file",
              secrets != NULL ? secrets->authority : "", "--tls-auth-clients", "no", (char *)NULL);
        _exit(127);
    }
    EXPECT(r->pid > 0);
    connect_client(r);
    if (secrets != NULL)
        r->f.address.port = tls_number;
    r->f.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* for fixture_fini */
}

/* Says a command as another client and expects an answer that begins so. */
static void other_says(struct real *r, const char *line, const char *answer)
{
    struct buffer command = {0};
    char got[256];
    size_t size = strlen(answer);
    char last = '\0';

    append_command(&command, line);
    send_all(r->f.fd, command.data, command.size);
    buffer_fini(&command);
    EXPECT_EQ(receive_all(r->f.fd, got, size), size);
    EXPECT_TEXT(bytes_of(got, size), bytes_of_text(answer));
    while (last != '\n')
        EXPECT_EQ(receive_all(r->f.fd, &last, 1), 1);
}

/* ---- what is noted, and what is done on the loop --------------------------------------------------- */

static void real_opened(void *owner, struct source *source)
{
    buffer_append_format(&((struct real *)owner)->f.note, "opened %u\n", source_generation(source));
}

static void real_invalidated(void *owner, struct source *source, struct bytes key)
{
    (void)source;
    buffer_append_format(&((struct real *)owner)->f.note, "invalidated %.*s\n", BYTES_PRINTF(key));
}

static void real_flushed(void *owner, struct source *source, enum source_flush why)
{
    (void)source;
    buffer_append_format(&((struct real *)owner)->f.note, "flushed %d\n", (int)why);
}

static void real_doubted(void *owner, struct source *source, struct bytes text)
{
    (void)source;
    buffer_append_format(&((struct real *)owner)->f.note, "doubted: %.*s\n", BYTES_PRINTF(text));
}

static void real_failed(void *owner, struct source *source, enum err why, struct bytes text)
{
    (void)source;
    buffer_append_format(&((struct real *)owner)->f.note, "failed: %s: %.*s\n", err_text(why),
                         BYTES_PRINTF(text));
}

static const struct source_callbacks real_callbacks = {real_opened,  real_invalidated, real_flushed,
                                                       real_doubted, real_failed,      NULL};

/* It is tried again and again: more of the same follows. */
static void expect_beginning(struct fixture *f, const char *wanted)
{
    struct look look = {.fixture = f, .size = strlen(wanted)};

    for (int waited_ms = 0; waited_ms < WAIT_MS && !look.is_there; waited_ms += 2) {
        on_loop(f->world, look_at_note, &look);
        sleep_ms(2);
    }
    EXPECT(bytes_start_with(bytes_of_text(look.text), bytes_of_text(wanted)));
    free(look.text);
}

static void create(struct world *world, void *argument)
{
    struct real *r = argument;
    EXPECT_EQ(source_create(&r->f.options, &r->f.address, false, world->loop, &r->state, 0, &real_callbacks,
                            r, &r->source),
              OK);
    source_set_canary(r->source, BYTES("canary"));
}

static void destroy(struct world *world, void *argument)
{
    (void)world;
    source_destroy(((struct real *)argument)->source);
}

static void ask_it(struct world *world, void *argument)
{
    struct real *r = argument;
    (void)world;
    EXPECT_EQ(source_send(r->source, &r->f.asked[0].request, r->f.bytes, 1, r->f.which != 0), OK);
}

static void ask_for(struct real *r, const char *line, bool is_untracked)
{
    struct buffer bytes = {0};

    append_command(&bytes, line);
    r->f.bytes = buffer_bytes(&bytes);
    r->f.which = is_untracked;
    on_loop(r->f.world, ask_it, r);
    buffer_fini(&bytes);
}

static void look(struct world *world, void *argument)
{
    struct real *r = argument;
    (void)world;
    r->coherent_ms = atomic_load(&r->state.coherent_ms);
}

/* Waits until the connection is coherent as of `wanted_ms` or later. */
static void wait_coherent(struct real *r, int64_t wanted_ms)
{
    r->coherent_ms = 0;
    for (int waited_ms = 0; r->coherent_ms < wanted_ms; waited_ms++) {
        EXPECT(waited_ms < WAIT_MS);
        sleep_ms(1);
        on_loop(r->f.world, look, r);
    }
}

static bool begin(struct real *r, enum loop_kind kind, enum valkey_resp resp, const char *password,
                  const struct secrets *secrets)
{
    const char *program = server_program();

    *r = (struct real){0};
    if (program == NULL)
        return false;
    fixture_init_with(&r->f, kind, false);
    start_server(r, program, secrets);
    if (password != NULL) {
        other_says(r, "ACL SETUSER ann on >pass allkeys allchannels +@all", "+OK");
        other_says(r, "CONFIG SET requirepass other", "+OK");
        r->f.options.user = "ann";
        r->f.options.password = password;
    }
    if (secrets != NULL)
        r->f.options.tls = secrets->client;
    r->f.options.resp = resp;
    r->f.options.client_name = "hatch";
    r->f.options.canary_interval_ms = 20;
    r->f.options.backoff_min_ms = r->f.options.backoff_max_ms = 20;
    on_loop(r->f.world, create, r);
    return true;
}

static void finish(struct real *r)
{
    on_loop(r->f.world, destroy, r);
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    fixture_fini(&r->f);
}

/* ---- the tests ----------------------------------------------------------------------------------- */

static void tell_all(enum loop_kind kind, enum valkey_resp resp)
{
    struct real r;

    if (!begin(&r, kind, resp, NULL, NULL))
        skip();
    expect_note(&r.f, "opened 1\n");
    other_says(&r, "SET k v1", "+OK");
    ask_for(&r, "GET k", false);
    expect_note(&r.f, "a: v1\n");
    other_says(&r, "SET k v2", "+OK");
    expect_note(&r.f, "invalidated k\n");
    ask_for(&r, "GET k", true); /* not tracked: nothing is told of the next write */
    expect_note(&r.f, "a: v2\n");
    other_says(&r, "SET k v3", "+OK");
    wait_coherent(&r, clock_read(&clock_system).mono_ms);
    expect_note(&r.f, ""); /* it would have been told by now */
    ask_for(&r, "GET k", false);
    expect_note(&r.f, "a: v3\n");
    other_says(&r, "FLUSHALL", "+OK");
    other_says(&r, "FLUSHDB", "+OK");
    expect_note(&r.f, "flushed 0\nflushed 0\n");

    /* Either connection is cut by the server: everything is forgotten, and it comes back. */
    other_says(&r, resp == VALKEY_RESP_2 ? "CLIENT KILL TYPE pubsub" : "CLIENT KILL TYPE normal", ":");
    expect_note(&r.f, "flushed 1\nopened 4\n");
    other_says(&r, "CLIENT KILL TYPE normal", ":");
    expect_note(&r.f, "flushed 1\nopened 5\n");
    wait_coherent(&r, clock_read(&clock_system).mono_ms);
    ask_for(&r, "GET k", false);
    expect_note(&r.f, "a: null\n");
    other_says(&r, "SET k v4", "+OK");
    expect_note(&r.f, "invalidated k\n");
    finish(&r);
}

ON_BOTH(a_real_server_tells_what_changes_in_resp3) { tell_all(kind, VALKEY_RESP_3); }
ON_BOTH(a_real_server_tells_what_changes_in_resp2) { tell_all(kind, VALKEY_RESP_2); }

ON_BOTH(a_real_server_knows_its_users)
{
    for (int resp = VALKEY_RESP_AUTO; resp <= VALKEY_RESP_3; resp++) {
        struct real r;

        if (!begin(&r, kind, (enum valkey_resp)resp, "pass", NULL))
            skip();
        expect_note(&r.f, "opened 1\n");
        wait_coherent(&r, 1);
        finish(&r);
        if (!begin(&r, kind, (enum valkey_resp)resp, "wrong", NULL))
            skip();
        expect_beginning(&r.f, "failed: not permitted: WRONGPASS invalid username-password pair");
        finish(&r);
    }
}

/* The same server with TLS: its certificate must be of the name, and of an authority that is believed. */
ON_BOTH(a_real_server_is_spoken_to_over_tls)
{
    struct certificates ours, others;
    struct secrets secrets = {0};
    struct buffer why = {0};
    const char *other_authority;

    if (server_program() == NULL)
        skip();
    certificates_init(&ours, "an authority", &secrets.authority);
    certificates_init(&others, "another one", &other_authority);
    certificates_add(&ours, "server", "IP:127.0.0.1", 3600, &secrets.certificate, &secrets.key);
    for (int resp = VALKEY_RESP_2; resp <= VALKEY_RESP_3; resp++)
        for (int is_believed = 0; is_believed < 2; is_believed++) {
            struct tls_client_files files = {.authorities =
                                                 is_believed ? secrets.authority : other_authority};
            struct real r;

            EXPECT_EQ(tls_client_create(&files, &why, &secrets.client), OK);
            if (!begin(&r, kind, (enum valkey_resp)resp, NULL, &secrets))
                skip();
            if (is_believed) {
                expect_note(&r.f, "opened 1\n");
                ask_for(&r, "SET k v", false);
                expect_note(&r.f, "a: OK\n");
                wait_coherent(&r, clock_read(&clock_system).mono_ms);
            } else {
                expect_beginning(&r.f, "failed: TLS failed: TLS failed\n");
            }
            finish(&r);
            tls_client_destroy(secrets.client);
        }
    certificates_fini(&ours);
    certificates_fini(&others);
    buffer_fini(&why);
}

RUN_TESTS(ROWS(a_real_server_tells_what_changes_in_resp3), ROWS(a_real_server_tells_what_changes_in_resp2),
          ROWS(a_real_server_knows_its_users), ROWS(a_real_server_is_spoken_to_over_tls))
