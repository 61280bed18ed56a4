/* links: nuthatch-mock nuthatch-message nuthatch-base */
/* The indexes of the mock's collections: what they take, and that they are right whatever is written. */
#include "engine/mock/collections/indexes.h"
#include "rest_ask.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static struct documents *make(struct bytes json, size_t index_bytes_max)
{
    struct documents_options options = {
        .compat = COMPAT_1, .growth_bytes_max = 1 << 20, .index_bytes_max = index_bytes_max};
    struct buffer message = {0};
    struct documents *documents = NULL;

    if (documents_create(json, &options, &documents, &message) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
    buffer_fini(&message);
    return documents;
}

/* "as": items with the members a, another one each, and b to i, of seven values. */
static struct documents *make_items(int count, size_t index_bytes_max)
{
    struct buffer json = {0};
    struct documents *documents;

    buffer_append_literal(&json, "{\"as\":[");
    for (int i = 0; i < count; i++)
        buffer_append_format(
            &json,
            "%s{\"id\":\"%d\",\"a\":\"the value of %d\",\"b\":%d,\"c\":%d,\"d\":%d,\"e\":%d,"
            "\"f\":%d,\"g\":%d,\"h\":%d,\"i\":%d}",
            i == 0 ? "" : ",", i, i, i % 7, i % 7, i % 7, i % 7, i % 7, i % 7, i % 7, i % 7);
    buffer_append_literal(&json, "]}");
    documents = make(buffer_bytes(&json), index_bytes_max);
    buffer_fini(&json);
    return documents;
}

static void expect(struct documents *documents, const char *method, const char *target, int status,
                   const char *text)
{
    struct answer answer;

    rest_ask(documents, method, target, "", status, &answer);
    if (text != NULL)
        EXPECT_TEXT(text_bytes(answer.text), bytes_of_text(text));
    answer_fini(&answer);
}

static struct field_index *index_of(const struct documents *documents, const char *member)
{
    return indexes_find(resource_find(documents, BYTES("as")), bytes_of_text(member));
}

static size_t bytes_of_all(const struct documents *documents)
{
    const struct resource *resource = resource_find(documents, BYTES("as"));
    size_t size = 0;

    for (size_t i = 0; i < RESOURCE_INDEXES_MAX && resource->indexes[i] != NULL; i++)
        size += field_index_bytes(resource->indexes[i]);
    return size;
}

/* ---- which stay ----------------------------------------------------------------------------------- */

TEST(names_that_no_item_has_push_no_index_out_that_is_of_use)
{
    struct documents *documents = make_items(100, 0);
    char target[32];

    expect(documents, "GET", "/as?a=5&b=1&c=1&d=1&e=1&f=1&g=1&h=1", 200, NULL);
    for (int i = 0; i < 20; i++) {
        snprintf(target, sizeof target, "/as?nosuch%d=1", i);
        expect(documents, "GET", target, 200, "[]");
    }
    EXPECT(index_of(documents, "a") != NULL && index_of(documents, "h") != NULL);
    EXPECT(index_of(documents, "nosuch19") != NULL && index_of(documents, "nosuch0") == NULL);
    expect(documents, "GET", "/as?i=1", 200, NULL); /* the oldest gives way to one that is of use */
    EXPECT(index_of(documents, "a") == NULL && index_of(documents, "i") != NULL);
    documents_destroy(documents);
}

TEST(indexes_take_no_more_than_their_bound_and_the_oldest_leave_for_newer_ones)
{
    enum { ITEMS = 2000, INDEX_BYTES = 60000 };
    struct documents *documents = make_items(ITEMS, INDEX_BYTES);
    char target[32];

    for (int member = 'b'; member <= 'i'; member++) {
        snprintf(target, sizeof target, "/as?%c=3&_limit=0", member);
        expect(documents, "GET", target, 200, "[]");
        snprintf(target, sizeof target, "%c", member);
        EXPECT(index_of(documents, target) != NULL);
        EXPECT(documents->index_bytes > 0 && documents->index_bytes <= INDEX_BYTES);
    }
    EXPECT(index_of(documents, "b") == NULL);
    documents_destroy(documents);
}

TEST(an_index_beyond_the_bound_is_not_made_again_and_what_it_was_for_is_found_without_it)
{
    enum { ITEMS = 2000, INDEX_BYTES = 60000 };
    static const char found[] = "[{\"id\":\"1234\",\"a\":\"the value of 1234\",\"b\":2,\"c\":2,\"d\":2,"
                                "\"e\":2,\"f\":2,\"g\":2,\"h\":2,\"i\":2}]";
    struct documents *documents = make_items(ITEMS, INDEX_BYTES);
    struct resource *resource = resource_find(documents, BYTES("as"));

    expect(documents, "GET", "/as?b=9", 200, "[]");
    expect(documents, "GET", "/as?a=the+value+of+1234", 200, found);
    EXPECT(index_of(documents, "a") == NULL && documents->index_bytes <= INDEX_BYTES);
    EXPECT(resource->indexes[0] != NULL && resource->building == NULL);
    expect(documents, "GET", "/as?a=the+value+of+1234", 200, found);
    EXPECT(resource->indexes[1] != NULL && resource->indexes[2] == NULL); /* b's, and a's place */
    documents_destroy(documents);
}

TEST(the_bytes_of_indexes_are_counted_as_items_come_and_go)
{
    enum { ITEMS = 200 };
    struct documents *documents = make_items(ITEMS, 0);
    struct answer answer;
    char target[32];
    size_t before;

    expect(documents, "GET", "/as?a=x&b=x", 200, "[]");
    before = documents->index_bytes;
    rest_ask(documents, "POST", "/as", "{\"a\":\"something new\"}", 201, &answer);
    EXPECT(documents->index_bytes > before);
    answer_fini(&answer);
    EXPECT_EQ(documents->index_bytes, bytes_of_all(documents));
    before = documents->index_bytes;
    for (int i = 0; i < ITEMS; i++) {
        snprintf(target, sizeof target, "/as/%d", i);
        expect(documents, "DELETE", target, 200, NULL);
    }
    EXPECT(documents->index_bytes < before);
    EXPECT_EQ(documents->index_bytes, bytes_of_all(documents));
    documents_destroy(documents);
}

/* ---- while others write --------------------------------------------------------------------------- */

enum { SHARED_ITEMS = 3000 };

struct shared {
    struct documents *documents;
    _Atomic bool is_over;
    _Atomic bool failed;
};

static void ask_quietly(struct shared *shared, enum http_method method, const char *path, const char *query,
                        const char *body)
{
    struct http_request request = {
        .method = method, .path = bytes_of_text(path), .query = bytes_of_text(query)};
    struct answer answer;

    rest_answer(shared->documents, &request, bytes_of_text(body), &answer);
    if (answer.status >= 500)
        shared->failed = true;
    answer_fini(&answer);
}

static void *write_steadily(void *argument)
{
    struct shared *shared = argument;
    char path[32], body[32];

    for (unsigned i = 1; !shared->is_over; i = i * 1103515245 + 12345) {
        snprintf(path, sizeof path, "/as/%u", (i >> 8) % SHARED_ITEMS);
        snprintf(body, sizeof body, "{\"%c\":%u}", 'b' + (int)((i >> 20) % 8), (i >> 24) % 7);
        ask_quietly(shared, HTTP_METHOD_PATCH, path, "", body);
        if (i % 16 == 0)
            ask_quietly(shared, HTTP_METHOD_DELETE, path, "", "");
        if (i % 16 == 1)
            ask_quietly(shared, HTTP_METHOD_POST, "/as", "", body);
    }
    return NULL;
}

/* The items that the index of `member` has for `value`, and those that have it. */
static void expect_right(struct documents *documents, char member, int value)
{
    struct answer by_index, by_looking;
    char target[64];

    snprintf(target, sizeof target, "/as?%c=%d", member, value);
    rest_ask(documents, "GET", target, "", 200, &by_index);
    snprintf(target, sizeof target, "/as?%c:gte=%d&%c:lte=%d", member, value, member, value);
    rest_ask(documents, "GET", target, "", 200, &by_looking);
    EXPECT_TEXT(text_bytes(by_index.text), text_bytes(by_looking.text));
    answer_fini(&by_index);
    answer_fini(&by_looking);
}

TEST(an_index_that_is_made_while_others_write_is_right)
{
    enum { ROUNDS = 12 };
    struct shared shared = {.documents = make_items(SHARED_ITEMS, 0)};
    struct resource *resource = resource_find(shared.documents, BYTES("as"));
    pthread_t writer;
    char query[16];
    int made_count = 0;

    EXPECT_EQ(pthread_create(&writer, NULL, write_steadily, &shared), 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int member = 'b'; member <= 'i'; member++) {
            snprintf(query, sizeof query, "%c=3", member);
            ask_quietly(&shared, HTTP_METHOD_GET, "/as", query, "");
        }
        pthread_rwlock_wrlock(&shared.documents->lock); /* so that all are made once more */
        if (round + 1 < ROUNDS)
            indexes_destroy(shared.documents, resource);
        pthread_rwlock_unlock(&shared.documents->lock);
    }
    shared.is_over = true;
    pthread_join(writer, NULL);
    EXPECT(!shared.failed);
    for (int member = 'b'; member <= 'i'; member++) {
        char name[2] = {(char)member, '\0'};
        made_count +=
            index_of(shared.documents, name) != NULL; /* not those asked for while another was made */
        for (int value = 0; value < 7; value++)
            expect_right(shared.documents, member, value);
    }
    EXPECT(made_count > 0);
    EXPECT_EQ(shared.documents->index_bytes, bytes_of_all(shared.documents));
    documents_destroy(shared.documents);
}

