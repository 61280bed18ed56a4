#include "quota.h"
#include "base/compiler.h"
#include "rate_fields.h"
#include <stdlib.h>

/* For so long a request waits for the tier beyond its own time; the tier's deadline is earlier. */
enum { SHARE_WAIT_MS = 1000 };
#define CREDENTIAL_OTHERS UINT64_MAX

/* One who asks, by the credential that is shown to the upstream. */
struct quota_identity {
    uint64_t credential;
    size_t ticket_count;
    struct token_bucket buckets[RATE_SPECS_MAX];
    struct fleet_share share; /* in place of them, if is_shared */
    bool is_shared;
    struct learnt_limits learnt;
};

void quota_init(struct quota *quota, const struct quota_policy *policy)
{
    *quota = (struct quota){.policy = *policy};
    pthread_mutex_init(&quota->lock, NULL);
    list_init(&quota->waiting);
    concurrency_init(&quota->concurrency, policy->concurrency_least, policy->concurrency_most);
}

void quota_fini(struct quota *quota)
{
    for (size_t i = 0; i < QUOTA_SETS; i++)
        for (size_t j = 0; j < QUOTA_WAYS; j++)
            free(quota->identities[i][j]);
    free(quota->others);
    pthread_mutex_destroy(&quota->lock);
}

/* ---- who asks ------------------------------------------------------------------------------------ */

static void identity_init(struct quota_identity *identity, const struct quota_policy *policy,
                          uint64_t credential)
{
    *identity = (struct quota_identity){.credential = credential};
    for (size_t i = 0; i < policy->spec_count; i++)
        token_bucket_init(&identity->buckets[i], &policy->specs[i], policy->burst);
}

static struct share_limits limits_of(const struct quota *quota)
{
    return (struct share_limits){quota->policy.specs, quota->policy.spec_count, quota->policy.burst,
                                 quota->node_count};
}

/* Whether nothing would change if it were forgotten. */
static bool is_idle(const struct quota *quota, const struct quota_identity *identity, int64_t now_mono_ms)
{
    if (identity->ticket_count > 0 || !learnt_limits_are_idle(&identity->learnt, now_mono_ms) ||
        !share_is_idle(&identity->share, now_mono_ms))
        return false;
    for (size_t i = 0; i < quota->policy.spec_count; i++)
        if (token_bucket_count(&identity->buckets[i], now_mono_ms) < identity->buckets[i].burst)
            return false;
    return true;
}

/* Those that there is no place for share one, so that no crowd of made-up credentials makes room for more.
 * Null if there is no memory. */
static struct quota_identity *others_of(struct quota *quota)
{
    if (quota->others == NULL) {
        quota->others = malloc(sizeof *quota->others);
        if (quota->others != NULL)
            identity_init(quota->others, &quota->policy, CREDENTIAL_OTHERS);
    }
    return quota->others;
}

static struct quota_identity *identity_of(struct quota *quota, uint64_t credential, int64_t now_mono_ms)
{
    struct quota_identity **set = quota->identities[credential % QUOTA_SETS], **place = NULL;

    for (size_t i = 0; i < QUOTA_WAYS; i++) {
        if (set[i] != NULL && set[i]->credential == credential)
            return set[i];
        if (place == NULL && (set[i] == NULL || is_idle(quota, set[i], now_mono_ms)))
            place = &set[i];
    }
    if (place == NULL)
        return others_of(quota);
    if (*place == NULL)
        *place = malloc(sizeof **place);
    if (*place == NULL)
        return others_of(quota);
    identity_init(*place, &quota->policy, credential);
    return *place;
}

/* ---- who waits ----------------------------------------------------------------------------------- */

/* There may be room, and more left of the limits of `identity`: the first who waits for either is to ask
 * again, and if that goes, it is the next one's turn. */
