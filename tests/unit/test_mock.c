/* links: nuthatch-mock nuthatch-message nuthatch-base */
#include "engine/mock/collections/rest.h"
#include "engine/mock/mock.h"
#include "test.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* a request says only what it has */

/* ---- a clock and timers of our own: the delay passes when a test says so ----------------------- */

static _Thread_local struct timer *set_timer;

void timer_init(struct timer *timer, void (*fired)(struct timer *timer))
{
    *timer = (struct timer){.fired = fired};
}

void timer_set(struct loop *loop, struct timer *timer, int64_t due_ms)
{
    (void)loop;
    timer->due_ms = due_ms;
    set_timer = timer;
}

void timer_cancel(struct loop *loop, struct timer *timer)
{
    (void)loop;
    timer->due_ms = 0;
    if (set_timer == timer)
        set_timer = NULL;
}

/* Nobody here asks a loop for anything, but its file would come with the timers that these replace. */
void loop_post(struct loop *loop, struct task *task) { (void)loop, (void)task; }

struct now loop_now(const struct loop *loop)
{
    (void)loop;
    return (struct now){0};
}

static void let_timer_fire(void)
{
    struct timer *timer = set_timer;
    set_timer = NULL;
    timer->due_ms = 0;
    timer->fired(timer);
}

/* ---- a client that keeps what it is told ------------------------------------------------------- */

struct fake {
    struct exchange x;
    struct http_request request;
    struct http_field fields[4];
    int status;
    int64_t body_bytes;
    struct buffer lines, body;
    size_t room;
    bool wants_body, ended, aborted;
};

static void on_read(struct exchange *x, bool wanted)
{
    CONTAINER_OF(x, struct fake, x)->wants_body = wanted;
}

static void on_inform(struct exchange *x, int status, const struct http_fields *fields)
{
    (void)x, (void)status, (void)fields;
}

static void on_respond(struct exchange *x, const struct http_response *response)
{
    struct fake *fake = CONTAINER_OF(x, struct fake, x);

    EXPECT_EQ(fake->status, 0); /* once */
    fake->status = response->status;
    fake->body_bytes = response->body_bytes;
    for (size_t i = 0; i < response->fields.count; i++) {
        buffer_append(&fake->lines, response->fields.list[i].name);
        buffer_append_literal(&fake->lines, ": ");
        buffer_append(&fake->lines, response->fields.list[i].value);
        buffer_append_literal(&fake->lines, "\r\n");
    }
    buffer_append(&fake->lines, response->rendered);
}

static void on_send(struct exchange *x, struct bytes bytes)
{
    struct fake *fake = CONTAINER_OF(x, struct fake, x);
    EXPECT(bytes.size <= fake->room);
    fake->room -= bytes.size;
    buffer_append(&fake->body, bytes);
}

static size_t on_room(const struct exchange *x) { return CONTAINER_OF(x, const struct fake, x)->room; }

static void on_end(struct exchange *x)
{
    struct fake *fake = CONTAINER_OF(x, struct fake, x);
    EXPECT(!fake->ended && !fake->aborted);
    EXPECT(fake->status != 0);
    if (fake->request.method != HTTP_METHOD_HEAD)
        EXPECT_EQ(fake->body.size, fake->body_bytes);
    fake->ended = true;
}

static void on_abort(struct exchange *x) { CONTAINER_OF(x, struct fake, x)->aborted = true; }

static const struct exchange_client fake_client = {on_read, on_inform, on_respond, on_send, on_room,
                                                   on_end,  on_abort,  NULL,       NULL};

struct world {
    struct mock *mock;
    struct mock_worker *worker;
    struct counters counters;
};

