/* upstream.h — an API that the gateway stands in front of. */
#pragma once
#include "base/buffer.h"
#include "client/origin.h"

struct upstream {
    struct buffer base_url;       /* without a slash at its end */
    struct bytes authority;       /* part of it */
    struct origin_options origin; /* but the loop */
};

/* `url` is "http://host:port" or "https://host[/base]"; copied. ERR_SYNTAX if it is not; ERR_NO_MEMORY. */
enum err upstream_init(struct upstream *upstream, struct bytes url, const struct origin_options *origin);
void upstream_fini(struct upstream *upstream);
