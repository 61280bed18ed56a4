/* kv_clients.c — the sessions of all workers, in one list: who is there, and who has to go. */
#include "engine/kv/kv_clients.h"
#include "base/buffer.h"
#include "base/number.h"
#include "engine/kv/kv_acl.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/kv_session.h"
#include "engine/kv/kv_tracking.h"
#include "engine/kv/kv_transaction.h"
#include <stdlib.h>

void kv_clients_enter(struct kv *kv, struct session *session)
{
    struct kv_clients *clients = &kv->hub->admin->clients;

    session->worker = kv->number;
    session->active_ms = session->connected_at_ms;
    pthread_mutex_lock(&clients->lock);
    list_append(&clients->sessions, &session->in_clients);
    pthread_mutex_unlock(&clients->lock);
}

void kv_clients_leave(struct kv *kv, struct session *session)
{
    struct kv_clients *clients = &kv->hub->admin->clients;

    pthread_mutex_lock(&clients->lock);
    if (session->in_clients.next != NULL)
        list_remove(&session->in_clients);
    pthread_mutex_unlock(&clients->lock);
}

void kv_clients_of_worker(struct kv *kv,
                          void (*visit)(struct kv *kv, struct session *session, const void *context),
                          const void *context)
{
    struct kv_clients *clients = &kv->hub->admin->clients;

    pthread_mutex_lock(&clients->lock);
    for (struct list *at = clients->sessions.next; at != &clients->sessions; at = at->next) {
        struct session *session = CONTAINER_OF(at, struct session, in_clients);
        if (session->worker == kv->number)
            visit(kv, session, context);
    }
    pthread_mutex_unlock(&clients->lock);
}

/* ---- letters ----------------------------------------------------------------------------------- */

struct order {
    struct kv_letter letter;
    bool (*concerns)(const struct session *session);
    void (*tell)(struct session *session);
};

static void tell_if_concerned(struct kv *kv, struct session *session, const void *context)
{
    const struct order *order = context;

    (void)kv;
    if (order->concerns(session))
        order->tell(session);
}

static void read_order(struct kv *kv, struct kv_letter *letter)
{
    struct order *order = (struct order *)letter;

    if (kv != NULL)
        kv_clients_of_worker(kv, tell_if_concerned, order);
    free(order);
}

bool kv_clients_tell(struct kv *kv, bool (*concerns)(const struct session *session),
                     void (*tell)(struct session *session))
{
    bool are_all_told = true;

    for (unsigned i = 0; i < kv->hub->worker_count; i++) {
        struct order *order = malloc(sizeof *order);
        if (order == NULL) {
            are_all_told = false;
            continue;
        }
        *order = (struct order){{NULL, read_order}, concerns, tell};
        kv_send(kv->hub, kv, i, &order->letter);
    }
    return are_all_told;
}

/* ---- a line of CLIENT LIST --------------------------------------------------------------------- */

enum client_type { CLIENT_NORMAL, CLIENT_PUBSUB, CLIENT_REPLICA, CLIENT_MASTER, CLIENT_TYPES };

static bool parse_type(const struct kv_call *call, struct bytes name, enum client_type *type)
{
    static const struct {
        struct bytes name;
        enum client_type type;
    } types[] = {{BYTES_INIT("normal"), CLIENT_NORMAL},
                 {BYTES_INIT("pubsub"), CLIENT_PUBSUB},
                 {BYTES_INIT("replica"), CLIENT_REPLICA},
                 {BYTES_INIT("slave"), CLIENT_REPLICA},
                 {BYTES_INIT("master"), CLIENT_MASTER}};

    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (bytes_equal_nocase(name, types[i].name)) {
            *type = types[i].type;
            return true;
        }
    kv_error(call, "ERR Unknown client type '%.*s'", (int)(name.size < 128 ? name.size : 128), name.data);
    return false;
}

static enum client_type type_of(const struct session *session)
{
    return session->subscriber != NULL ? CLIENT_PUBSUB : CLIENT_NORMAL;
}

static void append_command(struct buffer *text, const struct kv_call *call, const struct session *session)
{
    unsigned id = session == call->session ? (unsigned)call->id : session->last_command;

    if (id == COMMAND_UNKNOWN) {
        buffer_append_literal(text, "NULL");
        return;
    }
    buffer_append(text, bytes_of_text(command_row((enum command_id)id)->name));
    if (session->subcommand_of == id && session->last_subcommand != NULL)
        buffer_append_format(text, "|%s", session->last_subcommand);
}

