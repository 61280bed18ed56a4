/* links: nuthatch-store */
/* Random calls on the store and on a model of it so simple that it is right: an array. What the store
 * answers must be what the model says, call by call. Twice: on a store so large that nothing is evicted,
 * and on a tiny one, of which any value may be missing but none may be wrong. The seed is printed; NH_SEED
 * repeats a run. */
#include "base/number.h"
#include "store_words.h"
#include <unistd.h>

enum {
    SPACES = 3,
    FLOOD_SPACE = 900,
    KEYS = 48,
    TAGS = 5,
    HELD = 12,
    WRITERS = 4,
    SMALL_BYTES_MAX = 300,
    LARGE_BYTES_MAX = 200000,
    VALUE_BYTES_MAX = 256 << 10,
    LEASE_MS = 40,
    EXACT_STEPS = 150000,
    TINY_STEPS = 100000,
};

/* What is known of the lease on a key. */
enum lease_state { NO_LEASE, LEASE, PERHAPS_LEASE };

struct item {
    bool exists, is_negative, was_purged_softly;
    bool is_unsure; /* whether it exists, the store must tell */
    char *bytes;
    size_t size;
    int64_t expires_at_ms, stale_at_ms;
    uint32_t flags;
    bool has_cost;
    uint64_t version; /* 0: not known */
    unsigned tags;    /* one bit for each */
    int writer;       /* which one's value this is while it grows; else -1 */
    enum lease_state lease_state;
    uint64_t lease, old_lease;
    int64_t lease_end_ms;
    unsigned dropped_since, softened_since; /* tags purged since the lease was given */
};

/* A value borrowed for a while, and what it must stay. */
struct held {
    nh_value value;
    bool is_held;
    char *copy;
    size_t size;
};

enum loss { NOT_LOST, LOST, PERHAPS_LOST };

struct writing {
    nh_writer *writer; /* null: none */
    struct item *item;
    nh_key key;
    bool is_published;
    enum loss loss;
    char key_text[3000];
    char *bytes;
    size_t size;
    uint32_t flags;
};

struct world {
    nh_store *store;
    bool may_evict;
    uint64_t segment_bytes;
    struct item items[SPACES * KEYS];
    struct held held[HELD];
    struct writing writings[WRITERS];
    unsigned sharing[TAGS]; /* the tags that go with a tag, as their slots are the same; itself included */
    int64_t now_ms;
    uint64_t random;
    uint64_t hash_seed; /* of all stores of a run, so that tags keep their slots */
    uint64_t step;
    char path[64];
    char scratch[VALUE_BYTES_MAX];
};

static const char tag_names[TAGS][3] = {"a", "b", "cc", "d", "e"};

static uint64_t draw(struct world *world, uint64_t below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return (world->random >> 11) % below;
}

static bool one_in(struct world *world, uint64_t count) { return draw(world, count) == 0; }

