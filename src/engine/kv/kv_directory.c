#include "engine/kv/kv_directory.h"
#include "base/compiler.h"
#include "engine/kv/kv_key_table.h"
#include <stdlib.h>

enum { STRIPES = 16 };

struct kv_resident {
    struct kv_key_node node; /* its key is `id` */
    uint64_t id;
    unsigned worker;
    struct session *session;
};

struct stripe {
    alignas(64) pthread_mutex_t lock;
    struct hash_table residents;
};

struct kv_directory {
    struct stripe stripes[STRIPES];
};

struct kv_directory *kv_directory_create(void)
{
    struct kv_directory *directory = aligned_alloc(alignof(struct kv_directory), sizeof *directory);

    if (directory == NULL)
        return NULL;
    for (size_t i = 0; i < STRIPES; i++) {
        directory->stripes[i].residents = (struct hash_table){0};
        pthread_mutex_init(&directory->stripes[i].lock, NULL);
    }
    return directory;
}

void kv_directory_destroy(struct kv_directory *directory)
{
    if (directory == NULL)
        return;
    for (size_t i = 0; i < STRIPES; i++) {
        pthread_mutex_destroy(&directory->stripes[i].lock);
    }
    free(directory);
}

/* Ids are counted up by the server: nobody can choose ones that collide. */
static uint64_t hash_of(uint64_t id) { return id * UINT64_C(0x9e3779b97f4a7c15); }

static struct stripe *stripe_of(struct kv_hub *hub, uint64_t id)
{
    return &hub->directory->stripes[id % STRIPES];
}

void kv_directory_enter(struct kv *kv, struct session *session)
{
    struct stripe *stripe = stripe_of(kv->hub, session->id);
    struct kv_resident *resident = malloc(sizeof *resident);
    bool is_in;

    if (resident == NULL)
        return;
    *resident = (struct kv_resident){.id = session->id, .worker = kv->number, .session = session};
    resident->node =
        (struct kv_key_node){.hash = hash_of(resident->id), .key = {&resident->id, sizeof resident->id, 0}};
    pthread_mutex_lock(&stripe->lock);
    is_in = kv_key_table_put(&stripe->residents, &resident->node);
    pthread_mutex_unlock(&stripe->lock);
    if (is_in)
        session->resident = resident;
    else
        free(resident);
}

void kv_directory_leave(struct kv *kv, struct session *session)
{
    struct stripe *stripe = stripe_of(kv->hub, session->id);

    if (session->resident == NULL)
        return;
    pthread_mutex_lock(&stripe->lock);
    kv_key_table_remove(&stripe->residents, &session->resident->node);
    pthread_mutex_unlock(&stripe->lock);
    free(session->resident);
    session->resident = NULL;
}

struct session *kv_directory_find(struct kv_hub *hub, uint64_t id, unsigned *worker)
{
    struct stripe *stripe = stripe_of(hub, id);
    struct session *session = NULL;
    struct kv_key_node *node;

    pthread_mutex_lock(&stripe->lock);
    node = kv_key_table_find(&stripe->residents, hash_of(id), (nh_key){&id, sizeof id, 0});
    if (node != NULL) {
        const struct kv_resident *resident = CONTAINER_OF(node, struct kv_resident, node);
        session = resident->session;
        *worker = resident->worker;
    }
    pthread_mutex_unlock(&stripe->lock);
    return session;
}
