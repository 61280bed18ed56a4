#include "store/policy.h"
#include "load.h"
#include <stdlib.h>

enum { NONE = UINT32_MAX, FREQUENCY_MAX = 3 };

enum place { NOWHERE, SMALL, MAIN };

struct object {
    uint32_t newer, older; /* in its queue */
    uint32_t bytes;
    uint32_t ghost_since; /* as many had gone into the ghost by then; 0: not there */
    uint8_t place, frequency;
};

struct queue {
    uint32_t newest, oldest;
    uint64_t bytes, count;
};

struct policy {
    enum policy_kind kind;
    uint64_t limit_bytes;
    struct object *objects;
    struct queue small, main; /* but S3-FIFO, all have the main one only */
    uint32_t ghost_count;     /* ever */
    uint32_t hand;            /* SIEVE's */
};

struct policy *policy_create(enum policy_kind kind, uint64_t limit_bytes, uint32_t id_count)
{
    struct policy *policy = allocate(sizeof *policy);

    *policy = (struct policy){.kind = kind,
                              .limit_bytes = limit_bytes,
                              .objects = allocate(id_count * sizeof(struct object)),
                              .small = {NONE, NONE, 0, 0},
                              .main = {NONE, NONE, 0, 0},
                              .hand = NONE};
    return policy;
}

void policy_destroy(struct policy *policy)
{
    free(policy->objects);
    free(policy);
}

uint64_t policy_count(const struct policy *policy) { return policy->small.count + policy->main.count; }

static void push(struct policy *policy, enum place place, uint32_t id)
{
    struct queue *queue = place == SMALL ? &policy->small : &policy->main;
    struct object *object = &policy->objects[id];

    object->place = (uint8_t)place;
    object->newer = NONE;
    object->older = queue->newest;
    *(queue->newest != NONE ? &policy->objects[queue->newest].newer : &queue->oldest) = id;
    queue->newest = id;
    queue->bytes += object->bytes;
    queue->count++;
}

static void take(struct policy *policy, uint32_t id)
{
    struct object *object = &policy->objects[id];
    struct queue *queue = object->place == SMALL ? &policy->small : &policy->main;

    *(object->newer != NONE ? &policy->objects[object->newer].older : &queue->newest) = object->older;
    *(object->older != NONE ? &policy->objects[object->older].newer : &queue->oldest) = object->newer;
    queue->bytes -= object->bytes;
    queue->count--;
    object->place = NOWHERE;
}

static void evict_sieve(struct policy *policy)
{
    struct object *objects = policy->objects;
    uint32_t hand = policy->hand != NONE ? policy->hand : policy->main.oldest;

    while (objects[hand].frequency > 0) {
        objects[hand].frequency = 0;
        hand = objects[hand].newer != NONE ? objects[hand].newer : policy->main.oldest;
    }
    policy->hand = objects[hand].newer;
    take(policy, hand);
}

static void evict_small(struct policy *policy)
{
    uint32_t id = policy->small.oldest;
    struct object *object = &policy->objects[id];

    take(policy, id);
    if (object->frequency >= (policy->kind == POLICY_S3_FIFO_TWICE ? 2 : 1)) {
        object->frequency = 0;
        push(policy, MAIN, id);
    } else {
        object->ghost_since = ++policy->ghost_count;
    }
}

static void evict_main(struct policy *policy)
{
    uint32_t id = policy->main.oldest;
    struct object *object = &policy->objects[id];

    take(policy, id);
    if (object->frequency > 0) {
        object->frequency--;
        push(policy, MAIN, id);
    }
}

/* Lets one go, or moves one on. */
static void evict(struct policy *policy)
{
    switch (policy->kind) {
    case POLICY_LRU: take(policy, policy->main.oldest); return;
    case POLICY_SIEVE: evict_sieve(policy); return;
    case POLICY_S3_FIFO:
    case POLICY_S3_FIFO_TWICE:
        if (policy->small.bytes > policy->limit_bytes / 10 || policy->main.count == 0)
            evict_small(policy);
        else
            evict_main(policy);
        return;
    }
}

static void hit(struct policy *policy, uint32_t id)
{
    struct object *object = &policy->objects[id];

    switch (policy->kind) {
    case POLICY_LRU:
        take(policy, id);
        push(policy, MAIN, id);
        return;
    case POLICY_SIEVE: object->frequency = 1; return;
    case POLICY_S3_FIFO:
    case POLICY_S3_FIFO_TWICE:
        if (object->frequency < FREQUENCY_MAX)
            object->frequency++;
        return;
    }
}

/* Is it in the ghost, which remembers as many as the main queue holds? */
static bool is_remembered(const struct policy *policy, const struct object *object)
{
    return object->ghost_since != 0 && policy->ghost_count - object->ghost_since < policy->main.count;
}

bool policy_access(struct policy *policy, uint32_t id, uint32_t bytes)
{
    struct object *object = &policy->objects[id];
    bool is_s3_fifo = policy->kind == POLICY_S3_FIFO || policy->kind == POLICY_S3_FIFO_TWICE;

    if (object->place != NOWHERE) {
        hit(policy, id);
        return true;
    }
    if (bytes > policy->limit_bytes)
        return false;
    while (policy->small.bytes + policy->main.bytes + bytes > policy->limit_bytes)
        evict(policy);
    object->bytes = bytes;
    object->frequency = 0;
    push(policy, is_s3_fifo && !is_remembered(policy, object) ? SMALL : MAIN, id);
    object->ghost_since = 0;
    return false;
}
