/* links: nuthatch-valkey nuthatch-net
 *
 * One connection to a server that the test plays, over both back ends. */
#include "base/random_source.h"
#include "link_world.h"

static const struct link_callbacks link_callbacks = {on_opened, on_pushed, on_ending, on_closed};

static void open_it(struct world *world, void *argument)
{
    struct fixture *f = argument;
    f->err = link_open(&f->options, &f->address, world->loop, &link_callbacks, f, &f->link);
}

static void close_it(struct world *world, void *argument)
{
    struct fixture *f = argument;
    (void)world;
    if (f->link != NULL)
        link_close(f->link);
}

static void begin(struct fixture *f, enum loop_kind kind)
{
    fixture_init(f, kind);
    on_loop(f->world, open_it, f);
    EXPECT_EQ(f->err, OK);
    server_accept(f);
}

static void begin_open(struct fixture *f, enum loop_kind kind)
{
    begin(f, kind);
    SERVER_HEARS(f, "HELLO 3");
    server_says(f, HELLO_MAP);
    expect_note(f, "opened\n");
}

static void finish(struct fixture *f)
{
    on_loop(f->world, close_it, f);
    wait_until_gone(f);
    fixture_fini(f);
}

static void ask_it(struct world *world, void *argument)
{
    struct fixture *f = argument;
    (void)world;
    f->err = link_send(f->link, &f->asked[f->which].request, f->bytes, f->count);
}

/* Asks, as the letter `which`, what is to have `count` replies. */
static enum err ask_for(struct fixture *f, char which, const char *lines, uint32_t count)
{
    struct buffer bytes = {0};

    append_command(&bytes, lines);
    f->which = which - 'a';
    f->bytes = buffer_bytes(&bytes);
    f->count = count;
    on_loop(f->world, ask_it, f);
    buffer_fini(&bytes);
    return f->err;
}

/* ---- greeting ------------------------------------------------------------------------------------ */

static const struct greeting_case {
    enum valkey_resp resp;
    const char *user, *password, *name;
    const char *hears, *says; /* commands of one round, between ; and what is answered to all of them */
    const char *then_hears, *then_says;
    const char *note;
} greetings[] = {
    {.hears = "HELLO 3", .says = HELLO_MAP, .note = "opened\n"},
    {.password = "secret",
     .name = "hatch",
     .hears = "HELLO 3 AUTH default secret SETNAME hatch",
     .says = HELLO_MAP,
     .note = "opened\n"},
    {.user = "ann", .password = "s", .hears = "HELLO 3 AUTH ann s", .says = HELLO_MAP, .note = "opened\n"},
    {.password = "no",
     .hears = "HELLO 3 AUTH default no",
     .says = "-WRONGPASS invalid username-password pair\r\n",
     .note = "ending\nclosed: not permitted: WRONGPASS invalid username-password pair\n"},
    {.hears = "HELLO 3",
     .says = "-NOAUTH HELLO must be called with the client already authenticated\r\n",
     .note = "ending\nclosed: not permitted: NOAUTH HELLO must be called with the client already "
             "authenticated\n"},
    {.hears = "HELLO 3",
     .says = "-NOPROTO unsupported protocol version\r\n",
     .then_hears = "PING",
     .then_says = "+PONG\r\n",
     .note = "opened\n"},
    {.user = "ann",
     .password = "s",
     .name = "n",
     .hears = "HELLO 3 AUTH ann s SETNAME n",
     .says = "-ERR unknown command `HELLO`\r\n",
     .then_hears = "AUTH ann s;CLIENT SETNAME n;PING",
     .then_says = "+OK\r\n-NOPERM no\r\n-LOADING\r\n",
     .note = "opened\n"},
    {.resp = VALKEY_RESP_3,
     .hears = "HELLO 3",
     .says = "-NOPROTO unsupported protocol version\r\n",
     .note = "ending\nclosed: not supported on this machine: NOPROTO unsupported protocol version\n"},
    {.resp = VALKEY_RESP_2,
     .password = "s",
     .hears = "AUTH s;PING",
     .says = "-ERR invalid password\r\n-NOAUTH Authentication required.\r\n",
     .note = "ending\nclosed: not permitted: ERR invalid password\n"},
    {.resp = VALKEY_RESP_2,
     .hears = "PING",
     .says = "-NOAUTH Authentication required.\r\n",
     .note = "ending\nclosed: not permitted: NOAUTH Authentication required.\n"},
    {.resp = VALKEY_RESP_2,
     .hears = "PING",
     .says = "-ERR max number of clients reached\r\n",
     .note = "ending\nclosed: connection refused: ERR max number of clients reached\n"},
    {.resp = VALKEY_RESP_2,
     .hears = "PING",
     .says = "$4\r\nPONG\r\n",
     .note = "ending\nclosed: malformed: no answer to HELLO\n"},
    {.hears = "HELLO 3", .says = "+OK\r\n", .note = "ending\nclosed: malformed: no answer to HELLO\n"},
    {.hears = "HELLO 3",
     .says = ">2\r\n+invalidate\r\n_\r\n",
     .note = "ending\nclosed: malformed: a push where none may be\n"},
    {.hears = "HELLO 3", .says = "HTTP/1.1 400 Bad Request\r\n\r\n", .note = NULL /* the parser's words */},
};

