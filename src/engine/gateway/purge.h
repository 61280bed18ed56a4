/* purge.h — taking things out of the cache before their time: one URL with all its variants, all below a
 * prefix, all that carry a tag, everything.
 *
 * Hard: it is gone. Soft: it is stale, so that it is validated before its next use, or serves meanwhile
 * where stale-while-revalidate or stale-if-error allow that. What is being fetched when the purge comes is
 * neither stored nor given to whoever asks later. A purge has happened when the call returns, on all
 * workers. At other nodes, with a shared tier, it happens once that has it: purge_wait.h.
 *
 * By URL and tag that costs the same however much is stored; by prefix it adds a rule that look-ups ask
 * until gateway_sweep has been through the store (purge_rules.h). */
#pragma once
#include "base/buffer.h"
#include "gateway.h"

enum purge_kind {
    PURGE_URL,    /* of a GET as a client asks it: "/path?query", or "http://host/path?query" where routes
                   * go by host */
    PURGE_PREFIX, /* of URLs as they are sent to the origin: "/path" of any, or "https://host/path" */
    PURGE_TAG,    /* a word of Surrogate-Key, Cache-Tag or xkey */
    PURGE_ALL,
};

struct purge_order {
    enum purge_kind kind;
    bool is_soft;
    struct bytes text;
};

/* Any number, one after the other. On the worker's thread. OK; ERR_SYNTAX: no URL, or no prefix;
 * ERR_MISSING: no route takes the URL; ERR_RANGE: too many purges by prefix wait to be swept, try again in
 * a second; ERR_NO_MEMORY. */
enum err gateway_purge(struct gateway_worker *worker, int64_t now_mono_ms, const struct purge_order *order);

/* PURGE_URL for what a GET with the URL and the fields of `request` would be answered with. */
enum err gateway_purge_target(struct gateway_worker *worker, int64_t now_mono_ms,
                              const struct http_request *request, bool is_soft);

/* What is said of them, as JSON and a line's end: {"purged":2,"soft":false}, and without a tier no more;
 * `is_told` false adds "told":false: so far it has happened at this node alone. */
void purge_report(struct buffer *json, size_t count, bool is_soft, bool is_told);

/* Makes the entry of that very key stale. */
void entry_make_stale(struct gateway *gateway, int64_t now_mono_ms, struct bytes key);

/* Everything is gone, also what is being fetched: for who has no room for a rule that would say less. */
void gateway_drop_all(struct gateway *gateway);

/* Carries out purges by prefix, looking at about `budget_count` entries. By one thread at a time. */
void gateway_sweep(struct gateway *gateway, int64_t now_mono_ms, size_t budget_count);
/* The same to the end. */
void gateway_sweep_all(struct gateway *gateway, int64_t now_mono_ms);
