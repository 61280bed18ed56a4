/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* What the gateway is asked from inside, by its own. */
#include "base/hash.h"
#include "engine/gateway/inquiry.h"
#include "gateway_world.h"

struct question {
    struct runner *runner;
    struct inquiry *inquiry;
    struct http_request request;
    struct http_text fields;
    struct inquiry_order order;
    _Atomic bool is_done;
    enum err err;
    int status;
    struct buffer body;
    uint64_t body_hash;
    struct inquiry_terms terms;
};

static void on_done(void *owner, const struct inquiry_answer *answer)
{
    struct question *question = owner;

    question->err = answer->err;
    question->status = answer->status;
    question->terms = *answer->terms;
    question->body = *answer->body;
    question->body_hash = answer->body_hash;
    *answer->body = (struct buffer){0};
    question->is_done = true;
}

static void begin(void *argument)
{
    struct question *question = argument;

    question->inquiry = inquiry_begin(question->runner->worker, &question->order);
    EXPECT(question->inquiry != NULL && !question->is_done);
}

static void cancel(void *argument) { inquiry_cancel(((struct question *)argument)->inquiry); }

static bool is_done(void *argument) { return ((struct question *)argument)->is_done; }

static struct question *question_begin(struct world *world, const char *path, const char *fields,
                                       int64_t confirmed_within_ms, size_t body_bytes_max,
                                       int64_t timeout_ms)
{
    struct question *question = calloc(1, sizeof *question);

    http_text_read(&question->fields, fields);
    question->runner = &world->runners[0];
    question->request = (struct http_request){.method = HTTP_METHOD_GET,
                                              .method_name = BYTES("GET"),
                                              .authority = BYTES("client.example"),
                                              .path = bytes_of_text(path),
                                              .minor_version = 1,
                                              .fields = question->fields.fields};
    question->order = (struct inquiry_order){.request = &question->request,
                                             .confirmed_within_ms = confirmed_within_ms,
                                             .body_bytes_max = body_bytes_max,
                                             .timeout_ms = timeout_ms,
                                             .done = on_done,
                                             .owner = question};
    on_worker(question->runner, begin, question);
    return question;
}

static void question_free(struct question *question)
{
    buffer_fini(&question->body);
    free(question);
}

/* Asks, and expects that answer. */
static struct inquiry_terms expect_told(struct world *world, const char *path, int64_t confirmed_within_ms,
                                        int status, const char *body)
{
    struct question *question = question_begin(world, path, "", confirmed_within_ms, 4096, 60000000);
    struct inquiry_terms terms;

    wait_until_true(is_done, question);
    EXPECT_EQ(question->err, OK);
    EXPECT_EQ(question->status, status);
    if (body != NULL)
        EXPECT_TEXT(buffer_bytes(&question->body), bytes_of_text(body));
    terms = question->terms;
    question_free(question);
    return terms;
}

static enum err error_of(struct world *world, const char *path, size_t body_bytes_max)
{
    struct question *question = question_begin(world, path, "", -1, body_bytes_max, 60000000);
    enum err err;

    wait_until_true(is_done, question);
    err = question->err;
    question_free(question);
    return err;
}

TEST(an_inquiry_goes_through_the_cache_as_a_client_does)
{
    struct world *world = world_create();
    struct inquiry_terms terms = expect_told(world, "/fresh", -1, 200, "fresh");

    EXPECT(terms.is_told && !terms.is_from_store && terms.is_for_all && !terms.is_stale);
    EXPECT(terms.fresh_ms > 50000 && terms.fresh_ms <= 60000);
    expect_answer(world, "GET", "/fresh", "", 200, "fresh", "; hit");
    world->forward_ms += 50000;
    terms = expect_told(world, "/fresh", -1, 200, "fresh");
    EXPECT(terms.is_told && terms.is_from_store && terms.is_for_all && terms.fresh_ms <= 10000);
    EXPECT(terms.body_number != 0);
    EXPECT_EQ(world->stub.request_count, 1);
    world_destroy(world);
}

TEST(what_is_fresh_but_not_confirmed_lately_is_asked_for_again)
{
    struct world *world = world_create();

    expect_told(world, "/count", -1, 200, "1");
    world->forward_ms += 5000;
    expect_told(world, "/count", 10000, 200, "1");
    expect_told(world, "/count", 3000, 200, "2");
    expect_answer(world, "GET", "/count", "", 200, "2", "; hit");
    EXPECT_EQ(world->stub.request_count, 2);
    world_destroy(world);
}