static void wake_first(struct quota *quota, const struct quota_identity *identity)
{
    bool has_room = true, has_more = true;

    for (struct list *node = quota->waiting.next; node != &quota->waiting && (has_room || has_more);
         node = node->next) {
        struct quota_ticket *ticket = CONTAINER_OF(node, struct quota_ticket, in_waiting);
        bool *has = ticket->waits_for_room ? &has_room : &has_more;
        if (!*has || (!ticket->waits_for_room && ticket->identity != identity))
            continue;
        ticket->wake(ticket);
        *has = false;
    }
}

static void stop_waiting(struct quota_ticket *ticket)
{
    if (!ticket->is_waiting)
        return;
    list_remove(&ticket->in_waiting);
    ticket->is_waiting = false;
    ticket->quota->waiting_count--;
}

static void start_waiting(struct quota_ticket *ticket)
{
    if (ticket->is_waiting)
        return;
    list_append(&ticket->quota->waiting, &ticket->in_waiting);
    ticket->is_waiting = true;
    ticket->quota->waiting_count++;
}

struct ahead {
    int64_t for_room;
    int64_t of_credential;
};

static struct ahead ahead_of(const struct quota_ticket *ticket)
{
    const struct quota *quota = ticket->quota;
    struct ahead ahead = {0};

    for (const struct list *node = quota->waiting.next; node != &quota->waiting; node = node->next) {
        const struct quota_ticket *other = CONTAINER_OF((uintptr_t)node, struct quota_ticket, in_waiting);
        if (other == ticket)
            break;
        ahead.for_room += other->waits_for_room;
        ahead.of_credential += other->identity == ticket->identity;
    }
    return ahead;
}

/* ---- may it go ----------------------------------------------------------------------------------- */

/* What costs nothing unless something has changed need not leave others their share. */
static enum quota_class class_of(const struct quota_ticket *ticket)
{
    return ticket->quota->policy.has_free_304 && ticket->is_conditional ? QUOTA_INTERACTIVE : ticket->class;
}

/* Until when a client may be kept waiting; for what nobody waits for that is at once. */
static int64_t deadline_ms(const struct quota_ticket *ticket)
{
    bool is_patient = ticket->class == QUOTA_INTERACTIVE && !ticket->is_impatient;

    return ticket->asked_mono_ms + (is_patient ? ticket->quota->policy.wait_ms : 0);
}

/* As the fleet's share has it. The tier is asked when somebody's time has come, however late that is. */
static int64_t share_due_ms(const struct quota_ticket *ticket, int64_t now_mono_ms, int64_t ahead,
                            enum quota_verdict *verdict)
{
    struct share_limits limits = limits_of(ticket->quota);
    int64_t due_ms = now_mono_ms;

    switch (share_look(&ticket->identity->share, &limits, class_of(ticket), ahead, now_mono_ms, &due_ms)) {
    case SHARE_GO: return now_mono_ms;
    case SHARE_ASK: *verdict = QUOTA_WAIT; return deadline_ms(ticket) + SHARE_WAIT_MS;
    case SHARE_LATER: *verdict = QUOTA_LIMITED; return due_ms;
    }
    UNREACHABLE();
}

/* Under the lock, as all that follows. When limits let it go: now, or later because of `*verdict`, WAIT if
 * it is the tier's turn to say. */
static int64_t limits_due_ms(const struct quota_ticket *ticket, int64_t now_mono_ms, int64_t ahead,
                             enum quota_verdict *verdict)
{
    struct quota *quota = ticket->quota;
    struct quota_identity *identity = ticket->identity;
    enum quota_class class = class_of(ticket);
    int64_t due_ms = now_mono_ms;

    *verdict = QUOTA_GO;
    if (identity->is_shared && !ticket->has_turn)
        due_ms = share_due_ms(ticket, now_mono_ms, ahead, verdict);
    for (size_t i = 0; i < quota->policy.spec_count && !identity->is_shared && !ticket->has_turn; i++) {
        const struct token_bucket *bucket = &identity->buckets[i];
        int64_t bucket_ms =
            token_bucket_due_ms(bucket, now_mono_ms, token_bucket_need(bucket, class) + ahead);
        if (bucket_ms > due_ms) {
            due_ms = bucket_ms;
            *verdict = QUOTA_LIMITED;
        }
    }
    if (quota->policy.learns) {
        int64_t learnt_ms =
            learnt_limits_due_ms(&identity->learnt, now_mono_ms, ticket->path, class, ahead);
        if (learnt_ms > due_ms) {
            due_ms = learnt_ms;
            *verdict = QUOTA_TOLD;
        }
    }
    return due_ms;
}

