/* links: nuthatch-store */
/* All calls from several threads at once, on a store that must evict, expire and move. Each value carries
 * what is needed to see whether it is whole, belongs to its key and was still alive when it was served. */
#include "threads.h"

enum { RUN_MS = 2500, MEMORY_BYTES = 4 << 20, LARGE_BYTES = 150000, HELD = 8, KEYS = 20000, HOT_KEYS = 50 };

/* What a thread keeps between its turns. */
struct hands {
    struct {
        nh_value value;
        uint64_t key;
        bool is_held;
    } held[HELD];
    nh_writer *writer;
    bool is_published;
    uint64_t writer_key;
    size_t written;
    nh_bytes writing; /* all that is to be written */
    char *writer_bytes;
    char *bytes;
};

static void must_be_whole(struct member *member, const nh_value *value, uint64_t key, int64_t asked_at_ms)
{
    struct stamp stamp = stamp_check_lent(member->team->store, value, key);
    MUST(stamp.expires_at_ms == 0 || asked_at_ms < stamp.expires_at_ms);
    /* A touch makes a lifetime shorter or gives one, here; it never makes one longer. */
    MUST(value->expires_at_ms == 0 || asked_at_ms < value->expires_at_ms);
}

static uint64_t draw_key(struct member *member)
{
    return one_in(member, 3) ? draw(member, KEYS) : draw(member, HOT_KEYS);
}

static size_t draw_size(struct member *member)
{
    static const size_t sizes[] = {sizeof(struct stamp), 60, 200, 900, 4000};
    return one_in(member, 60) ? sizeof(struct stamp) + draw(member, LARGE_BYTES - 100)
                              : sizes[draw(member, COUNT_OF(sizes))];
}

/* Options for a put of now, and the value to go with them. */
static nh_bytes draw_value(struct member *member, uint64_t key, int64_t now_ms, char *bytes,
                           nh_put_options *options)
{
    static const nh_bytes tags[] = {{"tag", 3}, {"other", 5}};
    *options = (nh_put_options){.size = sizeof *options, .flags = (uint32_t)key};
    if (one_in(member, 2))
        options->ttl_ms = 1 + (int64_t)draw(member, 30);
    if (one_in(member, 4))
        options->soft_ttl_ms = 1 + (int64_t)draw(member, 30);
    if (one_in(member, 8)) {
        options->tags = tags;
        options->tag_count = 1 + draw(member, 2);
    }
    options->cost_ms = (uint32_t)draw(member, 10);
    options->negative = one_in(member, 30);
    return stamp_make(bytes, draw_size(member), key, draw(member, UINT32_MAX),
                      options->ttl_ms != 0 ? now_ms + options->ttl_ms : 0);
}

static void turn_put(struct member *member, nh_key key, uint64_t number, char *bytes)
{
    nh_store *store = member->team->store;
    int64_t now_ms = now_of(member);
    nh_put_options options;
    nh_bytes bytes_to_put = draw_value(member, number, now_ms, bytes, &options);
    nh_result result = NH_OK;
    nh_value before;
    int32_t had_before;

    switch (draw(member, 5)) {
    case 0: result = nh_add(store, now_ms, key, bytes_to_put, &options, NULL); break;
    case 1: result = nh_replace(store, now_ms, key, bytes_to_put, &options, NULL); break;
    case 2:
        result = nh_exchange(store, now_ms, key, bytes_to_put, &options, &before, &had_before);
        if (had_before) {
            must_be_whole(member, &before, number, now_ms);
            nh_release(store, &before);
        }
        break;
    case 3:
        if (nh_borrow(store, now_ms, key, &before) != NH_OK)
            break;
        result = nh_cas(store, now_ms, key, bytes_to_put, &options, before.version, NULL);
        must_be_whole(member, &before, number, now_ms);
        nh_release(store, &before);
        break;
    default: result = nh_put(store, now_ms, key, bytes_to_put, &options, NULL); break;
    }
    MUST(result == NH_OK || result == NH_EXISTS || result == NH_MISSING || result == NH_CHANGED ||
         result == NH_FULL);
}