TEST(what_was_confirmed_lately_will_do_though_it_is_stale_by_now)
{
    struct world *world = world_create();
    struct inquiry_terms terms;

    expect_told(world, "/brief", -1, 200, "old");
    world->forward_ms += 2000;
    terms = expect_told(world, "/brief", 5000, 200, "old");
    EXPECT(terms.is_from_store && terms.fresh_ms <= 0);
    EXPECT(terms.confirmed_ago_ms >= 2000);
    EXPECT_EQ(world->stub.request_count, 1);
    terms = expect_told(world, "/brief", 0, 200, "old");
    EXPECT(terms.is_from_store && !terms.is_stale && terms.body_number != 0);
    EXPECT(terms.confirmed_ago_ms >= 0 && terms.confirmed_ago_ms < 2000); /* by the 304 */
    EXPECT_EQ(world->stub.conditional_count, 1);
    world_destroy(world);
}

TEST(one_who_asks_for_a_confirmation_waits_for_it_where_clients_get_what_is_stale)
{
    struct world *world = world_create();

    expect_told(world, "/swr", -1, 200, "1");
    world->forward_ms += 5000;
    expect_told(world, "/swr", 0, 200, "2");
    world_destroy(world);
}

TEST(what_is_stored_stands_in_for_a_failure)
{
    struct world *world = world_create();
    struct inquiry_terms terms;

    expect_told(world, "/count", -1, 200, "1");
    stub_set(&world->stub, false, true);
    terms = expect_told(world, "/count", 0, 200, "1");
    EXPECT(terms.is_told && terms.is_stale && terms.is_from_store);
    stub_stop(&world->stub);
    terms = expect_told(world, "/unknown", -1, 502, NULL);
    EXPECT(!terms.is_told && !terms.is_for_all);
    world_destroy(world);
}

TEST(an_answer_that_is_one_client_s_is_told_to_be)
{
    struct world *world = world_create();

    EXPECT(!expect_told(world, "/private", -1, 200, NULL).is_for_all);
    EXPECT(expect_told(world, "/private", -1, 200, NULL).is_told);
    EXPECT(expect_told(world, "/nothing-here", -1, 404, NULL).is_for_all);
    world_destroy(world);
}

TEST(a_body_beyond_the_bound_is_an_error_and_costs_no_memory)
{
    struct world *world = world_create();

    EXPECT_EQ(error_of(world, "/fresh", 4), ERR_TOO_LARGE);
    EXPECT_EQ(error_of(world, "/fresh", 4), ERR_TOO_LARGE); /* from the store */
    EXPECT_EQ(error_of(world, "/fresh", 5), OK);
    EXPECT_EQ(error_of(world, "/stream", 100000), ERR_TOO_LARGE);
    EXPECT_EQ(error_of(world, "/large", 100000), ERR_TOO_LARGE);
    EXPECT_EQ(error_of(world, "/large-unsaid", 300000), OK);
    EXPECT_EQ(error_of(world, "/cut", 100000), ERR_TRUNCATED);
    world_destroy(world);
}

TEST(an_inquiry_ends_at_its_deadline)
{
    struct world *world = world_create();
    struct question *question;

    stub_set(&world->stub, true, false);
    question = question_begin(world, "/count", "", -1, 4096, 30);
    wait_until_true(is_done, question);
    EXPECT_EQ(question->err, ERR_TIMEOUT);
    question_free(question);
    stub_set(&world->stub, false, false);
    world_destroy(world);
}

TEST(an_inquiry_that_is_cancelled_is_never_told_and_holds_nothing_up)
{
    struct world *world = world_create();
    struct question *waits, *at_once;

    stub_set(&world->stub, true, false);
    waits = question_begin(world, "/count", "", -1, 4096, 60000000);
    on_worker(waits->runner, cancel, waits);
    stub_set(&world->stub, false, false);
    at_once = question_begin(world, "/count", "Cache-Control: only-if-cached", -1, 4096, 60000000);
    wait_until_true(is_done, at_once);
    EXPECT(!waits->is_done);
    question_free(waits);
    question_free(at_once);
    world_destroy(world);
}

static void begin_and_cancel(void *argument)
{
    begin(argument);
    cancel(argument);
}

TEST(an_inquiry_that_was_answered_at_once_can_still_be_cancelled)
{
    struct world *world = world_create();
    struct question *question;

    expect_told(world, "/fresh", -1, 200, "fresh");
    question = question_begin(world, "/fresh", "", -1, 4096, 60000000);
    wait_until_true(is_done, question);
    question->is_done = false;
    buffer_fini(&question->body);
    on_worker(question->runner, begin_and_cancel, question);
    expect_told(world, "/fresh", -1, 200, "fresh");
    EXPECT(!question->is_done);
    question_free(question);
    world_destroy(world);
}

/* Asks in another way, and leaves the answer to be freed. */
static struct question *ask_so(struct world *world, const char *path, bool asks_nobody, bool wants_hash)
{
    struct question *question = question_begin(world, path, "", INT64_MAX, 4096, 60000000);