static void hear_round(struct fixture *f, const char *commands)
{
    char *copy = strdup(commands), *rest = copy, *command;

    while ((command = strsep(&rest, ";")) != NULL)
        SERVER_HEARS(f, command);
    free(copy);
}

ON_BOTH(a_server_is_greeted_as_far_as_it_understands)
{
    for (size_t i = 0; i < COUNT_OF(greetings); i++) {
        const struct greeting_case *c = &greetings[i];
        struct fixture f;

        fixture_init(&f, kind);
        f.options.resp = c->resp;
        f.options.user = c->user;
        f.options.password = c->password;
        f.options.client_name = c->name;
        on_loop(f.world, open_it, &f);
        server_accept(&f);
        hear_round(&f, c->hears);
        server_says(&f, c->says);
        if (c->then_hears != NULL) {
            hear_round(&f, c->then_hears);
            server_says(&f, c->then_says);
        }
        if (c->note != NULL)
            expect_note(&f, c->note);
        finish(&f);
    }
}

ON_BOTH(connecting_and_greeting_have_one_deadline)
{
    struct fixture f;

    begin(&f, kind);
    SERVER_HEARS(&f, "HELLO 3");
    server_says(&f, "%2\r\n$6\r\nserver\r\n");
    pass_ms(&f, 2100);
    expect_note(&f, "ending\nclosed: took too long: connected, but not greeted within the time that "
                    "connecting may take\n");
    finish(&f);
}

ON_BOTH(a_port_where_nobody_listens_is_told_so)
{
    struct fixture f;

    fixture_init(&f, kind);
    close(f.listen_fd);
    on_loop(f.world, open_it, &f);
    expect_note(&f, "ending\nclosed: connection refused: connection refused\n");
    f.listen_fd = server_open(&f.address.port);
    finish(&f);
}

static bool permits_none(void *owner, const struct sockaddr *address)
{
    (void)owner;
    return address->sa_family != AF_INET;
}

ON_BOTH(an_address_that_is_not_permitted_is_not_connected_to)
{
    struct fixture f;

    fixture_init(&f, kind);
    f.address.permits = permits_none;
    on_loop(f.world, open_it, &f);
    expect_note(&f, "ending\nclosed: not permitted: not permitted\n");
    finish(&f);
}

ON_BOTH(a_link_knows_the_address_at_its_other_end)
{
    struct fixture f;

    begin_open(&f, kind);
    EXPECT_TEXT(bytes_of_text(link_peer(f.link)), BYTES("127.0.0.1"));
    finish(&f);
}