static void turn_read(struct member *member, struct hands *hands, nh_key key, uint64_t number)
{
    nh_store *store = member->team->store;
    int64_t now_ms = now_of(member);
    nh_get_request requests[8];
    uint64_t numbers[COUNT_OF(requests)];
    nh_result result;
    nh_value value;
    size_t size = 0;

    switch (draw(member, 6)) {
    case 0:
        nh_prefetch(store, &key, 1);
        result = nh_borrow(store, now_ms, key, &value);
        MUST(result == NH_OK || result == NH_MISSING || result == NH_FULL);
        if (result != NH_OK)
            break;
        must_be_whole(member, &value, number, now_ms);
        MUST(value.flags == (uint32_t)number);
        if (one_in(member, 4))
            turn_put(member, key, number, hands->bytes); /* overwritten under our hands */
        must_be_whole(member, &value, number, now_ms);
        nh_release(store, &value);
        break;
    case 1:
        result = nh_peek(store, now_ms, key, &value);
        MUST(result == NH_OK || result == NH_MISSING);
        if (result == NH_OK) {
            must_be_whole(member, &value, number, now_ms);
            nh_release(store, &value);
        }
        break;
    case 2:
        result = nh_get(store, now_ms, key, hands->bytes, LARGE_BYTES, &size);
        MUST(result == NH_OK || result == NH_MISSING);
        if (result == NH_OK && size >= sizeof(struct stamp)) { /* not one that has just begun to grow */
            struct stamp stamp;
            memcpy(&stamp, hands->bytes, sizeof stamp);
            if (size == stamp.size)
                stamp_check(hands->bytes, size, number);
            MUST(size <= stamp.size);
        }
        break;
    case 3:
        for (size_t i = 0; i < COUNT_OF(requests); i++) {
            numbers[i] = draw_key(member);
            requests[i] = (nh_get_request){.key = {&numbers[i], sizeof numbers[i], 0},
                                           .buffer = hands->bytes + 5000 * i,
                                           .capacity = 5000};
        }
        MUST(nh_get_many(store, now_ms, requests, COUNT_OF(requests)) == NH_OK);
        for (size_t i = 0; i < COUNT_OF(requests); i++)
            if (requests[i].result == NH_OK && requests[i].value_bytes >= sizeof(struct stamp) &&
                requests[i].value_bytes <= 4000) {
                struct stamp stamp;
                memcpy(&stamp, requests[i].buffer, sizeof stamp);
                if (stamp.size == requests[i].value_bytes)
                    stamp_check(requests[i].buffer, requests[i].value_bytes, numbers[i]);
            }
        break;
    case 4: { /* a lifetime for what has none by its stamp */
        nh_key other = {&number, sizeof number, 1};
        size = sizeof(struct stamp) + draw(member, 500);
        if (one_in(member, 4))
            nh_put(store, now_ms, other, stamp_make(hands->bytes, size, number, 1, 0), NULL, NULL);
        result = nh_get_and_touch(store, now_ms, other, (int64_t)draw(member, 20) - 1, &value);
        MUST(result == NH_OK || result == NH_MISSING || result == NH_FULL);
        if (result == NH_OK) {
            stamp_check_lent(store, &value, number);
            nh_release(store, &value);
        }
        nh_touch(store, now_ms, other, (int64_t)draw(member, 10));
        break;
    }
    case 5: /* in place, if it is large, under the eyes of those who read it */
        result = nh_make_stale(store, now_ms, key);
        MUST(result == NH_OK || result == NH_MISSING || result == NH_FULL);
        result = nh_borrow_unnoticed(store, now_ms, key, &value);
        MUST(result == NH_OK || result == NH_MISSING || result == NH_FULL);
        if (result == NH_OK) {
            must_be_whole(member, &value, number, now_ms);
            nh_release(store, &value);
        }
        break;
    }
}

static void turn_hold(struct member *member, struct hands *hands, nh_key key, uint64_t number)
{
    unsigned i = (unsigned)draw(member, HELD);
    if (hands->held[i].is_held) {
        stamp_check_lent(member->team->store, &hands->held[i].value, hands->held[i].key);
        nh_release(member->team->store, &hands->held[i].value);
    }
    hands->held[i].key = number;
    hands->held[i].is_held =
        nh_borrow(member->team->store, now_of(member), key, &hands->held[i].value) == NH_OK;
}

