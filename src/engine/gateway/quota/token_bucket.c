#include "token_bucket.h"

enum { SLACK_PARTS = 20, SLACK_MS_MAX = 1000 };
#define TIME_US_MAX (INT64_C(1) << 60) /* so that sums of two do not overflow */

void token_bucket_init(struct token_bucket *bucket, const struct rate_spec *spec, int64_t burst)
{
    int64_t slack_us = spec->period_ms * 1000 / SLACK_PARTS;
    int64_t period_us, left;

    if (slack_us > SLACK_MS_MAX * INT64_C(1000))
        slack_us = SLACK_MS_MAX * INT64_C(1000);
    if (burst == 0)
        burst = spec->count / 2;
    burst = burst < 1 ? 1 : burst > spec->count ? spec->count : burst;
    /* Of a period that begins with a full bucket the request number burst + left would be the first of the
     * next one. */
    period_us = spec->period_ms * 1000 + slack_us;
    left = spec->count + 1 - burst;
    *bucket = (struct token_bucket){.interval_us = (period_us + left - 1) / left};
    bucket->burst = burst < TIME_US_MAX / bucket->interval_us ? burst : TIME_US_MAX / bucket->interval_us;
}

/* How long ago it was full would have been, had it no brim. */
static int64_t lacking_us(const struct token_bucket *bucket, int64_t now_mono_ms)
{
    int64_t lacking = bucket->full_us - now_mono_ms * 1000;
    return lacking > 0 ? lacking : 0;
}

int64_t token_bucket_count(const struct token_bucket *bucket, int64_t now_mono_ms)
{
    int64_t lacking = lacking_us(bucket, now_mono_ms);
    int64_t count = bucket->burst - (lacking + bucket->interval_us - 1) / bucket->interval_us;

    return count > 0 ? count : 0;
}

int64_t token_bucket_due_ms(const struct token_bucket *bucket, int64_t now_mono_ms, int64_t count)
{
    int64_t full_us = now_mono_ms * 1000 + lacking_us(bucket, now_mono_ms);
    int64_t due_us = full_us - (bucket->burst - count) * bucket->interval_us;

    return due_us <= now_mono_ms * 1000 ? now_mono_ms : (due_us + 999) / 1000;
}

void token_bucket_take(struct token_bucket *bucket, int64_t now_mono_ms)
{
    bucket->full_us = now_mono_ms * 1000 + lacking_us(bucket, now_mono_ms) + bucket->interval_us;
}

void token_bucket_give(struct token_bucket *bucket, int64_t now_mono_ms)
{
    bucket->full_us = now_mono_ms * 1000 + lacking_us(bucket, now_mono_ms) - bucket->interval_us;
}

int64_t token_bucket_need(const struct token_bucket *bucket, enum quota_class class)
{
    return quota_need(class, bucket->burst);
}
