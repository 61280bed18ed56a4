/* kv_monitor.c — MONITOR: each command, once it has run, as one line for every session that asked.
 *
 * The line is written once for each worker that has monitors, and goes there as a letter. */
#include "engine/kv/kv_monitor.h"
#include "base/buffer.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/kv_care.h"
#include "engine/kv/kv_category.h"
#include "engine/kv/kv_redact.h"
#include <stdlib.h>

struct sight {
    struct kv_letter letter;
    size_t size;
    char text[];
};

static void read_sight(struct kv *kv, struct kv_letter *letter)
{
    struct sight *sight = (struct sight *)letter;

    if (kv != NULL && kv->monitors.next != NULL)
        for (struct list *at = kv->monitors.next, *next; at != &kv->monitors; at = next) {
            struct session *session = CONTAINER_OF(at, struct session, in_monitors);
            struct reply *reply = session->push_begin(session);

            next = at->next;
            if (reply == NULL)
                continue;
            reply_say(reply,
                      &(struct outcome){.kind = OUTCOME_text, .bytes = bytes_of(sight->text, sight->size)});
            session->push_end(session);
        }
    free(sight);
}

/* ---- the line ---------------------------------------------------------------------------------- */

static void append_quoted(struct buffer *line, struct bytes bytes)
{
    buffer_append_literal(line, " \"");
    for (size_t i = 0; i < bytes.size; i++) {
        char byte = bytes.data[i];
        switch (byte) {
        case '\\':
        case '"':
            buffer_append_byte(line, '\\');
            buffer_append_byte(line, byte);
            break;
        case '\n': buffer_append_literal(line, "\\n"); break;
        case '\r': buffer_append_literal(line, "\\r"); break;
        case '\t': buffer_append_literal(line, "\\t"); break;
        case '\a': buffer_append_literal(line, "\\a"); break;
        case '\b': buffer_append_literal(line, "\\b"); break;
        default:
            if (byte >= ' ' && byte <= '~')
                buffer_append_byte(line, byte);
            else
                buffer_append_format(line, "\\x%02x", (unsigned char)byte);
        }
    }
    buffer_append_byte(line, '"');
}

static void append_line(struct buffer *line, const struct kv_call *call)
{
    /* The moment is that of the loop's turn: its last three digits are 0. */
    buffer_append_format(line, "%lld.%06d [%u %s]", (long long)call->now.wall_ms / 1000,
                         (int)(call->now.wall_ms % 1000) * 1000, call->session->database,
                         call->session->peer);
    for (uint32_t i = 0; i < call->argument_count; i++) {
        if (kv_is_secret(call, i))
            buffer_append_literal(line, " \"(redacted)\"");
        else
            append_quoted(line, call->arguments[i]);
    }
}

/* What only administrators do is not for everybody's eyes, as in Redis; of containers, some subcommands. */
static bool is_of_administration(const struct kv_call *call)
{
    unsigned permission = kv_permission_of(call->id, call->arguments, call->argument_count);

    return permission != (unsigned)call->id && (kv_categories(permission) >> KV_CATEGORY_admin & 1) != 0;
}

void kv_monitor_show(const struct kv_call *call)
{
    struct kv_hub *hub = call->kv->hub;
    struct buffer line = {0};

    if (is_of_administration(call))
        return;
    append_line(&line, call);
    for (unsigned i = 0; i < hub->worker_count && !line.failed; i++) {
        struct sight *sight;
        if (atomic_load_explicit(&hub->admin->monitor_counts[i], memory_order_relaxed) == 0)
            continue;
        sight = malloc(sizeof *sight + line.size);
        if (sight == NULL)
            continue;
        sight->letter.read = read_sight;
        sight->size = line.size;
        memcpy(sight->text, line.data, line.size);
        kv_send(hub, call->kv, i, &sight->letter);
    }
    buffer_fini(&line);
}

/* ---- who watches ------------------------------------------------------------------------------- */

void kv_monitor(const struct kv_call *call)
{
    struct kv *kv = call->kv;
    struct session *session = call->session;

    if (session->transaction != NULL) { /* and EXEC is running it: its line would stand among the answers */
        kv_error(call, "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return;
    }
    reply_kind(call->reply, OUTCOME_ok);
    if (session->is_monitor)
        return;
    if (kv->monitors.next == NULL)
        list_init(&kv->monitors);
    session->is_monitor = true;
    list_append(&kv->monitors, &session->in_monitors);
    atomic_fetch_add(&kv->hub->admin->monitor_counts[kv->number], 1);
    kv_care_update(kv->hub);
    kv->care |= KV_CARE_SHOWN; /* what follows in this batch is shown, too */
}

void kv_monitor_end(struct kv *kv, struct session *session)
{
    if (!session->is_monitor)
        return;
    session->is_monitor = false;
    list_remove(&session->in_monitors);
    atomic_fetch_sub(&kv->hub->admin->monitor_counts[kv->number], 1);
    kv_care_update(kv->hub);
}
