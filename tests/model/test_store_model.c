/* links: nuthatch-store */
/* Random calls on the store and on a model of it so simple that it is right: an array. What the store
 * answers must be what the model says, call by call. The seed is printed; NH_SEED repeats a run. */
#include "base/compiler.h"
#include "base/number.h"
#include "nuthatch.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

enum { SPACES = 3, KEYS = 60, TAGS = 5, VALUE_BYTES = 300, HELD = 20, STEPS = 400000 };

struct tag_set {
    unsigned count;
    unsigned char tags[TAGS];
};

struct item {
    bool exists;
    char value[VALUE_BYTES];
    size_t size;
    int64_t expires_at_ms, stale_at_ms;
    uint32_t flags;
    uint64_t version;
    struct tag_set tags;
};

/* A value borrowed for a while, and what it must stay. */
struct held {
    nh_value value;
    bool is_held;
    char copy[VALUE_BYTES];
};

struct world {
    nh_store *store;
    struct item items[SPACES * KEYS];
    struct held held[HELD];
    int64_t now_ms;
    uint64_t random;
    uint64_t step;
};

static uint64_t draw(struct world *world, uint64_t below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return (world->random >> 11) % below;
}

static struct item *find(struct world *world, unsigned space, unsigned key)
{
    struct item *item = &world->items[space * KEYS + key];
    if (item->exists && item->expires_at_ms != 0 && item->expires_at_ms <= world->now_ms)
        item->exists = false;
    return item;
}

static const char tag_names[TAGS][3] = {"a", "b", "cc", "d", "e"};

/* Key number n has a length of its own, from 1 to 300 bytes. */
static nh_key key_of(unsigned space, unsigned number, char text[400])
{
    int size = snprintf(text, 400, "%u", number);
    if (number % 4 == 0)
        size += snprintf(text + size, 400 - (size_t)size, ":%0*d", (int)(number * 5 % 290) + 1, 0);
    return (nh_key){text, (size_t)size, space};
}

static unsigned number_of(nh_key key)
{
    unsigned number = 0;
    for (const char *c = key.data; c < (const char *)key.data + key.size && *c != ':'; c++)
        number = number * 10 + (unsigned)(*c - '0');
    return number;
}

static void expect_same(struct world *world, const struct item *item, const nh_value *value)
{
    if (!bytes_equal(bytes_of(item->value, item->size), bytes_of(value->bytes.data, value->bytes.size)) ||
        item->expires_at_ms != value->expires_at_ms || item->stale_at_ms != value->stale_at_ms ||
        item->flags != value->flags || item->version != value->version)
        fail_msg("step %llu: another value than the model's", (unsigned long long)world->step);
}

/* What a put makes of the item. */
static void model_put(struct world *world, struct item *item, nh_bytes value, const nh_put_options *options,
                      const struct tag_set *tags, uint64_t version)
{
    bool keep = options->keep_ttl != 0 && item->exists;
    if (options->ttl_ms < 0 && !keep) {
        item->exists = false;
        return;
    }
    if (!keep) {
        item->expires_at_ms = options->ttl_ms != 0 ? world->now_ms + options->ttl_ms : 0;
        item->stale_at_ms = options->soft_ttl_ms != 0 ? world->now_ms + options->soft_ttl_ms : 0;
    }
    item->exists = true;
    memcpy(item->value, value.data, value.size);
    item->size = value.size;
    item->flags = options->flags;
    item->tags = *tags;
    item->version = version;
}