static bool is_open(const struct breaker *breaker, int64_t now_mono_ms)
{
    return (breaker->state == BREAKER_OPEN && now_mono_ms < breaker->open_until_mono_ms) ||
           (breaker->state == BREAKER_HALF_OPEN && breaker->is_probing);
}

static enum quota_verdict look(struct quota_ticket *ticket, int64_t now_mono_ms, int64_t *due_mono_ms)
{
    struct quota *quota = ticket->quota;
    struct concurrency *concurrency = &quota->concurrency;
    struct ahead ahead = ahead_of(ticket);
    enum quota_verdict verdict;

    if (is_open(&quota->breaker, now_mono_ms)) {
        *due_mono_ms = breaker_due_ms(&quota->breaker, now_mono_ms);
        return QUOTA_OPEN;
    }
    *due_mono_ms = limits_due_ms(ticket, now_mono_ms, ahead.of_credential, &verdict);
    if (verdict != QUOTA_GO)
        return verdict;
    if (!concurrency_has_room(
            concurrency,
            quota_need(ticket->class, concurrency->most > 0 ? concurrency_limit(concurrency) : 0) +
                ahead.for_room)) {
        *due_mono_ms = now_mono_ms + quota->policy.wait_ms;
        return QUOTA_BUSY;
    }
    return QUOTA_GO;
}

static void take(struct quota_ticket *ticket, int64_t now_mono_ms)
{
    struct quota_identity *identity = ticket->identity;
    struct share_limits limits = limits_of(ticket->quota);

    if (ticket->has_turn)
        return;
    if (identity->is_shared)
        share_take(&identity->share, &limits, now_mono_ms);
    for (size_t i = 0; i < limits.spec_count && !identity->is_shared; i++)
        token_bucket_take(&identity->buckets[i], now_mono_ms);
}

static void give_back(struct quota_ticket *ticket, int64_t now_mono_ms)
{
    struct quota_identity *identity = ticket->identity;
    struct share_limits limits = limits_of(ticket->quota);

    if (identity->is_shared)
        share_give(&identity->share, &limits, now_mono_ms);
    for (size_t i = 0; i < limits.spec_count && !identity->is_shared; i++)
        token_bucket_give(&identity->buckets[i], now_mono_ms);
}

static void go(struct quota_ticket *ticket, int64_t now_mono_ms)
{
    struct quota *quota = ticket->quota;
    bool was_waiting = ticket->is_waiting;

    breaker_ask(&quota->breaker, now_mono_ms, &ticket->is_probe);
    take(ticket, now_mono_ms);
    ticket->number = learnt_limits_send(&ticket->identity->learnt, ticket->path);
    concurrency_enter(&quota->concurrency);
    ticket->has_gone = true;
    ticket->is_answered = false;
    ticket->began_mono_ms = now_mono_ms;
    stop_waiting(ticket);
    if (was_waiting)
        wake_first(quota, ticket->identity); /* there may be enough for the next, too */
}

/* Ends what a request that went out has under way. */
static void come_back(struct quota_ticket *ticket)
{
    struct quota *quota = ticket->quota;

    if (!ticket->has_gone)
        return;
    ticket->has_gone = false;
    concurrency_leave(&quota->concurrency);
    if (ticket->is_hedged)
        concurrency_leave(&quota->concurrency);
    ticket->is_hedged = false;
    if (!ticket->is_answered) {
        learnt_limits_leave(&ticket->identity->learnt);
        if (ticket->is_probe)
            breaker_drop_probe(&quota->breaker);
    }
}