ON_BOTH(a_link_may_be_closed_at_every_stage)
{
    for (int stage = 0; stage < 3; stage++) {
        struct fixture f;

        if (stage == 2)
            begin_open(&f, kind);
        else
            fixture_init(&f, kind);
        if (stage < 2)
            on_loop(f.world, open_it, &f);
        if (stage == 1)
            server_accept(&f);
        on_loop(f.world, close_it, &f);
        expect_note(&f, "ending\nclosed: cancelled: cancelled\n");
        finish(&f);
    }
}

/* ---- requests and replies ------------------------------------------------------------------------ */

static void ask_three(struct world *world, void *argument)
{
    struct fixture *f = argument;

    (void)world;
    EXPECT_EQ(link_send(f->link, &f->asked[0].request, BYTES("*1\r\n$4\r\nPING\r\n"), 1), OK);
    EXPECT_EQ(link_send(f->link, &f->asked[1].request,
                        BYTES("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$4\r\nPTTL\r\n$1\r\nk\r\n"), 2),
              OK);
    EXPECT_EQ(link_send(f->link, &f->asked[2].request, BYTES("*1\r\n$4\r\nTIME\r\n"), 1), OK);
    EXPECT_EQ(link_in_flight_count(f->link), 3);
}

/* The reply to our own write comes before the push of it, and that before the reply to a later read: what
 * is told is in the order of the bytes, however they are split. */
ON_BOTH(replies_and_pushes_are_told_in_the_order_of_the_wire)
{
    static const char answer[] = "+PONG\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n$2\r\nv2\r\n"
                                 ">2\r\n+invalidate\r\n_\r\n:-1\r\n*2\r\n:1\r\n:2\r\n";
    static const char note[] = "a: PONG\npush: [invalidate [k]]\nb: v2, 1 left\npush: [invalidate null]\n"
                               "b: -1\nc: [1 2]\n";

    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct fixture f;

        begin_open(&f, kind);
        on_loop(f.world, ask_three, &f);
        SERVER_HEARS(&f, "PING", "GET k", "PTTL k", "TIME");
        for (size_t i = 0; bytewise && i < sizeof answer - 1; i++) {
            send_all(f.fd, &answer[i], 1);
            on_loop(f.world, do_nothing, NULL);
        }
        if (!bytewise)
            server_says(&f, answer);
        expect_note(&f, note);
        finish(&f);
    }
}

static void forget_second(struct fixture *f, struct asked *asked)
{
    if (asked->letter == 'a') {
        link_forget(f->link, &f->asked[1].request);
        link_forget(f->link, &f->asked[1].request); /* twice is as good as once */
        link_forget(f->link, &f->asked[0].request); /* it has had its reply */
    }
}

ON_BOTH(the_replies_of_a_forgotten_request_are_nobodys)
{
    struct fixture f;

    begin_open(&f, kind);
    f.on_reply = forget_second;
    on_loop(f.world, ask_three, &f);
    SERVER_HEARS(&f, "PING", "GET k", "PTTL k", "TIME");
    server_says(&f, "+PONG\r\n+first\r\n+second\r\n+time\r\n");
    expect_note(&f, "a: PONG\nc: time\n");
    EXPECT_EQ(link_in_flight_count(f.link), 0);
    on_loop(f.world, ask_three, &f);
    SERVER_HEARS(&f, "PING", "GET k", "PTTL k", "TIME");
    server_says(&f, "+PONG\r\n+first\r\n");
    server_closes(&f);
    expect_note(&f, "a: PONG\nending\nc failed: closed by the peer, was sent\n"
                    "closed: closed by the peer: closed by the peer\n");
    finish(&f);
}

static void send_prefaced(struct world *world, void *argument)
{
    struct fixture *f = argument;

    (void)world;
    f->err = link_send_prefaced(f->link, &f->asked[0].request, BYTES("*1\r\n$3\r\nONE\r\n"), 1,
                                BYTES("*1\r\n$3\r\nTWO\r\n"), 1);
}

