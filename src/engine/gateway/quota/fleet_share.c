#include "fleet_share.h"

enum { LIFE_PARTS = 20, LIFE_MS_LEAST = 50, LIFE_MS_MOST = 60000, BACKGROUND_LATER_MS = 1000 };

static int64_t nodes_of(const struct share_limits *limits)
{
    return limits->node_count > 0 ? limits->node_count : SHARE_NODES_UNKNOWN;
}

static int64_t shortest_ms(const struct share_limits *limits)
{
    int64_t shortest = limits->specs[0].period_ms;

    for (size_t i = 1; i < limits->spec_count; i++)
        if (limits->specs[i].period_ms < shortest)
            shortest = limits->specs[i].period_ms;
    return shortest;
}

static int64_t longest_ms(const struct share_limits *limits)
{
    int64_t longest = 0;

    for (size_t i = 0; i < limits->spec_count; i++)
        if (limits->specs[i].period_ms > longest)
            longest = limits->specs[i].period_ms;
    return longest;
}

int64_t share_life_ms(const struct share_limits *limits)
{
    int64_t life_ms = shortest_ms(limits) / LIFE_PARTS;

    return life_ms < LIFE_MS_LEAST ? LIFE_MS_LEAST : life_ms > LIFE_MS_MOST ? LIFE_MS_MOST : life_ms;
}

void share_bucket(struct token_bucket *bucket, const struct share_limits *limits, size_t index)
{
    struct rate_spec spec = limits->specs[index];

    spec.period_ms += share_life_ms(limits);
    token_bucket_init(bucket, &spec, limits->burst);
}

/* ---- leases -------------------------------------------------------------------------------------- */

static bool is_good(const struct fleet_share *share, size_t index, int64_t now_mono_ms)
{
    return share->leases[index].count > 0 && now_mono_ms < share->leases[index].end_mono_ms;
}

static int64_t leased(const struct fleet_share *share, int64_t now_mono_ms)
{
    int64_t count = 0;

    for (size_t i = 0; i < SHARE_LEASES; i++)
        if (is_good(share, i, now_mono_ms))
            count += share->leases[i].count;
    return count;
}

/* The one that ends first, or SHARE_LEASES. */
static size_t first_good(const struct fleet_share *share, int64_t now_mono_ms)
{
    size_t first = SHARE_LEASES;

    for (size_t i = 0; i < SHARE_LEASES; i++)
        if (is_good(share, i, now_mono_ms) &&
            (first == SHARE_LEASES || share->leases[i].end_mono_ms < share->leases[first].end_mono_ms))
            first = i;
    return first;
}

static int64_t own_due_ms(const struct fleet_share *share, const struct share_limits *limits,
                          enum quota_class class, int64_t ahead, int64_t now_mono_ms)
{
    int64_t due_ms = now_mono_ms;

    for (size_t i = 0; i < limits->spec_count; i++) {
        const struct token_bucket *bucket = &share->own[i];
        int64_t bucket_ms =
            token_bucket_due_ms(bucket, now_mono_ms, token_bucket_need(bucket, class) + ahead);
        if (bucket_ms > due_ms)
            due_ms = bucket_ms;
    }
    return due_ms;
}

static int64_t kept_percent(enum quota_class class) { return quota_need(class, 100) - 1; }

enum share_verdict share_look(const struct fleet_share *share, const struct share_limits *limits,
                              enum quota_class class, int64_t ahead, int64_t now_mono_ms,
                              int64_t *due_mono_ms)
{
    bool has_lease = leased(share, now_mono_ms) > ahead;

    if (has_lease && class == QUOTA_INTERACTIVE)
        return SHARE_GO;
    if (share->is_away && !share->has_part) {
        *due_mono_ms = share->retry_mono_ms > now_mono_ms ? share->retry_mono_ms : now_mono_ms + 1;
        return SHARE_LATER;
    }
    if (share->is_away) {
        *due_mono_ms = own_due_ms(share, limits, class, ahead, now_mono_ms);
        return *due_mono_ms <= now_mono_ms ? SHARE_GO : SHARE_LATER;
    }
    if (has_lease && share->left_percent >= kept_percent(class))
        return SHARE_GO;
    if (share->left_percent < kept_percent(class) &&
        now_mono_ms < share->told_mono_ms + share_life_ms(limits)) {
        *due_mono_ms = now_mono_ms + BACKGROUND_LATER_MS;
        return SHARE_LATER;
    }
    *due_mono_ms = share->due_mono_ms;
    return share->due_mono_ms > now_mono_ms ? SHARE_LATER : SHARE_ASK;
}

void share_take(struct fleet_share *share, const struct share_limits *limits, int64_t now_mono_ms)
{
    size_t first = first_good(share, now_mono_ms);

    if (share->used_count < SHARE_CHUNK_MAX)
        share->used_count++;
    if (first < SHARE_LEASES) {
        share->leases[first].count--;
        return;
    }
    for (size_t i = 0; i < limits->spec_count; i++)
        token_bucket_take(&share->own[i], now_mono_ms);
    share->own_count++;
}

void share_give(struct fleet_share *share, const struct share_limits *limits, int64_t now_mono_ms)
{
    size_t first = first_good(share, now_mono_ms);

    if (first < SHARE_LEASES) { /* else it is lost, as the rest of a lease that ends is, and what is told */
        share->leases[first].count++;
    } else if (share->is_away && share->own_count > share->telling_count) {
        for (size_t i = 0; i < limits->spec_count; i++)
            token_bucket_give(&share->own[i], now_mono_ms);
        share->own_count--;
    }
}

