#include "learnt_limits.h"
#include "base/compiler.h"

enum {
    REFUSAL_MS = 1000, /* doubled with each refusal in a row that does not say for how long, */
    REFUSAL_MS_MAX = 60000,
    RESET_SLACK_MS = 250, /* it is said in whole seconds, and not always rounded up */
    SAME_RESET_MS = 1000,
    UNSAID_RESET_MS = 1000, /* until a limit is believed to have some left again, if that is not said */
};

#define WAIT_MS_MAX (LEARNT_WAIT_HOURS_MAX * INT64_C(3600000))

/* ---- which limits a request comes under ----------------------------------------------------------- */

static uint64_t pool_of(const struct learnt_limits *limits, uint64_t path)
{
    return limits->paths[path % LEARNT_PATHS].path == path ? limits->paths[path % LEARNT_PATHS].pool : 0;
}

static bool applies(const struct learnt_window *window, uint64_t pool)
{
    return window->name != 0 && (window->pool == 0 || window->pool == pool);
}

/* ---- may it go ----------------------------------------------------------------------------------- */

/* Its time is over: a new one begins. Whether it has at the upstream, too, and with how many, the answer to
 * the next request tells; so one is sent, and then one each second until it has. */
static void renew(struct learnt_window *window, int64_t now_mono_ms)
{
    if (now_mono_ms < window->reset_mono_ms)
        return;
    window->left = 1;
    window->is_new = true;
    window->reset_mono_ms = now_mono_ms + UNSAID_RESET_MS;
}

int64_t learnt_limits_due_ms(struct learnt_limits *limits, int64_t now_mono_ms, uint64_t path,
                             enum quota_class class, int64_t ahead)
{
    int64_t due_ms = now_mono_ms;
    uint64_t pool = pool_of(limits, path);

    if (limits->told_until_mono_ms > due_ms)
        due_ms = limits->told_until_mono_ms;
    for (size_t i = 0; i < LEARNT_WINDOWS_MAX; i++) {
        struct learnt_window *window = &limits->windows[i];
        int64_t need = quota_need(class, window->limit);
        if (!applies(window, pool))
            continue;
        if (window->left < need + ahead)
            renew(window, now_mono_ms);
        if (window->left < (window->is_new ? 1 : need) + ahead && window->reset_mono_ms > due_ms)
            due_ms = window->reset_mono_ms;
    }
    return due_ms;
}

uint64_t learnt_limits_send(struct learnt_limits *limits, uint64_t path)
{
    uint64_t pool = pool_of(limits, path);

    for (size_t i = 0; i < LEARNT_WINDOWS_MAX; i++)
        if (applies(&limits->windows[i], pool) && limits->windows[i].left > 0)
            limits->windows[i].left--;
    limits->under_way++;
    return ++limits->sent_count;
}

void learnt_limits_leave(struct learnt_limits *limits) { limits->under_way--; }

/* ---- what is said -------------------------------------------------------------------------------- */

/* The place of a limit: its own, a free one, or that of the one which is over first. */
static struct learnt_window *place_of(struct learnt_limits *limits, uint64_t name, uint64_t pool)
{
    struct learnt_window *place = &limits->windows[0];

    for (size_t i = 0; i < LEARNT_WINDOWS_MAX; i++) {
        struct learnt_window *window = &limits->windows[i];
        if (window->name == name && window->pool == pool)
            return window;
        if (place->name != 0 && (window->name == 0 || window->reset_mono_ms < place->reset_mono_ms))
            place = window;
    }
    *place = (struct learnt_window){.name = name, .pool = pool, .left = INT64_MAX, .lowest = INT64_MAX};
    return place;
}

/* Whether it is the same time that two answers speak of, by when they say that it is over. */
static bool is_of_one_time(int64_t one_mono_ms, int64_t other_mono_ms)
{
    return one_mono_ms - other_mono_ms < SAME_RESET_MS && other_mono_ms - one_mono_ms < SAME_RESET_MS;
}

static void note_lowest(struct learnt_window *window, int64_t remaining, int64_t reset_mono_ms)
{
    if (!is_of_one_time(window->lowest_reset_mono_ms, reset_mono_ms)) {
        if (reset_mono_ms < window->lowest_reset_mono_ms)
            return;
        window->lowest = INT64_MAX;
    }
    window->lowest_reset_mono_ms = reset_mono_ms;
    if (remaining < window->lowest)
        window->lowest = remaining;
}

