/* http2_guard.h — what one HTTP/2 client may cost us beyond its requests: the floods of frames that are
 * cheap to send and dear to obey (CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316, CVE-2025-8671).
 * Pure.
 *
 * Each deed has a bucket of tokens that fills with time; a client that empties one has its connection
 * closed with ENHANCE_YOUR_CALM. Zeroed is a full bucket of each. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http2_deed {
    /* A stream ended before its answer was whole: by the client, or by us for what the client sent on it.
     */
    HTTP2_DEED_RESET,
    /* A frame that asks for nothing: PING, SETTINGS, PRIORITY, a DATA frame without data, a WINDOW_UPDATE
     * that no data called for, a reset of what was over. */
    HTTP2_DEED_CHATTER,
    HTTP2_DEED_COUNT
};

enum {
    HTTP2_RESETS_AT_ONCE = 200,
    HTTP2_RESETS_PER_SECOND = 20,
    HTTP2_CHATTER_AT_ONCE = 2000,
    HTTP2_CHATTER_PER_SECOND = 200,
};

struct http2_guard {
    int64_t full_at_us[HTTP2_DEED_COUNT]; /* when the bucket will be full again */
    uint64_t updates_due;                 /* WINDOW_UPDATEs that data has called for */
    uint64_t update_bytes;                /* of data that has not added up to one yet */
};

/* Takes a token. False if there was none left. */
bool http2_guard_take(struct http2_guard *guard, enum http2_deed deed, int64_t now_mono_ms);

/* So many bytes of answers went out, for which the client may open its windows; a request counts as some.
 */
void http2_guard_note_sent(struct http2_guard *guard, size_t bytes);

/* A WINDOW_UPDATE has come. False if it was one too many. */
bool http2_guard_take_update(struct http2_guard *guard, int64_t now_mono_ms);