static void let_go(struct quota_ticket *ticket)
{
    struct quota *quota = ticket->quota;

    come_back(ticket);
    stop_waiting(ticket);
    ticket->identity->ticket_count--;
    ticket->quota = NULL;
    wake_first(quota, ticket->identity);
}

enum quota_verdict quota_ask(struct quota *quota, struct quota_ticket *ticket, int64_t now_mono_ms,
                             int64_t *due_mono_ms)
{
    enum quota_verdict verdict;
    bool has_place;

    pthread_mutex_lock(&quota->lock);
    if (ticket->quota == NULL) {
        ticket->identity = identity_of(quota, ticket->credential, now_mono_ms);
        if (ticket->identity == NULL) {
            pthread_mutex_unlock(&quota->lock);
            *due_mono_ms = now_mono_ms;
            return QUOTA_BUSY;
        }
        ticket->identity->ticket_count++;
        ticket->identity->is_shared = ticket->is_shared && quota->policy.spec_count > 0;
        ticket->quota = quota;
        ticket->asked_mono_ms = now_mono_ms;
        list_init(&ticket->in_waiting);
    }
    verdict = look(ticket, now_mono_ms, due_mono_ms);
    has_place = ticket->is_waiting || quota->waiting_count < QUOTA_WAITING_MAX;
    if (verdict == QUOTA_GO) {
        go(ticket, now_mono_ms);
    } else if (verdict == QUOTA_WAIT && now_mono_ms < *due_mono_ms && has_place) {
        start_waiting(ticket);
        ticket->waits_for_room = false;
    } else if (verdict == QUOTA_WAIT) {
        verdict = QUOTA_LIMITED;
        *due_mono_ms = now_mono_ms;
        let_go(ticket);
    } else if (now_mono_ms < deadline_ms(ticket) && verdict != QUOTA_OPEN &&
               (verdict == QUOTA_BUSY || *due_mono_ms <= deadline_ms(ticket)) && has_place) {
        start_waiting(ticket);
        ticket->waits_for_room = verdict == QUOTA_BUSY;
        if (*due_mono_ms > deadline_ms(ticket))
            *due_mono_ms = deadline_ms(ticket);
        verdict = QUOTA_WAIT;
    } else {
        let_go(ticket);
    }
    pthread_mutex_unlock(&quota->lock);
    return verdict;
}

bool quota_ask_again(struct quota_ticket *ticket, bool was_sent, int64_t now_mono_ms)
{
    struct quota *quota = ticket->quota;
    int64_t due_ms;
    bool may_go;

    if (quota == NULL)
        return false;
    pthread_mutex_lock(&quota->lock);
    come_back(ticket);
    ticket->has_turn = !was_sent;
    may_go = look(ticket, now_mono_ms, &due_ms) == QUOTA_GO;
    if (may_go)
        go(ticket, now_mono_ms);
    ticket->has_turn = false;
    pthread_mutex_unlock(&quota->lock);
    return may_go;
}

/* Null if it is not known. */
static struct quota_identity *known_identity(struct quota *quota, uint64_t credential)
{
    struct quota_identity **set = quota->identities[credential % QUOTA_SETS];

    for (size_t i = 0; i < QUOTA_WAYS; i++)
        if (set[i] != NULL && set[i]->credential == credential)
            return set[i];
    return quota->others;
}

bool quota_question(struct quota *quota, const struct quota_ticket *ticket, int64_t node_count,
                    int64_t now_mono_ms, struct quota_question *question)
{
    struct quota_identity *identity;
    struct share_limits limits;

    *question = (struct quota_question){0};
    pthread_mutex_lock(&quota->lock);
    quota->node_count = node_count;
    limits = limits_of(quota);
    identity = known_identity(quota, ticket->credential);
    if (identity != NULL && identity->is_shared) {
        question->credential = identity->credential;
        question->asker = identity == quota->others ? UINT64_MAX : ticket->asker;
        question->share = share_question(&identity->share, &limits, now_mono_ms);
    }
    pthread_mutex_unlock(&quota->lock);
    return question->share.count > 0;
}