ON_BOTH(a_preface_is_sent_with_its_command_or_neither_is)
{
    struct fixture f;

    begin_open(&f, kind);
    f.options.in_flight_max = 2;
    on_loop(f.world, send_prefaced, &f);
    EXPECT_EQ(f.err, OK);
    SERVER_HEARS(&f, "ONE", "TWO");
    server_says(&f, "-ERR no\r\n+2\r\n");
    expect_note(&f, "a: 2\n");
    EXPECT_EQ(ask_for(&f, 'b', "GET k", 1), OK);
    on_loop(f.world, send_prefaced, &f);
    EXPECT_EQ(f.err, ERR_FULL); /* there is room for one request, not for two */
    SERVER_HEARS(&f, "GET k");
    server_says(&f, "+3\r\n");
    expect_note(&f, "b: 3\n");
    f.options.queued_bytes_max = 0; /* the preface alone is more than may wait */
    on_loop(f.world, send_prefaced, &f);
    EXPECT_EQ(f.err, OK);
    SERVER_HEARS(&f, "ONE", "TWO");
    finish(&f);
}

ON_BOTH(requests_and_bytes_that_wait_are_bounded)
{
    enum { SIZE = 3 * 1024 * 1024 };
    struct fixture f;
    char *large = malloc(SIZE + 1);
    enum err err = OK;
    int count;

    begin_open(&f, kind);
    f.options.in_flight_max = 4;
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(ask_for(&f, (char)('a' + i), "PING", 1), OK);
    EXPECT_EQ(ask_for(&f, 'e', "PING", 1), ERR_FULL);
    SERVER_HEARS(&f, "PING", "PING", "PING", "PING");
    server_says(&f, "+1\r\n+2\r\n+3\r\n+4\r\n");
    expect_note(&f, "a: 1\nb: 2\nc: 3\nd: 4\n");

    f.options.in_flight_max = 32;
    memset(large, 'x', SIZE);
    large[SIZE] = '\0';
    for (count = 0; count < 20 && err == OK; count++) /* the server reads nothing of it */
        err = ask_for(&f, (char)('a' + count), large, 1);
    EXPECT_EQ(err, ERR_FULL);
    free(large);
    finish(&f);
}

ON_BOTH(what_has_not_left_is_known_not_to_have_run)
{
    enum { SIZE = 12 * 1024 * 1024 };
    struct fixture f;
    char *large = malloc(SIZE + 1);

    memset(large, 'x', SIZE);
    large[SIZE] = '\0';
    begin_open(&f, kind);
    f.options.queued_bytes_max = (size_t)4 * SIZE;
    EXPECT_EQ(ask_for(&f, 'a', large, 1), OK);
    EXPECT_EQ(ask_for(&f, 'b', "INCR n", 1), OK); /* behind what the kernel does not take */
    on_loop(f.world, close_it, &f);
    expect_note(&f, "ending\na failed: cancelled, was sent\nb failed: cancelled\n"
                    "closed: cancelled: cancelled\n");
    free(large);
    finish(&f);
}

static void close_in_reply(struct fixture *f, struct asked *asked)
{
    (void)asked;
    link_close(f->link);
    EXPECT_EQ(link_send(f->link, &f->asked[5].request, BYTES("*1\r\n$4\r\nPING\r\n"), 1), ERR_CANCELLED);
}

ON_BOTH(after_a_close_from_inside_a_reply_nothing_is_told_but_the_end)
{
    struct fixture f;

    begin_open(&f, kind);
    f.on_reply = close_in_reply;
    on_loop(f.world, ask_three, &f);
    SERVER_HEARS(&f, "PING", "GET k", "PTTL k", "TIME");
    server_says(&f, "+PONG\r\n>2\r\n+invalidate\r\n_\r\n+1\r\n+2\r\n+3\r\n");
    expect_note(&f, "a: PONG\nending\nb failed: cancelled, was sent\nc failed: cancelled, was sent\n"
                    "closed: cancelled: cancelled\n");
    finish(&f);
}