static void step_put(struct world *world, nh_key key, struct item *item)
{
    static const int64_t ttls_ms[] = {0, 0, 0, 1, 5, 50, 500, -1, -1000};
    char bytes[VALUE_BYTES];
    struct tag_set tags = {.count = draw(world, 4) == 0 ? (unsigned)draw(world, TAGS) : 0};
    nh_bytes names[TAGS];
    nh_bytes value = {bytes, draw(world, 3) == 0 ? draw(world, VALUE_BYTES) : 0};
    nh_put_options options = {
        .size = sizeof options,
        .ttl_ms = ttls_ms[draw(world, COUNT_OF(ttls_ms))],
        .soft_ttl_ms = draw(world, 4) == 0 ? (int64_t)draw(world, 100) : 0,
        .flags = (uint32_t)draw(world, 5),
        .keep_ttl = draw(world, 4) == 0,
        .tags = names,
        .tag_count = tags.count,
    };
    nh_value before;
    uint64_t version = 0, expected;
    int32_t had_before;
    nh_result wanted = NH_OK, result = NH_OK;

    if (value.size == 0)
        value.size = int64_format(bytes, (int64_t)draw(world, UINT64_MAX));
    else
        memset(bytes, 'a' + (int)draw(world, 26), value.size);
    for (unsigned i = 0; i < tags.count; i++) {
        tags.tags[i] = (unsigned char)draw(world, TAGS);
        names[i] = (nh_bytes){tag_names[tags.tags[i]], strlen(tag_names[tags.tags[i]])};
    }
    switch (draw(world, 5)) {
    case 0: result = nh_put(world->store, world->now_ms, key, value, &options, &version); break;
    case 1:
        wanted = item->exists ? NH_EXISTS : NH_OK;
        result = nh_add(world->store, world->now_ms, key, value, &options, &version);
        break;
    case 2:
        wanted = item->exists ? NH_OK : NH_MISSING;
        result = nh_replace(world->store, world->now_ms, key, value, &options, &version);
        break;
    case 3:
        expected = item->version + (draw(world, 3) == 0);
        wanted = !item->exists ? NH_MISSING : expected == item->version ? NH_OK : NH_CHANGED;
        result = nh_cas(world->store, world->now_ms, key, value, &options, expected, &version);
        break;
    case 4:
        result = nh_exchange(world->store, world->now_ms, key, value, &options, &before, &had_before);
        EXPECT_EQ(result, NH_OK);
        EXPECT_EQ(had_before, item->exists);
        if (had_before) {
            expect_same(world, item, &before);
            nh_release(world->store, &before);
        }
        model_put(world, item, value, &options, &tags, 0);
        if (item->exists) { /* an exchange does not tell the version */
            EXPECT_EQ(nh_borrow(world->store, world->now_ms, key, &before), NH_OK);
            item->version = before.version;
            nh_release(world->store, &before);
        }
        return;
    }
    EXPECT_EQ(result, wanted);
    if (result == NH_OK)
        model_put(world, item, value, &options, &tags, version);
}

static void step_increment(struct world *world, nh_key key, struct item *item)
{
    int64_t delta =
        draw(world, 3) == 0 ? (int64_t)(draw(world, UINT64_MAX) * 2) : (int64_t)draw(world, 100) - 50;
    int64_t sum, before = 0, wanted_sum;
    nh_result result = nh_increment(world->store, world->now_ms, key, delta, NH_INCREMENT_SIGNED, &sum);
    nh_value value;

    if (item->exists && !int64_parse(bytes_of(item->value, item->size), &before)) {
        EXPECT_EQ(result, NH_TYPE);
    } else if (__builtin_add_overflow(before, delta, &wanted_sum)) {
        EXPECT_EQ(result, NH_RANGE);
    } else {
        EXPECT_EQ(result, NH_OK);
        EXPECT(sum == wanted_sum);
        if (!item->exists)
            *item = (struct item){.exists = true};
        item->size = int64_format(item->value, sum);
        EXPECT_EQ(nh_borrow(world->store, world->now_ms, key, &value), NH_OK);
        EXPECT(value.version != item->version);
        item->version = value.version;
        expect_same(world, item, &value);
        nh_release(world->store, &value);
    }
}

static void step_read(struct world *world, nh_key key, const struct item *item)
{
    struct held *held = &world->held[draw(world, HELD)];

    if (held->is_held) {
        EXPECT(bytes_equal(bytes_of(held->value.bytes.data, held->value.bytes.size),
                           bytes_of(held->copy, held->value.bytes.size)));
        nh_release(world->store, &held->value);
    }
    held->is_held = nh_borrow(world->store, world->now_ms, key, &held->value) == NH_OK;
    EXPECT_EQ(held->is_held, item->exists);
    if (held->is_held) {
        expect_same(world, item, &held->value);
        memcpy(held->copy, item->value, item->size);
    }
}

static void step_get(struct world *world, nh_key key, const struct item *item)
{
    size_t capacity = draw(world, VALUE_BYTES), size = 0;
    char buffer[VALUE_BYTES];

    nh_prefetch(world->store, &key, 1);
    EXPECT_EQ(nh_get(world->store, world->now_ms, key, buffer, capacity, &size),
              item->exists ? NH_OK : NH_MISSING);
    if (item->exists) {
        EXPECT_EQ(size, item->size);
        EXPECT_EQ(memcmp(buffer, item->value, size < capacity ? size : capacity), 0);
    }
}

