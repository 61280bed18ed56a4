#include "hedge.h"
#include "base/compiler.h"
#include "base/number.h"

/* So many are remembered at least before all are halved, so that what was long ago fades. */
enum { REMEMBERED = 2000 };

bool hedge_read(struct bytes text, int64_t *after_ms)
{
    static const struct {
        struct bytes name;
        int64_t ms;
    } units[] = {{BYTES_INIT("ms"), 1}, {BYTES_INIT("s"), 1000}};
    uint64_t number;

    if (bytes_equal(text, BYTES("no")) || bytes_equal(text, BYTES("p95"))) {
        *after_ms = text.data[0] == 'n' ? HEDGE_NEVER : HEDGE_P95;
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        struct bytes digits = text;
        if (text.size <= units[i].name.size ||
            !bytes_equal(bytes_after(text, text.size - units[i].name.size), units[i].name))
            continue;
        digits.size -= units[i].name.size;
        if (!digits_parse(digits, HEDGE_MS_MAX, &number) || number < 1 ||
            (int64_t)number * units[i].ms > HEDGE_MS_MAX)
            continue;
        *after_ms = (int64_t)number * units[i].ms;
        return true;
    }
    return false;
}

/* The longest time of a bucket: 1 to 8 ms each, then a fifth longer each, to beyond a minute. */
static int64_t bound_ms(size_t bucket)
{
    int64_t bound = 1;

    for (size_t i = 0; i < bucket; i++)
        bound += bound < 8 ? 1 : bound / 5 + (bound < 10 ? 1 : 0);
    return bound;
}

void hedge_note_request(struct hedge *hedge)
{
    if (hedge->request_count >= REMEMBERED) {
        hedge->request_count /= 2;
        hedge->hedge_count -= hedge->hedge_count / 2; /* rounded up: the share is kept to */
    }
    hedge->request_count++;
}

void hedge_note_time(struct hedge *hedge, int64_t took_ms)
{
    size_t bucket = 0;

    for (int64_t bound = 1; bucket + 1 < HEDGE_BUCKETS && took_ms > bound; bucket++)
        bound += bound < 8 ? 1 : bound / 5 + (bound < 10 ? 1 : 0);
    if (hedge->time_count >= REMEMBERED) {
        hedge->time_count = 0;
        for (size_t i = 0; i < HEDGE_BUCKETS; i++) {
            hedge->times[i] /= 2;
            hedge->time_count += hedge->times[i];
        }
    }
    hedge->times[bucket]++;
    hedge->time_count++;
}

int64_t hedge_wait_ms(const struct hedge *hedge, int64_t after_ms)
{
    uint64_t seen = 0;
    size_t bucket = 0;
    int64_t wait_ms;

    if (after_ms != HEDGE_P95)
        return after_ms;
    if (hedge->time_count < HEDGE_TIMES_LEAST)
        return -1;
    do
        seen += hedge->times[bucket++];
    while (bucket < HEDGE_BUCKETS && seen * 100 < (uint64_t)hedge->time_count * 95);
    wait_ms = bound_ms(bucket - 1);
    return wait_ms < HEDGE_MS_MAX ? wait_ms : HEDGE_MS_MAX;
}

bool hedge_may(const struct hedge *hedge, int64_t percent)
{
    return (hedge->hedge_count + 1) * INT64_C(100) <= hedge->request_count * percent;
}

void hedge_note_sent(struct hedge *hedge) { hedge->hedge_count++; }
