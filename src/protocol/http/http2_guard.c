#include "protocol/http/http2_guard.h"

enum { BYTES_PER_UPDATE = 512 };

static const struct {
    int64_t at_once, each_us;
} rates[HTTP2_DEED_COUNT] = {
    [HTTP2_DEED_RESET] = {HTTP2_RESETS_AT_ONCE, 1000000 / HTTP2_RESETS_PER_SECOND},
    [HTTP2_DEED_CHATTER] = {HTTP2_CHATTER_AT_ONCE, 1000000 / HTTP2_CHATTER_PER_SECOND},
};

bool http2_guard_take(struct http2_guard *guard, enum http2_deed deed, int64_t now_mono_ms)
{
    int64_t now_us = now_mono_ms * 1000;
    int64_t *full_at_us = &guard->full_at_us[deed];

    if (*full_at_us < now_us)
        *full_at_us = now_us;
    if (*full_at_us - now_us > (rates[deed].at_once - 1) * rates[deed].each_us)
        return false;
    *full_at_us += rates[deed].each_us;
    return true;
}

void http2_guard_note_sent(struct http2_guard *guard, size_t bytes)
{
    guard->update_bytes += bytes;
    guard->updates_due += guard->update_bytes / BYTES_PER_UPDATE;
    guard->update_bytes %= BYTES_PER_UPDATE;
}

bool http2_guard_take_update(struct http2_guard *guard, int64_t now_mono_ms)
{
    if (guard->updates_due == 0)
        return http2_guard_take(guard, HTTP2_DEED_CHATTER, now_mono_ms);
    guard->updates_due--;
    return true;
}