static int64_t silence_ms, no_reply_ms;
static void ask_silence(struct world *world, void *argument)
{
    (void)world;
    silence_ms = link_silence_ms(((struct fixture *)argument)->link);
    no_reply_ms = link_no_reply_ms(((struct fixture *)argument)->link);
}

static int64_t silence_of(struct fixture *f)
{
    on_loop(f->world, ask_silence, f);
    return silence_ms;
}

ON_BOTH(silence_is_what_requests_have_waited_without_hearing_anything)
{
    struct fixture f;

    begin_open(&f, kind);
    pass_ms(&f, 5000);
    EXPECT_EQ(silence_of(&f), 0); /* nobody waits */
    EXPECT_EQ(ask_for(&f, 'a', "GET k", 1), OK);
    pass_ms(&f, 700);
    EXPECT_EQ(ask_for(&f, 'b', "GET k", 1), OK);
    pass_ms(&f, 100);
    EXPECT_EQ(silence_of(&f), 800);
    server_says(&f, "$10\r\n01234");
    server_says(&f, "56789\r\n");
    expect_note(&f, "a: 0123456789\n");
    pass_ms(&f, 50);
    EXPECT_EQ(silence_of(&f), 50);
    server_says(&f, ">2\r\n+invalidate\r\n*1\r\n+k\r\n");
    expect_note(&f, "push: [invalidate [k]]\n");
    EXPECT_EQ(silence_of(&f), 0);
    EXPECT_EQ(no_reply_ms, 50); /* a push is no reply */
    finish(&f);
}

/* ---- subscriptions ------------------------------------------------------------------------------- */

static void subscribe_it(struct world *world, void *argument)
{
    struct fixture *f = argument;
    (void)world;
    f->err = link_subscribe(f->link, &f->asked[f->which].request, f->bytes, f->count);
}

static void subscribe(struct fixture *f, char which, const char *line, uint32_t count)
{
    struct buffer bytes = {0};

    append_command(&bytes, line);
    f->which = which - 'a';
    f->bytes = buffer_bytes(&bytes);
    f->count = count;
    on_loop(f->world, subscribe_it, f);
    EXPECT_EQ(f->err, OK);
    buffer_fini(&bytes);
}