/* One that the tier was asked for, and so is not forgotten. */
static struct quota_identity *asking_identity(struct quota *quota, uint64_t credential)
{
    struct quota_identity **set = quota->identities[credential % QUOTA_SETS];

    for (size_t i = 0; i < QUOTA_WAYS; i++)
        if (set[i] != NULL && set[i]->credential == credential && set[i]->share.is_asking)
            return set[i];
    return quota->others != NULL && quota->others->share.is_asking ? quota->others : NULL;
}

void quota_share_told(struct quota *quota, uint64_t credential, const struct share_reply *reply,
                      int64_t now_mono_ms)
{
    struct share_limits limits;
    struct quota_identity *identity;

    pthread_mutex_lock(&quota->lock);
    limits = limits_of(quota);
    identity = asking_identity(quota, credential);
    if (identity != NULL && reply != NULL)
        share_told(&identity->share, &limits, reply, now_mono_ms);
    else if (identity != NULL)
        share_failed(&identity->share, &limits, now_mono_ms);
    if (identity != NULL)
        wake_first(quota, identity);
    pthread_mutex_unlock(&quota->lock);
}

bool quota_may_hedge(struct quota_ticket *ticket, int64_t now_mono_ms)
{
    struct quota *quota = ticket->quota;
    int64_t most;

    if (quota == NULL)
        return false;
    pthread_mutex_lock(&quota->lock);
    most = quota->policy.concurrency_most > 0 ? concurrency_limit(&quota->concurrency) : 0;
    ticket->is_hedged = ticket->has_gone && !ticket->is_answered && !ticket->is_probe &&
                        !ticket->is_hedged && quota->policy.spec_count == 0 &&
                        quota->breaker.state == BREAKER_CLOSED && quota->waiting_count == 0 &&
                        !learnt_limits_are_known(&ticket->identity->learnt, now_mono_ms) &&
                        concurrency_has_room(&quota->concurrency, quota_need(QUOTA_REVALIDATION, most));
    if (ticket->is_hedged)
        concurrency_enter(&quota->concurrency);
    pthread_mutex_unlock(&quota->lock);
    return ticket->is_hedged;
}

/* ---- what came of it ----------------------------------------------------------------------------- */

/* An answer that any request would have got. */
static bool is_failure(int status) { return status >= 502 && status <= 504; }

/* Under the lock. */
static enum quota_news note_breaker(struct quota_ticket *ticket, int64_t now_mono_ms, bool is_good)
{
    struct quota *quota = ticket->quota;

    if (!breaker_note(&quota->breaker, &quota->policy.breaker, now_mono_ms, ticket->is_probe, is_good))
        return QUOTA_SAME;
    return is_good ? QUOTA_CLOSED : QUOTA_OPENED;
}

enum quota_news quota_heed(struct quota_ticket *ticket, int64_t now_mono_ms, int64_t now_wall_ms,
                           int status, const struct http_fields *fields, bool *is_limited)
{
    struct quota *quota = ticket->quota;
    struct rate_said said;
    enum quota_news news;

    *is_limited = false;
    if (quota->policy.learns)
        rate_fields_read(&said, fields, now_wall_ms);
    pthread_mutex_lock(&quota->lock);
    ticket->is_answered = true;
    if (status == 304 && quota->policy.has_free_304)
        give_back(ticket, now_mono_ms);
    if (quota->policy.learns)
        *is_limited = learnt_limits_note(&ticket->identity->learnt, now_mono_ms, ticket->path,
                                         ticket->number, status, &said);
    else
        learnt_limits_leave(&ticket->identity->learnt);
    news = note_breaker(ticket, now_mono_ms, !is_failure(status));
    if (*is_limited || is_failure(status))
        concurrency_note_failure(&quota->concurrency, now_mono_ms);
    else
        concurrency_note(&quota->concurrency, now_mono_ms, now_mono_ms - ticket->began_mono_ms);
    wake_first(quota, ticket->identity);
    pthread_mutex_unlock(&quota->lock);
    return news;
}