static void step_all(struct world *world)
{
    unsigned tag = (unsigned)draw(world, TAGS), space = (unsigned)draw(world, SPACES + 1);
    bool seen[SPACES][KEYS] = {0};
    nh_cursor *cursor;
    nh_value value;
    nh_key key;

    switch (draw(world, 4)) {
    case 0:
        nh_purge_tag(world->store, world->now_ms, (nh_bytes){tag_names[tag], strlen(tag_names[tag])});
        for (unsigned i = 0; i < SPACES * KEYS; i++)
            for (unsigned t = 0; t < world->items[i].tags.count; t++)
                if (world->items[i].tags.tags[t] == tag)
                    world->items[i].exists = false;
        break;
    case 1:
        nh_clear(world->store, space == SPACES ? NH_SPACE_ALL : space);
        for (unsigned i = 0; i < SPACES * KEYS; i++)
            if (space == SPACES || i / KEYS == space)
                world->items[i].exists = false;
        if (space < SPACES)
            EXPECT_EQ(nh_count(world->store, space), 0);
        else
            EXPECT_EQ(nh_count(world->store, NH_SPACE_ALL), 0);
        break;
    case 2:
        nh_sweep(world->store, world->now_ms, SIZE_MAX); /* of a whole round nothing dead is left */
        for (unsigned s = 0; s < SPACES; s++) {
            unsigned count = 0;
            for (unsigned k = 0; k < KEYS; k++)
                count += find(world, s, k)->exists;
            EXPECT_EQ(nh_count(world->store, s), count);
        }
        break;
    case 3:
        EXPECT_EQ(nh_cursor_create(world->store, &cursor), NH_OK);
        while (nh_cursor_next(cursor, world->now_ms, &key, &value) == NH_OK) {
            unsigned number = number_of(key);
            EXPECT(number < KEYS && key.space < SPACES && !seen[key.space][number]);
            seen[key.space][number] = true;
            EXPECT(find(world, key.space, number)->exists);
            expect_same(world, find(world, key.space, number), &value);
        }
        nh_cursor_destroy(cursor);
        for (unsigned s = 0; s < SPACES; s++)
            for (unsigned k = 0; k < KEYS; k++)
                EXPECT_EQ(seen[s][k], find(world, s, k)->exists);
        break;
    }
}

static void step(struct world *world)
{
    static const int64_t ttls_ms[] = {0, 1, 20, 1000, -1};
    unsigned space = (unsigned)draw(world, SPACES), number = (unsigned)draw(world, KEYS);
    char text[400];
    nh_key key = key_of(space, number, text);
    struct item *item;
    int64_t ttl_ms;

    if (draw(world, 20) == 0)
        world->now_ms += (int64_t)draw(world, 30);
    item = find(world, space, number);
    switch (draw(world, 50)) {
    default: step_put(world, key, item); break;
    case 1 ... 12: step_read(world, key, item); break;
    case 13 ... 18: step_get(world, key, item); break;
    case 19 ... 26: step_increment(world, key, item); break;
    case 27 ... 30:
        EXPECT_EQ(nh_delete(world->store, world->now_ms, key), item->exists ? NH_OK : NH_MISSING);
        item->exists = false;
        break;
    case 31 ... 33:
        ttl_ms = ttls_ms[draw(world, COUNT_OF(ttls_ms))];
        EXPECT_EQ(nh_touch(world->store, world->now_ms, key, ttl_ms), item->exists ? NH_OK : NH_MISSING);
        item->expires_at_ms = ttl_ms != 0 ? world->now_ms + ttl_ms : 0;
        item->exists = item->exists && ttl_ms >= 0;
        break;
    case 34:
        if (draw(world, 20) == 0)
            step_all(world);
        break;
    }
}

TEST(the_store_answers_every_call_as_the_model_does)
{
    const char *text = getenv("NH_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 20240229;
    struct world *world = calloc(1, sizeof *world);
    nh_options options = {.size = sizeof options, .memory_bytes = 4 << 20, .hash_seed = seed | 1};
    nh_stats stats = {.size = sizeof stats};

    printf("seed: NH_SEED=%llu\n", (unsigned long long)seed);
    world->random = seed * 2 + 1;
    world->now_ms = 1000;
    EXPECT_EQ(nh_create(&options, &world->store), NH_OK);
    for (world->step = 0; world->step < STEPS; world->step++)
        step(world);
    for (unsigned i = 0; i < HELD; i++)
        if (world->held[i].is_held)
            nh_release(world->store, &world->held[i].value);
    EXPECT_EQ(nh_stats_read(world->store, &stats), NH_OK);
    EXPECT_EQ(stats.borrowed_bytes, 0);
    EXPECT_EQ(stats.evicted, 0); /* else the model would not know */
    nh_destroy(world->store);
    free(world);
}

RUN_TESTS(TEST_ROW(the_store_answers_every_call_as_the_model_does))