static void turn_fetch(struct member *member, struct hands *hands, nh_key key, uint64_t number)
{
    nh_fetch_options options = {.size = sizeof options, .lease_ms = 5, .early_percent = 100};
    nh_store *store = member->team->store;
    int64_t now_ms = now_of(member);
    nh_put_options put_options;
    nh_fetch_state fetched;
    uint64_t lease = 0;
    nh_result result;
    nh_value value;
    nh_bytes bytes;

    result = nh_fetch(store, now_ms, key, &options, &fetched, &lease, &value);
    MUST(result == NH_OK || result == NH_FULL);
    if (result != NH_OK)
        return;
    if (fetched <= NH_FETCH_STALE_LEASE) {
        must_be_whole(member, &value, number, now_ms);
        MUST(((value.traits & NH_VALUE_STALE) != 0) == (fetched >= NH_FETCH_STALE));
        nh_release(store, &value);
    }
    if (fetched != NH_FETCH_HIT_LEASE && fetched != NH_FETCH_STALE_LEASE && fetched != NH_FETCH_MISS_LEASE)
        return;
    MUST(lease != 0);
    if (one_in(member, 4)) {
        result = nh_give_up(store, key, lease);
        MUST(result == NH_OK || result == NH_CHANGED);
        return;
    }
    now_ms = now_of(member);
    bytes = draw_value(member, number, now_ms, hands->bytes, &put_options);
    result = nh_fill(store, now_ms, key, lease, bytes, &put_options, NULL);
    MUST(result == NH_OK || result == NH_CHANGED || result == NH_FULL);
}

static void begin_writing(struct member *member, struct hands *hands)
{
    nh_put_options options = {.size = sizeof options};
    nh_key key = {&hands->writer_key, sizeof hands->writer_key, 0};
    nh_result result;

    hands->writer_key = draw_key(member);
    hands->writing = stamp_make(hands->writer_bytes, draw_size(member), hands->writer_key, 1, 0);
    hands->written = 0;
    hands->is_published = false;
    options.flags = (uint32_t)hands->writer_key;
    result = nh_writer_create(member->team->store, now_of(member), key, &options, &hands->writer);
    MUST(result == NH_OK || result == NH_FULL);
    if (result != NH_OK)
        hands->writer = NULL;
}

static void turn_write_in_pieces(struct member *member, struct hands *hands)
{
    int64_t now_ms = now_of(member);
    nh_result result = NH_OK;
    size_t left, size;

    if (hands->writer == NULL)
        return begin_writing(member, hands);
    left = hands->writing.size - hands->written;
    if (left == 0) {
        result = nh_writer_commit(hands->writer, now_ms, NULL);
        MUST(result == NH_OK || result == NH_CHANGED || result == NH_FULL);
        hands->writer = NULL;
    } else if (one_in(member, 20)) {
        nh_writer_abort(hands->writer);
        hands->writer = NULL;
    } else if (!hands->is_published && hands->written >= sizeof(struct stamp) && one_in(member, 3)) {
        result = nh_writer_publish(hands->writer, now_ms);
        hands->is_published = true;
    } else {
        size = 1 + draw(member, 1 + hands->written * 2);
        size = size < left ? size : left;
        result = nh_writer_append(hands->writer, now_ms,
                                  (nh_bytes){(const char *)hands->writing.data + hands->written, size});
        hands->written += size;
    }
    if (hands->writer != NULL && result != NH_OK) {
        MUST(result == NH_FULL);
        nh_writer_abort(hands->writer);
        hands->writer = NULL;
    }
}

static void turn_walk(struct member *member)
{
    nh_store *store = member->team->store;
    uint64_t position = 0;

    for (int part = 0; part < 3; part++) {
        nh_cursor *cursor;
        nh_result result = NH_OK;
        MUST(nh_cursor_create(store, position, &cursor) == NH_OK);
        for (int i = 0; i < 150; i++) {
            int64_t now_ms = now_of(member);
            uint64_t number;
            nh_value value;
            nh_key key;
            result = nh_cursor_next(cursor, now_ms, &key, &value);
            MUST(result == NH_OK || result == NH_MISSING);
            if (result != NH_OK)
                break;
            MUST(key.space <= 1);
            MUST(key.size == sizeof number);
            memcpy(&number, key.data, sizeof number);
            stamp_check_lent(store, &value, number);
        }
        position = nh_cursor_position(cursor);
        nh_cursor_destroy(cursor);
        if (position == 0)
            break;
    }
}

