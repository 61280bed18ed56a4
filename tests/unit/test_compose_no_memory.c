/* clang-format off */
/* links: nuthatch-compose nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
/* clang-format on */
/* Each allocation that a composed answer leads to fails once: who asked gets the whole document, one that
 * says which part is missing, or a problem; never half of one and never nothing. Who asks next gets the
 * whole. What leaks AddressSanitizer tells. */
#include "compose_world.h"
#include "engine/compose/json_pick.h"
#include "no_memory.h"
#include <zlib.h>

enum { ATTEMPTS_MAX = 1000, BREAKER_MS = 1000 /* after which the origin is asked again for certain */ };

/* The thread of the world's first worker, but for what the client that is the test's does on it. */
static _Thread_local bool is_worker, is_client;

static bool is_of_whom_is_tested(void) { return is_worker && !is_client; }

/* ---- who asks: what it does itself does not fail --------------------------------------------------- */

static void respond(struct exchange *x, const struct http_response *response)
{
    is_client = true;
    fake_client.respond(x, response);
    is_client = false;
}

static void take(struct exchange *x, struct bytes bytes)
{
    is_client = true;
    fake_client.send(x, bytes);
    is_client = false;
}

static const struct exchange_client careful_client = {on_read, on_inform, respond, take, on_room,
                                                      on_end,  on_abort,  NULL,    NULL};

struct attempt {
    struct caller caller;
    int successes; /* before one allocation fails; negative: all do */
};

static void begin_attempt(void *argument)
{
    struct attempt *attempt = argument;

    is_worker = true;
    attempt->caller.client->x.client = &careful_client;
    successes_left = attempt->successes;
    begin_caller(&attempt->caller);
}

static struct client *ask_with(struct front *front, const char *method, const char *path,
                               const char *fields, int successes)
{
    struct client *client = client_create(front->world, 0, method, path, fields);

    on_worker(client->runner, begin_attempt, &(struct attempt){{front, client}, successes});
    wait_until_true(has_ended, client);
    return client;
}

/* ---- what may come --------------------------------------------------------------------------------- */

static const char whole[] = "{\"all\":{\"n\": 1.50, \"text\": \"as it was written\"},"
                            "\"some\":{\"number\":1.50,\"none\":null},\"one\":1.50}\n";

static struct bytes unzipped(const struct client *client, char *plain, size_t size)
{
    z_stream stream = {.next_in = (Bytef *)client->body.data,
                       .avail_in = (uInt)client->body.size,
                       .next_out = (Bytef *)plain,
                       .avail_out = (uInt)size};

    EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
    inflateEnd(&stream);
    return bytes_of(plain, stream.total_out);
}

static bool has(struct bytes text, const char *wanted)
{
    return text.size > 0 && memmem(text.data, text.size, wanted, strlen(wanted)) != NULL;
}

static void expect_document(struct bytes body, bool may_lack_parts)
{
    if (bytes_equal(body, bytes_of_text(whole)))
        return;
    if (!may_lack_parts || !json_is_whole(body) || !has(body, "null") ||
        !has(body, ",\"errors\":[{\"part\":"))
        fail_msg("no document: %.*s", BYTES_PRINTF(body));
}

/* The body as it was before it was coded. */
static struct bytes body_of(const struct client *client, char *plain, size_t size)
{
    return head_has(client, "Content-Encoding: gzip\r\n") && client->body.size > 0
               ? unzipped(client, plain, size)
               : buffer_bytes(&client->body);
}

/* `may_fail`: an allocation has. */
static void expect_answer_of(const struct client *client, bool may_fail, bool may_lack_parts)
{
    bool is_head = client->request.method == HTTP_METHOD_HEAD;
    char plain[1024];
    struct bytes body;

    EXPECT(!client->was_aborted || may_fail);
    if (client->was_aborted) {
        EXPECT(!client->has_head || head_has(client, "Content-Encoding: gzip\r\n")); /* else all is there */
        return;
    }
    body = body_of(client, plain, sizeof plain);
    EXPECT(body.size == 0 || json_is_whole(body));
    EXPECT(!is_head || body.size == 0);
    if (client->status >= 500) {
        EXPECT(may_fail && (client->status == 502 || client->status == 503));
        EXPECT(head_has(client, "Cache-Control: no-store\r\n"));
        if (head_has(client, "Content-Type: "))
            EXPECT(head_has(client, "Content-Type: application/problem+json\r\n") &&
                   (body.size == 0 || has(body, "\"status\":50")));
        else /* respond_head had no memory: what was on its way follows */
            EXPECT_EQ(client->status, 503);
    } else if (client->status == 304) {
        EXPECT(body.size == 0);
        EXPECT(head_has(client, "ETag: \"") ||
               (may_fail && head_has(client, "Cache-Control: no-store\r\n")));
    } else {
        EXPECT_EQ(client->status, 200);
        EXPECT(head_has(client, "Content-Type: application/json\r\n") &&
               head_has(client, "Cache-Control: "));
        if (!is_head)
            expect_document(body, may_fail && may_lack_parts);
    }
}

