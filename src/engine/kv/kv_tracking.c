/* kv_tracking.c — what a session asks for: CLIENT TRACKING, TRACKINGINFO, CACHING, GETREDIR. */
#include "engine/kv/kv_tracking.h"
#include "base/number.h"
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_directory.h"
#include "engine/kv/kv_guard.h"
#include <stdlib.h>

enum { PREFIXES_MAX = 1024 }; /* of a session: each costs a look at every key that is changed */

/* ---- the guard ----------------------------------------------------------------------------------------
 */

static void remember_keys(const struct kv_call *call)
{
    const struct command_row *row = command_row(call->id);
    int64_t last = row->last_key < 0 ? (int64_t)call->argument_count + row->last_key : row->last_key;

    if (last >= (int64_t)call->argument_count)
        last = (int64_t)call->argument_count - 1;
    for (int64_t at = row->first_key; at <= last; at += row->key_step)
        kv_tracking_remember(call, kv_key(call, (uint32_t)at));
}

/* Looks at commands just before they run, those of a transaction as EXEC runs them. */
enum kv_pass kv_guard_tracking(const struct kv_call *call)
{
    const struct command_row *row = command_row(call->id);
    struct kv_tracker *tracker = call->session->tracker;
    bool was_marked = tracker->is_marked;

    /* The mark is for one command that is not about the connection, or for a whole transaction. */
    if (call->session->transaction == NULL && call->id != COMMAND_client && call->id != COMMAND_multi)
        tracker->is_marked = false;
    if ((row->flags & COMMAND_READONLY) && row->first_key > 0 && !(tracker->is_optin && !was_marked) &&
        !(tracker->is_optout && was_marked))
        remember_keys(call);
    return KV_PASS;
}

void kv_tracking_end_caching(struct session *session)
{
    if (session->tracker != NULL)
        session->tracker->is_marked = false;
}

/* ---- prefixes -----------------------------------------------------------------------------------------
 */

static struct bytes prefix_bytes(const struct kv_prefix *prefix)
{
    return bytes_of(prefix->bytes, prefix->size);
}

static bool overlap(struct bytes a, struct bytes b)
{
    return bytes_start_with(a, b) || bytes_start_with(b, a);
}

static int quoted_size(struct bytes prefix) { return (int)(prefix.size < 128 ? prefix.size : 128); }

static void say_overlap(const struct kv_call *call, struct bytes prefix, const char *other_is,
                        struct bytes other)
{
    kv_error(call,
             "ERR Prefix '%.*s' overlaps with %s prefix '%.*s'. Prefixes for a single client must not "
             "overlap.",
             quoted_size(prefix), prefix.data, other_is, quoted_size(other), other.data);
}

/* Where the words of CLIENT TRACKING have a prefix: the next at `*at` or behind it. */
static bool next_prefix(const struct kv_call *call, uint32_t *at, struct bytes *prefix)
{
    for (; *at < call->argument_count; ++*at) {
        if (kv_argument_is(call, *at, BYTES("redirect"))) {
            ++*at;
        } else if (kv_argument_is(call, *at, BYTES("prefix"))) {
            *prefix = call->arguments[*at + 1];
            *at += 2;
            return true;
        }
    }
    return false;
}

/* False if an error was said. */
static bool prefixes_are_apart(const struct kv_call *call, const struct kv_tracker *tracker)
{
    struct bytes prefix, other;
    size_t count = tracker != NULL ? tracker->prefix_count : 0;

    for (uint32_t at = 3; next_prefix(call, &at, &prefix);) {
        if (++count > PREFIXES_MAX) {
            kv_error(call, "ERR a client may have %d prefixes and no more", (int)PREFIXES_MAX);
            return false;
        }
        for (size_t i = 0; tracker != NULL && i < tracker->prefix_count; i++) {
            if (overlap(prefix, prefix_bytes(tracker->prefixes[i]))) {
                say_overlap(call, prefix, "an existing", prefix_bytes(tracker->prefixes[i]));
                return false;
            }
        }
        for (uint32_t behind = at; next_prefix(call, &behind, &other);) {
            if (overlap(prefix, other)) {
                say_overlap(call, prefix, "another provided", other);
                return false;
            }
        }
    }
    return true;
}