ON_BOTH(confirmations_are_replies_and_messages_are_pushes)
{
    for (int version = 2; version <= 3; version++) {
        const char kind_of_array = version == 2 ? '*' : '>';
        char text[512];
        struct fixture f;

        fixture_init(&f, kind);
        f.options.resp = version == 2 ? VALKEY_RESP_2 : VALKEY_RESP_3;
        on_loop(f.world, open_it, &f);
        server_accept(&f);
        SERVER_HEARS(&f, version == 2 ? "PING" : "HELLO 3");
        server_says(&f, version == 2 ? "+PONG\r\n" : HELLO_MAP);
        expect_note(&f, "opened\n");
        /* Before: what looks like a message is what was asked for. */
        EXPECT_EQ(ask_for(&f, 'a', "LRANGE l 0 -1", 1), OK);
        server_says(&f, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
        expect_note(&f, "a: [message c m]\n");
        subscribe(&f, 'b', "SUBSCRIBE c d", 2);
        EXPECT_EQ(ask_for(&f, 'c', "PING", 1), OK);
        sprintf(
            text,
            "%c3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n%c3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"
            "%c3\r\n$9\r\nsubscribe\r\n$1\r\nd\r\n:2\r\n%c3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n%s",
            kind_of_array, kind_of_array, kind_of_array, kind_of_array,
            version == 2 ? "*2\r\n$4\r\npong\r\n$0\r\n\r\n" : "+PONG\r\n");
        server_says(&f, text);
        expect_note(&f, version == 2
                            ? "b: [subscribe c 1], 1 left\npush: [message c m]\nb: [subscribe d 2]\n"
                              "push: [sunsubscribe s 0]\nc: [pong ]\n"
                            : "b: [subscribe c 1], 1 left\npush: [message c m]\nb: [subscribe d 2]\n"
                              "push: [sunsubscribe s 0]\nc: PONG\n");
        /* A refused one is over with its error, whatever the number of its channels. */
        subscribe(&f, 'd', "SUBSCRIBE x y z", 3);
        EXPECT_EQ(ask_for(&f, 'e', "PING", 1), OK);
        server_says(&f, "-NOPERM no\r\n+PONG\r\n");
        expect_note(&f, "d: -NOPERM no\ne: PONG\n");
        finish(&f);
    }
}

static void send_subscriptions(struct world *world, void *argument)
{
    struct fixture *f = argument;
    (void)world;
    f->err = link_send_subscriptions(f->link, &f->asked[f->which].request, f->bytes);
}

ON_BOTH(behind_a_fence_confirmations_are_pushes_and_what_a_server_says_on_its_own_confuses_nobody)
{
    for (int version = 2; version <= 3; version++) {
        const char kind_of_array = version == 2 ? '*' : '>';
        const char *pong = version == 2 ? "*2\r\n$4\r\npong\r\n$0\r\n\r\n" : "+PONG\r\n";
        struct buffer bytes = {0};
        char text[512];
        struct fixture f;

        fixture_init(&f, kind);
        f.options.resp = version == 2 ? VALKEY_RESP_2 : VALKEY_RESP_3;
        on_loop(f.world, open_it, &f);
        server_accept(&f);
        SERVER_HEARS(&f, version == 2 ? "PING" : "HELLO 3");
        server_says(&f, version == 2 ? "+PONG\r\n" : HELLO_MAP);
        expect_note(&f, "opened\n");
        append_command(&bytes, "SUNSUBSCRIBE s");
        append_command(&bytes, "SSUBSCRIBE t");
        f.bytes = buffer_bytes(&bytes);
        on_loop(f.world, send_subscriptions, &f);
        EXPECT_EQ(f.err, OK);
        EXPECT_EQ(ask_for(&f, 'b', "PING", 1), OK);
        SERVER_HEARS(&f, "SUNSUBSCRIBE s", "SSUBSCRIBE t", "PING", "PING");
        /* The slot has left the server: it says so, and answers the command with an error. */
        sprintf(text, "%c3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n-MOVED 1 h:1\r\n-MOVED 2 h:1\r\n%s%s",
                kind_of_array, pong, pong);
        server_says(&f, text);
        expect_note(&f, version == 2
                            ? "push: [sunsubscribe s 0]\na: -MOVED 1 h:1, 1 left\na: -MOVED 2 h:1, 1 left\n"
                              "a: [pong ]\nb: [pong ]\n"
                            : "push: [sunsubscribe s 0]\na: -MOVED 1 h:1, 1 left\na: -MOVED 2 h:1, 1 left\n"
                              "a: PONG\nb: PONG\n");
        buffer_fini(&bytes);
        finish(&f);
    }
}

/* ---- what no server should do ---------------------------------------------------------------------- */

static const struct {
    const char *says;
    const char *note; /* up to the parser's own words, if it is the parser that refuses */
} attacks[] = {
    {"+1\r\n+2\r\n", "a: 1\nending\nclosed: malformed: a reply to nothing that was asked\n"},
    {"+1\r\n-ERR good-bye\r\n", "a: 1\nending\nclosed: closed by the peer: ERR good-bye\n"},
    {"*4294967295\r\n", "ending\na failed: malformed, was sent\nclosed: malformed: "},
    {"$4294967295\r\n", "ending\na failed: malformed, was sent\nclosed: malformed: "},
    {"$9223372036854775808\r\n", "ending\na failed: malformed, was sent\nclosed: malformed: "},
    {"$-2\r\n", "ending\na failed: malformed, was sent\nclosed: malformed: "},
    {"*2\r\n+x\r\n>2\r\n+invalidate\r\n_\r\n",
     "ending\na failed: malformed, was sent\nclosed: malformed: "},
    {"nonsense\r\n", "ending\na failed: malformed, was sent\nclosed: malformed: "},
};

ON_BOTH(a_hostile_server_is_closed_and_nothing_wrong_is_told)
{
    for (size_t i = 0; i < COUNT_OF(attacks); i++) {
        struct fixture f;
        struct bytes note;

        begin_open(&f, kind);
        EXPECT_EQ(ask_for(&f, 'a', "GET k", 1), OK);
        SERVER_HEARS(&f, "GET k");
        server_says(&f, attacks[i].says);
        wait_until_gone(&f);
        note = buffer_bytes(&f.note);
        if (!bytes_start_with(note, bytes_of_text(attacks[i].note)))
            fail_msg("attack %zu: %.*s", i, BYTES_PRINTF(note));
        finish(&f);
    }
}

ON_BOTH(what_was_asked_behind_a_reply_that_cannot_be_read_is_only_lost)
{
    static const char note[] =
        "ending\na failed: malformed, was sent\nb failed: closed by the peer, was sent\n"
        "c failed: closed by the peer, was sent\nclosed: malformed: ";
    struct fixture f;

    begin_open(&f, kind);
    EXPECT_EQ(ask_for(&f, 'a', "GET k", 1), OK);
    EXPECT_EQ(ask_for(&f, 'b', "GET l", 1), OK);
    EXPECT_EQ(ask_for(&f, 'c', "GET m", 1), OK);
    SERVER_HEARS(&f, "GET k", "GET l", "GET m");
    server_says(&f, "nonsense\r\n");
    wait_until_gone(&f);
    EXPECT(bytes_start_with(buffer_bytes(&f.note), bytes_of_text(note)));
    finish(&f);
}

ON_BOTH(half_a_reply_is_none)
{
    struct fixture f;

    begin_open(&f, kind);
    EXPECT_EQ(ask_for(&f, 'a', "GET k", 1), OK);
    SERVER_HEARS(&f, "GET k");
    server_says(&f, "*2\r\n$5\r\nhello\r\n$5\r\nwor");
    server_closes(&f);
    expect_note(&f, "ending\na failed: closed by the peer, was sent\n"
                    "closed: closed by the peer: closed by the peer\n");
    finish(&f);
}

ON_BOTH(a_reply_beyond_its_bound_is_cut_off)
{
    enum { PIECE = 100 * 1000 };
    struct fixture f;
    char *piece = malloc(PIECE);
    char head[32];

    memset(piece, 'x', PIECE);
    begin_open(&f, kind);
    EXPECT_EQ(ask_for(&f, 'a', "GET k", 1), OK);
    server_says(&f, "$1000000\r\n"); /* within the bound: 10 pieces */
    for (int i = 0; i < 10; i++)
        send_all(f.fd, piece, PIECE);
    server_says(&f, "\r\n");
    expect_note(&f, "a: 1000000 bytes\n");
    EXPECT_EQ(ask_for(&f, 'a', "LRANGE l 0 -1", 1), OK);
    server_says(&f, "*50\r\n");
    sprintf(head, "$%d\r\n", PIECE);
    for (int i = 0; i < 50 && !link_is_gone(&f); i++) { /* each is small, all of them are not */
        if (send(f.fd, head, strlen(head), MSG_NOSIGNAL) < 0 ||
            send(f.fd, piece, PIECE, MSG_NOSIGNAL) < 0 || send(f.fd, "\r\n", 2, MSG_NOSIGNAL) < 0)
            break;
    }
    wait_until_gone(&f);
    EXPECT(bytes_start_with(buffer_bytes(&f.note),
                            BYTES("ending\na failed: malformed, was sent\nclosed: malformed: ")));
    free(piece);
    finish(&f);
}

enum { ROUNDS = 40, ASKED = 8, SAID_MAX = 24 };

static void ask_many(struct world *world, void *argument)
{
    struct fixture *f = argument;

    (void)world;
    for (uint32_t i = 0; i < ASKED; i++)
        EXPECT_EQ(link_send(f->link, &f->asked[i].request, BYTES("*1\r\n$4\r\nPING\r\n"), 1 + i % 3), OK);
    link_forget(f->link, &f->asked[3].request);
}

/* What is right, what is nearly right and what is not, in any order and cut anywhere. */
ON_BOTH(whatever_a_server_says_every_request_ends_once)
{
    static const char *const words[] = {
        "+OK\r\n",
        "$1\r\nv\r\n",
        ":1\r\n",
        "*2\r\n:1\r\n$-1\r\n",
        ">2\r\n+invalidate\r\n_\r\n",
        "-ERR no\r\n",
        "%1\r\n+a\r\n:1\r\n",
        "_\r\n",
        "$0\r\n\r\n",
        "|1\r\n+a\r\n+b\r\n+OK\r\n",
        "*2\r\n+x\r\n>1\r\n",
        "$5\r\nv\r\n",
        "?\r\n",
        "*-2\r\n",
    };
    enum { RIGHT = 10 };
    uint64_t seed = 20261130;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct random_source dice = random_source_of(seed, 1, round);
        uint32_t said = 1 + (uint32_t)random_below(&dice, SAID_MAX);
        bool only_right = random_below(&dice, 2) == 0;
        struct buffer text = {0};
        struct fixture f;

        begin_open(&f, kind);
        on_loop(f.world, ask_many, &f);
        for (int i = 0; i < ASKED; i++)
            SERVER_HEARS(&f, "PING");
        for (uint32_t i = 0; i < said; i++)
            buffer_append(&text,
                          bytes_of_text(words[random_below(&dice, only_right ? RIGHT : COUNT_OF(words))]));
        for (size_t at = 0; at < text.size;) {
            size_t size = 1 + random_below(&dice, text.size - at);
            if (send(f.fd, text.data + at, size, MSG_NOSIGNAL) < 0)
                break; /* it has heard enough */
            at += size;
        }
        server_closes(&f);
        wait_until_gone(&f);
        for (uint32_t i = 0; i < ASKED; i++) {
            const struct asked *asked = &f.asked[i];
            bool is_whole = asked->reply_count == 1 + i % 3;

            if (i == 3 ? asked->reply_count + asked->failure_count != 0
                       : asked->failure_count != (is_whole ? 0 : 1) || asked->reply_count > 1 + i % 3)
                fail_msg("round %u: %c had %u replies, failed %u times", (unsigned)round, asked->letter,
                         asked->reply_count, asked->failure_count);
        }
        buffer_fini(&text);
        finish(&f);
    }
}