/* ---- the composition ------------------------------------------------------------------------------- */

static struct field_spec members[] = {{TEXT("number"), TEXT("/n")}, {TEXT("none"), TEXT("/none")}};
static struct part_spec parts[] = {
    {.name = TEXT("all"), .target = TEXT("/scripted-1/{id}?q={query.q}")},
    {.name = TEXT("some"), .target = TEXT("/scripted-2/{id}"), .selected = members, .selected_count = 2},
    {.name = TEXT("one"), .target = TEXT("/scripted-2/{id}"), .pointer = TEXT("/n")}};

static const struct row {
    const char *method, *fields;
    bool is_stored; /* all parts are, before */
} rows[] = {
    {"GET", "", false},
    {"GET", "", true},
    {"HEAD", "", true},
    {"GET", "If-None-Match: *", true},
    {"GET", "Accept-Encoding: gzip", true},
    {"GET", "X-Request-Id: of-the-client\nAccept-Language: de", true},
    {"POST", "", true},
};

/* Returns how many allocations there are. */
static int sweep(struct front *front, size_t row_index, bool may_lack_parts)
{
    const struct row *row = &rows[row_index];
    bool is_refused = strcmp(row->method, "POST") == 0;

    for (int n = 0;; n++) {
        char path[64];
        struct client *client;
        bool failed;

        EXPECT(n < ATTEMPTS_MAX);
        snprintf(path, sizeof path, "/document/%zu-%d", row_index, n);
        if (row->is_stored)
            client_destroy(ask_with(front, "GET", path, "", -1));
        client = ask_with(front, row->method, path, row->fields, n);
        failed = has_failed();
        if (is_refused) /* a 405 that does not say so may be stored (RFC 9110 §15.1) */
            EXPECT((client->status == 405 || (failed && client->status == 503)) &&
                   head_has(client, "Cache-Control: no-store\r\n"));
        else
            expect_answer_of(client, failed, may_lack_parts);
        client_destroy(client);
        front->world->forward_ms += BREAKER_MS;
        client = ask_with(front, "GET", path, "", -1);
        expect_answer_of(client, false, false);
        client_destroy(client);
        if (!failed)
            return n;
    }
}

static void sweep_all(bool may_lack_parts)
{
    char *passed[] = {TEXT("Accept-Language")};
    struct composition_spec composition = {
        .path = TEXT("/document/{id}"),
        .parts = parts,
        .part_count = COUNT_OF(parts),
        .passed = passed,
        .passed_count = COUNT_OF(passed),
        .on_failure = may_lack_parts ? TEXT("null") : TEXT("fail"),
        .timeout_ms = 60000000,
        .body_bytes_max = 4096,
        .policy = {.compress = 1, .compress_bytes_min = 1, .request_id = 1}};
    struct front *front = front_create(&composition);

    front->world->stub.scripted =
        ORIGIN_SAYS("Cache-Control: max-age=600\r\n", " {\"n\": 1.50, \"text\": \"as it was written\"}\n");
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        EXPECT(sweep(front, i, may_lack_parts) > 0);
    front_destroy(front);
}

TEST(an_allocation_that_fails_costs_a_part_that_is_told_of_or_the_answer) { sweep_all(true); }

TEST(an_allocation_that_fails_costs_the_answer_where_no_part_may_be_missing) { sweep_all(false); }

static void make_workers(void *argument)
{
    struct runner *runner = argument;
    bool failed = true;

    is_worker = true;
    for (int n = 0; failed; n++) {
        struct compose_worker *worker = NULL;
        enum err err;
        successes_left = n;
        err = compose_worker_create(runner->worker, runner->loop, &runner->counters, &worker);
        failed = has_failed();
        EXPECT_EQ(err, failed ? ERR_NO_MEMORY : OK);
        if (worker != NULL)
            compose_worker_destroy(worker);
    }
}

TEST(a_worker_is_made_or_not)
{
    struct world *world = world_create();

    on_worker(&world->runners[0], make_workers, &world->runners[0]);
    world_destroy(world);
}

RUN_TESTS(TEST_ROW(a_worker_is_made_or_not),
          TEST_ROW(an_allocation_that_fails_costs_a_part_that_is_told_of_or_the_answer),
          TEST_ROW(an_allocation_that_fails_costs_the_answer_where_no_part_may_be_missing))
