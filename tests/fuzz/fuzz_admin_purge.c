/* links: nuthatch-server nuthatch-gateway nuthatch-message nuthatch-base */
/* Any bytes as a request for purges: no crash, what is refused is refused with words, and what is taken is
 * one kind of purge with texts that lie in the request's own copy. The same bytes also name a response's
 * tags. */
#include "engine/gateway/policy/cache_tags.h"
#include "server/admin_purge.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_purges(struct bytes json)
{
    struct admin_purges purges;
    struct buffer why = {0};
    bool is_good = admin_purges_read(&purges, json, &why);

    check(is_good == (why.size == 0));
    check(purges.count <= ADMIN_PURGES_MAX && (!is_good || purges.count > 0));
    for (size_t i = 0; is_good && i < purges.count; i++) {
        const struct purge_order *order = &purges.orders[i];
        check(order->kind == purges.orders[0].kind && order->is_soft == purges.orders[0].is_soft);
        check((order->text.size == 0) == (order->kind == PURGE_ALL));
    }
    admin_purges_fini(&purges);
    buffer_fini(&why);
}

static void count_tag(void *context, struct bytes tag)
{
    check(bytes_start_with(tag, BYTES("http://a\n")));
    ++*(size_t *)context;
}

static void check_tags(struct bytes value)
{
    struct http_field list[] = {
        {HTTP_HEADER_SURROGATE_KEY, BYTES("Surrogate-Key"), value},
        {HTTP_HEADER_CACHE_TAG, BYTES("Cache-Tag"), value},
        {HTTP_HEADER_XKEY, BYTES("xkey"), value},
        {HTTP_HEADER_CACHE_GROUPS, BYTES("Cache-Groups"), value},
        {HTTP_HEADER_CACHE_GROUP_INVALIDATION, BYTES("Cache-Group-Invalidation"), value}};
    struct http_fields fields = {list, sizeof list / sizeof list[0]};
    struct cache_tags tags = {0};
    nh_bytes names[NH_TAGS_MAX];
    size_t count, group_count = 0;

    cache_tags_read(&tags, &fields, BYTES("http://a"));
    count = cache_tags_list(&tags, names);
    check(count <= NH_TAGS_MAX && (!tags.are_too_many || count == NH_TAGS_MAX));
    for (size_t i = 0; i < count; i++)
        check(names[i].size > 0);
    cache_groups_invalidated(&fields, BYTES("http://a"), count_tag, &group_count);
    check(tags.are_too_many || group_count == 0 || count > 0);
    cache_tags_fini(&tags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_purges(bytes_of(data, size));
    check_tags(bytes_of(data, size));
    return 0;
}