    wait_until_true(is_done, question);
    question->is_done = false;
    buffer_fini(&question->body);
    question->order.asks_nobody = asks_nobody;
    question->order.wants_no_body = question->order.wants_hash = wants_hash;
    on_worker(question->runner, begin, question);
    wait_until_true(is_done, question);
    EXPECT_EQ(question->err, OK);
    return question;
}

static void begin_look(void *argument)
{
    ((struct question *)argument)->order.asks_nobody = true;
    begin(argument);
}

TEST(a_look_brings_what_is_there_however_old_and_asks_nobody)
{
    struct world *world = world_create();
    struct question *question = ask_so(world, "/brief", true, false);

    EXPECT_TEXT(buffer_bytes(&question->body), BYTES("old"));
    question->is_done = false;
    buffer_fini(&question->body);
    world->forward_ms += 30000; /* it was fresh for a second */
    on_worker(question->runner, begin_look, question);
    wait_until_true(is_done, question);
    EXPECT(question->terms.is_told && !question->terms.is_stale);
    EXPECT_TEXT(buffer_bytes(&question->body), BYTES("old"));
    question->is_done = false;
    buffer_fini(&question->body);
    question->request.path = BYTES("/fresh");
    on_worker(question->runner, begin_look, question);
    wait_until_true(is_done, question);
    EXPECT(!question->terms.is_told && question->status == 504);
    EXPECT_EQ(world->stub.request_count, 1);
    question_free(question);
    world_destroy(world);
}

TEST(the_hash_of_a_body_needs_no_memory_for_it_and_tells_bodies_apart)
{
    struct world *world = world_create();
    struct question *one, *same, *other;

    stub_set_state(&world->stub, "of a state");
    one = ask_so(world, "/state", false, true);
    same = ask_so(world, "/state", false, true);
    other = ask_so(world, "/fresh", false, true);

    EXPECT(one->body_hash != 0 && one->body_hash == same->body_hash);
    EXPECT(other->body_hash == hash_bytes(BYTES("fresh"), world->gateway->seed));
    EXPECT(one->body_hash != other->body_hash);
    EXPECT_EQ(one->body.size, 0);
    question_free(one);
    question_free(same);
    question_free(other);
    world_destroy(world);
}

TEST(one_that_is_to_be_kept_is_over_as_soon_as_it_is_known_not_to_be)
{
    struct world *world = world_create();
    struct question *stream = ask_so(world, "/stream", false, true);
    struct question *large = ask_so(world, "/large", false, true);
    struct question *unsaid = ask_so(world, "/large-unsaid", false, true);
    struct question *private = ask_so(world, "/private", false, true);
    struct question *kept = ask_so(world, "/fresh", false, true);
    struct question *again = ask_so(world, "/fresh", false, true);

    EXPECT(stream->err == OK && strstr(stream->terms.unkept_because, "no-store") != NULL);
    EXPECT(large->err == OK && strstr(large->terms.unkept_because, "object-max") != NULL);
    EXPECT(unsaid->err == OK && strstr(unsaid->terms.unkept_because, "object-max") != NULL);
    EXPECT(private->err == OK && strstr(private->terms.unkept_because, "private") != NULL);
    EXPECT(kept->terms.unkept_because == NULL && again->terms.unkept_because == NULL);
    stub_stop(&world->stub);
    wait_until_true(are_visitors_gone, &world->stub);
    EXPECT(world->stub.streamed_bytes < STREAM_BYTES);
    question_free(stream);
    question_free(large);
    question_free(unsaid);
    question_free(private);
    question_free(kept);
    question_free(again);
    world_destroy(world);
}

RUN_TESTS(TEST_ROW(one_that_is_to_be_kept_is_over_as_soon_as_it_is_known_not_to_be),
          TEST_ROW(a_look_brings_what_is_there_however_old_and_asks_nobody),
          TEST_ROW(the_hash_of_a_body_needs_no_memory_for_it_and_tells_bodies_apart),
          TEST_ROW(an_inquiry_goes_through_the_cache_as_a_client_does),
          TEST_ROW(what_is_fresh_but_not_confirmed_lately_is_asked_for_again),
          TEST_ROW(what_was_confirmed_lately_will_do_though_it_is_stale_by_now),
          TEST_ROW(one_who_asks_for_a_confirmation_waits_for_it_where_clients_get_what_is_stale),
          TEST_ROW(what_is_stored_stands_in_for_a_failure),
          TEST_ROW(an_answer_that_is_one_client_s_is_told_to_be),
          TEST_ROW(a_body_beyond_the_bound_is_an_error_and_costs_no_memory),
          TEST_ROW(an_inquiry_ends_at_its_deadline),
          TEST_ROW(an_inquiry_that_is_cancelled_is_never_told_and_holds_nothing_up),
          TEST_ROW(an_inquiry_that_was_answered_at_once_can_still_be_cancelled))
