#include "store/pitfalls.h"
#include <stdlib.h>

enum { VALUE_BYTES = 100, NOW_MS = 1000 };

/* ---- huge values among tiny ones ------------------------------------------------------------------------
 */

enum { TINY_KEYS = 400000, HUGE_IDS = 1 << 30, HUGE_BYTES_MAX = 16 << 20, HUGE_EVERY = 5000 };

/* Reads a value in its pieces; stops if they are not what was put. */
static void check_pieces(nh_store *store, uint32_t id, const char *expected, uint64_t value_bytes)
{
    char key[KEY_BYTES];
    nh_value value;
    nh_bytes piece;
    uint64_t offset = 0;

    key_write(key, id);
    if (nh_borrow(store, NOW_MS, key_of(key), &value) != NH_OK)
        return;
    if (value.size != value_bytes)
        stop("a huge value is not as long as it was put");
    for (; nh_value_piece(store, &value, offset, &piece) == NH_OK; offset += piece.size)
        if (memcmp(piece.data, expected + offset, piece.size) != 0)
            stop("a huge value is not as it was put");
    if (offset != value_bytes)
        stop("a huge value ends early");
    nh_release(store, &value);
}

/* Get, or else put, tiny values by Zipf in 64 MiB; one request in 5,000 puts a value of up to 16 MiB. */
static void mix_sizes(const char *what, uint64_t requests, bool huge)
{
    uint64_t before_bytes = rss_bytes(), missed = 0, refused = 0, put = 0;
    nh_store *store = store_open(64 << 20, false);
    uint32_t *ids = zipf_ids(0.99, TINY_KEYS, 1, requests);
    char *value = allocate(HUGE_BYTES_MAX), key[KEY_BYTES];
    struct timing tiny, large;

    timing_init(&tiny);
    timing_init(&large);
    for (size_t i = 0; i < HUGE_BYTES_MAX; i += 4096)
        value[i] = (char)i;
    before_bytes += HUGE_BYTES_MAX;
    for (uint64_t i = 0; i < requests; i++) {
        if (!item_get(store, NOW_MS, ids[i])) {
            missed += i >= requests / 2;
            timing_begin(&tiny);
            item_put(store, NOW_MS, ids[i], VALUE_BYTES, 0);
            timing_end(&tiny);
        }
        if (huge && i % HUGE_EVERY == HUGE_EVERY - 1) {
            uint32_t id = HUGE_IDS + (uint32_t)i;
            uint64_t value_bytes = ((uint64_t)1 << 20) + mix64(id) % (HUGE_BYTES_MAX - (1 << 20));
            nh_result answer;
            key_write(key, id);
            timing_begin(&large);
            answer = nh_put(store, NOW_MS, key_of(key), (nh_bytes){value, value_bytes}, NULL, NULL);
            timing_end(&large);
            put++;
            refused += answer != NH_OK;
            if (answer == NH_OK)
                check_pieces(store, id, value, value_bytes);
        }
    }
    row(what, &tiny, "%.2f %% of the tiny missed, resident %.1f %% of the limit",
        percent(missed, requests - requests / 2),
        percent(rss_bytes() - before_bytes - requests * sizeof *ids, 64 << 20));
    if (huge)
        row("the same: put of 1 to 16 MiB", &large, "%llu of %llu refused", (unsigned long long)refused,
            (unsigned long long)put);
    free(value);
    free(ids);
    nh_destroy(store);
}

void pitfall_sizes(uint64_t share_percent)
{
    uint64_t requests = 4000000 * share_percent / 100;

    mix_sizes("64 MiB of tiny values: put", requests, false);
    mix_sizes("64 MiB of tiny values, one request in 5,000 puts a huge one: put", requests, true);
}

/* ---- values that are borrowed and not given back --------------------------------------------------------
 */

enum { BORROWED = 20000 };

/* Slow clients hold values from all over a full store of 16 MiB while it is overwritten. */
void pitfall_borrowers(uint64_t share_percent)
{
    nh_store *store = store_open(16 << 20, false);
    nh_value *values = allocate(BORROWED * sizeof *values);
    uint64_t puts = 2000000 * share_percent / 100, refused = 0, borrowed = 0;
    uint32_t *owners = allocate(BORROWED * sizeof *owners);
    nh_stats stats;
    struct timing timing;

    timing_init(&timing);
    for (uint32_t id = 0; id < puts; id++) {
        char key[KEY_BYTES], value[VALUE_BYTES] = {0};
        nh_result answer;
        key_write(key, id);
        value_mark(value, id);
        timing_begin(&timing);
        answer = nh_put(store, NOW_MS, key_of(key), (nh_bytes){value, sizeof value}, NULL, NULL);
        timing_end(&timing);
        refused += answer != NH_OK;
        if (id % 50 == 0 && borrowed < BORROWED &&
            nh_borrow(store, NOW_MS, key_of(key), &values[borrowed]) == NH_OK)
            owners[borrowed++] = id;
    }
    stats = stats_of(store);
    for (uint64_t i = 0; i < borrowed; i++) {
        if (value_owner(values[i].bytes.data) != owners[i])
            stop("a borrowed value has changed");
        nh_release(store, &values[i]);
    }
    row("16 MiB, 20,000 values borrowed and not given back: put", &timing,
        "%llu refused, %.1f %% of the limit pinned, %.1f MiB copied for borrowers",
        (unsigned long long)refused, percent(stats.pinned_bytes, 16 << 20),
        (double)stats.borrowed_copied_bytes / (1 << 20));
    free(owners);
    free(values);
    nh_destroy(store);
}
