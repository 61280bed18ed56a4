#include "engine/kv/kv_hub.h"
#include "engine/kv/kv.h"
#include "engine/kv/kv_acl.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/kv_care.h"
#include "engine/kv/kv_directory.h"
#include "engine/kv/kv_tracking.h"
#include "engine/kv/kv_watch.h"
#include <stdlib.h>

enum err kv_hub_create(unsigned worker_count, void (*call)(void *context, unsigned worker),
                       void *call_context, struct kv_hub **created)
{
    struct kv_hub *hub = aligned_alloc(alignof(struct kv_hub), sizeof *hub);

    if (hub == NULL)
        return ERR_NO_MEMORY;
    *hub = (struct kv_hub){.worker_count = worker_count, .call = call, .call_context = call_context};
    hub->mailboxes = aligned_alloc(alignof(struct kv_mailbox), worker_count * sizeof *hub->mailboxes);
    if (hub->mailboxes == NULL || kv_pubsub_table_create(worker_count, &hub->topics) != OK ||
        kv_acl_create(&hub->acl) != OK || kv_gate_init(&hub->gate, worker_count) != OK) {
        kv_pubsub_table_destroy(hub->topics);
        kv_acl_destroy(hub->acl);
        free(hub->mailboxes);
        free(hub);
        return ERR_NO_MEMORY;
    }
    pthread_mutex_init(&hub->flush_lock, NULL);
    for (uint32_t i = 0; i < KV_DATABASES; i++)
        hub->spaces[i] = i;
    for (unsigned i = 0; i < worker_count; i++) {
        hub->mailboxes[i] = (struct kv_mailbox){.is_called = false};
        pthread_mutex_init(&hub->mailboxes[i].lock, NULL);
    }
    hub->tracking_keys_max = KV_TRACKING_KEYS_MAX;
    hub->watches = kv_watch_table_create();
    hub->tracking = kv_tracking_table_create();
    hub->alarms = kv_tracking_alarms_create(worker_count);
    hub->directory = kv_directory_create();
    if (hub->watches == NULL || hub->tracking == NULL || hub->alarms == NULL || hub->directory == NULL) {
        kv_hub_destroy(hub);
        return ERR_NO_MEMORY;
    }
    hub->admin = kv_admin_create(worker_count);
    if (hub->admin == NULL) {
        kv_hub_destroy(hub);
        return ERR_NO_MEMORY;
    }
    kv_care_update(hub);
    *created = hub;
    return OK;
}

static void append(struct kv_letters *letters, struct kv_letter *letter)
{
    letter->next = NULL;
    if (letters->last != NULL)
        letters->last->next = letter;
    else
        letters->first = letter;
    letters->last = letter;
}

static void read_all(struct kv *kv, struct kv_letters letters)
{
    for (struct kv_letter *letter = letters.first, *next; letter != NULL; letter = next) {
        next = letter->next;
        letter->read(kv, letter);
    }
}

void kv_hub_destroy(struct kv_hub *hub)
{
    if (hub == NULL)
        return;
    for (unsigned i = 0; i < hub->worker_count; i++) {
        read_all(NULL, hub->mailboxes[i].letters);
        pthread_mutex_destroy(&hub->mailboxes[i].lock);
    }
    kv_watch_table_destroy(hub->watches);
    kv_tracking_table_destroy(hub->tracking);
    kv_directory_destroy(hub->directory);
    free(hub->alarms);
    pthread_mutex_destroy(&hub->flush_lock);
    kv_admin_destroy(hub->admin);
    kv_gate_fini(&hub->gate);
    kv_pubsub_table_destroy(hub->topics);
    kv_acl_destroy(hub->acl);
    free(hub->mailboxes);
    free(hub);
}

void kv_send(struct kv_hub *hub, struct kv *from, unsigned worker, struct kv_letter *letter)
{
    struct kv_mailbox *mailbox = &hub->mailboxes[worker];
    bool must_call;

    if (from != NULL && from->number == worker) {
        append(&from->own_letters, letter);
        return;
    }
    pthread_mutex_lock(&mailbox->lock);
    append(&mailbox->letters, letter);
    must_call = !mailbox->is_called;
    mailbox->is_called = true;
    pthread_mutex_unlock(&mailbox->lock);
    if (must_call && hub->call != NULL)
        hub->call(hub->call_context, worker);
}

void kv_call_worker(struct kv_hub *hub, unsigned worker)
{
    struct kv_mailbox *mailbox = &hub->mailboxes[worker];
    bool must_call;

    pthread_mutex_lock(&mailbox->lock);
    must_call = !mailbox->is_called;
    mailbox->is_called = true;
    pthread_mutex_unlock(&mailbox->lock);
    if (must_call && hub->call != NULL)
        hub->call(hub->call_context, worker);
}

void kv_read_letters(struct kv *kv)
{
    struct kv_mailbox *mailbox = &kv->hub->mailboxes[kv->number];
    struct kv_letters letters;

    pthread_mutex_lock(&mailbox->lock);
    letters = mailbox->letters;
    mailbox->letters = (struct kv_letters){NULL, NULL};
    mailbox->is_called = false;
    pthread_mutex_unlock(&mailbox->lock);
    /* What changes sessions is inside the gate: who is alone may look at those of all workers. */
    kv_gate_enter(&kv->hub->gate, kv->number);
    read_all(kv, letters);
    kv_read_own_letters(kv); /* what reading them has brought about */
    kv_gate_leave(&kv->hub->gate, kv->number);
    kv_publishers_go_on(kv);
}

void kv_read_own_letters(struct kv *kv)
{
    while (kv->own_letters.first != NULL) {
        struct kv_letters letters = kv->own_letters;
        kv->own_letters = (struct kv_letters){NULL, NULL};
        read_all(kv, letters);
    }
}
