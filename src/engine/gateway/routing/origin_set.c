#include "origin_set.h"
#include "base/compiler.h"
#include "base/number.h"
#include "engine/gateway/policy/cache_key.h"
#include "message/plain_target.h"
#include <stdlib.h>

/* ---- the origins --------------------------------------------------------------------------------- */

/* Splits "http://authority/base"; the base is given without slashes at its end. */
static bool parse_origin_url(struct bytes url, struct bytes *base, struct bytes *authority)
{
    static const struct bytes schemes[] = {BYTES_INIT("http://"), BYTES_INIT("https://")};
    struct bytes rest = {0};
    const char *slash;

    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (url.size > schemes[i].size && bytes_equal_nocase(bytes_first(url, schemes[i].size), schemes[i]))
            rest = bytes_after(url, schemes[i].size);
    if (rest.size == 0)
        return false;
    while (rest.data[rest.size - 1] == '/') {
        rest.size--;
        url.size--;
        if (rest.size == 0)
            return false;
    }
    slash = memchr(rest.data, '/', rest.size);
    *authority = slash == NULL ? rest : bytes_first(rest, (size_t)(slash - rest.data));
    *base = url;
    for (size_t i = 0; i < authority->size; i++)
        if (authority->data[i] == '@' || authority->data[i] == '?' || authority->data[i] == '\\')
            return false;
    return authority->size > 0 && authority->data[0] != ':' &&
           target_is_plain(bytes_after(rest, authority->size), *authority);
}

/* "URL" or "URL weight=N". */
static enum err place_init(struct origin_place *origin, struct bytes text)
{
    static const struct bytes weight_key = BYTES_INIT("weight=");
    const char *space = text.size > 0 ? memchr(text.data, ' ', text.size) : NULL;
    struct bytes url = space != NULL ? bytes_first(text, (size_t)(space - text.data)) : text, base,
                 authority;
    uint64_t weight = 1;

    *origin = (struct origin_place){0};
    if (space != NULL) {
        struct bytes rest = bytes_trim(bytes_after(text, url.size));
        if (!bytes_start_with(rest, weight_key) ||
            !digits_parse(bytes_after(rest, weight_key.size), ORIGIN_WEIGHT_MAX, &weight) || weight == 0)
            return ERR_SYNTAX;
    }
    if (!parse_origin_url(url, &base, &authority) || base.size > CACHE_KEY_PRIMARY_MAX / 2)
        return ERR_SYNTAX;
    buffer_append(&origin->base_url, base);
    if (origin->base_url.failed)
        return ERR_NO_MEMORY;
    origin->authority = bytes_of(origin->base_url.data + (authority.data - base.data), authority.size);
    origin->weight = (uint32_t)weight;
    return OK;
}

static struct bytes next_line(struct bytes *text)
{
    const char *end = text->size > 0 ? memchr(text->data, '\n', text->size) : NULL;
    struct bytes line = end != NULL ? bytes_first(*text, (size_t)(end - text->data)) : *text;

    *text = bytes_after(*text, line.size + (end != NULL));
    return line;
}

enum err origin_set_init(struct origin_set *set, struct bytes text, const struct health_policy *policy,
                         struct log *log)
{
    size_t count = 1;
    enum err err = OK;

    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '\n';
    if (count > ORIGINS_MAX)
        return ERR_SYNTAX;
    *set = (struct origin_set){.policy = *policy, .log = log};
    if (count == 1)
        set->policy.failures_max = 0; /* the only one is asked in any case */
    set->places = calloc(count, sizeof *set->places);
    if (set->places == NULL)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&set->lock, NULL);
    while (err == OK && set->count < count)
        err = place_init(&set->places[set->count++], next_line(&text));
    if (err != OK)
        origin_set_fini(set);
    return err;
}

void origin_set_fini(struct origin_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        buffer_fini(&set->places[i].base_url);
    free(set->places);
    set->places = NULL;
    pthread_mutex_destroy(&set->lock);
}

/* ---- which one ----------------------------------------------------------------------------------- */

/* Under the lock. */
static void tell(struct origin_set *set, const struct origin_place *origin, enum health_change change,
                 const char *failure)
{
    switch (change) {
    case HEALTH_SAME: return;
    case HEALTH_WENT_OUT:
        log_write(set->log, LOG_WARNING, "origin %.*s is left out: %s", BYTES_PRINTF(origin->authority),
                  failure);
        return;
    case HEALTH_CAME_BACK:
        log_write(set->log, LOG_INFO, "origin %.*s is asked again", BYTES_PRINTF(origin->authority));
        return;
    }
    UNREACHABLE();
}

