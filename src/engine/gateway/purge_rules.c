#include "purge_rules.h"
#include "engine/gateway/policy/cache_tags.h"
#include <stdlib.h>
#include <string.h>

void purge_rules_init(struct purge_rules *rules)
{
    pthread_rwlock_init(&rules->lock, NULL);
    rules->count = rules->retired_count = 0;
    rules->forgotten = 0;
    atomic_init(&rules->number, 0);
    atomic_init(&rules->newest, 0);
    atomic_init(&rules->retired, 0);
}

void purge_rules_fini(struct purge_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->list[i].prefix);
    for (size_t i = 0; i < rules->retired_count; i++)
        free(rules->retired_list[i].prefix);
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

void purge_rules_forget(struct purge_rules *rules)
{
    uint64_t number;

    pthread_rwlock_wrlock(&rules->lock);
    number = purge_rules_moment(rules);
    rules->forgotten = number;
    atomic_store_explicit(&rules->retired, number, memory_order_release);
    pthread_rwlock_unlock(&rules->lock);
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

bool purge_prefix_matches(struct bytes prefix, struct bytes key)
{
    struct bytes url = url_of(key);
    bool is_path = prefix.size > 0 && prefix.data[0] == '/';

    return bytes_start_with(is_path ? bytes_after(url, origin_of_url(url).size) : url, prefix);
}

static bool matches(const struct purge_rule *rule, struct bytes key)
{
    return purge_prefix_matches(bytes_of(rule->prefix, rule->size), key);
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

static bool any_matches(const struct purge_rule *list, size_t count, uint64_t birth, struct bytes key)
{
    for (size_t i = count; i-- > 0 && list[i].number > birth;)
        if (matches(&list[i], key))
            return true;
    return false;
}

bool purge_rules_permit(struct purge_rules *rules, uint64_t birth, struct bytes key)
{
    bool is_permitted;

    /* In this order: a rule that is no longer in the list is among the retired ones. */
    if (birth >= atomic_load_explicit(&rules->newest, memory_order_acquire) &&
        birth >= atomic_load_explicit(&rules->retired, memory_order_acquire))
        return true;
    pthread_rwlock_rdlock(&rules->lock);
    is_permitted = birth >= rules->forgotten && !any_matches(rules->list, rules->count, birth, key) &&
                   !any_matches(rules->retired_list, rules->retired_count, birth, key);
    pthread_rwlock_unlock(&rules->lock);
    return is_permitted;
}

/* Takes the first `count` rules out of a list of `*total`. */
static void shift(struct purge_rule *list, size_t *total, size_t count)
{
    *total -= count;
    memmove(list, list + count, *total * sizeof *list);
}

/* Remembers a rule in place of those that touch nothing else: it is younger, so that all they touch was
 * begun before it. That one prefix is purged again and again fills no list. Under the lock. */
static void remember(struct purge_rules *rules, struct purge_rule rule)
{
    size_t kept = 0;

    for (size_t i = 0; i < rules->retired_count; i++) {
        struct purge_rule *old = &rules->retired_list[i];
        if (bytes_start_with(bytes_of(old->prefix, old->size), bytes_of(rule.prefix, rule.size)))
            free(old->prefix);
        else
            rules->retired_list[kept++] = *old;
    }
    rules->retired_count = kept;
    if (rules->retired_count == PURGE_RULES_MAX) {
        if (rules->retired_list[0].number > rules->forgotten)
            rules->forgotten = rules->retired_list[0].number;
        free(rules->retired_list[0].prefix);
        shift(rules->retired_list, &rules->retired_count, 1);
    }
    rules->retired_list[rules->retired_count++] = rule;
}

void purge_rules_retire(struct purge_rules *rules, uint64_t number)
{
    size_t gone = 0;

    pthread_rwlock_wrlock(&rules->lock);
    while (gone < rules->count && rules->list[gone].number <= number)
        remember(rules, rules->list[gone++]);
    shift(rules->list, &rules->count, gone);
    /* Before the list is seen without them: see purge_rules_permit. */
    if (gone > 0 && number > atomic_load_explicit(&rules->retired, memory_order_relaxed))
        atomic_store_explicit(&rules->retired, number, memory_order_release);
    if (rules->count == 0)
        atomic_store_explicit(&rules->newest, 0, memory_order_release);
    pthread_rwlock_unlock(&rules->lock);
}