/* In its place in the order; the same once. False without memory. */
static bool add_prefix(struct kv_tracker *tracker, struct bytes bytes)
{
    struct kv_prefix **prefixes, *prefix;
    size_t at = 0;

    while (at < tracker->prefix_count) {
        struct bytes other = prefix_bytes(tracker->prefixes[at]);
        size_t size = other.size < bytes.size ? other.size : bytes.size;
        int order = size > 0 ? memcmp(other.data, bytes.data, size) : 0;
        if (order == 0 && other.size == bytes.size)
            return true;
        if (order > 0 || (order == 0 && other.size > bytes.size))
            break;
        at++;
    }
    prefixes = realloc(tracker->prefixes, (tracker->prefix_count + 1) * sizeof(struct kv_prefix *));
    if (prefixes == NULL)
        return false;
    tracker->prefixes = prefixes;
    prefix = malloc(sizeof *prefix + bytes.size);
    if (prefix == NULL)
        return false;
    prefix->size = bytes.size;
    if (bytes.size > 0)
        memcpy(prefix->bytes, bytes.data, bytes.size);
    memmove(prefixes + at + 1, prefixes + at, (tracker->prefix_count - at) * sizeof(struct kv_prefix *));
    prefixes[at] = prefix;
    tracker->prefix_count++;
    return true;
}

/* ---- CLIENT TRACKING ----------------------------------------------------------------------------------
 */

struct asked {
    bool is_broadcast, is_optin, is_optout, is_noloop, has_prefix;
    uint64_t redirect_id;
};

