/* links: nuthatch-valkey nuthatch-net
 *
 * Tracked connections to a server that the test plays, over both back ends. */
#include "client/valkey/source.h"
#include "link_world.h"

struct source_fixture {
    struct fixture f;
    struct source *source;
    struct source_state state;
    uint32_t generation;
    int64_t coherent_ms;
    bool is_replica, is_untracked, answer;
    int data_fd, receiver_fd;
};

/* ---- what is noted ------------------------------------------------------------------------------- */

static void source_opened(void *owner, struct source *source)
{
    struct source_fixture *s = owner;
    buffer_append_format(&s->f.note, "opened %u\n", source_generation(source));
    EXPECT_EQ(source_generation(source), atomic_load(&s->state.generation));
}

static void source_invalidated(void *owner, struct source *source, struct bytes key)
{
    struct source_fixture *s = owner;
    (void)source;
    buffer_append_format(&s->f.note, "invalidated %.*s\n", BYTES_PRINTF(key));
}

static void source_flushed(void *owner, struct source *source, enum source_flush why)
{
    static const char *const words[] = {"all", "lost", "role"};
    struct source_fixture *s = owner;
    buffer_append_format(&s->f.note, "flushed %s, now %u\n", words[why], source_generation(source));
    EXPECT_EQ(source_generation(source), atomic_load(&s->state.generation));
}

static void source_doubted(void *owner, struct source *source, struct bytes text)
{
    (void)source;
    buffer_append_format(&((struct source_fixture *)owner)->f.note, "doubted: %.*s\n", BYTES_PRINTF(text));
}

static void source_failed(void *owner, struct source *source, enum err why, struct bytes text)
{
    buffer_append_format(&((struct source_fixture *)owner)->f.note, "failed: %s: %.*s%s\n", err_text(why),
                         BYTES_PRINTF(text), source_is_left_alone(source) ? " (left alone)" : "");
}

static void source_pushed(void *owner, struct source *source, const struct resp_reply *push)
{
    (void)source;
    on_pushed(&((struct source_fixture *)owner)->f, push);
}

static const struct source_callbacks source_callbacks = {source_opened,  source_invalidated, source_flushed,
                                                         source_doubted, source_failed,      source_pushed};

/* ---- what is done on the loop -------------------------------------------------------------------- */

static void create(struct world *world, void *argument)
{
    struct source_fixture *s = argument;
    s->f.err = source_create(&s->f.options, &s->f.address, s->is_replica, world->loop, &s->state, 5,
                             &source_callbacks, s, &s->source);
}

static void destroy(struct world *world, void *argument)
{
    struct source_fixture *s = argument;
    (void)world;
    if (s->source != NULL)
        source_destroy(s->source);
    s->source = NULL;
}

static void set_canary(struct world *world, void *argument)
{
    (void)world;
    source_set_canary(((struct source_fixture *)argument)->source, BYTES("{c}"));
}

static void sound_it(struct world *world, void *argument)
{
    (void)world;
    source_sound(((struct source_fixture *)argument)->source);
}

static void reconnect(struct world *world, void *argument)
{
    (void)world;
    source_reconnect(((struct source_fixture *)argument)->source);
}

static void change_role(struct world *world, void *argument)
{
    struct source_fixture *s = argument;
    (void)world;
    source_change_role(s->source, s->is_replica);
}

static void look_at_state(struct world *world, void *argument)
{
    struct source_fixture *s = argument;
    (void)world;
    s->generation = atomic_load(&s->state.generation);
    s->coherent_ms = atomic_load(&s->state.coherent_ms);
}

static void ask_it(struct world *world, void *argument)
{
    struct source_fixture *s = argument;
    (void)world;
    s->f.err =
        source_send(s->source, &s->f.asked[s->f.which].request, s->f.bytes, s->f.count, s->is_untracked);
}

static enum err ask_for(struct source_fixture *s, char which, const char *line)
{
    struct buffer bytes = {0};

    append_command(&bytes, line);
    s->f.which = which - 'a';
    s->f.bytes = buffer_bytes(&bytes);
    s->f.count = 1;
    on_loop(s->f.world, ask_it, s);
    buffer_fini(&bytes);
    return s->f.err;
}

