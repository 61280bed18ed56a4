#include "page_set.h"
#include "base/hash.h"
#include "entry_watch.h"
#include "fleet.h"
#include <stdio.h>

uint32_t page_set_of(struct bytes primary_key)
{
    uint32_t set = (uint32_t)hash_bytes(primary_key, 0);

    return set != 0 ? set : 1;
}

struct bytes page_set_tag(uint32_t set, char text[PAGE_SET_TAG_BYTES])
{
    int size =
        snprintf(text, PAGE_SET_TAG_BYTES, "page set\n%08x", set); /* no field has a line's end in it */

    return bytes_of(text, (size_t)size);
}

void page_set_begin(struct gateway *gateway)
{
    if (!atomic_load_explicit(&gateway->has_page_sets, memory_order_relaxed))
        atomic_store(&gateway->has_page_sets, true);
}

void page_set_drop(struct gateway *gateway, struct bytes primary_key, bool is_soft, bool tells_fleet)
{
    char text[PAGE_SET_TAG_BYTES];
    struct bytes tag;

    if (!atomic_load(&gateway->has_page_sets))
        return;
    tag = page_set_tag(page_set_of(primary_key), text);
    nh_purge_tag(gateway->store, (nh_bytes){tag.data, tag.size}, is_soft ? NH_PURGE_SOFT : NH_PURGE_DROP);
    if (tells_fleet)
        fleet_tell_rule(gateway, FLEET_TAG, tag, is_soft);
    entries_changed(gateway);
}
