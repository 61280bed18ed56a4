#include "purge_watch.h"
#include "page_set.h"

void purge_watch_begin(struct purge_watch *watch, struct gateway *gateway)
{
    watch->birth = purge_rules_birth(&gateway->purge_rules);
    watch->purge_number = nh_purge_number(gateway->store);
}

void purge_watch_fini(struct purge_watch *watch) { cache_tags_fini(&watch->tags); }

void purge_watch_read(struct purge_watch *watch, const struct http_fields *fields, struct bytes origin)
{
    cache_tags_fini(&watch->tags);
    cache_tags_read(&watch->tags, fields, origin);
}

void purge_watch_add_page_set(struct purge_watch *watch, uint32_t page_set)
{
    char tag[PAGE_SET_TAG_BYTES];

    if (page_set != 0)
        cache_tags_add(&watch->tags, page_set_tag(page_set, tag));
}

bool purge_watch_has_tags(const struct purge_watch *watch)
{
    return !watch->tags.are_too_many && !watch->tags.text.failed;
}

bool purge_watch_forbids(const struct purge_watch *watch, struct gateway *gateway, struct bytes key)
{
    nh_bytes list[NH_TAGS_MAX];
    size_t count = cache_tags_list(&watch->tags, list);

    return !purge_watch_has_tags(watch) || !purge_rules_permit(&gateway->purge_rules, watch->birth, key) ||
           nh_check_tags(gateway->store, list, count, watch->purge_number) != NH_OK;
}

bool purge_watch_put(const struct purge_watch *watch, struct gateway *gateway, int64_t now_mono_ms,
                     struct bytes key, struct bytes value, int64_t ttl_ms)
{
    nh_bytes list[NH_TAGS_MAX];
    nh_put_options options = {.size = sizeof options,
                              .ttl_ms = ttl_ms,
                              .tags = list,
                              .tag_count = cache_tags_list(&watch->tags, list),
                              .as_of_purge = watch->purge_number};

    return !purge_watch_forbids(watch, gateway, key) &&
           nh_put(gateway->store, now_mono_ms, gateway_key(gateway, key),
                  (nh_bytes){value.data, value.size}, &options, NULL) == NH_OK;
}