/* Says where it went wrong, for NH_SEED finds it again. */
#define MUST(condition)                                                                                    \
    do {                                                                                                   \
        if (!(condition))                                                                                  \
            fail_msg("%s:%d: step %llu: not so: %s", __FILE__, __LINE__, (unsigned long long)world->step,  \
                     #condition);                                                                          \
    } while (0)

/* ---- keys and items ------------------------------------------------------------------------------- */

/* Key number n has a length of its own, from 1 to 2,500 bytes. */
static nh_key key_at(unsigned space, unsigned number, char text[3000])
{
    int size = snprintf(text, 3000, "%u", number);
    if (number % 16 == 5)
        size += snprintf(text + size, 3000 - (size_t)size, ":%0*d", 2496, 0);
    else if (number % 4 == 0)
        size += snprintf(text + size, 3000 - (size_t)size, ":%0*d", (int)(number * 5 % 290) + 1, 0);
    return (nh_key){text, (size_t)size, space};
}

static unsigned number_of(nh_key key)
{
    unsigned number = 0;
    for (const char *c = key.data; c < (const char *)key.data + key.size && *c != ':'; c++)
        number = number * 10 + (unsigned)(*c - '0');
    return number;
}

static struct item *find(struct world *world, unsigned space, unsigned number)
{
    struct item *item = &world->items[space * KEYS + number];
    if (item->exists && item->expires_at_ms != 0 && item->expires_at_ms <= world->now_ms)
        item->exists = false;
    if (item->lease_state != NO_LEASE && item->lease_end_ms <= world->now_ms)
        item->lease_state = NO_LEASE;
    if (item->lease_state == NO_LEASE && item->lease != 0) {
        item->old_lease = item->lease;
        item->lease = 0;
    }
    return item;
}

/* Whether every call but fetch, walk and count finds it. */
static bool is_visible(const struct item *item) { return item->exists && !item->is_negative; }

static bool is_stale(const struct world *world, const struct item *item)
{
    return item->was_purged_softly || (item->stale_at_ms != 0 && item->stale_at_ms <= world->now_ms);
}

static uint32_t traits_of(const struct world *world, const struct item *item)
{
    return (is_stale(world, item) ? NH_VALUE_STALE : 0) | (item->writer >= 0 ? NH_VALUE_GROWING : 0) |
           (item->is_negative ? NH_VALUE_NEGATIVE : 0);
}

/* The lent value begins with these bytes, by its pieces. */
static bool begins_with(struct world *world, const nh_value *value, const char *bytes, size_t size)
{
    size_t offset = 0;
    nh_bytes piece;
    while (offset < size) {
        if (nh_value_piece(world->store, value, offset, &piece) != NH_OK || piece.size == 0)
            return false;
        if (piece.size > size - offset)
            piece.size = size - offset;
        if (memcmp(piece.data, bytes + offset, piece.size) != 0)
            return false;
        offset += piece.size;
    }
    return true;
}

static void expect_same(struct world *world, struct item *item, const nh_value *value)
{
    nh_bytes piece;
    MUST(item->exists);
    MUST(value->size == item->size);
    MUST(begins_with(world, value, item->bytes, item->size));
    MUST(nh_value_piece(world->store, value, item->size, &piece) ==
         (item->writer >= 0 ? NH_GROWING : NH_MISSING));
    MUST(value->expires_at_ms == item->expires_at_ms);
    MUST(item->was_purged_softly || value->stale_at_ms == item->stale_at_ms);
    MUST(value->flags == item->flags);
    MUST(value->traits == traits_of(world, item));
    if (item->version != 0 && value->version != 0)
        MUST(value->version == item->version);
}

/* The value is no longer the key's; a writer that is still at it learns so in the end. */
static void unhook(struct world *world, struct item *item, enum loss loss)
{
    if (item->writer >= 0)
        world->writings[item->writer].loss = loss;
    item->writer = -1;
}

static void end_lease(struct item *item)
{
    if (item->lease_state != NO_LEASE)
        item->old_lease = item->lease;
    item->lease_state = NO_LEASE;
    item->lease = 0;
}

static void doubt_lease(struct item *item)
{
    if (item->lease_state == LEASE)
        item->lease_state = PERHAPS_LEASE;
}

static void drop(struct world *world, struct item *item, enum loss loss)
{
    unhook(world, item, loss);
    end_lease(item);
    item->exists = false;
}

/* Where the model cannot know whether the key is still there, it asks; only then may it be missing. */
static void ask(struct world *world, nh_key key, struct item *item)
{
    nh_result result;
    if (!world->may_evict && !item->is_unsure)
        return;
    result = nh_get(world->store, world->now_ms, key, NULL, 0, NULL);
    MUST(result == NH_MISSING || (result == NH_OK && is_visible(item)));
    if (result == NH_MISSING && is_visible(item)) {
        MUST(item->writer < 0 || item->is_unsure); /* what grows is not evicted */
        unhook(world, item, PERHAPS_LOST);
        doubt_lease(item);
        item->exists = false;
    }
    item->is_unsure = false;
}

/* The key had to go, to make room for the very call that asked for it: then the call found it missing. */
static bool was_evicted(struct world *world, struct item *item, bool is_so)
{
    if (!is_so || !world->may_evict || !is_visible(item))
        return false;
    unhook(world, item, PERHAPS_LOST);
    doubt_lease(item);
    item->exists = false;
    return true;
}

/* A result that a store without room may give; then nothing has changed. */
static bool is_full(struct world *world, nh_result result)
{
    if (result != NH_FULL)
        return false;
    MUST(world->may_evict);
    return true;
}

/* A value in pieces need not be lent. */
static bool is_not_lent(struct world *world, const struct item *item, nh_result result)
{
    if (result != NH_FULL)
        return false;
    MUST(item->writer >= 0 || item->size + 3000 > world->segment_bytes);
    return true;
}

static void set_bytes(struct item *item, const void *bytes, size_t size)
{
    char *copy = malloc(size + 1);
    if (size > 0)
        memcpy(copy, bytes, size);
    free(item->bytes);
    item->bytes = copy;
    item->size = size;
}

/* The version is what the store says: any but the one before. */
static void learn_version(struct world *world, nh_key key, struct item *item)
{
    uint64_t before = item->version;
    nh_value value;
    nh_result result = nh_borrow(world->store, world->now_ms, key, &value);

    item->version = 0;
    if (is_not_lent(world, item, result))
        return;
    if (world->may_evict && result == NH_MISSING)
        return;
    MUST(result == NH_OK);
    MUST(value.version != before);
    item->version = value.version;
    expect_same(world, item, &value);
    nh_release(world->store, &value);
}

/* ---- writing -------------------------------------------------------------------------------------- */

struct put {
    nh_put_options options;
    nh_bytes value;
    unsigned tags;
    nh_bytes tag_list[TAGS];
};

static size_t draw_size(struct world *world, unsigned number)
{
    if (number % 8 == 0 && one_in(world, 6))
        return draw(world, LARGE_BYTES_MAX);
    return draw(world, SMALL_BYTES_MAX);
}

static void draw_bytes(struct world *world, char *bytes, size_t size)
{
    uint64_t seed = draw(world, 1000);
    for (size_t i = 0; i < size; i += 8) { /* quick, and unlike at every place */
        uint64_t word = (i + 1) * 0x9e3779b97f4a7c15u + seed;
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
}

static void draw_put(struct world *world, unsigned number, struct put *put)
{
    static const int64_t ttls_ms[] = {0, 0, 0, 1, 5, 50, 500, 100000, 5000000000, -1, -1000};
    size_t count = one_in(world, 4) ? draw(world, TAGS) : 0;

    *put = (struct put){
        .options = {.size = sizeof put->options,
                    .ttl_ms = ttls_ms[draw(world, COUNT_OF(ttls_ms))],
                    .soft_ttl_ms = one_in(world, 3) ? (int64_t)draw(world, 100) : 0,
                    .flags = (uint32_t)draw(world, 5),
                    .keep_ttl = !world->may_evict && one_in(world, 4), /* what is evicted keeps none */
                    .cost_ms = one_in(world, 3) ? (uint32_t)draw(world, 200) : 0,
                    .negative = one_in(world, 12)},
        .value = {world->scratch, 0},
    };
    for (size_t i = 0; i < count; i++) {
        unsigned tag = (unsigned)draw(world, TAGS);
        put->tags |= 1u << tag;
        put->tag_list[i] = (nh_bytes){tag_names[tag], strlen(tag_names[tag])};
    }
    put->options.tags = put->tag_list;
    put->options.tag_count = count;
    if (one_in(world, 2)) {
        put->value.size = int64_format(world->scratch, (int64_t)draw(world, UINT64_MAX));
    } else {
        put->value.size = draw_size(world, number);
        draw_bytes(world, world->scratch, put->value.size);
    }
}

/* What a put that went well makes of the item. */
static void model_put(struct world *world, struct item *item, const struct put *put, uint64_t version)
{
    const nh_put_options *options = &put->options;
    bool keep = options->keep_ttl != 0 && is_visible(item);

    drop(world, item, LOST);
    item->is_unsure = false;
    if (options->ttl_ms < 0 && !keep)
        return;
    if (!keep) {
        item->expires_at_ms = options->ttl_ms != 0 ? world->now_ms + options->ttl_ms : 0;
        item->stale_at_ms = options->soft_ttl_ms != 0 ? world->now_ms + options->soft_ttl_ms : 0;
    }
    item->exists = true;
    item->is_negative = options->negative != 0;
    item->was_purged_softly = false;
    item->flags = options->flags;
    item->has_cost = options->cost_ms != 0;
    item->tags = put->tags;
    item->version = version;
    set_bytes(item, put->value.data, put->value.size);
}

static void step_put(struct world *world, nh_key key, struct item *item)
{
    bool was_visible = is_visible(item);
    nh_result wanted = NH_OK, result = NH_OK;
    uint64_t version = 0, expected;
    struct put put;

    draw_put(world, number_of(key), &put);
    switch (draw(world, 4)) {
    case 0: result = nh_put(world->store, world->now_ms, key, put.value, &put.options, &version); break;
    case 1:
        wanted = was_visible ? NH_EXISTS : NH_OK;
        result = nh_add(world->store, world->now_ms, key, put.value, &put.options, &version);
        break;
    case 2:
        wanted = was_visible ? NH_OK : NH_MISSING;
        result = nh_replace(world->store, world->now_ms, key, put.value, &put.options, &version);
        break;
    case 3:
        if (was_visible && item->version == 0)
            return;
        expected = item->version + one_in(world, 3);
        wanted = !was_visible ? NH_MISSING : expected == item->version ? NH_OK : NH_CHANGED;
        result = nh_cas(world->store, world->now_ms, key, put.value, &put.options, expected, &version);
        break;
    }
    if (is_full(world, result))
        return;
    if (was_evicted(world, item, result == (wanted == NH_EXISTS ? NH_OK : NH_MISSING)))
        wanted = result;
    MUST(result == wanted);
    if (result != NH_OK)
        return;
    MUST(put.options.ttl_ms < 0 || version != item->version);
    model_put(world, item, &put, version);
}

static void step_exchange(struct world *world, nh_key key, struct item *item)
{
    struct item before = *item;
    int32_t had_before = 9;
    nh_value value;
    nh_result result;
    struct put put;

    draw_put(world, number_of(key), &put);
    result = nh_exchange(world->store, world->now_ms, key, put.value, &put.options, &value, &had_before);
    if (result == NH_FULL) {
        MUST(had_before == 0);
        MUST(world->may_evict || is_not_lent(world, item, result));
        return;
    }
    MUST(result == NH_OK);
    was_evicted(world, item, had_before == 0);
    MUST(had_before == is_visible(item));
    if (had_before) {
        expect_same(world, item, &value);
        nh_release(world->store, &value);
    }
    model_put(world, item, &put, 0);
    if (is_visible(item)) { /* an exchange does not tell the version */
        item->version = before.version;
        learn_version(world, key, item);
    }
}

static void step_add_bytes(struct world *world, nh_key key, struct item *item)
{
    bool behind = one_in(world, 2);
    size_t size = draw_size(world, number_of(key)) / 4;
    nh_bytes more = {world->scratch, size};
    uint64_t version = 0;
    nh_result result;
    char *bytes;

    if (item->size + size > LARGE_BYTES_MAX)
        return;
    draw_bytes(world, world->scratch, size);
    result = (behind ? nh_append : nh_prepend)(world->store, world->now_ms, key, more, &version);
    if (is_full(world, result))
        return;
    was_evicted(world, item, result == NH_MISSING);
    MUST(result == (!is_visible(item) ? NH_MISSING : item->writer >= 0 ? NH_GROWING : NH_OK));
    if (result != NH_OK)
        return;
    MUST(version != item->version);
    end_lease(item);
    item->version = version;
    bytes = malloc(item->size + size + 1);
    if (item->size > 0)
        memcpy(bytes + (behind ? 0 : size), item->bytes, item->size);
    memcpy(bytes + (behind ? item->size : 0), world->scratch, size);
    free(item->bytes);
    item->bytes = bytes;
    item->size += size;
}

/* What an increment makes of a number's text; NH_OK with the sum's bits. */
static nh_result model_increment(const struct item *item, int64_t delta, int32_t mode, uint64_t *sum)
{
    struct bytes text = is_visible(item) ? bytes_of(item->bytes, item->size) : BYTES("0");
    int64_t number, signed_sum;
    uint64_t count;

    if (mode == NH_INCREMENT_SIGNED) {
        if (!int64_parse(text, &number))
            return NH_TYPE;
        if (__builtin_add_overflow(number, delta, &signed_sum))
            return NH_RANGE;
        *sum = (uint64_t)signed_sum;
        return NH_OK;
    }
    if (!is_visible(item))
        return NH_MISSING;
    if (text.size > NUMBER_TEXT_BYTES || !digits_parse(text, UINT64_MAX, &count))
        return NH_TYPE;
    if (mode == NH_INCREMENT_UNSIGNED)
        *sum = count + (uint64_t)delta;
    else
        *sum = count > (uint64_t)delta ? count - (uint64_t)delta : 0;
    return NH_OK;
}

static void step_increment(struct world *world, nh_key key, struct item *item)
{
    int64_t delta =
        one_in(world, 3) ? (int64_t)(draw(world, UINT64_MAX) * 2) : (int64_t)draw(world, 100) - 50;
    int32_t mode = (int32_t)draw(world, 3);
    int64_t sum = 77;
    uint64_t wanted_sum = 0;
    char text[NUMBER_TEXT_BYTES];
    nh_result wanted, result;

    if (item->writer >= 0)
        return;
    wanted = model_increment(item, delta, mode, &wanted_sum);
    result = nh_increment(world->store, world->now_ms, key, delta, mode, &sum);
    if (is_full(world, result))
        return;
    if (was_evicted(world, item, result != wanted || (result == NH_OK && (uint64_t)sum != wanted_sum)))
        wanted = model_increment(item, delta, mode, &wanted_sum);
    MUST(result == wanted);
    if (result != NH_OK)
        return;
    MUST((uint64_t)sum == wanted_sum);
    if (!is_visible(item)) {
        struct put put = {.options = {.size = sizeof put.options}};
        model_put(world, item, &put, item->version);
    }
    end_lease(item);
    set_bytes(item, text,
              mode == NH_INCREMENT_SIGNED ? int64_format(text, sum) : uint64_format(text, wanted_sum));
    learn_version(world, key, item);
}

static void step_touch(struct world *world, nh_key key, struct item *item)
{
    static const int64_t ttls_ms[] = {0, 1, 20, 1000, 70000, 5000000000, -1};
    int64_t ttl_ms = ttls_ms[draw(world, COUNT_OF(ttls_ms))];
    bool was_visible = is_visible(item), is_get = one_in(world, 2);
    nh_value value;
    nh_result result;

    if (item->writer >= 0)
        return;
    if (is_get) {
        result = nh_get_and_touch(world->store, world->now_ms, key, ttl_ms, &value);
        if (is_not_lent(world, item, result)) {
            item->is_unsure = true; /* touched or not */
            item->expires_at_ms = 0;
            MUST(nh_delete(world->store, world->now_ms, key) != NH_INVALID);
            return drop(world, item, LOST);
        }
    } else {
        result = nh_touch(world->store, world->now_ms, key, ttl_ms);
    }
    if (is_full(world, result))
        return;
    if (was_evicted(world, item, result == NH_MISSING))
        was_visible = false;
    MUST(result == (was_visible ? NH_OK : NH_MISSING));
    if (was_visible && is_get) {
        MUST(value.size == item->size);
        MUST(begins_with(world, &value, item->bytes, item->size));
        MUST(value.flags == item->flags);
        MUST(item->version == 0 || value.version == item->version);
        nh_release(world->store, &value);
    }
    if (!was_visible && ttl_ms < 0)
        doubt_lease(item); /* whether that is a delete, nobody says */
    if (!was_visible)
        return;
    if (ttl_ms < 0)
        drop(world, item, LOST);
    else
        item->expires_at_ms = ttl_ms != 0 ? world->now_ms + ttl_ms : 0;
}

static void step_delete(struct world *world, nh_key key, struct item *item)
{
    MUST(nh_delete(world->store, world->now_ms, key) == (is_visible(item) ? NH_OK : NH_MISSING));
    drop(world, item, LOST);
}

static void step_make_stale(struct world *world, nh_key key, struct item *item)
{
    nh_result result = nh_make_stale(world->store, world->now_ms, key);
    nh_value value;

    if (is_full(world, result))
        return;
    was_evicted(world, item, result == NH_MISSING);
    MUST(result == (is_visible(item) ? NH_OK : NH_MISSING));
    end_lease(item);
    if (!is_visible(item)) {
        item->was_purged_softly = true; /* if it is negative */
        return;
    }
    /* What it has as its soft expiry, the store says. */
    result = nh_borrow(world->store, world->now_ms, key, &value);
    if (is_not_lent(world, item, result)) {
        item->was_purged_softly = true;
        return;
    }
    MUST(result == NH_OK);
    MUST(value.stale_at_ms != 0 && value.stale_at_ms < world->now_ms);
    item->stale_at_ms = value.stale_at_ms;
    expect_same(world, item, &value);
    nh_release(world->store, &value);
}

/* ---- reading -------------------------------------------------------------------------------------- */

static void step_hold(struct world *world, nh_key key, struct item *item)
{
    struct held *held = &world->held[draw(world, HELD)];
    nh_result result;

    if (held->is_held) {
        MUST(begins_with(world, &held->value, held->copy, held->size));
        nh_release(world->store, &held->value);
        free(held->copy);
    }
    result = nh_borrow(world->store, world->now_ms, key, &held->value);
    held->is_held = result == NH_OK;
    if (is_visible(item) && is_not_lent(world, item, result))
        return;
    MUST(result == (is_visible(item) ? NH_OK : NH_MISSING));
    if (held->is_held) {
        expect_same(world, item, &held->value);
        held->size = item->size;
        held->copy = malloc(item->size + 1);
        memcpy(held->copy, item->bytes, item->size);
    }
}

static void step_get(struct world *world, nh_key key, struct item *item)
{
    size_t capacity = draw(world, item->size + 10), size = 0;
    nh_result wanted = is_visible(item) ? NH_OK : NH_MISSING, result;
    nh_value value;

    if (one_in(world, 2)) {
        result = nh_peek(world->store, world->now_ms, key, &value);
        MUST(result == wanted || (wanted == NH_OK && is_not_lent(world, item, result)));
        if (result == NH_OK) {
            expect_same(world, item, &value);
            nh_release(world->store, &value);
        }
        return;
    }
    MUST(nh_get(world->store, world->now_ms, key, world->scratch, capacity, &size) == wanted);
    if (wanted == NH_OK) {
        MUST(size == item->size);
        MUST(memcmp(world->scratch, item->bytes, size < capacity ? size : capacity) == 0);
    }
}

static void step_get_many(struct world *world)
{
    enum { MANY = 20, CAPACITY = SMALL_BYTES_MAX };
    static char texts[MANY][3000], buffers[MANY][CAPACITY];
    nh_get_request requests[MANY];
    struct item *items[MANY];
    nh_key keys[MANY];
    size_t count = draw(world, MANY);

    for (size_t i = 0; i < count; i++) {
        unsigned space = (unsigned)draw(world, SPACES), number = (unsigned)draw(world, KEYS);
        items[i] = find(world, space, number);
        keys[i] = key_at(space, number, texts[i]);
        ask(world, keys[i], items[i]);
        requests[i] =
            (nh_get_request){.key = keys[i], .buffer = buffers[i], .capacity = CAPACITY, .result = 99};
    }
    if (one_in(world, 2))
        nh_prefetch(world->store, keys, count);
    MUST(nh_get_many(world->store, world->now_ms, requests, count) == NH_OK);
    for (size_t i = 0; i < count; i++) {
        MUST(requests[i].result == (is_visible(items[i]) ? NH_OK : NH_MISSING));
        if (requests[i].result != NH_OK)
            continue;
        MUST(requests[i].value_bytes == items[i]->size);
        MUST(memcmp(buffers[i], items[i]->bytes, items[i]->size < CAPACITY ? items[i]->size : CAPACITY) ==
             0);
    }
}

/* ---- leases --------------------------------------------------------------------------------------- */

static void step_fetch(struct world *world, nh_key key, struct item *item)
{
    nh_fetch_options options = {
        .size = sizeof options, .lease_ms = LEASE_MS, .early_percent = one_in(world, 3) ? 100 : 0};
    bool may_be_early, gives_lease, has_lease;
    nh_fetch_state fetched = -1;
    uint64_t lease = 0;
    nh_value value;
    nh_result result = nh_fetch(world->store, world->now_ms, key, &options, &fetched, &lease, &value);

    if (item->exists && is_not_lent(world, item, result))
        return;
    if (is_full(world, result))
        return;
    MUST(result == NH_OK);
    /* A negative entry that was evicted is seen to be so only here. */
    if (item->exists && item->is_negative && fetched >= NH_FETCH_MISS_WAIT) {
        MUST(world->may_evict);
        item->exists = false;
        doubt_lease(item);
    }
    gives_lease =
        fetched == NH_FETCH_HIT_LEASE || fetched == NH_FETCH_STALE_LEASE || fetched == NH_FETCH_MISS_LEASE;
    has_lease = item->lease_state == LEASE && !world->may_evict;
    if (!item->exists) {
        MUST(fetched == NH_FETCH_MISS_WAIT || fetched == NH_FETCH_MISS_LEASE);
        MUST(fetched == NH_FETCH_MISS_LEASE || item->lease_state != NO_LEASE);
        MUST(fetched == NH_FETCH_MISS_WAIT || !has_lease);
    } else {
        expect_same(world, item, &value);
        nh_release(world->store, &value);
        if (is_stale(world, item)) {
            MUST(fetched == NH_FETCH_STALE || fetched == NH_FETCH_STALE_LEASE);
            MUST(fetched == NH_FETCH_STALE_LEASE || item->lease_state != NO_LEASE);
            MUST(fetched == NH_FETCH_STALE || !has_lease);
        } else {
            may_be_early = options.early_percent > 0 && item->has_cost && !has_lease;
            MUST(fetched == NH_FETCH_HIT || (fetched == NH_FETCH_HIT_LEASE && may_be_early));
        }
    }
    if (!gives_lease)
        return;
    MUST(lease != 0);
    MUST(lease != item->lease && lease != item->old_lease);
    end_lease(item);
    item->lease = lease;
    item->lease_state = LEASE;
    item->lease_end_ms = world->now_ms + LEASE_MS;
    item->dropped_since = item->softened_since = 0;
}

static void step_fill(struct world *world, nh_key key, struct item *item)
{
    bool is_current = item->lease_state != NO_LEASE && !one_in(world, 4);
    uint64_t lease = is_current ? item->lease : item->old_lease;
    bool may_refuse = !is_current, may_accept = is_current, is_early;
    nh_result result;
    uint64_t version = 0;
    struct put put;

    if (lease == 0)
        return;
    draw_put(world, number_of(key), &put);
    if (is_current) {
        may_refuse = item->lease_state == PERHAPS_LEASE || world->may_evict ||
                     (put.tags & (item->dropped_since | item->softened_since)) != 0;
        may_accept = (put.tags & item->dropped_since) == 0;
    }
    result = nh_fill(world->store, world->now_ms, key, lease, put.value, &put.options, &version);
    if (is_full(world, result))
        return doubt_lease(item);
    MUST((result == NH_OK && may_accept) || (result == NH_CHANGED && may_refuse));
    if (result != NH_OK) {
        if (is_current)
            doubt_lease(item);
        return;
    }
    is_early = (put.tags & item->softened_since) != 0;
    model_put(world, item, &put, version);
    item->was_purged_softly =
        is_current && is_early; /* computed before the purge: it must not pass for fresh */
}

static void step_give_up(struct world *world, nh_key key, struct item *item)
{
    bool is_current = item->lease_state != NO_LEASE && !one_in(world, 4);
    uint64_t lease = is_current ? item->lease : item->old_lease;
    nh_result result;

    if (lease == 0)
        return;
    result = nh_give_up(world->store, key, lease);
    if (is_current) {
        MUST(result == NH_OK ||
             (result == NH_CHANGED && (item->lease_state == PERHAPS_LEASE || world->may_evict)));
        end_lease(item);
    } else {
        /* Without a clock, one whose time is over may still be known. */
        MUST(result == NH_CHANGED || result == NH_OK);
    }
}

/* ---- writers -------------------------------------------------------------------------------------- */

static void end_writing(struct writing *writing)
{
    free(writing->bytes);
    *writing = (struct writing){0};
}

static void publish_in_model(struct world *world, struct writing *writing, bool is_committed)
{
    struct item *item = writing->item;
    struct put put = {.options = {.size = sizeof put.options, .flags = writing->flags},
                      .value = {writing->bytes, writing->size}};
    model_put(world, item, &put, 0);
    item->writer = is_committed ? -1 : (int)(writing - world->writings);
    /* What befell the space meanwhile, nobody says whether it befell this one too. */
    item->is_unsure = writing->loss == PERHAPS_LOST;
    writing->loss = NOT_LOST;
}

static void step_commit(struct world *world, struct writing *writing)
{
    struct item *item = writing->item;
    nh_result result;
    uint64_t version = 0;

    find(world, writing->key.space, number_of(writing->key));
    ask(world, writing->key, item);
    result = nh_writer_commit(writing->writer, world->now_ms, &version);
    if (!writing->is_published) {
        if (!is_full(world, result)) {
            MUST(result == NH_OK);
            publish_in_model(world, writing, true);
            item->version = version;
        }
    } else if (result == NH_OK) {
        MUST(writing->loss != LOST);
        if (item->writer == (int)(writing - world->writings)) {
            item->writer = -1;
            item->version = version;
            doubt_lease(item);
        }
    } else {
        MUST(result == NH_CHANGED);
        MUST(writing->loss != NOT_LOST || world->may_evict);
        if (item->writer == (int)(writing - world->writings)) { /* it was evicted under our hands */
            item->writer = -1;
            item->exists = false;
        }
    }
    end_writing(writing);
}

static void step_abort(struct world *world, struct writing *writing)
{
    nh_writer_abort(writing->writer);
    if (writing->is_published && writing->item->writer == (int)(writing - world->writings)) {
        writing->item->writer = -1;
        writing->item->exists = false;
        doubt_lease(writing->item);
    }
    end_writing(writing);
}

static void step_writer(struct world *world)
{
    struct writing *writing = &world->writings[draw(world, WRITERS)];
    nh_put_options options = {.size = sizeof options};
    unsigned space, number;
    nh_result result;
    size_t size;

    if (writing->writer == NULL) {
        space = (unsigned)draw(world, SPACES);
        number = (unsigned)draw(world, KEYS);
        *writing =
            (struct writing){.item = find(world, space, number), .flags = (uint32_t)draw(world, 100)};
        writing->key = key_at(space, number, writing->key_text);
        options.flags = writing->flags;
        result = nh_writer_create(world->store, world->now_ms, writing->key, &options, &writing->writer);
        if (is_full(world, result)) {
            writing->writer = NULL;
            return;
        }
        MUST(result == NH_OK);
        return;
    }
    switch (draw(world, 8)) {
    case 0 ... 3:
        size = one_in(world, 3) ? draw(world, LARGE_BYTES_MAX / 3) : draw(world, SMALL_BYTES_MAX);
        if (writing->size + size > LARGE_BYTES_MAX)
            break;
        draw_bytes(world, world->scratch, size);
        result = nh_writer_append(writing->writer, world->now_ms, (nh_bytes){world->scratch, size});
        if (is_full(world, result)) {
            step_abort(world, writing);
            break;
        }
        MUST(result == NH_OK);
        writing->bytes = realloc(writing->bytes, writing->size + size + 1);
        memcpy(writing->bytes + writing->size, world->scratch, size);
        writing->size += size;
        if (writing->is_published && writing->item->writer == (int)(writing - world->writings))
            set_bytes(writing->item, writing->bytes, writing->size);
        break;
    case 4 ... 5:
        if (writing->is_published)
            break;
        find(world, writing->key.space, number_of(writing->key));
        result = nh_writer_publish(writing->writer, world->now_ms);
        if (is_full(world, result)) {
            step_abort(world, writing);
            break;
        }
        MUST(result == NH_OK);
        writing->is_published = true;
        publish_in_model(world, writing, false);
        break;
    case 6: step_commit(world, writing); break;
    case 7: step_abort(world, writing); break;
    }
}

/* ---- what touches many at once -------------------------------------------------------------------- */

static void step_purge(struct world *world)
{
    unsigned tag = (unsigned)draw(world, TAGS), tags = world->sharing[tag];
    int32_t how = one_in(world, 2) ? NH_PURGE_DROP : NH_PURGE_SOFT;

    MUST(nh_purge_tag(world->store, (nh_bytes){tag_names[tag], strlen(tag_names[tag])}, how) == NH_OK);
    for (unsigned i = 0; i < SPACES * KEYS; i++) {
        struct item *item = find(world, i / KEYS, i % KEYS);
        if (how == NH_PURGE_DROP)
            item->dropped_since |= tags;
        else
            item->softened_since |= tags;
        if ((item->tags & tags) == 0)
            continue;
        if (!item->exists) { /* the store may still have what it was */
            doubt_lease(item);
        } else if (how == NH_PURGE_DROP) {
            drop(world, item, LOST);
        } else {
            item->was_purged_softly = true;
            end_lease(item);
        }
    }
}

static void step_clear(struct world *world)
{
    unsigned space = (unsigned)draw(world, SPACES + 1);

    nh_clear(world->store, space == SPACES ? NH_SPACE_ALL : space);
    for (unsigned i = 0; i < SPACES * KEYS; i++)
        if (space == SPACES || i / KEYS == space)
            drop(world, find(world, i / KEYS, i % KEYS), LOST);
    for (unsigned i = 0; i < WRITERS; i++) {
        struct writing *writing = &world->writings[i];
        if (writing->writer != NULL && !writing->is_published &&
            (space == SPACES || writing->key.space == space))
            writing->loss = PERHAPS_LOST;
    }
}

static void step_walk(struct world *world)
{
    bool seen[SPACES][KEYS] = {0};
    uint64_t position = 0;
    nh_cursor *cursor;
    nh_value value;
    nh_key key;

    do {
        bool is_long = one_in(world, 2);
        uint64_t before = position;
        nh_result result = NH_OK;
        MUST(nh_cursor_create(world->store, position, &cursor) == NH_OK);
        for (unsigned i = 0; is_long || i < 5 || nh_cursor_position(cursor) == before; i++) {
            struct item *item;
            result = nh_cursor_next(cursor, world->now_ms, &key, &value);
            if (result != NH_OK)
                break;
            if (key.space == FLOOD_SPACE)
                continue;
            MUST(key.space < SPACES);
            MUST(number_of(key) < KEYS);
            seen[key.space][number_of(key)] = true;
            item = find(world, key.space, number_of(key));
            item->is_unsure = false;
            expect_same(world, item, &value);
        }
        MUST(result == NH_OK || result == NH_MISSING);
        position = nh_cursor_position(cursor);
        MUST(result == NH_OK || position == 0);
        nh_cursor_destroy(cursor);
    } while (position != 0);
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned k = 0; k < KEYS; k++) {
            struct item *item = find(world, s, k);
            if (seen[s][k] || !item->exists)
                continue;
            MUST(world->may_evict || item->is_unsure);
            unhook(world, item, PERHAPS_LOST);
            doubt_lease(item);
            item->exists = false;
            item->is_unsure = false;
        }
}

/* Others' values push, in a space of their own. */
static void step_flood(struct world *world)
{
    char bytes[1000] = {0};
    if (!world->may_evict)
        return;
    for (unsigned i = 0; i < 50; i++) {
        uint64_t number = draw(world, UINT64_MAX);
        nh_result result =
            nh_put(world->store, world->now_ms, (nh_key){&number, sizeof number, FLOOD_SPACE},
                   (nh_bytes){bytes, draw(world, sizeof bytes)}, NULL, NULL);
        MUST(result == NH_OK || result == NH_FULL);
    }
}

static void step_sweep(struct world *world)
{
    uint64_t counts[SPACES] = {0};

    nh_sweep(world->store, world->now_ms, draw(world, 200));
    if (!one_in(world, 10) || world->may_evict)
        return;
    sweep_all(world->store, world->now_ms);
    for (unsigned i = 0; i < SPACES * KEYS; i++) {
        if (world->items[i].is_unsure)
            return;
        counts[i / KEYS] += find(world, i / KEYS, i % KEYS)->exists;
    }
    for (uint32_t space = 0; space < SPACES; space++)
        MUST(nh_count(world->store, space) == counts[space]);
}

static void step_bound(struct world *world)
{
    uint32_t space = (uint32_t)draw(world, SPACES);
    uint64_t memory_bytes = stats_of(world->store).memory_bytes_max;
    uint64_t bytes_max = memory_bytes / (1 + draw(world, world->may_evict ? 4 : 2));
    nh_result result = nh_space_bound(world->store, space, draw(world, memory_bytes / 8),
                                      one_in(world, 2) ? bytes_max : 0);
    MUST(result == NH_OK || result == NH_RANGE);
}

static void release_all(struct world *world)
{
    for (unsigned i = 0; i < HELD; i++)
        if (world->held[i].is_held) {
            MUST(begins_with(world, &world->held[i].value, world->held[i].copy, world->held[i].size));
            nh_release(world->store, &world->held[i].value);
            free(world->held[i].copy);
            world->held[i].is_held = false;
        }
    for (unsigned i = 0; i < WRITERS; i++)
        if (world->writings[i].writer != NULL)
            step_abort(world, &world->writings[i]);
}

/* ---- stores --------------------------------------------------------------------------------------- */

/* Which tags share a slot: tried out on another store with the same seed. */
static void learn_sharing(struct world *world, const nh_options *options)
{
    nh_store *store;
    char text[32];

    EXPECT_EQ(nh_create(options, &store), NH_OK);
    for (unsigned tag = 0; tag < TAGS; tag++) {
        nh_bytes name = {tag_names[tag], strlen(tag_names[tag])};
        for (unsigned other = 0; other < TAGS; other++) {
            nh_bytes other_name = {tag_names[other], strlen(tag_names[other])};
            nh_put_options put = {.size = sizeof put, .tags = &other_name, .tag_count = 1};
            EXPECT_EQ(nh_put(store, NOW, key_number(text, other), value_of("v"), &put, NULL), NH_OK);
        }
        EXPECT_EQ(nh_purge_tag(store, name, NH_PURGE_DROP), NH_OK);
        world->sharing[tag] = 0;
        for (unsigned other = 0; other < TAGS; other++)
            if (!is_there(store, NOW, key_number(text, other)))
                world->sharing[tag] |= 1u << other;
    }
    nh_destroy(store);
}

static void make_world_store(struct world *world)
{
    static const uint64_t tiny[] = {1 << 20, 3 << 19, 2 << 20, 4 << 20};
    nh_options options = {.size = sizeof options,
                          .memory_bytes = world->may_evict ? tiny[draw(world, COUNT_OF(tiny))]
                                                           : (32 + 16 * draw(world, 3)) << 20,
                          .value_bytes_max = VALUE_BYTES_MAX,
                          .hash_seed = world->hash_seed};
    if (!world->may_evict)
        options.insight_spaces = (uint32_t)draw(world, 4);
    EXPECT_EQ(nh_create(&options, &world->store), NH_OK);
    world->segment_bytes = stats_of(world->store).segment_bytes;
    learn_sharing(world, &options);
}

static void destroy_world_store(struct world *world)
{
    nh_stats stats = stats_of(world->store);
    expect_nothing_lent(world->store);
    MUST(world->may_evict || stats.evicted == 0); /* else the model would not know */
    nh_destroy(world->store);
}

/* A soft purge may be saved as a soft expiry of the moment. */
static void learn_stale_time(struct world *world, nh_key key, struct item *item)
{
    nh_value value;
    if (!item->was_purged_softly || nh_borrow(world->store, world->now_ms, key, &value) != NH_OK)
        return;
    MUST(value.traits & NH_VALUE_STALE);
    item->was_purged_softly = value.stale_at_ms == 0 || value.stale_at_ms > world->now_ms;
    item->stale_at_ms = value.stale_at_ms;
    nh_release(world->store, &value);
}

/* Saves, and restores into a new store with another clock. */
static void step_restart(struct world *world)
{
    int64_t gap_ms = (int64_t)draw(world, 60), wall_ms = 1700000000000, before_ms = world->now_ms;
    uint64_t count = 0, restored = 0;

    release_all(world);
    MUST(nh_save(world->store, world->path, world->now_ms, wall_ms) == NH_OK);
    destroy_world_store(world);
    make_world_store(world);
    world->now_ms = 1000000 + (int64_t)draw(world, 100000000);
    MUST(nh_restore(world->store, world->path, world->now_ms, wall_ms + gap_ms, &restored) == NH_OK);
    for (unsigned i = 0; i < SPACES * KEYS; i++) {
        struct item *item = &world->items[i];
        char text[3000];
        nh_key key = key_at(i / KEYS, i % KEYS, text);
        if (item->expires_at_ms != 0)
            item->expires_at_ms += world->now_ms - before_ms - gap_ms;
        if (item->stale_at_ms != 0)
            item->stale_at_ms += world->now_ms - before_ms - gap_ms;
        find(world, i / KEYS, i % KEYS);
        item->lease_state = NO_LEASE;
        item->lease = item->old_lease = 0;
        item->version = 0;
        ask(world, key, item);
        if (is_visible(item)) {
            learn_stale_time(world, key, item);
            learn_version(world, key, item);
        }
        count += item->exists;
    }
    MUST(restored == count || world->may_evict);
}

/* ---- the run -------------------------------------------------------------------------------------- */

static void step_one(struct world *world, unsigned what)
{
    unsigned space = (unsigned)draw(world, SPACES), number = (unsigned)draw(world, KEYS);
    struct item *item = find(world, space, number);
    char text[3000];
    nh_key key = key_at(space, number, text);

    ask(world, key, item);
    switch (what) {
    default: step_put(world, key, item); break;
    case 0 ... 9: step_hold(world, key, item); break;
    case 10 ... 19: step_get(world, key, item); break;
    case 20 ... 25: step_increment(world, key, item); break;
    case 26 ... 31: step_add_bytes(world, key, item); break;
    case 32 ... 36: step_delete(world, key, item); break;
    case 37 ... 40: step_touch(world, key, item); break;
    case 41 ... 44: step_exchange(world, key, item); break;
    case 45 ... 57: step_fetch(world, key, item); break;
    case 58 ... 65: step_fill(world, key, item); break;
    case 66 ... 67: step_give_up(world, key, item); break;
    case 68 ... 70: step_make_stale(world, key, item); break;
    }
}

static void step(struct world *world)
{
    unsigned what = (unsigned)draw(world, 100);

    if (one_in(world, 20))
        world->now_ms += (int64_t)draw(world, 30);
    switch (what) {
    default: step_one(world, what); break;
    case 92 ... 96: step_writer(world); break;
    case 97: step_get_many(world); break;
    case 98: step_sweep(world); break;
    case 99:
        switch (draw(world, 40)) {
        case 0 ... 9: step_purge(world); break;
        case 10 ... 11: step_clear(world); break;
        case 12 ... 20: step_walk(world); break;
        case 21: step_bound(world); break;
        case 23 ... 39: step_flood(world); break;
        case 22: step_restart(world); break;
        }
        break;
    }
}

static void run(bool may_evict, uint64_t steps)
{
    const char *text = getenv("NH_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 20240229;
    struct world *world = calloc(1, sizeof *world);
    int fd;

    printf("seed: NH_SEED=%llu\n", (unsigned long long)seed);
    world->random = seed * 2 + 1;
    world->hash_seed = draw(world, UINT64_MAX) | 1;
    world->now_ms = 1000;
    world->may_evict = may_evict;
    for (unsigned i = 0; i < SPACES * KEYS; i++)
        world->items[i].writer = -1;
    snprintf(world->path, sizeof world->path, "%s/nuthatch-model-XXXXXX",
             access("/tmp", W_OK) == 0 ? "/tmp" : ".");
    fd = mkstemp(world->path);
    EXPECT(fd >= 0);
    close(fd);
    unlink(world->path);
    make_world_store(world);
    for (world->step = 0; world->step < steps; world->step++)
        step(world);
    release_all(world);
    destroy_world_store(world);
    for (unsigned i = 0; i < SPACES * KEYS; i++)
        free(world->items[i].bytes);
    free(world);
}

TEST(the_store_answers_every_call_as_the_model_does) { run(false, EXACT_STEPS); }

TEST(a_store_that_must_evict_answers_every_call_rightly_or_with_a_miss) { run(true, TINY_STEPS); }

RUN_TESTS(TEST_ROW(the_store_answers_every_call_as_the_model_does),
          TEST_ROW(a_store_that_must_evict_answers_every_call_rightly_or_with_a_miss))