enum quota_news quota_fail(struct quota_ticket *ticket, int64_t now_mono_ms)
{
    struct quota *quota = ticket->quota;
    enum quota_news news = QUOTA_SAME;

    if (quota == NULL)
        return QUOTA_SAME;
    pthread_mutex_lock(&quota->lock);
    if (!ticket->is_answered) {
        ticket->is_answered = true;
        learnt_limits_leave(&ticket->identity->learnt);
        news = note_breaker(ticket, now_mono_ms, false);
        concurrency_note_failure(&quota->concurrency, now_mono_ms);
    }
    pthread_mutex_unlock(&quota->lock);
    return news;
}

void quota_leave(struct quota_ticket *ticket)
{
    struct quota *quota = ticket->quota;

    if (quota == NULL)
        return;
    pthread_mutex_lock(&quota->lock);
    let_go(ticket);
    pthread_mutex_unlock(&quota->lock);
}

/* ---- for people ---------------------------------------------------------------------------------- */

static int64_t tokens_of(const struct quota *quota, const struct quota_identity *identity, size_t index,
                         int64_t now_mono_ms)
{
    struct share_limits limits = limits_of(quota);
    int64_t here, fleet;

    if (!identity->is_shared)
        return token_bucket_count(&identity->buckets[index], now_mono_ms);
    here = share_count(&identity->share, &limits, now_mono_ms);
    fleet =
        identity->share.is_away ? 0 : identity->share.left_percent * identity->buckets[index].burst / 100;
    return here > fleet ? here : fleet;
}

static void read_identity(const struct quota *quota, const struct quota_identity *identity,
                          int64_t now_mono_ms, struct quota_facts *facts)
{
    facts->credentials++;
    for (size_t i = 0; i < quota->policy.spec_count; i++) {
        int64_t tokens = tokens_of(quota, identity, i, now_mono_ms);
        if (facts->tokens >= 0 && tokens >= facts->tokens)
            continue;
        facts->tokens = tokens;
        facts->tokens_max = identity->buckets[i].burst;
    }
    for (size_t i = 0; i < LEARNT_WINDOWS_MAX; i++) {
        const struct learnt_window *window = &identity->learnt.windows[i];
        if (window->name == 0 || window->reset_mono_ms <= now_mono_ms ||
            (facts->left >= 0 && window->left >= facts->left))
            continue;
        facts->left = window->left;
        facts->limit = window->limit;
        facts->reset_ms = window->reset_mono_ms - now_mono_ms;
    }
    if (identity->learnt.told_until_mono_ms - now_mono_ms > facts->told_ms)
        facts->told_ms = identity->learnt.told_until_mono_ms - now_mono_ms;
}

void quota_read(struct quota *quota, int64_t now_mono_ms, struct quota_facts *facts)
{
    *facts = (struct quota_facts){.tokens = -1, .left = -1, .concurrency_limit = -1};
    pthread_mutex_lock(&quota->lock);
    facts->breaker = quota->breaker.state;
    if (quota->breaker.state == BREAKER_OPEN && quota->breaker.open_until_mono_ms > now_mono_ms)
        facts->open_ms = quota->breaker.open_until_mono_ms - now_mono_ms;
    facts->under_way = quota->concurrency.under_way;
    facts->waiting = (int64_t)quota->waiting_count;
    if (quota->policy.concurrency_most > 0)
        facts->concurrency_limit = concurrency_limit(&quota->concurrency);
    for (size_t i = 0; i < QUOTA_SETS; i++)
        for (size_t j = 0; j < QUOTA_WAYS; j++)
            if (quota->identities[i][j] != NULL)
                read_identity(quota, quota->identities[i][j], now_mono_ms, facts);
    if (quota->others != NULL)
        read_identity(quota, quota->others, now_mono_ms, facts);
    pthread_mutex_unlock(&quota->lock);
}