/* ---- the tier ------------------------------------------------------------------------------------ */

/* As many as are used up in half of a lease's life, so that few are asked for in vain, and the tier seldom.
 */
static int64_t next_chunk(const struct fleet_share *share, const struct share_limits *limits,
                          int64_t now_mono_ms)
{
    int64_t nodes = nodes_of(limits), most = SHARE_CHUNK_MAX;
    int64_t passed_ms = now_mono_ms > share->asked_mono_ms ? now_mono_ms - share->asked_mono_ms : 1;
    int64_t chunk = share->used_count * share_life_ms(limits) / (2 * passed_ms);

    for (size_t i = 0; i < limits->spec_count; i++) {
        struct token_bucket bucket;
        share_bucket(&bucket, limits, i);
        if (bucket.burst / (4 * nodes) < most)
            most = bucket.burst / (4 * nodes);
    }
    if (most > 2 * share->chunk) /* a crowd of a moment is not all there will be */
        most = 2 * share->chunk;
    return most < 1 || chunk < 1 ? 1 : chunk < most ? chunk : most;
}

struct share_question share_question(struct fleet_share *share, const struct share_limits *limits,
                                     int64_t now_mono_ms)
{
    int64_t has = leased(share, now_mono_ms);
    struct share_question question = {.own_count = share->own_count,
                                      .is_remembered =
                                          share->is_away || now_mono_ms < share->remembered_mono_ms};

    if (share->is_asking || (share->is_away && now_mono_ms < share->retry_mono_ms) ||
        (!share->is_away && now_mono_ms < share->due_mono_ms) || has > share->chunk / 2)
        return (struct share_question){0};
    share->chunk = next_chunk(share, limits, now_mono_ms);
    share->used_count = 0;
    question.count = share->chunk;
    share->telling_count = share->own_count;
    share->asked_mono_ms = now_mono_ms;
    share->is_asking = true;
    return question;
}

/* In a free place, or to the one that ends last. */
static void add_lease(struct fleet_share *share, int64_t count, int64_t end_mono_ms, int64_t now_mono_ms)
{
    size_t last = 0;

    for (size_t i = 0; i < SHARE_LEASES; i++) {
        if (!is_good(share, i, now_mono_ms)) {
            share->leases[i].count = count;
            share->leases[i].end_mono_ms = end_mono_ms;
            return;
        }
        if (share->leases[i].end_mono_ms > share->leases[last].end_mono_ms)
            last = i;
    }
    share->leases[last].count += count;
    if (share->leases[last].end_mono_ms > end_mono_ms)
        share->leases[last].end_mono_ms = end_mono_ms;
}

void share_told(struct fleet_share *share, const struct share_limits *limits,
                const struct share_reply *reply, int64_t now_mono_ms)
{
    share->is_asking = share->is_away = false;
    share->own_count -= share->telling_count;
    share->telling_count = 0;
    share->left_percent = reply->left_percent;
    share->told_mono_ms = now_mono_ms;
    share->due_mono_ms = reply->count > 0 ? 0 : now_mono_ms + (reply->due_ms > 0 ? reply->due_ms : 1);
    share->remembered_mono_ms = now_mono_ms + longest_ms(limits);
    if (reply->count == 0)
        return;
    add_lease(share, reply->count, share->asked_mono_ms + share_life_ms(limits), now_mono_ms);
}

void share_failed(struct fleet_share *share, const struct share_limits *limits, int64_t now_mono_ms)
{
    int64_t nodes = nodes_of(limits);

    share->is_asking = false;
    share->telling_count = 0;
    share->retry_mono_ms = now_mono_ms + SHARE_RETRY_MS;
    if (share->is_away)
        return;
    share->is_away = true;
    share->has_part = true;
    for (size_t i = 0; i < limits->spec_count; i++) {
        struct rate_spec part = {limits->specs[i].count / nodes, limits->specs[i].period_ms};
        int64_t burst = limits->burst > 0 ? (limits->burst + nodes - 1) / nodes : 0;
        share->has_part &= part.count > 0;
        part.count += part.count == 0;
        token_bucket_init(&share->own[i], &part, burst);
        share->own[i].full_us = now_mono_ms * 1000 + share->own[i].burst * share->own[i].interval_us;
    }
}

int64_t share_count(const struct fleet_share *share, const struct share_limits *limits, int64_t now_mono_ms)
{
    int64_t count = leased(share, now_mono_ms), least = INT64_MAX;

    if (!share->is_away || !share->has_part)
        return count;
    for (size_t i = 0; i < limits->spec_count; i++) {
        int64_t own = token_bucket_count(&share->own[i], now_mono_ms);
        if (own < least)
            least = own;
    }
    return count + least;
}

bool share_is_idle(const struct fleet_share *share, int64_t now_mono_ms)
{
    return !share->is_asking && !share->is_away && share->own_count == 0 &&
           leased(share, now_mono_ms) == 0 && now_mono_ms >= share->due_mono_ms &&
           now_mono_ms >= share->remembered_mono_ms;
}

/* ---- the number ---------------------------------------------------------------------------------- */

/* count (12 bits) | due_ms (24) | left_percent (7): no more than Lua's numbers hold. */
bool share_reply_read(struct share_reply *reply, int64_t number)
{
    *reply = (struct share_reply){
        .count = number >> 31, .due_ms = number >> 7 & 0xffffff, .left_percent = number & 0x7f};
    return number >= 0 && reply->count <= SHARE_CHUNK_MAX && reply->left_percent <= 100;
}
