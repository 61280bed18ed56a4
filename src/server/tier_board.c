#include "server/tier_board.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A thread that has said nothing for so long is stuck: what it knew grows old. */
enum { LATE_MS = 3 * TIER_BOARD_EVERY_MS };

struct sheet {
    int64_t posted_ms;
    struct tier_node_facts *nodes; /* room for TIER_BOARD_NODES_MAX; null until there is one */
    size_t node_count;
};

struct tier_board {
    pthread_mutex_t lock;
    unsigned worker_count;
    struct sheet sheets[]; /* one for each thread */
};

enum err tier_board_create(unsigned worker_count, struct tier_board **result)
{
    struct tier_board *board = calloc(1, sizeof *board + worker_count * sizeof *board->sheets);

    if (board == NULL)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&board->lock, NULL);
    board->worker_count = worker_count;
    *result = board;
    return OK;
}

void tier_board_destroy(struct tier_board *board)
{
    if (board == NULL)
        return;
    for (unsigned i = 0; i < board->worker_count; i++)
        free(board->sheets[i].nodes);
    pthread_mutex_destroy(&board->lock);
    free(board);
}

void tier_board_post(struct tier_board *board, unsigned number, int64_t now_ms,
                     const struct tier_node_facts *nodes, size_t node_count)
{
    struct sheet *sheet = &board->sheets[number];

    if (node_count > TIER_BOARD_NODES_MAX)
        node_count = TIER_BOARD_NODES_MAX;
    pthread_mutex_lock(&board->lock);
    if (sheet->nodes == NULL && node_count > 0)
        sheet->nodes = calloc(TIER_BOARD_NODES_MAX, sizeof *sheet->nodes);
    sheet->posted_ms = now_ms;
    sheet->node_count = sheet->nodes != NULL ? node_count : 0;
    if (sheet->node_count > 0)
        memcpy(sheet->nodes, nodes, node_count * sizeof *nodes);
    pthread_mutex_unlock(&board->lock);
}

/* ---- all together --------------------------------------------------------------------------------- */

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* What the thread says goes into what others have said. */
static void merge(struct tier_board_node *into, const struct tier_node_facts *from)
{
    struct tier_node_facts *to = &into->facts;

    if (into->thread_count == 0) {
        *to = *from;
    } else {
        if (from->slot_count > to->slot_count) { /* who has heard of more; they agree before long */
            to->slot_count = from->slot_count;
            memcpy(to->slots, from->slots, sizeof to->slots);
        }
        to->is_primary |= from->is_primary;
        to->in_flight += from->in_flight;
        to->round_trips += from->round_trips;
        to->p50_us = larger(to->p50_us, from->p50_us);
        to->p99_us = larger(to->p99_us, from->p99_us);
        to->max_us = larger(to->max_us, from->max_us);
        if (from->coherence_age_ms > to->coherence_age_ms)
            to->coherence_age_ms = from->coherence_age_ms;
    }
    into->thread_count++;
    into->open_count += from->is_open;
    into->left_alone_count += from->is_left_alone;
}

static int by_address(const void *a, const void *b)
{
    const struct tier_board_node *one = a, *other = b;

    return strcmp(one->facts.address, other->facts.address);
}

size_t tier_board_read(struct tier_board *board, int64_t now_ms, struct tier_board_node *nodes,
                       size_t capacity)
{
    size_t count = 0;

    pthread_mutex_lock(&board->lock);
    for (unsigned i = 0; i < board->worker_count; i++) {
        const struct sheet *sheet = &board->sheets[i];
        for (size_t j = 0; j < sheet->node_count; j++) {
            struct tier_node_facts facts = sheet->nodes[j];
            size_t at = 0;

            if (facts.coherence_age_ms != INT64_MAX && now_ms - sheet->posted_ms > LATE_MS)
                facts.coherence_age_ms += now_ms - sheet->posted_ms;
            while (at < count && strcmp(nodes[at].facts.address, facts.address) != 0)
                at++;
            if (at == capacity)
                continue;
            if (at == count)
                nodes[count++] = (struct tier_board_node){0};
            merge(&nodes[at], &facts);
        }
    }
    pthread_mutex_unlock(&board->lock);
    qsort(nodes, count, sizeof *nodes, by_address);
    return count;
}
