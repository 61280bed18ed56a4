/* links: nuthatch-mock nuthatch-message nuthatch-base */
/* Random writes and queries on a collection that is large enough to have indexes, against a model that
 * keeps three numbers an item and looks at all of them. */
#include "base/number.h"
#include "engine/mock/json/json_text.h"
#include "unit/rest_ask.h"
#include <stdio.h>
#include <stdlib.h>

enum { ITEMS_MAX = 400, FIRST_ITEMS = 150, STEPS = 3000 };

struct model {
    struct {
        int64_t id;
        int kind, size;
    } items[ITEMS_MAX];
    size_t count;
    uint64_t random;
};

static unsigned draw(struct model *model, unsigned below)
{
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(model->random >> 33) % below;
}

static void add(struct model *model, struct documents *documents)
{
    struct answer answer;
    int kind = (int)draw(model, 8), size = (int)draw(model, 50);
    int64_t id = 1;
    char body[64], text[128];

    for (size_t i = 0; i < model->count; i++)
        if (model->items[i].id >= id)
            id = model->items[i].id + 1;
    snprintf(body, sizeof body, "{\"kind\":%d,\"size\":%d}", kind, size);
    snprintf(text, sizeof text, "{\"kind\":%d,\"size\":%d,\"id\":%lld}", kind, size, (long long)id);
    rest_ask(documents, "POST", "/birds", body, 201, &answer);
    EXPECT_TEXT(text_bytes(answer.text), bytes_of_text(text));
    answer_fini(&answer);
    model->items[model->count].id = id;
    model->items[model->count].kind = kind;
    model->items[model->count++].size = size;
}

static void change(struct model *model, struct documents *documents)
{
    size_t i = draw(model, (unsigned)model->count);
    struct answer answer;
    char target[64], body[64];

    snprintf(target, sizeof target, "/birds/%lld", (long long)model->items[i].id);
    model->items[i].kind = (int)draw(model, 8);
    snprintf(body, sizeof body, "{\"kind\":%d}", model->items[i].kind);
    rest_ask(documents, "PATCH", target, body, 200, &answer);
    answer_fini(&answer);
}

static void drop(struct model *model, struct documents *documents)
{
    size_t i = draw(model, (unsigned)model->count);
    struct answer answer;
    char target[64];

    snprintf(target, sizeof target, "/birds/%lld", (long long)model->items[i].id);
    rest_ask(documents, "DELETE", target, "", 200, &answer);
    answer_fini(&answer);
    rest_ask(documents, "GET", target, "", 404, &answer);
    answer_fini(&answer);
    model->count--;
    memmove(&model->items[i], &model->items[i + 1], (model->count - i) * sizeof model->items[0]);
}

static const struct model *sorted_model; /* of the one comparison at a time */

static int by_size(const void *a, const void *b)
{
    const size_t *x = a, *y = b;
    int difference = sorted_model->items[*x].size - sorted_model->items[*y].size;
    return difference != 0 ? difference : (*x > *y) - (*x < *y);
}

/* A random query, and what the model says to it: ids in order. */
static void compare(struct model *model, struct documents *documents)
{
    int kind = (int)draw(model, 9), other = (int)draw(model, 9), size = (int)draw(model, 50);
    bool has_other = draw(model, 2), has_size = draw(model, 2), sorts = draw(model, 2),
         limits = draw(model, 2);
    size_t wanted[ITEMS_MAX], count = 0, limit = draw(model, 20);
    struct buffer target = {0}, message = {0};
    struct answer answer;
    json_t *list;

    buffer_append_format(&target, "/birds?kind=%d", kind);
    if (has_other)
        buffer_append_format(&target, "&kind=%d", other);
    if (has_size)
        buffer_append_format(&target, "&size_gte=%d", size);
    if (sorts)
        buffer_append_literal(&target, "&_sort=size");
    if (limits)
        buffer_append_format(&target, "&_limit=%zu", limit);
    buffer_append_byte(&target, '\0');
    for (size_t i = 0; i < model->count; i++)
        if ((model->items[i].kind == kind || (has_other && model->items[i].kind == other)) &&
            (!has_size || model->items[i].size >= size))
            wanted[count++] = i;
    sorted_model = model;
    if (sorts && count > 0)
        qsort(wanted, count, sizeof wanted[0], by_size);
    if (limits && count > limit)
        count = limit;

    rest_ask(documents, "GET", target.data, "", 200, &answer);
    EXPECT_EQ(json_text_parse(text_bytes(answer.text), &list, &message), OK);
    if (json_array_size(list) != count)
        fail_msg("%s: %zu items, wanted %zu", target.data, json_array_size(list), count);
    for (size_t i = 0; i < count; i++)
        EXPECT_EQ(json_integer_value(json_object_get(json_array_get(list, i), "id")),
                  model->items[wanted[i]].id);
    json_decref(list);
    answer_fini(&answer);
    buffer_fini(&target);
    buffer_fini(&message);
}

TEST(queries_find_what_a_look_at_every_item_finds)
{
    static const struct documents_options options = {.compat = COMPAT_0_17, .growth_bytes_max = 1 << 20};
    struct model model = {.random = 20261129};
    struct documents *documents;
    struct buffer message = {0};

    EXPECT_EQ(documents_create(BYTES("{\"birds\":[]}"), &options, &documents, &message), OK);
    while (model.count < FIRST_ITEMS)
        add(&model, documents);
    for (int step = 0; step < STEPS; step++) {
        unsigned choice = draw(&model, 10);
        if (choice < 2 && model.count < ITEMS_MAX)
            add(&model, documents);
        else if (choice < 4)
            change(&model, documents);
        else if (choice < 6 && model.count > FIRST_ITEMS / 2)
            drop(&model, documents);
        else
            compare(&model, documents);
    }
    documents_destroy(documents);
    buffer_fini(&message);
}