static int64_t clock_ms(struct source_fixture *s) { return atomic_load(&s->f.world->fake.mono_ms); }

static int64_t coherent_ms(struct source_fixture *s)
{
    on_loop(s->f.world, look_at_state, s);
    return s->coherent_ms;
}

static uint32_t generation(struct source_fixture *s)
{
    on_loop(s->f.world, look_at_state, s);
    return s->generation;
}

/* What has been sent to the loop so far has been heard. */
static void let_hear(struct source_fixture *s)
{
    for (int i = 0; i < 5; i++) {
        on_loop(s->f.world, do_nothing, NULL);
        sleep_ms(1);
    }
}

static void wait_coherent(struct source_fixture *s, int64_t wanted_ms)
{
    for (int waited_ms = 0; coherent_ms(s) != wanted_ms && waited_ms < WAIT_MS; waited_ms++)
        sleep_ms(1);
    EXPECT_EQ(coherent_ms(s), wanted_ms);
}

/* ---- beginnings ---------------------------------------------------------------------------------- */

static void begin(struct source_fixture *s, enum loop_kind kind)
{
    *s = (struct source_fixture){.data_fd = -1, .receiver_fd = -1};
    fixture_init(&s->f, kind);
}

static void begin_source(struct source_fixture *s)
{
    on_loop(s->f.world, create, s);
    EXPECT_EQ(s->f.err, OK);
}

/* The server greets and tracks in RESP3. */
static void serve3(struct source_fixture *s, const char *note)
{
    server_accept(&s->f);
    s->data_fd = s->f.fd;
    SERVER_HEARS(&s->f, "HELLO 3");
    server_says(&s->f, HELLO_MAP);
    SERVER_HEARS(&s->f, "CLIENT TRACKING ON OPTOUT");
    server_says(&s->f, "+OK\r\n");
    expect_note(&s->f, note);
}

/* In RESP2, with a receiver. */
static void serve2(struct source_fixture *s, const char *note)
{
    server_accept(&s->f);
    s->data_fd = s->f.fd;
    SERVER_HEARS(&s->f, "PING");
    server_says(&s->f, "+PONG\r\n");
    server_accept(&s->f);
    s->receiver_fd = s->f.fd;
    SERVER_HEARS(&s->f, "PING");
    server_says(&s->f, "+PONG\r\n");
    SERVER_HEARS(&s->f, "CLIENT ID", "SUBSCRIBE __redis__:invalidate");
    server_says(&s->f, ":77\r\n*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n");
    s->f.fd = s->data_fd;
    SERVER_HEARS(&s->f, "CLIENT TRACKING ON REDIRECT 77 OPTOUT");
    server_says(&s->f, "+OK\r\n");
    expect_note(&s->f, note);
}

static void begin_open(struct source_fixture *s, enum loop_kind kind, int version)
{
    begin(s, kind);
    s->f.options.resp = version == 2 ? VALKEY_RESP_2 : VALKEY_RESP_AUTO;
    begin_source(s);
    if (version == 2)
        serve2(s, "opened 1\n");
    else
        serve3(s, "opened 1\n");
}

static void finish(struct source_fixture *s)
{
    on_loop(s->f.world, destroy, s);
    EXPECT_EQ(generation(s), 0);
    EXPECT_EQ(s->coherent_ms, 0);
    let_hear(s);
    if (s->receiver_fd >= 0)
        close(s->receiver_fd);
    s->f.fd = s->data_fd;
    fixture_fini(&s->f);
}

/* ---- invalidations ------------------------------------------------------------------------------- */

/* Race C: the push of a write lies before the reply to what was read after it, and behind the reply to what
 * was read before. */
