/* kv_rate.h — NH.RATE: what is asked, and what is answered, wherever the state is kept. */
#pragma once
#include "engine/kv/kv_call.h"

struct kv_rate {
    int64_t limit, cost;
    int64_t token_ns;  /* of a bucket: how long it takes to earn 1 */
    int64_t window_ms; /* of a window; 0: it is a bucket */
};

struct kv_rate_verdict {
    bool may_pass;
    int64_t remaining;
    int64_t retry_after_ms; /* 0: at once; -1: never, for the cost is above the limit */
    int64_t reset_ms;       /* until as much may pass as ever */
};

/* Reads the command into `rate`, zeroed. False if an error was said. */
bool kv_rate_read(const struct kv_call *call, struct kv_rate *rate);

void kv_rate_say(const struct kv_call *call, const struct kv_rate *rate,
                 const struct kv_rate_verdict *verdict);
