#include "concurrency.h"

enum {
    LONG_PARTS = 256, /* so many answers make the long mean, */
    SHORT_PARTS = 8,  /* and so many the short one */
    SLOWER_TIMES = 2,
    SLACK_US = 2000, /* which is no slowness */
    KEPT_PERCENT_IF_SLOW = 90,
    KEPT_PERCENT_IF_FAILED = 70,
};

void concurrency_init(struct concurrency *concurrency, int64_t least, int64_t most)
{
    if (least == 0 || least > most)
        least = most;
    /* From the middle it finds its way either way. */
    *concurrency = (struct concurrency){
        .least = least, .most = most, .limit_thousandths = (least + (most - least) / 2) * 1000};
}

int64_t concurrency_limit(const struct concurrency *concurrency)
{
    return concurrency->most == 0 ? INT64_MAX : concurrency->limit_thousandths / 1000;
}

bool concurrency_has_room(struct concurrency *concurrency, int64_t more)
{
    int64_t limit = concurrency_limit(concurrency);

    if (more <= limit && concurrency->under_way <= limit - more)
        return true;
    concurrency->was_short = true;
    return false;
}

void concurrency_enter(struct concurrency *concurrency) { concurrency->under_way++; }
void concurrency_leave(struct concurrency *concurrency) { concurrency->under_way--; }

static void set(struct concurrency *concurrency, int64_t thousandths)
{
    int64_t least = concurrency->least * 1000, most = concurrency->most * 1000;

    concurrency->limit_thousandths = thousandths < least ? least : thousandths > most ? most : thousandths;
}

/* At most once in the time that an answer takes: what was sent before is no news. */
static void shrink(struct concurrency *concurrency, int64_t now_mono_ms, int64_t kept_percent)
{
    int64_t round_ms = concurrency->short_us / 1000 + 1;

    if (concurrency->shrunk_mono_ms != 0 && now_mono_ms - concurrency->shrunk_mono_ms < round_ms)
        return;
    concurrency->shrunk_mono_ms = now_mono_ms;
    set(concurrency, concurrency->limit_thousandths * kept_percent / 100);
}

static void blend(int64_t *mean, int64_t value, int64_t parts)
{
    *mean = *mean == 0 ? value : *mean + (value - *mean) / parts;
}

void concurrency_note(struct concurrency *concurrency, int64_t now_mono_ms, int64_t took_ms)
{
    int64_t took_us = took_ms > 0 ? took_ms * 1000 : 1000;

    if (concurrency->least == concurrency->most)
        return;
    blend(&concurrency->short_us, took_us, SHORT_PARTS);
    blend(&concurrency->long_us, took_us, LONG_PARTS);
    if (concurrency->long_us > concurrency->short_us) /* it has got faster: soon that is what is usual */
        blend(&concurrency->long_us, concurrency->short_us, SHORT_PARTS);
    if (concurrency->short_us > concurrency->long_us * SLOWER_TIMES + SLACK_US) {
        shrink(concurrency, now_mono_ms, KEPT_PERCENT_IF_SLOW);
    } else if (concurrency->was_short) {
        concurrency->was_short = false;
        set(concurrency, concurrency->limit_thousandths + 1000000 / concurrency->limit_thousandths);
    }
}

void concurrency_note_failure(struct concurrency *concurrency, int64_t now_mono_ms)
{
    if (concurrency->least != concurrency->most)
        shrink(concurrency, now_mono_ms, KEPT_PERCENT_IF_FAILED);
}