ON_BOTH(invalidations_are_told_between_replies_as_they_lie_on_the_wire)
{
    static const char answer[] = "$2\r\nv1\r\n>2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\nk\r\n$1\r\nl\r\n"
                                 "$2\r\nv2\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n+OK\r\n";
    static const char note[] = "a: v1\ninvalidated k\ninvalidated l\nb: v2\nflushed all, now 2\nc: OK\n";

    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct source_fixture s;

        begin_open(&s, kind, 3);
        EXPECT_EQ(ask_for(&s, 'a', "GET k"), OK);
        EXPECT_EQ(ask_for(&s, 'b', "GET k"), OK);
        EXPECT_EQ(ask_for(&s, 'c', "SET k 1"), OK);
        SERVER_HEARS(&s.f, "GET k", "GET k", "SET k 1");
        for (size_t i = 0; bytewise && i < sizeof answer - 1; i++) {
            send_all(s.f.fd, &answer[i], 1);
            on_loop(s.f.world, do_nothing, NULL);
        }
        if (!bytewise)
            server_says(&s.f, answer);
        expect_note(&s.f, note);
        EXPECT_EQ(generation(&s), 2);
        finish(&s);
    }
}

ON_BOTH(every_form_of_flush_is_understood_on_either_connection)
{
    static const char *const nulls[] = {"_\r\n", "$-1\r\n", "*-1\r\n"};

    for (int version = 2; version <= 3; version++)
        for (size_t i = 0; i < COUNT_OF(nulls); i++) {
            struct source_fixture s;
            char text[128];

            begin_open(&s, kind, version);
            sprintf(text,
                    version == 2 ? "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n%s"
                                 : ">2\r\n$10\r\ninvalidate\r\n%s",
                    nulls[i]);
            s.f.fd = version == 2 ? s.receiver_fd : s.data_fd;
            server_says(&s.f, text);
            server_says(&s.f, text); /* the second one, too */
            expect_note(&s.f, "flushed all, now 2\nflushed all, now 3\n");
            finish(&s);
        }
}

ON_BOTH(a_receiver_tells_keys_in_resp2)
{
    struct source_fixture s;

    begin_open(&s, kind, 2);
    EXPECT(source_has_receiver(s.source));
    s.f.fd = s.receiver_fd;
    server_says(&s.f, "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n"
                      "*3\r\n$7\r\nmessage\r\n$5\r\nother\r\n$1\r\nm\r\n");
    expect_note(&s.f, "invalidated k\npush: [message other m]\n");
    finish(&s);
}

ON_BOTH(an_invalidation_that_cannot_be_read_ends_the_connection)
{
    static const char *const texts[] = {">2\r\n+invalidate\r\n:1\r\n", ">2\r\n+invalidate\r\n*1\r\n:1\r\n",
                                        ">3\r\n+tracking-redir-broken\r\n:1\r\n:2\r\n",
                                        ">2\r\n+tracking-redir-broken\r\n:1\r\n"};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct source_fixture s;

        begin_open(&s, kind, 3);
        server_says(&s.f, texts[i]);
        expect_note(&s.f, "flushed lost, now 0\n");
        finish(&s);
    }
}

/* ---- losing it and coming back ------------------------------------------------------------------- */

/* Race D: flushed first, then told. */
ON_BOTH(a_lost_connection_is_forgotten_before_its_requests_fail)
{
    struct source_fixture s;

    begin_open(&s, kind, 3);
    EXPECT_EQ(ask_for(&s, 'a', "GET k"), OK);
    server_closes(&s.f);
    s.data_fd = -1;
    expect_note(&s.f, "flushed lost, now 0\na failed: closed by the peer, was sent\n");
    EXPECT_EQ(generation(&s), 0);
    EXPECT_EQ(s.coherent_ms, 0);
    EXPECT_EQ(ask_for(&s, 'a', "GET k"), ERR_CANCELLED);
    pass_ms(&s.f, 200); /* more than the first back-off */
    serve3(&s, "opened 2\n");
    finish(&s);
}

ON_BOTH(in_resp2_either_connection_takes_the_other_with_it)
{
    for (int receiver = 0; receiver < 2; receiver++) {
        struct source_fixture s;
        char byte;

        begin_open(&s, kind, 2);
        EXPECT_EQ(ask_for(&s, 'a', "GET k"), OK);
        SERVER_HEARS(&s.f, "GET k");
        close(receiver ? s.receiver_fd : s.data_fd);
        expect_note(&s.f, receiver ? "flushed lost, now 0\na failed: closed by the peer, was sent\n"
                                   : "flushed lost, now 0\na failed: closed by the peer, was sent\n");
        EXPECT_EQ(generation(&s), 0);
        EXPECT_EQ(recv(receiver ? s.data_fd : s.receiver_fd, &byte, 1, 0), 0); /* it was closed */
        close(receiver ? s.data_fd : s.receiver_fd);
        pass_ms(&s.f, 200);
        serve2(&s, "opened 2\n");
        finish(&s);
    }
}