/* Reads the words from the third on. False if an error was said. */
static bool read_words(const struct kv_call *call, struct asked *asked)
{
    for (uint32_t i = 3; i < call->argument_count; i++) {
        bool has_more = i + 1 < call->argument_count;
        unsigned worker;
        int64_t id;

        if (has_more && kv_argument_is(call, i, BYTES("redirect"))) {
            if (asked->redirect_id != 0) {
                kv_error(call, "ERR A client can only redirect to a single other client");
                return false;
            }
            if (!int64_parse(call->arguments[++i], &id)) {
                kv_integer_error(call);
                return false;
            }
            if (id <= 0 || kv_directory_find(call->kv->hub, (uint64_t)id, &worker) == NULL) {
                kv_error(call, "ERR The client ID you want redirect to does not exist");
                return false;
            }
            asked->redirect_id = (uint64_t)id;
        } else if (kv_argument_is(call, i, BYTES("bcast"))) {
            asked->is_broadcast = true;
        } else if (kv_argument_is(call, i, BYTES("optin"))) {
            asked->is_optin = true;
        } else if (kv_argument_is(call, i, BYTES("optout"))) {
            asked->is_optout = true;
        } else if (kv_argument_is(call, i, BYTES("noloop"))) {
            asked->is_noloop = true;
        } else if (has_more && kv_argument_is(call, i, BYTES("prefix"))) {
            asked->has_prefix = true;
            i++;
        } else {
            kv_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* Whether what is asked for goes together, and with what the session has. False if an error was said. */
static bool goes_together(const struct kv_call *call, const struct asked *asked)
{
    const struct kv_tracker *tracker = call->session->tracker;

    if (!asked->is_broadcast && asked->has_prefix)
        kv_error(call, "ERR PREFIX option requires BCAST mode to be enabled");
    else if (tracker != NULL && tracker->is_broadcast != asked->is_broadcast)
        kv_error(call, "ERR You can't switch BCAST mode on/off before disabling tracking for this client, "
                       "and then re-enabling it with a different mode.");
    else if (asked->is_broadcast && (asked->is_optin || asked->is_optout))
        kv_error(call, "ERR OPTIN and OPTOUT are not compatible with BCAST");
    else if (asked->is_optin && asked->is_optout)
        kv_error(call, "ERR You can't specify both OPTIN mode and OPTOUT mode");
    else if (tracker != NULL &&
             ((asked->is_optin && tracker->is_optout) || (asked->is_optout && tracker->is_optin)))
        kv_error(call, "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, "
                       "and then re-enabling it with a different mode.");
    else
        return !asked->is_broadcast || prefixes_are_apart(call, tracker);
    return false;
}

/* Alone, so that whoever changes a key afterwards knows of it. Null without memory. */
static struct kv_tracker *begin_tracking(const struct kv_call *call, bool is_broadcast)
{
    struct kv *kv = call->kv;
    struct kv_tracker *tracker = calloc(1, sizeof *tracker);

    if (tracker == NULL)
        return NULL;
    tracker->session = call->session;
    tracker->is_broadcast = is_broadcast;
    if (kv->trackers.next == NULL)
        list_init(&kv->trackers);
    list_append(&kv->trackers, &tracker->in_worker);
    call->session->tracker = tracker;
    kv_go_alone(kv);
    kv_listen(call);
    if (atomic_fetch_add_explicit(&kv->hub->tracker_count, 1, memory_order_relaxed) == 0)
        kv_tracking_clear(kv->hub->tracking); /* of those who tracked long ago */
    if (is_broadcast)
        atomic_fetch_add_explicit(&kv->hub->broadcast_count, 1, memory_order_relaxed);
    kv_go_together(kv);
    if (!is_broadcast)
        call->session->guards |= KV_GUARD_tracking;
    return tracker;
}

static void track(const struct kv_call *call, const struct asked *asked)
{
    struct kv_tracker *tracker = call->session->tracker;
    bool has_memory = true;
    struct bytes prefix;

    if (tracker == NULL)
        tracker = begin_tracking(call, asked->is_broadcast);
    if (tracker == NULL) {
        kv_refused(call, NH_NO_MEMORY);
        return;
    }
    tracker->redirect_id = asked->redirect_id;
    tracker->redirect_is_broken = false;
    tracker->is_optin = asked->is_optin;
    tracker->is_optout = asked->is_optout;
    tracker->is_noloop = asked->is_noloop;
    if (asked->is_broadcast && !asked->has_prefix)
        has_memory = add_prefix(tracker, BYTES(""));
    for (uint32_t at = 3; has_memory && next_prefix(call, &at, &prefix);)
        has_memory = add_prefix(tracker, prefix);
    if (has_memory)
        reply_kind(call->reply, OUTCOME_ok);
    else
        kv_refused(call, NH_NO_MEMORY);
}

void kv_client_tracking(const struct kv_call *call)
{
    struct asked asked = {0};

    if (!read_words(call, &asked))
        return;
    if (kv_argument_is(call, 2, BYTES("on"))) {
        if (goes_together(call, &asked))
            track(call, &asked);
    } else if (kv_argument_is(call, 2, BYTES("off"))) {
        kv_tracking_end(call->kv->hub, call->session);
        reply_kind(call->reply, OUTCOME_ok);
    } else {
        kv_syntax_error(call);
    }
}

void kv_tracking_end(struct kv_hub *hub, struct session *session)
{
    struct kv_tracker *tracker = session->tracker;

    if (tracker == NULL)
        return;
    session->tracker = NULL;
    session->guards &= ~(unsigned)KV_GUARD_tracking;
    list_remove(&tracker->in_worker);
    if (tracker->is_broadcast)
        atomic_fetch_sub_explicit(&hub->broadcast_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&hub->tracker_count, 1, memory_order_relaxed);
    kv_unlisten(hub);
    for (size_t i = 0; i < tracker->prefix_count; i++)
        free(tracker->prefixes[i]);
    free(tracker->prefixes);
    free(tracker);
}

/* ---- the others ---------------------------------------------------------------------------------------
 */

void kv_client_caching(const struct kv_call *call)
{
    struct kv_tracker *tracker = call->session->tracker;
    bool is_yes = kv_argument_is(call, 2, BYTES("yes"));

    if (tracker == NULL) {
        kv_error(call, "ERR CLIENT CACHING can be called only when the client is in tracking mode with "
                       "OPTIN or OPTOUT mode enabled");
    } else if (!is_yes && !kv_argument_is(call, 2, BYTES("no"))) {
        kv_syntax_error(call);
    } else if (is_yes && !tracker->is_optin) {
        kv_error(call, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
    } else if (!is_yes && !tracker->is_optout) {
        kv_error(call, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    } else {
        tracker->is_marked = true;
        reply_kind(call->reply, OUTCOME_ok);
    }
}

int64_t kv_tracking_redirect(const struct session *session)
{
    return session->tracker != NULL ? (int64_t)session->tracker->redirect_id : -1;
}

void kv_client_getredir(const struct kv_call *call)
{
    reply_integer(call->reply, kv_tracking_redirect(call->session));
}

void kv_client_trackinginfo(const struct kv_call *call)
{
    static const struct kv_tracker none = {0};
    const struct kv_tracker *tracker = call->session->tracker != NULL ? call->session->tracker : &none;
    const struct {
        bool is_set;
        const char *name;
    } flags[] = {
        {tracker == &none, "off"},
        {tracker != &none, "on"},
        {tracker->is_broadcast, "bcast"},
        {tracker->is_optin, "optin"},
        {tracker->is_optin && tracker->is_marked, "caching-yes"},
        {tracker->is_optout, "optout"},
        {tracker->is_optout && tracker->is_marked, "caching-no"},
        {tracker->is_noloop, "noloop"},
        {tracker->redirect_is_broken, "broken_redirect"},
    };
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(flags); i++)
        count += flags[i].is_set;
    reply_aggregate(call->reply, OUTCOME_map, 3);
    reply_value(call->reply, BYTES("flags"));
    reply_aggregate(call->reply, OUTCOME_set, count);
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        if (flags[i].is_set)
            reply_value(call->reply, bytes_of_text(flags[i].name));
    reply_value(call->reply, BYTES("redirect"));
    reply_integer(call->reply, kv_tracking_redirect(call->session));
    reply_value(call->reply, BYTES("prefixes"));
    reply_aggregate(call->reply, OUTCOME_array, tracker->prefix_count);
    for (size_t i = 0; i < tracker->prefix_count; i++)
        reply_value(call->reply, prefix_bytes(tracker->prefixes[i]));
}