/* What CLIENT LIST says of a session, without the end of the line. Readers insist on Redis's fields of
 * memory, too; an idle connection holds none. A memcached connection has `resp` 0. */
static void append_line(struct buffer *text, const struct kv_call *call, const struct session *session)
{
    char flags[16];
    size_t flag_count = 0;

    if (session->is_monitor)
        flags[flag_count++] = 'O';
    if (session->subscriber != NULL)
        flags[flag_count++] = 'P';
    if (session->transaction != NULL)
        flags[flag_count++] = 'x';
    if (session->tracker != NULL) {
        flags[flag_count++] = 't';
        if (session->tracker->redirect_is_broken)
            flags[flag_count++] = 'R';
        if (session->tracker->is_broadcast)
            flags[flag_count++] = 'B';
    }
    if (session->is_never_evicted)
        flags[flag_count++] = 'e';
    if (session->is_unnoticed)
        flags[flag_count++] = 'T';
    if (flag_count == 0)
        flags[flag_count++] = 'N';
    flags[flag_count] = '\0';
    buffer_append_format(text, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s db=%u",
                         (unsigned long long)session->id, session->peer, session->local, session->fd,
                         session->name, (long long)(call->now.mono_ms - session->connected_at_ms) / 1000,
                         (long long)(call->now.mono_ms - session->active_ms) / 1000, flags,
                         session->database);
    buffer_append_format(text, " sub=%zu psub=%zu ssub=%zu multi=%d",
                         kv_subscription_count(session, KV_TOPIC_CHANNEL),
                         kv_subscription_count(session, KV_TOPIC_PATTERN),
                         kv_subscription_count(session, KV_TOPIC_SHARD), kv_transaction_length(session));
    buffer_append_literal(text, " qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 "
                                "tot-mem=0 events=r cmd=");
    append_command(text, call, session);
    buffer_append_format(text, " user=%.*s redir=%lld resp=%d lib-name=%s lib-ver=%s",
                         BYTES_PRINTF(kv_user_name(session)), (long long)kv_tracking_redirect(session),
                         session->is_memcached ? 0 : session->resp_version, session->library_name,
                         session->library_version);
}

void kv_session_describe(const struct kv_call *call, struct buffer *text)
{
    append_line(text, call, call->session);
}

static void say_and_free(const struct kv_call *call, struct buffer *text)
{
    if (text->failed)
        kv_refused(call, NH_NO_MEMORY);
    else
        reply_say(call->reply, &(struct outcome){.kind = OUTCOME_verbatim, .bytes = buffer_bytes(text)});
    buffer_fini(text);
}

void kv_client_info(const struct kv_call *call)
{
    struct buffer text = {0};

    append_line(&text, call, call->session);
    buffer_append_byte(&text, '\n');
    say_and_free(call, &text);
}

/* ---- which of them ----------------------------------------------------------------------------- */

struct filter {
    bool has_type;
    enum client_type type;
    uint64_t id; /* 0: any */
    struct bytes peer, local, user;
    bool is_me_skipped;
};

static bool fits(const struct filter *filter, const struct kv_call *call, const struct session *session)
{
    if (session->is_killed || (filter->is_me_skipped && session == call->session))
        return false;
    if (filter->has_type && filter->type != type_of(session))
        return false;
    if (filter->id != 0 && filter->id != session->id)
        return false;
    if (filter->peer.data != NULL && !bytes_equal(filter->peer, bytes_of_text(session->peer)))
        return false;
    if (filter->local.data != NULL && !bytes_equal(filter->local, bytes_of_text(session->local)))
        return false;
    return filter->user.data == NULL || bytes_equal(filter->user, kv_user_name(session));
}

struct list *kv_clients_hold(struct kv *kv)
{
    kv_go_alone(kv);
    pthread_mutex_lock(&kv->hub->admin->clients.lock);
    return &kv->hub->admin->clients.sessions;
}

void kv_clients_release(struct kv *kv)
{
    pthread_mutex_unlock(&kv->hub->admin->clients.lock);
    kv_go_together(kv);
}

/* The lines of those that fit. */
static void append_lines(struct buffer *text, const struct kv_call *call, const struct filter *filter)
{
    struct list *sessions = kv_clients_hold(call->kv);

    for (struct list *at = sessions->next; at != sessions; at = at->next) {
        const struct session *session = CONTAINER_OF(at, struct session, in_clients);
        if (!fits(filter, call, session))
            continue;
        append_line(text, call, session);
        buffer_append_byte(text, '\n');
    }
    kv_clients_release(call->kv);
}