static void turn_upkeep(struct member *member)
{
    nh_store *store = member->team->store;
    int64_t now_ms = now_of(member);
    nh_stats stats = {.size = sizeof stats};
    nh_hot_key keys[4];
    nh_curve_point points[8];
    size_t count = 4;

    switch (draw(member, 8)) {
    case 0 ... 1: nh_sweep(store, now_ms, 100); break;
    case 2:
        MUST(nh_stats_read(store, &stats) == NH_OK);
        MUST(stats.memory_bytes <= stats.memory_bytes_max);
        nh_count(store, (uint32_t)draw(member, 2));
        break;
    case 3:
        if (one_in(member, 100))
            MUST(nh_purge_tag(store, (nh_bytes){"tag", 3}, (int32_t)draw(member, 2)) == NH_OK);
        break;
    case 4:
        if (one_in(member, 1000))
            nh_clear(store, one_in(member, 2) ? 0 : NH_SPACE_ALL);
        break;
    case 5:
        if (one_in(member, 30))
            turn_walk(member);
        break;
    case 6:
        if (one_in(member, 100))
            nh_space_bound(store, 1, draw(member, 2) * (512 << 10), draw(member, 2) * (2 << 20));
        if (one_in(member, 100)) {
            nh_hot_keys_read(store, keys, &count);
            count = COUNT_OF(points);
            nh_curve_read(store, 0, points, &count);
        }
        break;
    case 7: atomic_fetch_add(&member->team->now_ms, draw(member, 3) == 0); break;
    }
}

static void *run_turns(void *context)
{
    struct member *member = context;
    struct hands *hands = calloc(1, sizeof *hands);

    hands->bytes = malloc(LARGE_BYTES);
    hands->writer_bytes = malloc(LARGE_BYTES);
    while (!is_over(member)) {
        uint64_t number = draw_key(member);
        nh_key key = {&number, sizeof number, 0};
        switch (draw(member, 24)) {
        case 0 ... 8: turn_read(member, hands, key, number); break;
        case 9 ... 10: turn_hold(member, hands, key, number); break;
        case 11 ... 14: turn_fetch(member, hands, key, number); break;
        case 15: turn_write_in_pieces(member, hands); break;
        case 16: nh_delete(member->team->store, now_of(member), key); break;
        case 17 ... 19: turn_upkeep(member); break;
        default: turn_put(member, key, number, hands->bytes); break;
        }
    }
    for (unsigned i = 0; i < HELD; i++)
        if (hands->held[i].is_held) {
            stamp_check_lent(member->team->store, &hands->held[i].value, hands->held[i].key);
            nh_release(member->team->store, &hands->held[i].value);
        }
    nh_writer_abort(hands->writer);
    free(hands->bytes);
    free(hands->writer_bytes);
    free(hands);
    return NULL;
}

TEST(nothing_torn_expired_or_foreign_is_served_and_memory_stays_within_the_limit)
{
    void *(*const starts[])(void *) = {run_turns, run_turns, run_turns, run_turns};
    for (uint32_t insight_spaces = 0; insight_spaces < 2; insight_spaces++) {
        /* Too small for what insight keeps, a store has none. */
        nh_options options = {.size = sizeof options,
                              .memory_bytes = insight_spaces == 0 ? MEMORY_BYTES : 16 << 20,
                              .value_bytes_max = LARGE_BYTES,
                              .insight_spaces = insight_spaces};
        struct team team = {0};
        nh_stats stats;
        EXPECT_EQ(nh_create(&options, &team.store), NH_OK);
        team_run(&team, RUN_MS, starts, COUNT_OF(starts));
        sweep_all(team.store, atomic_load(&team.now_ms));
        stats = stats_of(team.store);
        EXPECT(insight_spaces > 0 || stats.evicted > 0);
        EXPECT(stats.expired > 0);
        EXPECT(stats.leases > 0);
        team_end(&team);
    }
}

RUN_TESTS(TEST_ROW(nothing_torn_expired_or_foreign_is_served_and_memory_stays_within_the_limit))