RUN_TESTS(ROWS(a_server_is_greeted_as_far_as_it_understands),
          ROWS(connecting_and_greeting_have_one_deadline), ROWS(a_port_where_nobody_listens_is_told_so),
          ROWS(an_address_that_is_not_permitted_is_not_connected_to),
          ROWS(a_link_knows_the_address_at_its_other_end), ROWS(a_link_may_be_closed_at_every_stage),
          ROWS(replies_and_pushes_are_told_in_the_order_of_the_wire),
          ROWS(the_replies_of_a_forgotten_request_are_nobodys),
          ROWS(a_preface_is_sent_with_its_command_or_neither_is),
          ROWS(requests_and_bytes_that_wait_are_bounded), ROWS(what_has_not_left_is_known_not_to_have_run),
          ROWS(after_a_close_from_inside_a_reply_nothing_is_told_but_the_end),
          ROWS(silence_is_what_requests_have_waited_without_hearing_anything),
          ROWS(confirmations_are_replies_and_messages_are_pushes),
          ROWS(behind_a_fence_confirmations_are_pushes_and_what_a_server_says_on_its_own_confuses_nobody),
          ROWS(a_hostile_server_is_closed_and_nothing_wrong_is_told),
          ROWS(what_was_asked_behind_a_reply_that_cannot_be_read_is_only_lost), ROWS(half_a_reply_is_none),
          ROWS(a_reply_beyond_its_bound_is_cut_off), ROWS(whatever_a_server_says_every_request_ends_once))
