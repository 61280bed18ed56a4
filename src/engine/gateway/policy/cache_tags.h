/* cache_tags.h — the names that a response can be purged by, from its fields. Pure.
 *
 *   Surrogate-Key: a b        words between blanks
 *   Cache-Tag: a, b c         names between commas
 *   xkey: a b, c              words between blanks or commas
 *   Cache-Groups: "a", "b"    RFC 9875: a list of strings, which mean something within one origin only
 *
 * The first three are for caches: they are kept with the response, and not sent to clients. What they name
 * is a tag of the store, whoever else uses that: NH.PURGE TAG reaches them as well. A group is a tag that
 * has its origin in front. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"
#include "nuthatch.h"

struct cache_tags {
    struct buffer text; /* all names, one behind the other */
    uint32_t ends[NH_TAGS_MAX];
    uint32_t count;
    bool are_too_many; /* more than a value can carry: it could not be purged by those left out */
};

/* Adds what `fields` name; `origin` is "http://host:port" of the one that sent them. A Cache-Groups that is
 * no list of strings is ignored. `text.failed` if there is no memory. */
void cache_tags_read(struct cache_tags *tags, const struct http_fields *fields, struct bytes origin);
/* Adds one of ours. */
void cache_tags_add(struct cache_tags *tags, struct bytes tag);
void cache_tags_fini(struct cache_tags *tags);

/* Writes them as the store wants them; they point into `tags`. Returns how many. */
size_t cache_tags_list(const struct cache_tags *tags, nh_bytes list[NH_TAGS_MAX]);

/* Appends the tag of a group. */
void cache_group_tag(struct buffer *tag, struct bytes origin, struct bytes group);

/* Calls `drop` with the tag of each group that Cache-Group-Invalidation names (RFC 9875 §3); that is for
 * the answers to unsafe methods only. */
void cache_groups_invalidated(const struct http_fields *fields, struct bytes origin,
                              void (*drop)(void *context, struct bytes tag), void *context);

/* Of "http://host:port/base": what is before the path. */
struct bytes origin_of_url(struct bytes url);

/* True for the fields that no client gets to see. */
bool is_for_caches(enum http_header header);