/* Under the lock. Whether `a` has fewer requests for its share than `b`: 1, as many: 0, more: -1. */
static int is_freer(uint64_t a_under_way, uint64_t a_share, uint64_t b_under_way, uint64_t b_share)
{
    uint64_t a = a_under_way * b_share, b = b_under_way * a_share;
    return a < b ? 1 : a == b ? 0 : -1;
}

/* Under the lock. The freest origin among `candidates`, a bit for each; they take turns where several are.
 */
static size_t choose_among(struct origin_set *set, int64_t now_mono_ms, uint64_t candidates)
{
    uint32_t shares[ORIGINS_MAX];
    uint64_t freest = 0;
    size_t first = 0, chosen;
    int64_t total = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct origin_place *origin = &set->places[i];
        int order;
        if ((candidates >> i & 1) == 0)
            continue;
        shares[i] = health_share(&origin->health, &set->policy, now_mono_ms, origin->weight);
        order = freest == 0
                    ? 1
                    : is_freer(origin->under_way, shares[i], set->places[first].under_way, shares[first]);
        if (order > 0) {
            freest = 0;
            first = i;
        }
        if (order >= 0)
            freest |= UINT64_C(1) << i;
    }
    /* Smooth weighted turns: each gains its share, the one with the most pays for all. */
    chosen = first;
    for (size_t i = 0; i < set->count; i++) {
        if ((freest >> i & 1) == 0)
            continue;
        set->places[i].turn += shares[i];
        total += shares[i];
        if (set->places[i].turn > set->places[chosen].turn)
            chosen = i;
    }
    set->places[chosen].turn -= total;
    return chosen;
}

size_t origin_set_choose(struct origin_set *set, int64_t now_mono_ms, uint64_t tried)
{
    uint64_t all = UINT64_MAX >> (ORIGINS_MAX - set->count), sound = 0, candidates;
    size_t chosen;

    pthread_mutex_lock(&set->lock);
    for (size_t i = 0; i < set->count; i++) {
        struct origin_place *origin = &set->places[i];
        tell(set, origin, health_tick(&origin->health, now_mono_ms), NULL);
        if (!origin->health.is_out)
            sound |= UINT64_C(1) << i;
    }
    if (sound == 0 && !set->are_all_out)
        log_write(set->log, LOG_ERROR,
                  "no origin is left, of %.*s and %zu more: all are asked nevertheless",
                  BYTES_PRINTF(set->places[0].authority), set->count - 1);
    set->are_all_out = sound == 0;
    if (tried == 0)
        retry_budget_note(&set->budget, now_mono_ms);
    candidates = sound != 0 ? sound : all;
    if ((candidates & ~tried) != 0)
        candidates &= ~tried;
    chosen = choose_among(set, now_mono_ms, candidates);
    set->places[chosen].under_way++;
    pthread_mutex_unlock(&set->lock);
    return chosen;
}

void origin_set_release(struct origin_set *set, size_t index)
{
    pthread_mutex_lock(&set->lock);
    set->places[index].under_way--;
    pthread_mutex_unlock(&set->lock);
}

/* ---- what came of it ----------------------------------------------------------------------------- */

bool origin_set_note(struct origin_set *set, size_t index, int64_t now_mono_ms, const char *failure)
{
    struct origin_place *origin = &set->places[index];
    enum health_change change;

    pthread_mutex_lock(&set->lock);
    change = health_note(&origin->health, &set->policy, now_mono_ms, failure == NULL);
    tell(set, origin, change, failure);
    pthread_mutex_unlock(&set->lock);
    return change == HEALTH_WENT_OUT;
}

bool origin_set_note_check(struct origin_set *set, size_t index, int64_t now_mono_ms, const char *failure)
{
    struct origin_place *origin = &set->places[index];
    enum health_change change;

    pthread_mutex_lock(&set->lock);
    change = health_note_check(&origin->health, &set->policy, now_mono_ms, failure == NULL);
    tell(set, origin, change, failure);
    pthread_mutex_unlock(&set->lock);
    return change == HEALTH_WENT_OUT;
}

bool origin_set_has_hope(struct origin_set *set)
{
    bool has_hope = false;

    pthread_mutex_lock(&set->lock);
    for (size_t i = 0; i < set->count; i++)
        has_hope |= !set->places[i].health.is_out;
    pthread_mutex_unlock(&set->lock);
    return has_hope && set->count > 1;
}

bool origin_set_may_retry(struct origin_set *set, int64_t now_mono_ms)
{
    bool may;

    pthread_mutex_lock(&set->lock);
    may = retry_budget_take(&set->budget, now_mono_ms);
    pthread_mutex_unlock(&set->lock);
    return may;
}
