/* admin_purge.h — what a request for purges asks, read from its JSON. Pure. */
#pragma once
#include "base/buffer.h"
#include "engine/gateway/purge.h"

/* What one request may ask. */
enum { ADMIN_PURGES_MAX = 256, ADMIN_PURGE_BODY_BYTES_MAX = 64 * 1024 };

struct admin_purges {
    struct purge_order *orders; /* `count` of them; their texts are in `text` */
    size_t count;
    struct buffer text;
};

/* Reads {"url"|"prefix"|"tag": TEXT or [TEXT, …]} or {"all": true}, each with "soft": BOOLEAN if wanted.
 * False with a sentence on what is wrong, without a newline, appended to `why`. fini is due in any case. */
bool admin_purges_read(struct admin_purges *purges, struct bytes json, struct buffer *why);
void admin_purges_fini(struct admin_purges *purges);
