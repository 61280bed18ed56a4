#include "store/entry.h"
#include <malloc.h>
#include <stdlib.h>

size_t entry_plan_bytes(const struct entry_plan *plan)
{
    size_t value_bytes = plan->value.size > plan->value_capacity ? plan->value.size : plan->value_capacity;
    return offsetof(struct entry, data) + (plan->has_soft ? sizeof(int64_t) : 0) +
           plan->tag_count * sizeof(uint64_t) + plan->key.size + value_bytes;
}

struct entry *entry_create(const struct entry_plan *plan)
{
    size_t size = entry_plan_bytes(plan);
    struct entry *entry = malloc(size > sizeof *entry ? size : sizeof *entry);
    char *end;

    if (entry == NULL)
        return NULL;
    *entry = (struct entry){
        .expires_at_ms = plan->expires_at_ms,
        .references = 1,
        .value_bytes = (uint32_t)plan->value.size,
        .space = plan->key.space,
        .flags = plan->flags,
        .key_bytes = (uint16_t)plan->key.size,
        .extras = (uint8_t)(plan->tag_count | (plan->has_soft ? ENTRY_SOFT : 0)),
        .shard = plan->shard,
    };
    end = entry->data;
    if (plan->has_soft) {
        entry_set_stale_at_ms(entry, plan->stale_at_ms);
        end += sizeof(int64_t);
    }
    if (plan->tag_count > 0)
        memcpy(end, plan->tag_marks, plan->tag_count * sizeof(uint64_t));
    end += plan->tag_count * sizeof(uint64_t);
    memcpy(end, plan->key.data, plan->key.size);
    end += plan->key.size;
    if (plan->value.size > 0)
        memcpy(end, plan->value.data, plan->value.size);
    return entry;
}

size_t entry_charge(const struct entry *entry)
{
    return malloc_usable_size((void *)entry) + sizeof(size_t); /* glibc keeps one word before a block */
}

bool entry_rewrite(struct entry *entry, struct bytes value)
{
    char *to = (char *)entry_value(entry);

    assert(entry->references == 1);
    if ((size_t)(to - (char *)entry) + value.size > malloc_usable_size(entry))
        return false;
    memcpy(to, value.data, value.size);
    entry->value_bytes = (uint32_t)value.size;
    return true;
}
