/* listen_changes.c — rules that send each write of the data, as a Server-Sent Event or over a WebSocket. */
#include "front_call.h"

enum { QUIET_MS = 15000 /* then a comment, so that nobody between takes the stream for dead */ };

static void wait_quietly(struct front_call *call)
{
    timer_set(call->worker->loop, &call->timer, loop_now(call->worker->loop).mono_ms + QUIET_MS);
}

void front_listen(struct front_call *call)
{
    call->is_listening = true;
    list_append(&call->worker->inbox.listeners, &call->in_listeners);
    atomic_fetch_add(&call->worker->inbox.listener_count, 1);
}

void front_listen_begin(struct front_call *call)
{
    if (!front_events_respond(call))
        return;
    call->stage = FRONT_LISTENING;
    front_listen(call);
    shaped_send(call, BYTES(":\n\n")); /* whoever has read this hears of every write from here on */
    wait_quietly(call);
}

void front_listen_end(struct front_call *call)
{
    if (!call->is_listening)
        return;
    call->is_listening = false;
    list_remove(&call->in_listeners);
    atomic_fetch_sub(&call->worker->inbox.listener_count, 1);
}

void front_listen_quiet(struct front_call *call)
{
    if (exchange_room(call->x) > 0)
        shaped_send(call, BYTES(":\n\n"));
    wait_quietly(call);
}

/* Sends `note`; who does not read is left. */
static void tell(struct front_call *call, const struct change_note *note)
{
    const struct rule *rule = front_rule(call);
    bool is_socket = call->stage == FRONT_SOCKET;

    if (!change_note_is_about(note, is_socket ? rule->socket.changes : rule->changes))
        return;
    if (is_socket) {
        front_socket_tell(call, note);
        return;
    }
    if (exchange_room(call->x) == 0) {
        front_break_off(call, EXCHANGE_CLOSE);
        return;
    }
    shaped_send(call, change_note_text(note));
    if (call->is_cut && call->body_passed == call->body_cut)
        shaped_end(call);
    else
        wait_quietly(call);
}

void front_changes_arrived(struct task *task)
{
    struct front_worker *worker = CONTAINER_OF(task, struct front_worker, inbox.task);
    struct list *listeners = &worker->inbox.listeners;
    struct change_note *notes[CHANGES_INBOX_MAX];
    size_t count;
    bool is_whole = changes_inbox_take(&worker->inbox, notes, &count);

    for (size_t i = 0; i < count; i++) {
        for (struct list *node = listeners->next, *next; node != listeners; node = next) {
            next = node->next;
            tell(CONTAINER_OF(node, struct front_call, in_listeners), notes[i]);
        }
        change_note_release(notes[i]);
    }
    while (!is_whole && listeners->next != listeners) {
        struct front_call *call = CONTAINER_OF(listeners->next, struct front_call, in_listeners);
        front_listen_end(call);
        if (call->stage == FRONT_SOCKET)
            front_socket_miss(call);
        else
            front_break_off(call, EXCHANGE_CLOSE);
    }
}

void front_publish(struct front *front, const char *kind, uint64_t number, struct bytes name,
                   struct bytes id, struct bytes item)
{
    struct change_note *note = NULL;

    pthread_mutex_lock(&front->workers_lock);
    for (struct list *node = front->workers.next; node != &front->workers; node = node->next) {
        struct front_worker *worker = CONTAINER_OF(node, struct front_worker, in_front);
        if (atomic_load(&worker->inbox.listener_count) == 0)
            continue;
        if (note == NULL && (note = change_note_create(kind, number, name, id, item)) == NULL)
            break;
        changes_inbox_put(&worker->inbox, note);
    }
    pthread_mutex_unlock(&front->workers_lock);
    if (note != NULL)
        change_note_release(note);
}