static void world_open(struct world *world, struct mock_options options)
{
    struct buffer message = {0};

    memset(world, 0, sizeof *world);
    if (mock_create(&options, &world->mock, &message) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
    EXPECT_EQ(mock_worker_create(world->mock, NULL, &world->counters, &world->worker), OK);
    buffer_fini(&message);
}

static void world_close(struct world *world)
{
    mock_worker_destroy(world->worker);
    mock_destroy(world->mock);
}

static const char small[] = "{\"posts\":[{\"id\":1,\"title\":\"json-server\",\"views\":100,\"meta\":{"
                            "\"rating\":4.5,\"tags\":[\"a\",\"b\"]}},"
                            "{\"id\":2,\"title\":\"Hello World\",\"views\":250,\"meta\":null}],"
                            "\"tags\":[{\"id\":\"a b/c\",\"label\":\"x\"},{\"label\":\"no id\"}],"
                            "\"empty\":[],"
                            "\"profile\":{\"name\":\"typicode\",\"opts\":{\"a\":1,\"b\":2}}}";

static struct mock_options small_options(void)
{
    return (struct mock_options){.document = bytes_of_text(small)};
}

#define BIRD1                                                                                              \
    "{\"id\":\"1\",\"title\":\"json-server\",\"views\":100,\"meta\":{\"rating\":4.5,\"tags\":[\"a\","      \
    "\"b\"]}}"
#define BIRD2     "{\"id\":\"2\",\"title\":\"Hello World\",\"views\":250,\"meta\":null}"
#define NOT_FOUND "{\"error\":\"Not Found\"}"

struct ask {
    const char *method, *target, *body; /* a null body: none at all */
    const char *field, *value;
};

/* Fills in the request and hands it to the engine; the body is still to come. */
static void fake_begin(struct world *world, struct fake *fake, struct ask ask)
{
    const char *query = strchr(ask.target, '?');

    memset(fake, 0, sizeof *fake);
    fake->room = 1 << 20;
    fake->request.method_name = bytes_of_text(ask.method);
    fake->request.method = http_method_find(fake->request.method_name);
    fake->request.path =
        bytes_of(ask.target, query != NULL ? (size_t)(query - ask.target) : strlen(ask.target));
    fake->request.has_query = query != NULL;
    if (query != NULL)
        fake->request.query = bytes_of_text(query + 1);
    fake->request.fields.list = fake->fields;
    if (ask.field != NULL)
        fake->fields[fake->request.fields.count++] = (struct http_field){
            http_header_find(bytes_of_text(ask.field)), bytes_of_text(ask.field), bytes_of_text(ask.value)};
    fake->request.body_bytes = ask.body != NULL ? HTTP_BODY_UNKNOWN : HTTP_BODY_NONE;
    fake->x = (struct exchange){.engine = &mock_engine, .client = &fake_client, .request = &fake->request};
    fake->x.now.mono_ms = 1000;
    mock_engine.begin(world->worker, &fake->x);
}

/* Sends the body in two pieces. */
static void fake_send_body(struct fake *fake, struct bytes body)
{
    if (fake->wants_body && !fake->ended)
        mock_engine.body(&fake->x, bytes_first(body, body.size / 2));
    if (fake->wants_body && !fake->ended)
        mock_engine.body(&fake->x, bytes_after(body, body.size / 2));
    if (fake->wants_body && !fake->ended)
        mock_engine.body_end(&fake->x);
}

static void fake_ask(struct world *world, struct fake *fake, struct ask ask)
{
    fake_begin(world, fake, ask);
    if (ask.body != NULL)
        fake_send_body(fake, bytes_of_text(ask.body));
    EXPECT(fake->ended);
}

static void fake_fini(struct fake *fake)
{
    buffer_fini(&fake->lines);
    buffer_fini(&fake->body);
}

static bool has_line(const struct fake *fake, const char *line)
{
    return memmem(fake->lines.data, fake->lines.size, line, strlen(line)) != NULL;
}

/* The value of the field line that begins with `start`; empty if there is none. */
static struct bytes line_value(const struct fake *fake, const char *start)
{
    const char *end = fake->lines.data + fake->lines.size;
    const char *at = memmem(fake->lines.data, fake->lines.size, start, strlen(start));
    if (at == NULL)
        return (struct bytes){0};
    at += strlen(start);
    return bytes_of(at, (size_t)((const char *)memmem(at, (size_t)(end - at), "\r\n", 2) - at));
}

struct step {
    struct ask ask;
    int status;
    const char *body; /* null: not looked at */
    const char *line; /* that must be among the answer's; null: not looked at */
};

static void play(struct mock_options options, const struct step *steps, size_t count)
{
    struct world world;
    struct fake fake;

    world_open(&world, options);
    for (size_t i = 0; i < count; i++) {
        fake_ask(&world, &fake, steps[i].ask);
        if (fake.status != steps[i].status)
            fail_msg("%s %s: %d, wanted %d: %.*s", steps[i].ask.method, steps[i].ask.target, fake.status,
                     steps[i].status, BYTES_PRINTF(buffer_bytes(&fake.body)));
        if (steps[i].body != NULL)
            EXPECT_TEXT(buffer_bytes(&fake.body), bytes_of_text(steps[i].body));
        if (steps[i].line != NULL && !has_line(&fake, steps[i].line))
            fail_msg("%s %s: no %s in %.*s", steps[i].ask.method, steps[i].ask.target, steps[i].line,
                     BYTES_PRINTF(buffer_bytes(&fake.lines)));
        EXPECT(has_line(&fake, "Access-Control-Allow-Origin: *\r\n"));
        fake_fini(&fake);
    }
    EXPECT_EQ(mock_request_count(world.mock, BYTES("")), count);
    EXPECT_EQ(counters_read(&world.counters, METRIC_mock_requests), count);
    world_close(&world);
}

/* ---- reading ----------------------------------------------------------------------------------- */

TEST(every_place_is_read_as_json_server_reads_it)
{
    static const struct step steps[] = {
        {{"GET", "/posts"}, 200, "[" BIRD1 "," BIRD2 "]", "Content-Type: application/json\r\n"},
        {{"GET", "/posts/"}, 200, "[" BIRD1 "," BIRD2 "]", "Cache-Control: no-cache\r\n"},
        {{"GET", "/posts/1"}, 200, BIRD1, NULL},
        {{"GET", "/posts/1/"}, 200, BIRD1, NULL},
        {{"GET", "/posts/%31"}, 200, BIRD1, NULL},
        {{"GET", "/p%6fsts/2"}, 200, BIRD2, NULL},
        {{"GET", "/posts/1?anything=1"}, 200, BIRD1, NULL},
        {{"GET", "/tags/a%20b%2fc"}, 200, "{\"id\":\"a b/c\",\"label\":\"x\"}", NULL},
        {{"GET", "/empty"}, 200, "[]", NULL},
        {{"GET", "/profile"}, 200, "{\"name\":\"typicode\",\"opts\":{\"a\":1,\"b\":2}}", NULL},
        {{"GET", "/"}, 200, "{\"resources\":[\"posts\",\"tags\",\"empty\",\"profile\"]}", NULL},
        {{"GET", "/posts/99"}, 404, NOT_FOUND, "Content-Type: application/json\r\n"},
        {{"GET", "/posts/01"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts/%00"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts/..%2f.."}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts/1/2"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts//1"}, 404, NOT_FOUND, NULL},
        {{"GET", "//posts"}, 404, NOT_FOUND, NULL},
        {{"GET", "/nosuch"}, 404, NOT_FOUND, NULL},
        {{"GET", "/nosuch/1"}, 404, NOT_FOUND, NULL},
        {{"GET", "/profile/name"}, 404, NOT_FOUND, NULL},
        {{"GET", "/__proto__"}, 404, NOT_FOUND, NULL},
        {{"GET", "*"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts/%E0%A4%A"},
         400,
         "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"Malformed percent-encoding in the path\"}",
         NULL},
        {{"GET", "/%"}, 400, NULL, NULL},
        {{"GET", "/posts/%4"}, 400, NULL, NULL},
        {{"GET", "/posts/%G1"}, 400, NULL, NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_head_request_is_told_the_size_and_sent_no_body)
{
    struct world world;
    struct fake fake;

    world_open(&world, small_options());
    fake_ask(&world, &fake, (struct ask){"HEAD", "/posts/1"});
    EXPECT_EQ(fake.status, 200);
    EXPECT_EQ(fake.body_bytes, strlen(BIRD1));
    EXPECT_EQ(fake.body.size, 0);
    fake_fini(&fake);
    fake_ask(&world, &fake, (struct ask){"HEAD", "/posts/9"});
    EXPECT_EQ(fake.status, 404);
    EXPECT_EQ(fake.body.size, 0);
    fake_fini(&fake);
    world_close(&world);
}

TEST(an_id_longer_than_any_can_be_is_not_found_however_it_is_encoded)
{
    struct world world;
    struct fake fake;
    char target[4096] = "/posts/";

    world_open(&world, small_options());
    for (size_t count = 511; count < 516; count++) {
        for (size_t i = 0; i < count; i++)
            memcpy(target + 7 + 3 * i, "%31", 4);
        fake_ask(&world, &fake, (struct ask){"GET", target});
        EXPECT_EQ(fake.status, 404);
        fake_fini(&fake);
        memset(target + 7, '1', count);
        target[7 + count] = '\0';
        fake_ask(&world, &fake, (struct ask){"GET", target});
        EXPECT_EQ(fake.status, 404);
        fake_fini(&fake);
    }
    world_close(&world);
}

#define PROBLEM(detail) "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"" detail "\"}"

TEST(a_query_that_cannot_be_heeded_is_refused_with_why)
{
    static const struct step steps[] = {
        {{"GET", "/posts?title_like=("},
         400,
         PROBLEM("The pattern is not one, at its byte 2: missing closing "
                 "parenthesis"),
         NULL},
        {{"GET", "/posts?title=%4"}, 400, PROBLEM("Malformed percent-encoding in the query"), NULL},
        {{"GET", "/posts?title_like=%ff"}, 400, NULL, NULL},
        {{"GET", "/posts?a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q=1"},
         400,
         PROBLEM("The name of a member may have at most 16 parts"),
         NULL},
        {{"GET", "/posts?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q"}, 200, NULL, NULL},
        {{"GET", "/posts?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&r"},
         400,
         PROBLEM("A query may have at most 16 conditions"),
         NULL},
        {{"GET", "/posts?_embed=a,b,c,d,e,f,g,h,i"},
         400,
         PROBLEM("A query may have at most 8 names in one list"),
         NULL},
        {{"GET", "/posts?_where={}"},
         400,
         PROBLEM("_where is not supported; write conditions such as views:gt=9"),
         NULL},
        {{"GET", "/posts?"}, 200, NULL, NULL},
        {{"GET", "/posts?&"}, 200, NULL, NULL},
        {{"GET", "/nosuch?x=1"}, 404, NULL, NULL},
        {{"GET", "/profile?x=1"}, 200, NULL, NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_pattern_that_takes_too_many_steps_is_given_up)
{
    struct mock_options options = {
        .document = BYTES("{\"a\":[{\"id\":1,\"t\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"}]}")};
    static const struct step steps[] = {
        {{"GET", "/a?t_like=^(a%2B)%2B$"}, 400, NULL, NULL},
        {{"GET", "/a?t_like=A{3}B$"}, 200, NULL, NULL},
    };
    play(options, steps, COUNT_OF(steps));
}

TEST(an_answer_may_be_cached_for_as_long_as_the_options_say_if_it_was_read)
{
    static const struct step steps[] = {
        {{"GET", "/posts/1"}, 200, NULL, "Cache-Control: max-age=60\r\n"},
        {{"HEAD", "/posts/1"}, 200, NULL, "Cache-Control: max-age=60\r\n"},
        {{"GET", "/posts/1", NULL, "If-None-Match", "*"}, 304, "", "Cache-Control: max-age=60\r\n"},
        {{"GET", "/posts/9"}, 404, NULL, "Cache-Control: no-cache\r\n"},
        {{"PUT", "/posts/1", "{}"}, 200, NULL, "Cache-Control: no-cache\r\n"},
    };
    struct mock_options options = small_options();
    options.max_age_s = 60;
    play(options, steps, COUNT_OF(steps));
}

TEST(an_entity_tag_saves_the_body_until_the_item_changes)
{
    struct world world;
    struct fake fake;
    char tag[32], list[64];

    world_open(&world, small_options());
    fake_ask(&world, &fake, (struct ask){"GET", "/posts/1"});
    snprintf(tag, sizeof tag, "%.*s", BYTES_PRINTF(line_value(&fake, "ETag: ")));
    EXPECT_EQ(strlen(tag), 18);
    fake_fini(&fake);

    static const char *const matching[] = {"%s", "W/%s", "\"x\", %s", "\"x\" ,W/\"y\",\t%s , \"z\"", " *"};
    for (size_t i = 0; i < COUNT_OF(matching); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(list, sizeof list, matching[i], tag);
#pragma GCC diagnostic pop
        fake_ask(&world, &fake, (struct ask){"GET", "/posts/1", NULL, "If-None-Match", list});
        EXPECT_EQ(fake.status, 304);
        EXPECT_EQ(fake.body.size, 0);
        EXPECT_TEXT(line_value(&fake, "ETag: "), bytes_of_text(tag));
        fake_fini(&fake);
    }
    static const char *const other[] = {"\"x\"", "", ",", "\"", "W/", "x", "\"0000000000000000\""};
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        fake_ask(&world, &fake, (struct ask){"GET", "/posts/1", NULL, "If-None-Match", other[i]});
        EXPECT_EQ(fake.status, 200);
        fake_fini(&fake);
    }
    fake_ask(&world, &fake, (struct ask){"PATCH", "/posts/1", "{\"views\":101}"});
    EXPECT_EQ(line_value(&fake, "ETag: ").size, 0);
    fake_fini(&fake);
    fake_ask(&world, &fake, (struct ask){"GET", "/posts/1", NULL, "If-None-Match", tag});
    EXPECT_EQ(fake.status, 200);
    EXPECT(!bytes_equal(line_value(&fake, "ETag: "), bytes_of_text(tag)));
    fake_fini(&fake);
    world_close(&world);
}

/* ---- writing ----------------------------------------------------------------------------------- */

TEST(a_post_makes_an_item_with_an_id_of_its_own_and_says_where)
{
    static const struct {
        const char *body, *before, *after;
    } cases[] = {
        {"{\"title\":\"new\"}", "{\"title\":\"new\",\"id\":\"", "\"}"},
        {" {\"id\" : 50 , \"title\":\"x\"}\n", "{\"id\":\"", "\",\"title\":\"x\"}"},
        {"{\"id\":null}", "{\"id\":\"", "\"}"},
        {"", "{\"id\":\"", "\"}"},
        {NULL, "{\"id\":\"", "\"}"},
        {"{}", "{\"id\":\"", "\"}"},
    };
    struct world world;
    struct fake made, read;
    char location[64];

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes before = bytes_of_text(cases[i].before), after = bytes_of_text(cases[i].after), text;
        fake_ask(&world, &made, (struct ask){"POST", "/posts", cases[i].body});
        EXPECT_EQ(made.status, 201);
        text = buffer_bytes(&made.body);
        EXPECT_EQ(text.size, before.size + 11 + after.size);
        EXPECT_TEXT(bytes_first(text, before.size), before);
        EXPECT_TEXT(bytes_after(text, before.size + 11), after);
        snprintf(location, sizeof location, "%.*s", BYTES_PRINTF(line_value(&made, "Location: ")));
        EXPECT_EQ(strlen(location), strlen("/posts/") + 11);
        EXPECT_TEXT(bytes_after(bytes_of_text(location), 7),
                    bytes_first(bytes_after(text, before.size), 11));
        fake_ask(&world, &read, (struct ask){"GET", location});
        EXPECT_TEXT(buffer_bytes(&read.body), text);
        fake_fini(&read);
        fake_ask(&world, &read, (struct ask){"GET", "/posts"}); /* at the end of the collection */
        EXPECT_TEXT(bytes_after(buffer_bytes(&read.body), read.body.size - text.size - 1),
                    (buffer_append_byte(&made.body, ']'), buffer_bytes(&made.body)));
        fake_fini(&read);
        fake_fini(&made);
    }
    world_close(&world);
}

TEST(a_put_replaces_all_but_the_id)
{
    static const struct step steps[] = {
        {{"PUT", "/posts/1", "{\"title\":\"put\"}"}, 200, "{\"title\":\"put\",\"id\":\"1\"}", NULL},
        {{"GET", "/posts/1"}, 200, "{\"title\":\"put\",\"id\":\"1\"}", NULL},
        {{"PUT", "/posts/2", "{\"id\":77,\"t\":1}"}, 200, "{\"id\":\"2\",\"t\":1}", NULL},
        {{"GET", "/posts"}, 200, "[{\"title\":\"put\",\"id\":\"1\"},{\"id\":\"2\",\"t\":1}]", NULL},
        {{"PUT", "/posts/1", ""}, 200, "{\"id\":\"1\"}", NULL},
        {{"PUT", "/posts/99", "{}"}, 404, NOT_FOUND, NULL},
        {{"PUT", "/nosuch/1", "{}"}, 404, NOT_FOUND, NULL},
        {{"PUT", "/profile", "{\"id\":5,\"x\":1}"}, 200, "{\"id\":5,\"x\":1}", NULL},
        {{"GET", "/profile"}, 200, "{\"id\":5,\"x\":1}", NULL},
        {{"PUT", "/profile/1", "{}"}, 404, NOT_FOUND, NULL},
        {{"PUT", "/tags/a%20b%2fc", "{}"}, 200, "{\"id\":\"a b/c\"}", NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_patch_puts_members_over_the_old_ones_and_keeps_the_rest)
{
    static const struct step steps[] = {
        {{"PATCH", "/posts/2", "{\"views\":null,\"new\":[1]}"},
         200,
         "{\"id\":\"2\",\"title\":\"Hello World\",\"views\":null,\"meta\":null,\"new\":[1]}",
         NULL},
        {{"PATCH", "/posts/2", "{\"id\":77}"},
         200,
         "{\"id\":\"2\",\"title\":\"Hello World\",\"views\":null,\"meta\":null,\"new\":[1]}",
         NULL},
        {{"GET", "/posts/2"},
         200,
         "{\"id\":\"2\",\"title\":\"Hello World\",\"views\":null,\"meta\":null,\"new\":[1]}",
         NULL},
        {{"PATCH", "/profile", "{\"opts\":{\"c\":3}}"},
         200,
         "{\"name\":\"typicode\",\"opts\":{\"c\":3}}",
         NULL},
        {{"PATCH", "/posts/99", "{}"}, 404, NOT_FOUND, NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_deleted_item_is_answered_once_and_gone)
{
    static const struct step steps[] = {
        {{"GET", "/posts"}, 200, "[" BIRD1 "," BIRD2 "]", NULL},
        {{"DELETE", "/posts/1"}, 200, BIRD1, NULL},
        {{"DELETE", "/posts/1"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts/1"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts"}, 200, "[" BIRD2 "]", NULL},
        {{"DELETE", "/posts/2", "{\"ignored\":1}"}, 200, BIRD2, NULL},
        {{"GET", "/posts"}, 200, "[]", NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_method_that_a_place_does_not_have_is_refused_with_those_it_has)
{
    static const struct step steps[] = {
        {{"PUT", "/posts", "{}"},
         405,
         "{\"title\":\"Method Not Allowed\",\"status\":405,\"detail\":\"This place does not take that "
         "method\"}",
         "Allow: GET, HEAD, OPTIONS, POST\r\n"},
        {{"PATCH", "/posts", "{}"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, POST\r\n"},
        {{"DELETE", "/posts"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, POST\r\n"},
        {{"POST", "/posts/1", "{}"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, PUT, PATCH, DELETE\r\n"},
        {{"POST", "/profile", "{}"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, PUT, PATCH\r\n"},
        {{"DELETE", "/profile"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, PUT, PATCH\r\n"},
        {{"POST", "/", "{}"}, 405, NULL, "Allow: GET, HEAD, OPTIONS\r\n"},
        {{"TRACE", "/posts"}, 405, NULL, "Allow: GET, HEAD, OPTIONS, POST\r\n"},
        {{"LOCK", "/posts/1"}, 405, NULL, NULL},
        {{"POST", "/nosuch", "{}"}, 404, NOT_FOUND, NULL},
        {{"TRACE", "/nosuch"}, 404, NOT_FOUND, NULL},
        {{"GET", "/posts"}, 200, "[" BIRD1 "," BIRD2 "]", NULL}, /* as it was */
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(a_change_under_a_precondition_happens_only_if_it_holds)
{
    static const struct step steps[] = {
        {{"PATCH", "/posts/1", "{\"views\":1}", "If-Match", "\"nope\""},
         412,
         "{\"title\":\"Precondition Failed\",\"status\":412,\"detail\":\"It is not, or no longer, what "
         "If-Match names\"}",
         NULL},
        {{"PUT", "/posts/1", "{}", "If-Match", "\"nope\""}, 412, NULL, NULL},
        {{"DELETE", "/posts/1", NULL, "If-Match", "\"nope\""}, 412, NULL, NULL},
        {{"GET", "/posts/1"}, 200, BIRD1, NULL},
        {{"PATCH", "/posts/1", "{\"views\":1}", "If-Match", "*"}, 200, NULL, NULL},
    };
    struct world world;
    struct fake fake;
    char tag[32], weak_tag[40];

    play(small_options(), steps, COUNT_OF(steps));
    world_open(&world, small_options());
    fake_ask(&world, &fake, (struct ask){"GET", "/posts/1"});
    snprintf(tag, sizeof tag, "%.*s", BYTES_PRINTF(line_value(&fake, "ETag: ")));
    snprintf(weak_tag, sizeof weak_tag, "W/%s", tag);
    fake_fini(&fake);
    fake_ask(&world, &fake, (struct ask){"DELETE", "/posts/1", NULL, "If-Match", weak_tag});
    EXPECT_EQ(fake.status, 412); /* compared strongly */
    fake_fini(&fake);
    fake_ask(&world, &fake, (struct ask){"DELETE", "/posts/1", NULL, "If-Match", tag});
    EXPECT_EQ(fake.status, 200);
    fake_fini(&fake);
    world_close(&world);
}

TEST(a_preflight_is_answered_for_any_path)
{
    static const struct step steps[] = {
        {{"OPTIONS", "/posts"},
         204,
         "",
         "Access-Control-Allow-Methods: GET, HEAD, PUT, PATCH, POST, DELETE\r\n"
         "Access-Control-Allow-Headers: content-type\r\n"},
        {{"OPTIONS", "*"}, 204, "", NULL},
        {{"OPTIONS", "/nosuch", NULL, "Access-Control-Request-Headers", "x-foo,content-type"},
         204,
         "",
         "Access-Control-Allow-Headers: x-foo,content-type\r\n"},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

/* ---- bodies ------------------------------------------------------------------------------------ */

TEST(a_body_that_is_not_an_object_of_strict_json_is_refused_and_changes_nothing)
{
#define OBJECT_WANTED "{\"error\":\"Body must be a JSON object\"}"
    static const struct step steps[] = {
        {{"POST", "/posts", "[1,2]"}, 400, OBJECT_WANTED, NULL},
        {{"POST", "/posts", "null"}, 400, OBJECT_WANTED, NULL},
        {{"POST", "/posts", "\"str\""}, 400, OBJECT_WANTED, NULL},
        {{"PUT", "/posts/1", "5"}, 400, OBJECT_WANTED, NULL},
        {{"PATCH", "/posts/1", "[]"}, 400, OBJECT_WANTED, NULL},
        {{"POST", "/posts", "{\"a\":\n 1,}"},
         400,
         "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"Body is not JSON: line 2, column 4: "
         "string or '}' expected near '}'\"}",
         NULL},
        {{"POST", "/posts", "{\"title\":"}, 400, NULL, NULL},
        {{"POST", "/posts", "nonsense"}, 400, NULL, NULL},
        {{"POST", "/posts", " "}, 400, NULL, NULL},
        {{"POST", "/posts", "{} {}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":1,\"a\":2}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":'b'}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":01}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":NaN}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":1e999}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":99999999999999999999}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":\"\x80\"}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":\"\\ud800\"}"}, 400, NULL, NULL},
        {{"POST", "/posts", "{\"a\":\"\x01\"}"}, 400, NULL, NULL},
        {{"POST", "/posts", "\xef\xbb\xbf{}"}, 400, NULL, NULL},
        {{"PUT", "/posts/1", "{bad"}, 400, NULL, NULL},
        {{"PATCH", "/posts/1", "{bad"}, 400, NULL, NULL},
        {{"POST", "/posts", "{}", "Content-Encoding", "gzip"}, 415, NULL, NULL},
        {{"GET", "/posts"}, 200, "[" BIRD1 "," BIRD2 "]", NULL},
    };
    play(small_options(), steps, COUNT_OF(steps));
}

TEST(values_come_back_as_they_went_in)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"0.1", "0.1"},
        {"4.5", "4.5"},
        {"1.0", "1.0"},
        {"-0.0", "-0.0"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"1e300", "1e+300"},
        {"1E5", "100000.0"},
        {"5e-324", "4.94065645841247e-324"},
        {"9007199254740993", "9007199254740993"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775807", "9223372036854775807"},
        {"true", "true"},
        {"\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {"\"\\u0000\\u001f\\b\\f\\n\\r\\t\\/\\\\\\\"\"", "\"\\u0000\\u001f\\b\\f\\n\\r\\t/\\\\\\\"\""},
        {"\"\x7f\"", "\"\x7f\""},
        {"{\"z\":1,\"a\":{},\"\":[]}", "{\"z\":1,\"a\":{},\"\":[]}"},
        {"[ 1 , [ ] , null ]", "[1,[],null]"},
    };
    struct world world;
    struct fake fake;
    char body[256], wanted[256];

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        snprintf(body, sizeof body, "{\"v\":%s}", cases[i].in);
        snprintf(wanted, sizeof wanted, "{\"v\":%s,\"id\":\"1\"}", cases[i].out);
        fake_ask(&world, &fake, (struct ask){"PUT", "/posts/1", body});
        EXPECT_TEXT(buffer_bytes(&fake.body), bytes_of_text(wanted));
        fake_fini(&fake);
        fake_ask(&world, &fake, (struct ask){"PATCH", "/posts/1", "{}"}); /* read again by our own parser */
        EXPECT_TEXT(buffer_bytes(&fake.body), bytes_of_text(wanted));
        fake_fini(&fake);
    }
    world_close(&world);
}

TEST(nesting_is_bounded)
{
    static const struct {
        size_t depth;
        int status;
    } cases[] = {{2000, 201}, {2047, 201}, {2048, 400}, {100000, 400}};
    struct world world;
    struct fake fake;

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer body = {0};
        buffer_append_literal(&body, "{\"a\":");
        for (size_t j = 0; j < cases[i].depth; j++)
            buffer_append_byte(&body, '[');
        for (size_t j = 0; j < cases[i].depth; j++)
            buffer_append_byte(&body, ']');
        buffer_append(&body, bytes_of("}", 2));
        fake_ask(&world, &fake, (struct ask){"POST", "/posts", body.data});
        EXPECT_EQ(fake.status, cases[i].status);
        fake_fini(&fake);
        buffer_fini(&body);
    }
    world_close(&world);
}

TEST(a_body_of_a_mebibyte_is_taken_and_one_byte_more_is_refused)
{
    struct world world;
    struct fake fake;
    struct buffer body = {0};
    size_t limit = 1 << 20;

    world_open(&world, small_options());
    buffer_append_literal(&body, "{\"a\":\"");
    while (body.size < limit - 2)
        buffer_append_byte(&body, 'x');
    buffer_append(&body, BYTES("\"}"));

    fake_begin(&world, &fake, (struct ask){"POST", "/posts", ""});
    fake.room = SIZE_MAX;
    fake_send_body(&fake, buffer_bytes(&body));
    EXPECT(fake.ended);
    EXPECT_EQ(fake.status, 201);
    fake_fini(&fake);

    buffer_append_byte(&body, ' '); /* chunked: seen when it has come */
    fake_begin(&world, &fake, (struct ask){"POST", "/posts", ""});
    fake_send_body(&fake, buffer_bytes(&body));
    EXPECT(fake.ended);
    EXPECT_EQ(fake.status, 413);
    fake_fini(&fake);
    buffer_fini(&body);

    fake_begin(&world, &fake,
               (struct ask){"DELETE", "/posts/1"}); /* says nothing of a body: not our concern */
    EXPECT_EQ(fake.status, 200);
    fake_fini(&fake);
    world_close(&world);
}

TEST(a_body_announced_as_too_large_is_refused_before_it_is_read)
{
    struct world world;
    struct fake fake = {.room = 1000};

    world_open(&world, small_options());
    fake.request =
        (struct http_request){.method = HTTP_METHOD_POST, .path = BYTES("/posts"), .body_bytes = 1048577};
    fake.x = (struct exchange){.engine = &mock_engine, .client = &fake_client, .request = &fake.request};
    mock_engine.begin(world.worker, &fake.x);
    EXPECT_EQ(fake.status, 413);
    EXPECT(!fake.wants_body);
    EXPECT(fake.ended);
    EXPECT_TEXT(buffer_bytes(&fake.body),
                BYTES("{\"title\":\"Content Too Large\",\"status\":413,\"detail\":\"Body must have at most "
                      "1048576 bytes\"}"));
    fake_fini(&fake);
    world_close(&world);
}

TEST(an_answer_is_sent_as_there_is_room_and_stays_what_it_was_when_it_began)
{
    struct world world;
    struct fake slow, fast;
    struct bytes wanted = BYTES("[" BIRD1 "," BIRD2 "]");

    world_open(&world, small_options());
    memset(&slow, 0, sizeof slow);
    slow.room = 10;
    slow.request = (struct http_request){.method = HTTP_METHOD_GET, .path = BYTES("/posts")};
    slow.x = (struct exchange){.engine = &mock_engine, .client = &fake_client, .request = &slow.request};
    mock_engine.begin(world.worker, &slow.x);
    EXPECT_EQ(slow.body.size, 10);
    EXPECT(!slow.ended);
    fake_ask(&world, &fast, (struct ask){"DELETE", "/posts/1"});
    fake_fini(&fast);
    fake_ask(&world, &fast, (struct ask){"GET", "/posts"});
    EXPECT_TEXT(buffer_bytes(&fast.body), BYTES("[" BIRD2 "]"));
    fake_fini(&fast);
    while (!slow.ended) {
        slow.room = 7;
        mock_engine.writable(&slow.x);
    }
    EXPECT_TEXT(buffer_bytes(&slow.body), wanted);
    fake_fini(&slow);

    fake_begin(&world, &slow, (struct ask){"GET", "/empty"}); /* and a client that goes away meanwhile */
    fake_fini(&slow);
    memset(&slow, 0, sizeof slow);
    slow.room = 3;
    slow.request = (struct http_request){.method = HTTP_METHOD_GET, .path = BYTES("/posts")};
    slow.x = (struct exchange){.engine = &mock_engine, .client = &fake_client, .request = &slow.request};
    mock_engine.begin(world.worker, &slow.x);
    mock_engine.gone(&slow.x);
    fake_fini(&slow);
    world_close(&world);
}

/* ---- delay ------------------------------------------------------------------------------------- */

TEST(the_delay_passes_before_the_answer_and_the_body_may_come_before_or_after_it)
{
    struct mock_options options = small_options();
    struct world world;
    struct fake fake;

    options.latency_ms = 300;
    world_open(&world, options);

    fake_begin(&world, &fake, (struct ask){"GET", "/posts/1"});
    EXPECT_EQ(fake.status, 0);
    EXPECT_EQ(set_timer->due_ms, 1300);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("")), 0);
    let_timer_fire();
    EXPECT(fake.ended);
    EXPECT_TEXT(buffer_bytes(&fake.body), BYTES(BIRD1));
    fake_fini(&fake);

    fake_begin(&world, &fake, (struct ask){"PUT", "/posts/1", "{\"a\":1}"}); /* the body first */
    fake_send_body(&fake, BYTES("{\"a\":1}"));
    EXPECT_EQ(fake.status, 0);
    let_timer_fire();
    EXPECT_TEXT(buffer_bytes(&fake.body), BYTES("{\"a\":1,\"id\":\"1\"}"));
    fake_fini(&fake);

    fake_begin(&world, &fake, (struct ask){"PUT", "/posts/1", "{\"a\":2}"}); /* the delay first */
    let_timer_fire();
    EXPECT_EQ(fake.status, 0);
    fake_send_body(&fake, BYTES("{\"a\":2}"));
    EXPECT_TEXT(buffer_bytes(&fake.body), BYTES("{\"a\":2,\"id\":\"1\"}"));
    fake_fini(&fake);
    world_close(&world);
}

TEST(a_client_that_leaves_during_the_delay_leaves_no_timer_and_no_change)
{
    struct mock_options options = small_options();
    struct world world;
    struct fake fake;

    options.latency_ms = 300;
    world_open(&world, options);
    fake_begin(&world, &fake, (struct ask){"GET", "/posts/1"});
    EXPECT(set_timer != NULL);
    mock_engine.gone(&fake.x);
    EXPECT(set_timer == NULL);
    fake_fini(&fake);

    fake_begin(&world, &fake, (struct ask){"DELETE", "/posts/1"});
    mock_engine.gone(&fake.x);
    EXPECT(set_timer == NULL);
    fake_fini(&fake);

    fake_begin(&world, &fake, (struct ask){"PUT", "/posts/1", "{\"half"});
    mock_engine.body(&fake.x, BYTES("{\"half"));
    mock_engine.gone(&fake.x);
    EXPECT(set_timer == NULL);
    fake_fini(&fake);

    EXPECT_EQ(mock_request_count(world.mock, BYTES("")), 0);
    fake_begin(&world, &fake, (struct ask){"GET", "/posts/1"});
    let_timer_fire();
    EXPECT_TEXT(buffer_bytes(&fake.body), BYTES(BIRD1));
    fake_fini(&fake);
    world_close(&world);
}

TEST(a_refusal_that_must_wait_for_room_is_not_answered_again_by_the_timer)
{
    struct mock_options options = small_options();
    struct world world;
    struct fake fake;
    char *body = calloc(1, (1 << 20) + 1);

    options.latency_ms = 300;
    world_open(&world, options);
    fake_begin(&world, &fake, (struct ask){"POST", "/posts", ""});
    fake.room = 0;
    mock_engine.body(&fake.x, bytes_of(body, (1 << 20) + 1));
    EXPECT_EQ(fake.status, 413);
    EXPECT(!fake.ended);
    EXPECT(set_timer == NULL);
    mock_engine.body(&fake.x, BYTES("more that was on its way"));
    mock_engine.body_end(&fake.x);
    EXPECT(!fake.ended);
    fake.room = 1000;
    mock_engine.writable(&fake.x);
    EXPECT(fake.ended);
    fake_fini(&fake);
    free(body);
    world_close(&world);
}

/* ---- documents --------------------------------------------------------------------------------- */

TEST(requests_are_counted_for_each_place)
{
    struct world world;
    struct fake fake;
    static const struct ask asks[] = {
        {"GET", "/posts/1"},          {"GET", "/posts/%31"}, {"GET", "/posts/1?x=1"},
        {"PATCH", "/posts/1", "bad"}, {"GET", "/nosuch"},    {"GET", "/posts"},
        {"DELETE", "/posts"},         {"GET", "/"},          {"DELETE", "/posts/2"}};

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        fake_ask(&world, &fake, asks[i]);
        fake_fini(&fake);
    }
    EXPECT_EQ(mock_request_count(world.mock, BYTES("")), COUNT_OF(asks));
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/posts/1")), 4);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/posts/%31/")), 4);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/posts")), 2);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/")), 1);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/profile")), 0);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/posts/2")), 0); /* nothing is there any more */
    EXPECT_EQ(mock_request_count(world.mock, BYTES("/nosuch")), 0);
    EXPECT_EQ(mock_request_count(world.mock, BYTES("%")), 0);
    world_close(&world);
}

TEST(a_document_that_cannot_be_served_is_refused_with_where_and_what)
{
    static const struct {
        const char *document, *message;
    } cases[] = {
        {"{\"a\":\n[}", "line 2, column 2: unexpected token near '}'"},
        {"{\"a\":[], \"a\":[]}", "line 1, column 10: \"a\": there is another one of that name"},
        {"", NULL},
        {"[]", "the document must be a JSON object of arrays and objects"},
        {"{\"version\":3}", "line 1, column 12: \"version\": must be an array of objects, or an object"},
        {"{\"\":[]}", "line 1, column 2: \"\": a name must have 1 to 512 bytes"},
        {"{\"posts\":[{\"id\":1},7]}", "line 1, column 20: \"posts\", item 2: must be an object"},
        {"{\"posts\":[{\"id\":1},{\"id\":\"1\"}]}",
         "line 1, column 20: \"posts\", item 2: another item has the same id"},
        {"{\"posts\":[\n{\"id\":true}]}",
         "line 2, column 1: \"posts\", item 1: an id must be a string or a number"},
        {"{\"posts\":[{\"id\":\"\"}]}",
         "line 1, column 11: \"posts\", item 1: an id must have 1 to 512 bytes"},
        {"{\"posts\":[{\"id\":1} {\"id\":2}]}", "line 1, column 20: ',' or ']' expected"},
        {"{\"posts\":[\n{\"id\":1,\n \"x\":tru}]}", "line 3, column 8: invalid token near 'tru'"},
        {"{\"posts\":[{\"id\":1}]", "line 1, column 20: the file ends too early"},
        {"{\"posts\":[{\"id\":1", NULL},
        {"{\"posts\":[]} x", "line 1, column 14: end of file expected"},
        {"{\"posts\" []}", "line 1, column 10: ':' expected"},
        {"{posts:[]}", "line 1, column 2: a name in quotes expected"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer message = {0};
        struct mock *mock = NULL;
        EXPECT_EQ(mock_create(&(struct mock_options){.document = bytes_of_text(cases[i].document)}, &mock,
                              &message),
                  ERR_SYNTAX);
        EXPECT(mock == NULL);
        EXPECT(message.size > 0);
        if (cases[i].message != NULL)
            EXPECT_TEXT(buffer_bytes(&message), bytes_of_text(cases[i].message));
        buffer_fini(&message);
    }
}

TEST(items_of_a_file_get_ids_that_are_strings)
{
    static const struct step steps[] = {
        {{"GET", "/a"}, 200, "[{\"id\":\"7\"},{\"x\":1,\"id\":\"1.5\"},{\"id\":\"s\"}]", NULL},
        {{"GET", "/a/1.5"}, 200, NULL, NULL},
        {{"GET", "/$schema"}, 404, NULL, NULL},
        {{"GET", "/%C3%A9/%E2%82%AC"}, 200, "{\"id\":\"\xe2\x82\xac\"}", NULL},
    };
    static const char document[] =
        "{\"$schema\":\"./schema.json\",\"a\":[{\"id\":7},{\"x\":1,\"id\":1.5},{\"id\":\"s\"}],"
        "\"\\u00e9\":[{\"id\":\"\\u20ac\"}]}";
    play((struct mock_options){.document = bytes_of_text(document)}, steps, COUNT_OF(steps));
}

TEST(items_without_an_id_get_numbers_that_no_item_behind_them_has)
{
    static const struct step steps[] = {
        {{"GET", "/a"}, 200, "[{\"id\":8},{\"id\":1},{\"x\":[{\"id\":99}],\"id\":9},{\"id\":\"7\"}]", NULL},
        {{"GET", "/b"}, 200, "[{\"id\":1},{\"id\":2}]", NULL},
        {{"POST", "/a", "{}"}, 201, "{\"id\":10}", NULL},
    };
    static const char document[] =
        "{\"a\":[{}, {\"id\":1}, {\"x\":[{\"id\":99}]}, {\"id\" : \"7\"}], \"b\":[{},{\"id\":null}]}";
    play((struct mock_options){.document = bytes_of_text(document), .compat = COMPAT_0_17}, steps,
         COUNT_OF(steps));
}

TEST(the_sample_is_the_file_in_examples_and_can_be_served)
{
    static const struct step steps[] = {
        {{"GET", "/birds/1"}, 200, NULL, NULL},     {{"GET", "/users/6"}, 200, NULL, NULL},
        {{"GET", "/trees/7"}, 200, NULL, NULL},     {{"GET", "/posts/10"}, 200, NULL, NULL},
        {{"GET", "/comments/10"}, 200, NULL, NULL}, {{"GET", "/station"}, 200, NULL, NULL},
    };
    struct bytes sample = mock_sample_document();
    char *text = malloc(sample.size + 1);
    FILE *file = fopen(EXAMPLES_FOLDER "/db.json", "rb");

    EXPECT(text != NULL && file != NULL);
    EXPECT_TEXT(bytes_of(text, fread(text, 1, sample.size + 1, file)), sample);
    fclose(file);
    free(text);
    play((struct mock_options){.document = sample}, steps, COUNT_OF(steps));
}

TEST(writes_are_refused_when_there_is_no_more_room_and_taken_again_after_a_delete)
{
    static const struct documents_options few = {.growth_bytes_max = 2000};
    struct documents *documents;
    struct buffer message = {0};
    struct answer answer;
    struct bytes body =
        BYTES("{\"text\":\"0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\"}");
    struct http_request request = {.method = HTTP_METHOD_POST, .path = BYTES("/empty")};
    char location[64] = "";
    int made = 0;

    EXPECT_EQ(documents_create(bytes_of_text(small), &few, &documents, &message), OK);
    for (;;) {
        rest_answer(documents, &request, body, &answer);
        if (answer.status != 201)
            break;
        sscanf(answer.lines.data, "Location: %63[^\r]", location);
        answer_fini(&answer);
        made++;
    }
    EXPECT(made >= 5 && made <= 20);
    EXPECT_EQ(answer.status, 507);
    answer_fini(&answer);

    request = (struct http_request){.method = HTTP_METHOD_PATCH, .path = BYTES("/profile")};
    for (int i = 0; i < 2; i++) { /* what does not grow is taken */
        char large[2100];
        snprintf(large, sizeof large, "{\"name\":\"%0*d\"}", i == 0 ? 8 : 2000, 0);
        rest_answer(documents, &request, bytes_of_text(large), &answer);
        EXPECT_EQ(answer.status, i == 0 ? 200 : 507);
        answer_fini(&answer);
    }

    request = (struct http_request){.method = HTTP_METHOD_DELETE, .path = bytes_of_text(location)};
    rest_answer(documents, &request, (struct bytes){0}, &answer);
    EXPECT_EQ(answer.status, 200);
    answer_fini(&answer);
    request = (struct http_request){.method = HTTP_METHOD_POST, .path = BYTES("/empty")};
    for (int i = 0; i < 2; i++) {
        rest_answer(documents, &request, body, &answer);
        EXPECT_EQ(answer.status, i == 0 ? 201 : 507);
        answer_fini(&answer);
    }
    documents_destroy(documents);
    buffer_fini(&message);
}

/* ---- several workers --------------------------------------------------------------------------- */

enum { ROUNDS = 2000 };

struct party {
    pthread_t thread;
    struct mock *mock;
    bool ok;
};

/* Makes, patches, reads and deletes beside another thread doing the same, all on one collection and one
 * shared item. (cmocka's checks are for its own thread: here what fails is remembered.) */
static void *take_part(void *argument)
{
    struct party *party = argument;
    struct world world = {.mock = party->mock};
    struct fake fake;
    char location[64], patch[32];

    party->ok = mock_worker_create(party->mock, NULL, &world.counters, &world.worker) == OK;
    for (int i = 0; i < ROUNDS && party->ok; i++) {
        fake_ask(&world, &fake, (struct ask){"POST", "/empty", "{\"n\":1}"});
        snprintf(location, sizeof location, "%.*s", BYTES_PRINTF(line_value(&fake, "Location: ")));
        party->ok &= fake.status == 201;
        fake_fini(&fake);
        snprintf(patch, sizeof patch, "{\"%c%d\":1}", 'a' + i % 26, i % 7);
        fake_ask(&world, &fake, (struct ask){"PATCH", "/posts/1", patch});
        party->ok &= fake.status == 200;
        fake_fini(&fake);
        fake_ask(&world, &fake, (struct ask){"GET", "/empty"});
        party->ok &=
            fake.status == 200 && fake.body.data[0] == '[' && fake.body.data[fake.body.size - 1] == ']';
        fake_fini(&fake);
        fake_ask(&world, &fake, (struct ask){"GET", "/posts/1"});
        party->ok &=
            fake.status == 200 && bytes_start_with(buffer_bytes(&fake.body), BYTES("{\"id\":\"1\""));
        fake_fini(&fake);
        fake_ask(&world, &fake, (struct ask){"DELETE", location});
        party->ok &= fake.status == 200;
        fake_fini(&fake);
    }
    mock_worker_destroy(world.worker);
    return NULL;
}

TEST(workers_on_two_threads_change_and_read_the_same_documents)
{
    struct world world;
    struct party parties[2];
    struct fake fake;

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(parties); i++) {
        parties[i].mock = world.mock;
        EXPECT_EQ(pthread_create(&parties[i].thread, NULL, take_part, &parties[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(parties); i++) {
        pthread_join(parties[i].thread, NULL);
        EXPECT(parties[i].ok);
    }
    EXPECT_EQ(mock_request_count(world.mock, BYTES("")), 2 * 5 * ROUNDS);
    fake_ask(&world, &fake, (struct ask){"GET", "/empty"});
    EXPECT_TEXT(buffer_bytes(&fake.body), BYTES("[]"));
    fake_fini(&fake);
    world_close(&world);
}

struct counting {
    pthread_t thread;
    struct mock *mock;
    char prefix;
};

/* Each thread adds members of its own names to one item. */
static void *add_members(void *argument)
{
    struct counting *counting = argument;
    struct world world = {.mock = counting->mock};
    struct fake fake;
    char patch[32];

    mock_worker_create(counting->mock, NULL, &world.counters, &world.worker);
    for (int i = 0; i < 200; i++) {
        snprintf(patch, sizeof patch, "{\"%c%d\":1}", counting->prefix, i);
        fake_ask(&world, &fake, (struct ask){"PATCH", "/posts/1", patch});
        fake_fini(&fake);
    }
    mock_worker_destroy(world.worker);
    return NULL;
}

TEST(no_patch_is_lost_when_two_threads_change_one_item)
{
    struct world world;
    struct counting threads[2] = {{.prefix = 'a'}, {.prefix = 'b'}};
    struct fake fake;
    char member[32];

    world_open(&world, small_options());
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        threads[i].mock = world.mock;
        EXPECT_EQ(pthread_create(&threads[i].thread, NULL, add_members, &threads[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i].thread, NULL);
    fake_ask(&world, &fake, (struct ask){"GET", "/posts/1"});
    for (int i = 0; i < 400; i++) {
        snprintf(member, sizeof member, "\"%c%d\":1", i % 2 ? 'a' : 'b', i / 2);
        EXPECT(memmem(fake.body.data, fake.body.size, member, strlen(member)) != NULL);
    }
    fake_fini(&fake);
    world_close(&world);
}

RUN_TESTS(TEST_ROW(every_place_is_read_as_json_server_reads_it),
          TEST_ROW(a_head_request_is_told_the_size_and_sent_no_body),
          TEST_ROW(an_id_longer_than_any_can_be_is_not_found_however_it_is_encoded),
          TEST_ROW(a_query_that_cannot_be_heeded_is_refused_with_why),
          TEST_ROW(a_pattern_that_takes_too_many_steps_is_given_up),
          TEST_ROW(an_answer_may_be_cached_for_as_long_as_the_options_say_if_it_was_read),
          TEST_ROW(an_entity_tag_saves_the_body_until_the_item_changes),
          TEST_ROW(a_post_makes_an_item_with_an_id_of_its_own_and_says_where),
          TEST_ROW(a_put_replaces_all_but_the_id),
          TEST_ROW(a_patch_puts_members_over_the_old_ones_and_keeps_the_rest),
          TEST_ROW(a_deleted_item_is_answered_once_and_gone),
          TEST_ROW(a_method_that_a_place_does_not_have_is_refused_with_those_it_has),
          TEST_ROW(a_change_under_a_precondition_happens_only_if_it_holds),
          TEST_ROW(a_preflight_is_answered_for_any_path),
          TEST_ROW(a_body_that_is_not_an_object_of_strict_json_is_refused_and_changes_nothing),
          TEST_ROW(values_come_back_as_they_went_in), TEST_ROW(nesting_is_bounded),
          TEST_ROW(a_body_of_a_mebibyte_is_taken_and_one_byte_more_is_refused),
          TEST_ROW(a_body_announced_as_too_large_is_refused_before_it_is_read),
          TEST_ROW(an_answer_is_sent_as_there_is_room_and_stays_what_it_was_when_it_began),
          TEST_ROW(the_delay_passes_before_the_answer_and_the_body_may_come_before_or_after_it),
          TEST_ROW(a_client_that_leaves_during_the_delay_leaves_no_timer_and_no_change),
          TEST_ROW(a_refusal_that_must_wait_for_room_is_not_answered_again_by_the_timer),
          TEST_ROW(requests_are_counted_for_each_place),
          TEST_ROW(a_document_that_cannot_be_served_is_refused_with_where_and_what),
          TEST_ROW(items_of_a_file_get_ids_that_are_strings),
          TEST_ROW(items_without_an_id_get_numbers_that_no_item_behind_them_has),
          TEST_ROW(the_sample_is_the_file_in_examples_and_can_be_served),
          TEST_ROW(writes_are_refused_when_there_is_no_more_room_and_taken_again_after_a_delete),
          TEST_ROW(workers_on_two_threads_change_and_read_the_same_documents),
          TEST_ROW(no_patch_is_lost_when_two_threads_change_one_item))