static void note_window(struct learnt_limits *limits, int64_t now_mono_ms, uint64_t number, uint64_t pool,
                        const struct rate_window *said)
{
    struct learnt_window *window = place_of(limits, said->name, pool);
    int64_t others = limits->under_way - 1; /* that may have been counted, or not */
    int64_t reset_ms = said->reset_ms >= 0 ? said->reset_ms + RESET_SLACK_MS : UNSAID_RESET_MS;
    int64_t reset_mono_ms = now_mono_ms + (reset_ms < WAIT_MS_MAX ? reset_ms : WAIT_MS_MAX);
    bool is_news = window->news == 0 || number > window->news;
    int64_t remaining = is_news && window->lowest < said->remaining &&
                                is_of_one_time(window->lowest_reset_mono_ms, reset_mono_ms)
                            ? window->lowest
                            : said->remaining;
    int64_t left = remaining > others ? remaining - others : 0;

    if (!is_news)
        note_lowest(window, remaining, reset_mono_ms);
    if (is_news) {
        window->lowest = INT64_MAX;
        window->left = left;
        window->limit = said->limit > 0 ? said->limit : 0;
        window->reset_mono_ms = reset_mono_ms;
        window->news = limits->sent_count;
        window->is_new = false;
    } else if (left < window->left) {
        window->left = left;
    }
}

/* Whether the answer means that too many have asked. A 403 may have other reasons. */
static bool is_refusal(int status, const struct rate_said *said)
{
    if (status == 429)
        return true;
    if (status != 403)
        return false;
    for (size_t i = 0; i < said->window_count; i++)
        if (said->windows[i].remaining == 0)
            return true;
    return said->retry_after_ms >= 0;
}

/* How long nobody may ask after a refusal: what it says, else nothing if a limit is known to be used up, by
 * which no request that comes under it goes. */
static int64_t refused_for_ms(struct learnt_limits *limits, const struct rate_said *said)
{
    int64_t wait_ms = REFUSAL_MS;

    if (said->retry_after_ms > 0)
        return said->retry_after_ms;
    for (size_t i = 0; i < said->window_count; i++)
        if (said->windows[i].remaining == 0 && said->windows[i].reset_ms > 0)
            return 0;
    for (int64_t i = 0; i < limits->refusals_in_a_row && wait_ms < REFUSAL_MS_MAX; i++)
        wait_ms *= 2;
    limits->refusals_in_a_row++;
    return wait_ms < REFUSAL_MS_MAX ? wait_ms : REFUSAL_MS_MAX;
}

bool learnt_limits_note(struct learnt_limits *limits, int64_t now_mono_ms, uint64_t path, uint64_t number,
                        int status, const struct rate_said *said)
{
    bool is_refused = is_refusal(status, said), is_told = status == 503 && said->retry_after_ms > 0;

    if (said->pool != 0) {
        limits->paths[path % LEARNT_PATHS].path = path;
        limits->paths[path % LEARNT_PATHS].pool = said->pool;
    }
    for (size_t i = 0; i < said->window_count; i++)
        note_window(limits, now_mono_ms, number, said->pool, &said->windows[i]);
    learnt_limits_leave(limits);
    if (is_refused || is_told) {
        int64_t wait_ms = is_refused ? refused_for_ms(limits, said) : said->retry_after_ms;
        int64_t until_ms = now_mono_ms + (wait_ms < WAIT_MS_MAX ? wait_ms : WAIT_MS_MAX);
        if (until_ms > limits->told_until_mono_ms)
            limits->told_until_mono_ms = until_ms;
    } else if (status < 400) {
        limits->refusals_in_a_row = 0;
    }
    return is_refused || is_told;
}

bool learnt_limits_are_known(const struct learnt_limits *limits, int64_t now_mono_ms)
{
    if (limits->told_until_mono_ms > now_mono_ms || limits->refusals_in_a_row > 0)
        return true;
    for (size_t i = 0; i < LEARNT_WINDOWS_MAX; i++)
        if (limits->windows[i].name != 0)
            return true;
    return false;
}

bool learnt_limits_are_idle(const struct learnt_limits *limits, int64_t now_mono_ms)
{
    if (limits->under_way > 0 || limits->told_until_mono_ms > now_mono_ms)
        return false;
    for (size_t i = 0; i < LEARNT_WINDOWS_MAX; i++)
        if (limits->windows[i].name != 0 && limits->windows[i].reset_mono_ms > now_mono_ms)
            return false;
    return true;
}