static bool parse_id(struct bytes text, uint64_t *id)
{
    int64_t number;

    if (!int64_parse(text, &number) || number <= 0)
        return false;
    *id = (uint64_t)number;
    return true;
}

void kv_client_list(const struct kv_call *call)
{
    struct filter filter = {0};
    struct buffer text = {0};

    if (call->argument_count == 2) {
        append_lines(&text, call, &filter);
    } else if (call->argument_count == 4 && kv_argument_is(call, 2, BYTES("type"))) {
        filter.has_type = true;
        if (!parse_type(call, call->arguments[3], &filter.type))
            return;
        append_lines(&text, call, &filter);
    } else if (call->argument_count > 3 && kv_argument_is(call, 2, BYTES("id"))) {
        for (uint32_t i = 3; i < call->argument_count; i++)
            if (!parse_id(call->arguments[i], &filter.id)) {
                kv_error(call, "ERR Invalid client ID");
                return;
            }
        for (uint32_t i = 3; i < call->argument_count; i++) {
            parse_id(call->arguments[i], &filter.id);
            append_lines(&text, call, &filter);
        }
    } else {
        kv_syntax_error(call);
        return;
    }
    say_and_free(call, &text);
}

/* ---- KILL -------------------------------------------------------------------------------------- */

static bool is_killed(const struct session *session) { return session->is_killed; }

static void cut(struct session *session)
{
    if (session->cut != NULL)
        session->cut(session);
}

/* Kills those that fit; oneself once the answer has left. The others are gone as soon as their workers
 * have finished what they are at. */
static unsigned kill_sessions(const struct kv_call *call, const struct filter *filter)
{
    struct list *sessions = kv_clients_hold(call->kv);
    unsigned count = 0, other_count = 0;

    for (struct list *at = sessions->next; at != sessions; at = at->next) {
        struct session *session = CONTAINER_OF(at, struct session, in_clients);
        if (!fits(filter, call, session))
            continue;
        count++;
        if (session == call->session) {
            session->closing = true;
        } else {
            session->is_killed = true;
            other_count++;
        }
    }
    kv_clients_release(call->kv);
    if (other_count > 0)
        kv_clients_tell(call->kv, is_killed, cut);
    return count;
}

static bool is_user(const struct kv_call *call, struct bytes name)
{
    struct kv_acl *acl = call->kv->hub->acl;
    bool is_one;

    pthread_mutex_lock(&acl->lock);
    is_one = kv_acl_find(acl, name) != NULL;
    pthread_mutex_unlock(&acl->lock);
    return is_one;
}

static bool parse_filter(const struct kv_call *call, struct filter *filter)
{
    for (uint32_t i = 2; i < call->argument_count; i += 2) {
        struct bytes value;

        if (i + 1 == call->argument_count) {
            kv_syntax_error(call);
            return false;
        }
        value = call->arguments[i + 1];
        if (kv_argument_is(call, i, BYTES("id"))) {
            if (!parse_id(value, &filter->id)) {
                kv_error(call, "ERR client-id should be greater than 0");
                return false;
            }
        } else if (kv_argument_is(call, i, BYTES("type"))) {
            filter->has_type = true;
            if (!parse_type(call, value, &filter->type))
                return false;
        } else if (kv_argument_is(call, i, BYTES("addr"))) {
            filter->peer = value;
        } else if (kv_argument_is(call, i, BYTES("laddr"))) {
            filter->local = value;
        } else if (kv_argument_is(call, i, BYTES("user"))) {
            if (!is_user(call, value)) {
                kv_error(call, "ERR No such user '%.*s'", (int)(value.size < 128 ? value.size : 128),
                         value.data);
                return false;
            }
            filter->user = value;
        } else if (kv_argument_is(call, i, BYTES("skipme")) &&
                   (bytes_equal_nocase(value, BYTES("yes")) || bytes_equal_nocase(value, BYTES("no")))) {
            filter->is_me_skipped = bytes_equal_nocase(value, BYTES("yes"));
        } else {
            kv_syntax_error(call);
            return false;
        }
    }
    return true;
}

void kv_client_kill(const struct kv_call *call)
{
    struct filter filter = {.is_me_skipped = true};

    if (call->argument_count > 3) {
        if (parse_filter(call, &filter))
            reply_integer(call->reply, kill_sessions(call, &filter));
        return;
    }
    filter = (struct filter){.peer = call->arguments[2]};
    if (kill_sessions(call, &filter) == 0)
        kv_error(call, "ERR No such client");
    else
        reply_kind(call->reply, OUTCOME_ok);
}
