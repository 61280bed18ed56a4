#include "purge_rules.h"
#include "engine/gateway/policy/cache_tags.h"
#include <stdlib.h>
#include <string.h>

void purge_rules_init(struct purge_rules *rules)
{
    pthread_rwlock_init(&rules->lock, NULL);
    rules->count = 0;
    atomic_init(&rules->number, 0);
    atomic_init(&rules->newest, 0);
    atomic_init(&rules->retired, 0);
}

void purge_rules_fini(struct purge_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->list[i].prefix);
    pthread_rwlock_destroy(&rules->lock);
}

enum err purge_rules_add(struct purge_rules *rules, struct bytes prefix, bool is_soft)
{
    struct purge_rule rule = {.is_soft = is_soft, .size = prefix.size, .prefix = malloc(prefix.size + 1)};
    enum err err = OK;

    if (rule.prefix == NULL)
        return ERR_NO_MEMORY;
    if (prefix.size > 0)
        memcpy(rule.prefix, prefix.data, prefix.size);
    pthread_rwlock_wrlock(&rules->lock);
    if (rules->count == PURGE_RULES_MAX) {
        err = ERR_RANGE;
    } else {
        /* A fetch that reads the number from here on is younger than the rule. */
        rule.number = atomic_fetch_add_explicit(&rules->number, 1, memory_order_acq_rel) + 1;
        rules->list[rules->count++] = rule;
        atomic_store_explicit(&rules->newest, rule.number, memory_order_release);
    }
    pthread_rwlock_unlock(&rules->lock);
    if (err != OK)
        free(rule.prefix);
    return err;
}

/* A stored key's URL: without what a route puts before it, such as the client's Host, and a blank. */
static struct bytes url_of(struct bytes key)
{
    const char *start = key.size > 0 ? memmem(key.data, key.size, "://", 3) : NULL;

    if (start == NULL)
        return key;
    while (start > key.data && start[-1] != ' ')
        start--;
    return bytes_after(key, (size_t)(start - key.data));
}

static bool matches(const struct purge_rule *rule, struct bytes key)
{
    struct bytes prefix = bytes_of(rule->prefix, rule->size), url = url_of(key);
    bool is_path = prefix.size > 0 && prefix.data[0] == '/';

    return bytes_start_with(is_path ? bytes_after(url, origin_of_url(url).size) : url, prefix);
}

enum purged purge_rules_ask_list(struct purge_rules *rules, uint64_t birth, struct bytes key)
{
    enum purged purged = PURGED_NOT;

    pthread_rwlock_rdlock(&rules->lock);
    for (size_t i = rules->count; i-- > 0 && rules->list[i].number > birth && purged != PURGED;)
        if (matches(&rules->list[i], key))
            purged = rules->list[i].is_soft ? PURGED_SOFTLY : PURGED;
    pthread_rwlock_unlock(&rules->lock);
    return purged;
}

bool purge_rules_permit(struct purge_rules *rules, uint64_t birth, struct bytes key)
{
    /* In this order: a rule that is no longer in the list is among the retired ones. */
    return purge_rules_ask(rules, birth, key) == PURGED_NOT &&
           birth >= atomic_load_explicit(&rules->retired, memory_order_acquire);
}

void purge_rules_retire(struct purge_rules *rules, uint64_t number)
{
    size_t gone = 0;

    pthread_rwlock_wrlock(&rules->lock);
    while (gone < rules->count && rules->list[gone].number <= number)
        free(rules->list[gone++].prefix);
    rules->count -= gone;
    memmove(rules->list, rules->list + gone, rules->count * sizeof rules->list[0]);
    /* Before the list is seen without them: see purge_rules_permit. */
    if (gone > 0)
        atomic_store_explicit(&rules->retired, number, memory_order_release);
    if (rules->count == 0)
        atomic_store_explicit(&rules->newest, 0, memory_order_release);
    pthread_rwlock_unlock(&rules->lock);
}