ON_BOTH(no_generation_comes_twice_whoever_uses_the_index)
{
    struct source_fixture s;

    begin_open(&s, kind, 3);
    server_says(&s.f, ">2\r\n+invalidate\r\n_\r\n");
    expect_note(&s.f, "flushed all, now 2\n");
    on_loop(s.f.world, destroy, &s);
    close(s.data_fd);
    on_loop(s.f.world, create, &s);
    serve3(&s, "opened 3\n");
    on_loop(s.f.world, destroy, &s);
    close(s.data_fd);
    s.state.last_generation = UINT32_MAX;
    on_loop(s.f.world, create, &s);
    serve3(&s, "opened 1\n"); /* 0 is none */
    finish(&s);
}

ON_BOTH(a_server_that_does_not_come_is_tried_ever_more_rarely_and_then_left_alone)
{
    struct source_fixture s;
    static const char refused[] = "failed: connection refused: connection refused\n",
                      alone[] = "failed: connection refused: connection refused (left alone)\n";

    begin(&s, kind);
    close(s.f.listen_fd);
    begin_source(&s);
    expect_note(&s.f, refused);
    pass_ms(&s.f, 40); /* below half of the first: 50 … 100 ms */
    expect_note(&s.f, "");
    pass_ms(&s.f, 80);
    expect_note(&s.f, refused);
    pass_ms(&s.f, 90); /* 100 … 200 */
    expect_note(&s.f, "");
    pass_ms(&s.f, 130);
    expect_note(&s.f, alone);
    for (int i = 0; i < 2; i++) { /* 500 … 1000, by now always */
        pass_ms(&s.f, 490);
        expect_note(&s.f, "");
        pass_ms(&s.f, 530);
        expect_note(&s.f, alone);
    }
    {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(s.f.address.port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int on = 1;
        s.f.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(s.f.listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        EXPECT_EQ(bind(s.f.listen_fd, (struct sockaddr *)&address, sizeof address), 0);
        EXPECT_EQ(listen(s.f.listen_fd, 16), 0);
    }
    pass_ms(&s.f, 1020);
    serve3(&s, "opened 1\n");
    EXPECT(!source_is_left_alone(s.source));
    finish(&s);
}

ON_BOTH(losses_count_as_a_row_only_if_they_follow_each_other)
{
    struct source_fixture s;

    begin_open(&s, kind, 3);
    for (uint32_t i = 2; i < 8; i++) { /* more than the breaker takes */
        char note[32];

        pass_ms(&s.f, 1100);
        server_closes(&s.f);
        expect_note(&s.f, "flushed lost, now 0\n");
        EXPECT(!source_is_left_alone(s.source));
        pass_ms(&s.f, 120); /* more than the first back-off, and no later one */
        sprintf(note, "opened %u\n", i);
        serve3(&s, note);
    }
    server_closes(&s.f); /* it comes and goes */
    expect_note(&s.f, "flushed lost, now 0\n");
    pass_ms(&s.f, 220);
    serve3(&s, "opened 8\n");
    server_closes(&s.f);
    expect_note(&s.f, "flushed lost, now 0\n");
    let_hear(&s);
    EXPECT(source_is_left_alone(s.source));
    s.data_fd = -1;
    finish(&s);
}

ON_BOTH(a_refused_password_is_a_failure_with_the_servers_words)
{
    struct source_fixture s;

    begin(&s, kind);
    begin_source(&s);
    server_accept(&s.f);
    s.data_fd = s.f.fd;
    server_says(&s.f, "-NOAUTH HELLO must be called\r\n");
    expect_note(&s.f, "failed: not permitted: NOAUTH HELLO must be called\n");
    EXPECT_EQ(generation(&s), 0);
    finish(&s);
}

ON_BOTH(a_source_is_closed_at_every_stage_without_a_word)
{
    for (int version = 2; version <= 3; version++)
        for (int stage = 0; stage < 5; stage++) {
            struct source_fixture s;

            begin(&s, kind);
            s.f.options.resp = version == 2 ? VALKEY_RESP_2 : VALKEY_RESP_3;
            on_loop(s.f.world, create, &s);
            if (stage >= 1)
                server_accept(&s.f);
            s.data_fd = s.f.fd;
            if (stage >= 2)
                server_says(&s.f, version == 2 ? "+PONG\r\n" : HELLO_MAP);
            if (stage >= 3 && version == 2)
                s.receiver_fd = server_accept(&s.f);
            if (stage >= 4 && version == 2)
                server_says(&s.f, "+PONG\r\n:7\r\n");
            let_hear(&s);
            on_loop(s.f.world, destroy, &s);
            let_hear(&s);
            expect_note(&s.f, "");
            finish(&s);
        }
}

/* ---- coherence ----------------------------------------------------------------------------------- */

ON_BOTH(a_canary_proves_the_moment_at_which_it_was_sent)
{
    struct source_fixture s;
    int64_t sent_ms;

    begin_open(&s, kind, 3);
    EXPECT_EQ(coherent_ms(&s), 0);
    sent_ms = clock_ms(&s);
    on_loop(s.f.world, set_canary, &s);
    SERVER_HEARS(&s.f, "EXISTS {c}");
    pass_ms(&s.f, 40);
    EXPECT_EQ(coherent_ms(&s), 0);
    server_says(&s.f, ":0\r\n");
    wait_coherent(&s, sent_ms);
    pass_ms(&s.f, 260);
    sent_ms = clock_ms(&s);
    SERVER_HEARS(&s.f, "EXISTS {c}");
    on_loop(s.f.world, sound_it, &s); /* while one is out: another follows it */
    pass_ms(&s.f, 5);
    server_says(&s.f, ":0\r\n");
    wait_coherent(&s, sent_ms);
    SERVER_HEARS(&s.f, "EXISTS {c}");
    finish(&s);
}

ON_BOTH(a_canary_that_is_refused_proves_nothing)
{
    struct source_fixture s;

    begin_open(&s, kind, 3);
    on_loop(s.f.world, set_canary, &s);
    SERVER_HEARS(&s.f, "EXISTS {c}");
    server_says(&s.f, "-MOVED 7 127.0.0.1:7001\r\n");
    expect_note(&s.f, "doubted: MOVED 7 127.0.0.1:7001\n");
    EXPECT_EQ(coherent_ms(&s), 0);
    on_loop(s.f.world, sound_it, &s);
    SERVER_HEARS(&s.f, "EXISTS {c}");
    server_says(&s.f, "-CLUSTERDOWN The cluster is down\r\n");
    expect_note(&s.f, "doubted: CLUSTERDOWN The cluster is down\n");
    EXPECT_EQ(coherent_ms(&s), 0);
    finish(&s);
}

ON_BOTH(a_canary_of_a_slot_that_is_moving_proves_as_much_as_any)
{
    struct source_fixture s;
    int64_t sent_ms;

    begin_open(&s, kind, 3);
    sent_ms = clock_ms(&s);
    on_loop(s.f.world, set_canary, &s);
    SERVER_HEARS(&s.f, "EXISTS {c}");
    pass_ms(&s.f, 5);
    server_says(&s.f, "-ASK 7 127.0.0.1:7001\r\n");
    wait_coherent(&s, sent_ms);
    finish(&s);
}

ON_BOTH(in_resp2_the_receiver_must_have_answered_after_the_canary)
{
    struct source_fixture s;
    int64_t sent_ms;

    begin_open(&s, kind, 2);
    sent_ms = clock_ms(&s);
    on_loop(s.f.world, set_canary, &s);
    SERVER_HEARS(&s.f, "EXISTS {c}");
    pass_ms(&s.f, 10);
    server_says(&s.f, ":0\r\n");
    s.f.fd = s.receiver_fd;
    SERVER_HEARS(&s.f, "PING");
    EXPECT_EQ(coherent_ms(&s), 0);
    pass_ms(&s.f, 10);
    server_says(&s.f, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    wait_coherent(&s, sent_ms);
    finish(&s);
}

/* Race H, and a peer that is gone without a word. */
ON_BOTH(a_server_that_is_cut_off_proves_nothing_and_is_given_up)
{
    for (int version = 2; version <= 3; version++) {
        struct source_fixture s;
        int64_t sent_ms;

        begin_open(&s, kind, version);
        sent_ms = clock_ms(&s);
        on_loop(s.f.world, set_canary, &s);
        SERVER_HEARS(&s.f, "EXISTS {c}");
        server_says(&s.f, ":0\r\n");
        if (version == 2) { /* the receiver alone is cut off */
            s.f.fd = s.receiver_fd;
            SERVER_HEARS(&s.f, "PING");
        } else {
            wait_coherent(&s, sent_ms);
        }
        for (int i = 0; i < 4; i++) {
            pass_ms(&s.f, 240);
            EXPECT_EQ(coherent_ms(&s), version == 2 ? 0 : sent_ms);
        }
        expect_note(&s.f, "");
        for (int i = 0; i < 4; i++)
            pass_ms(&s.f, 150);
        expect_note(&s.f, "flushed lost, now 0\n");
        EXPECT_EQ(coherent_ms(&s), 0);
        finish(&s);
    }
}

ON_BOTH(a_server_that_only_pushes_and_answers_nobody_is_given_up)
{
    struct source_fixture s;

    begin_open(&s, kind, 3);
    on_loop(s.f.world, set_canary, &s);
    SERVER_HEARS(&s.f, "EXISTS {c}");
    for (int i = 0; i < 7; i++) { /* much may lie before a reply: it is waited for longer than for a word */
        pass_ms(&s.f, 500);
        server_says(&s.f, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
        expect_note(&s.f, "invalidated k\n");
    }
    for (int i = 0; i < 2; i++) {
        pass_ms(&s.f, 500);
        server_says(&s.f, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
        let_hear(&s);
    }
    for (int i = 0; i < 4; i++)
        pass_ms(&s.f, 150);
    EXPECT_EQ(generation(&s), 0);
    let_hear(&s);
    buffer_clear(&s.f.note);
    finish(&s);
}

ON_BOTH(a_canary_finds_room_where_nobody_else_does)
{
    struct source_fixture s;
    enum err err = OK;

    begin_open(&s, kind, 3);
    for (char letter = 'a'; err == OK; letter++)
        err = ask_for(&s, letter, "GET k");
    EXPECT_EQ(err, ERR_FULL);
    for (int i = 0; i < 14; i++)
        SERVER_HEARS(&s.f, "GET k");
    on_loop(s.f.world, set_canary, &s);
    SERVER_HEARS(&s.f, "EXISTS {c}");
    finish(&s);
}

ON_BOTH(a_server_that_does_not_track_is_used_without)
{
    struct source_fixture s;

    begin(&s, kind);
    begin_source(&s);
    server_accept(&s.f);
    s.data_fd = s.f.fd;
    server_says(&s.f, HELLO_MAP);
    server_says(&s.f, "-ERR unknown subcommand 'TRACKING'. Try CLIENT HELP.\r\n");
    expect_note(&s.f, "opened 1\n");
    EXPECT(!source_is_tracked(s.source));
    SERVER_HEARS(&s.f, "HELLO 3", "CLIENT TRACKING ON OPTOUT");
    on_loop(s.f.world, set_canary, &s);
    SERVER_HEARS(&s.f, "EXISTS {c}");
    server_says(&s.f, ":0\r\n");
    s.is_untracked = true; /* no CLIENT CACHING NO, which it would refuse */
    EXPECT_EQ(ask_for(&s, 'a', "GET k"), OK);
    SERVER_HEARS(&s.f, "GET k");
    server_says(&s.f, "+v\r\n");
    expect_note(&s.f, "a: v\n");
    EXPECT_EQ(coherent_ms(&s), 0);
    finish(&s);
}

/* ---- use ----------------------------------------------------------------------------------------- */

ON_BOTH(what_is_not_to_be_remembered_has_its_mark_right_before_it)
{
    struct source_fixture s;

    begin_open(&s, kind, 3);
    s.is_untracked = true;
    EXPECT_EQ(ask_for(&s, 'a', "GET k"), OK);
    s.is_untracked = false;
    EXPECT_EQ(ask_for(&s, 'b', "GET l"), OK);
    SERVER_HEARS(&s.f, "CLIENT CACHING NO", "GET k", "GET l");
    server_says(&s.f, "+OK\r\n+k\r\n+l\r\n");
    expect_note(&s.f, "a: k\nb: l\n");
    finish(&s);
}

ON_BOTH(a_replica_is_told_that_it_may_be_read_and_a_new_role_forgets)
{
    struct source_fixture s;

    begin(&s, kind);
    s.is_replica = true;
    begin_source(&s);
    server_accept(&s.f);
    s.data_fd = s.f.fd;
    SERVER_HEARS(&s.f, "HELLO 3");
    server_says(&s.f, HELLO_MAP);
    SERVER_HEARS(&s.f, "READONLY", "CLIENT TRACKING ON OPTOUT");
    server_says(&s.f, "-ERR This instance has cluster support disabled\r\n+OK\r\n");
    expect_note(&s.f, "opened 1\n");
    EXPECT(source_is_tracked(s.source));
    s.is_replica = false;
    on_loop(s.f.world, change_role, &s);
    on_loop(s.f.world, change_role, &s); /* it is that already */
    expect_note(&s.f, "flushed role, now 2\n");
    SERVER_HEARS(&s.f, "READWRITE");
    server_says(&s.f, "+OK\r\n");
    finish(&s);
}

ON_BOTH(a_new_connection_comes_at_once_where_one_is_wanted)
{
    struct source_fixture s;

    begin_open(&s, kind, 3);
    EXPECT_EQ(ask_for(&s, 'a', "GET k"), OK);
    pass_ms(&s.f, 150);
    on_loop(s.f.world, reconnect, &s);
    expect_note(&s.f, "flushed lost, now 0\na failed: cancelled, was sent\n");
    close(s.data_fd);
    pass_ms(&s.f, 10);
    serve3(&s, "opened 2\n");
    on_loop(s.f.world, reconnect, &s); /* but not again and again */
    expect_note(&s.f, "flushed lost, now 0\n");
    close(s.data_fd);
    pass_ms(&s.f, 10);
    let_hear(&s);
    EXPECT_EQ(poll(&(struct pollfd){.fd = s.f.listen_fd, .events = POLLIN}, 1, 0), 0);
    pass_ms(&s.f, 200);
    serve3(&s, "opened 3\n");
    finish(&s);
}

RUN_TESTS(ROWS(invalidations_are_told_between_replies_as_they_lie_on_the_wire),
          ROWS(every_form_of_flush_is_understood_on_either_connection),
          ROWS(a_receiver_tells_keys_in_resp2),
          ROWS(an_invalidation_that_cannot_be_read_ends_the_connection),
          ROWS(a_lost_connection_is_forgotten_before_its_requests_fail),
          ROWS(in_resp2_either_connection_takes_the_other_with_it),
          ROWS(no_generation_comes_twice_whoever_uses_the_index),
          ROWS(a_server_that_does_not_come_is_tried_ever_more_rarely_and_then_left_alone),
          ROWS(losses_count_as_a_row_only_if_they_follow_each_other),
          ROWS(a_refused_password_is_a_failure_with_the_servers_words),
          ROWS(a_source_is_closed_at_every_stage_without_a_word),
          ROWS(a_canary_proves_the_moment_at_which_it_was_sent),
          ROWS(a_canary_that_is_refused_proves_nothing),
          ROWS(a_canary_of_a_slot_that_is_moving_proves_as_much_as_any),
          ROWS(in_resp2_the_receiver_must_have_answered_after_the_canary),
          ROWS(a_server_that_is_cut_off_proves_nothing_and_is_given_up),
          ROWS(a_server_that_only_pushes_and_answers_nobody_is_given_up),
          ROWS(a_canary_finds_room_where_nobody_else_does),
          ROWS(a_server_that_does_not_track_is_used_without),
          ROWS(what_is_not_to_be_remembered_has_its_mark_right_before_it),
          ROWS(a_replica_is_told_that_it_may_be_read_and_a_new_role_forgets),
          ROWS(a_new_connection_comes_at_once_where_one_is_wanted))