/* As a DELETE does that finds what refers to an item: it cannot wait for who is at it. */
TEST(an_index_that_is_required_while_it_is_made_is_made_once)
{
    struct documents *documents = make_items(100, 0);
    struct resource *resource = resource_find(documents, BYTES("as"));
    struct field_index *made = field_index_create(BYTES("b"), documents->hash_seed);

    resource->building = made;
    indexes_require(documents, resource, BYTES("c"));
    EXPECT(resource->building == made);
    indexes_require(documents, resource, BYTES("b"));
    EXPECT(resource->building == NULL && index_of(documents, "b") != NULL);
    field_index_destroy(made);
    documents_destroy(documents);
}

TEST(a_condition_without_a_name_makes_no_index)
{
    struct documents *documents = make_items(100, 0);

    expect(documents, "GET", "/as?:eq=1", 200, NULL);
    expect(documents, "GET", "/as?=1", 200, NULL);
    EXPECT(index_of(documents, "") == NULL);
    documents_destroy(documents);
}

TEST(documents_that_are_read_anew_while_an_index_is_made_are_left_alone_by_it)
{
    enum { ROUNDS = 6 };
    struct shared shared = {.documents = make_items(SHARED_ITEMS, 0)};
    struct buffer message = {0};
    pthread_t writer;

    EXPECT_EQ(pthread_create(&writer, NULL, write_steadily, &shared), 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct text *text;
        uint64_t change_number;
        EXPECT_EQ(documents_read_all(shared.documents, &text, &change_number), OK);
        ask_quietly(&shared, HTTP_METHOD_GET, "/as", "b=1&c=1", "");
        EXPECT_EQ(documents_reload(shared.documents, text_bytes(text), &message), OK);
        ask_quietly(&shared, HTTP_METHOD_GET, "/as", "d=1&e=1", "");
        text_release(text);
    }
    shared.is_over = true;
    pthread_join(writer, NULL);
    EXPECT(!shared.failed);
    expect_right(shared.documents, 'd', 1);
    documents_destroy(shared.documents);
    buffer_fini(&message);
}

RUN_TESTS(TEST_ROW(an_index_that_is_required_while_it_is_made_is_made_once),
          TEST_ROW(a_condition_without_a_name_makes_no_index),
          TEST_ROW(names_that_no_item_has_push_no_index_out_that_is_of_use),
          TEST_ROW(indexes_take_no_more_than_their_bound_and_the_oldest_leave_for_newer_ones),
          TEST_ROW(an_index_beyond_the_bound_is_not_made_again_and_what_it_was_for_is_found_without_it),
          TEST_ROW(the_bytes_of_indexes_are_counted_as_items_come_and_go),
          TEST_ROW(an_index_that_is_made_while_others_write_is_right),
          TEST_ROW(documents_that_are_read_anew_while_an_index_is_made_are_left_alone_by_it))