/* ---- relations, in a table --------------------------------------------------------------------- */

static const char related[] =
    "{\"posts\":[{\"id\":1},{\"id\":2}],"
    "\"comments\":[{\"id\":1,\"postId\":1},{\"id\":2,\"postId\":\"1\"},{\"id\":3,\"postId\":2}],"
    "\"likes\":[{\"id\":1,\"commentId\":1},{\"id\":2,\"commentId\":3}]}";

TEST(what_referred_to_a_removed_item_goes_in_0_17_and_forgets_it_in_1)
{
    static const struct {
        enum compat compat;
        const char *target, *after;
    } cases[] = {
        {COMPAT_0_17, "/posts/1",
         "{\"posts\":[{\"id\":2}],\"comments\":[{\"id\":3,\"postId\":2}],\"likes\":[{\"id\":2,"
         "\"commentId\":3}]}"},
        {COMPAT_1, "/posts/1",
         "{\"posts\":[{\"id\":\"2\"}],\"comments\":[{\"id\":\"1\",\"postId\":null},{\"id\":\"2\","
         "\"postId\":null},"
         "{\"id\":\"3\",\"postId\":2}],\"likes\":[{\"id\":\"1\",\"commentId\":1},{\"id\":\"2\","
         "\"commentId\":3}]}"},
        {COMPAT_1, "/posts/1?_dependent=comments",
         "{\"posts\":[{\"id\":\"2\"}],\"comments\":[{\"id\":\"3\",\"postId\":2}],"
         "\"likes\":[{\"id\":\"1\",\"commentId\":null},{\"id\":\"2\",\"commentId\":3}]}"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct documents_options options = {.compat = cases[i].compat, .growth_bytes_max = 1 << 20};
        struct documents *documents;
        struct buffer message = {0};
        struct answer answer;
        EXPECT_EQ(documents_create(bytes_of_text(related), &options, &documents, &message), OK);
        rest_ask(documents, "DELETE", cases[i].target, "", 200, &answer);
        answer_fini(&answer);
        rest_ask(documents, "GET", "/db", "", 200, &answer);
        EXPECT_TEXT(text_bytes(answer.text), bytes_of_text(cases[i].after));
        answer_fini(&answer);
        documents_destroy(documents);
        buffer_fini(&message);
    }
}

/* ---- who is told ------------------------------------------------------------------------------- */

struct listener {
    struct documents_observer observer;
    struct buffer heard;
};

static void on_changed(struct documents_observer *observer, const struct documents_change *change)
{
    struct listener *listener = CONTAINER_OF(observer, struct listener, observer);
    static const char kinds[] = {'+', '=', '-', '*'};

    buffer_append_format(&listener->heard, "%llu%c%.*s/%.*s ", (unsigned long long)change->number,
                         kinds[change->kind], BYTES_PRINTF(change->name), BYTES_PRINTF(change->id));
}

TEST(an_observer_is_told_of_each_write_in_order_and_of_a_reload)
{
    struct documents_options options = {.compat = COMPAT_0_17, .growth_bytes_max = 1 << 20};
    struct listener listener = {.observer.changed = on_changed};
    struct documents *documents;
    struct buffer message = {0};
    struct answer answer;

    EXPECT_EQ(documents_create(bytes_of_text(related), &options, &documents, &message), OK);
    documents_subscribe(documents, &listener.observer);
    rest_ask(documents, "POST", "/likes", "{}", 201, &answer);
    answer_fini(&answer);
    rest_ask(documents, "PATCH", "/posts/2", "{\"x\":1}", 200, &answer);
    answer_fini(&answer);
    rest_ask(documents, "DELETE", "/posts/1", "", 200, &answer);
    answer_fini(&answer);
    EXPECT_EQ(documents_reload(documents, BYTES("{\"posts\":[{\"id\":1}"), &message), ERR_SYNTAX);
    EXPECT_EQ(documents_reload(documents, BYTES("{\"news\":[{\"id\":7}]}"), &message), OK);
    rest_ask(documents, "GET", "/news/7", "", 200, &answer);
    answer_fini(&answer);
    rest_ask(documents, "GET", "/posts", "", 404, &answer);
    answer_fini(&answer);
    documents_unsubscribe(documents, &listener.observer);
    rest_ask(documents, "DELETE", "/news/7", "", 200, &answer);
    answer_fini(&answer);
    EXPECT_TEXT(buffer_bytes(&listener.heard),
                BYTES("1+likes/3 2=posts/2 3-posts/1 4-comments/1 5-comments/2 6-likes/1 7*/ "));
    documents_destroy(documents);
    buffer_fini(&listener.heard);
    buffer_fini(&message);
}

RUN_TESTS(TEST_ROW(queries_find_what_a_look_at_every_item_finds),
          TEST_ROW(what_referred_to_a_removed_item_goes_in_0_17_and_forgets_it_in_1),
          TEST_ROW(an_observer_is_told_of_each_write_in_order_and_of_a_reload))
