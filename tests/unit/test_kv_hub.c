/* links: nuthatch-kv nuthatch-store nuthatch-message nuthatch-base
 * Workers beside each other: alone is alone, and letters arrive, each once and in order. */
#include "base/compiler.h"
#include "engine/kv/kv.h"
#include "test.h"
#include <pthread.h>
#include <stdlib.h>

enum { WORKERS = 4, ROUNDS = 2000 };

/* ---- the gate ---------------------------------------------------------------------------------- */

struct pair {
    struct kv_hub *hub;
    int left, right; /* plain: written by who is alone, read inside */
    _Atomic int torn_count;
};

struct walker {
    struct pair *pair;
    unsigned number;
    pthread_t thread;
};

static void *walk(void *argument)
{
    struct walker *walker = argument;
    struct pair *pair = walker->pair;
    struct kv kv = {.hub = pair->hub, .number = walker->number};

    for (int i = 0; i < ROUNDS; i++) {
        kv_begin(&kv);
        if (pair->left != pair->right)
            atomic_fetch_add(&pair->torn_count, 1);
        if (i % 8 == 0) {
            kv_go_alone(&kv);
            pair->left++;
            kv_go_alone(&kv); /* within another */
            pair->right++;
            kv_go_together(&kv);
            kv_go_together(&kv);
        }
        kv_end(&kv);
    }
    return NULL;
}

TEST(who_is_alone_is_seen_by_nobody)
{
    struct walker walkers[WORKERS];
    struct pair pair = {0};

    EXPECT_EQ(kv_hub_create(WORKERS, NULL, NULL, &pair.hub), OK);
    for (unsigned i = 0; i < WORKERS; i++) {
        walkers[i] = (struct walker){.pair = &pair, .number = i};
        EXPECT_EQ(pthread_create(&walkers[i].thread, NULL, walk, &walkers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(walkers[i].thread, NULL);
    EXPECT_EQ(atomic_load(&pair.torn_count), 0);
    EXPECT_EQ(pair.left, WORKERS * ROUNDS / 8);
    EXPECT_EQ(pair.right, pair.left);
    kv_hub_destroy(pair.hub);
}

/* ---- letters ----------------------------------------------------------------------------------- */

struct note {
    struct kv_letter letter;
    unsigned from;
    int number;
};

static int next_number[WORKERS], out_of_order_count, freed_count;

static void read_note(struct kv *kv, struct kv_letter *letter)
{
    struct note *note = CONTAINER_OF(letter, struct note, letter);

    if (kv == NULL)
        freed_count++;
    else if (note->number != next_number[note->from]++)
        out_of_order_count++;
    free(note);
}

static void send(struct kv_hub *hub, struct kv *from_kv, unsigned from, unsigned to, int number)
{
    struct note *note = malloc(sizeof *note);

    *note = (struct note){.letter = {.read = read_note}, .from = from, .number = number};
    kv_send(hub, from_kv, to, &note->letter);
}

static void forget_notes(void)
{
    for (unsigned i = 0; i < WORKERS; i++)
        next_number[i] = 0;
    out_of_order_count = freed_count = 0;
}

static void *write_letters(void *argument)
{
    struct walker *walker = argument;
    struct kv kv = {.hub = walker->pair->hub, .number = walker->number};

    for (int i = 0; i < ROUNDS; i++)
        send(kv.hub, &kv, walker->number, 0, i);
    return NULL;
}

static _Atomic int call_count;

static void note_call(void *context, unsigned worker)
{
    (void)context;
    EXPECT_EQ(worker, 0);
    atomic_fetch_add(&call_count, 1);
}

TEST(letters_arrive_once_and_in_order)
{
    struct walker walkers[WORKERS];
    struct pair pair = {0};
    struct kv reader;
    int read_count = 0;

    forget_notes();
    EXPECT_EQ(kv_hub_create(WORKERS, note_call, NULL, &pair.hub), OK);
    reader = (struct kv){.hub = pair.hub, .number = 0};
    for (unsigned i = 1; i < WORKERS; i++) {
        walkers[i] = (struct walker){.pair = &pair, .number = i};
        EXPECT_EQ(pthread_create(&walkers[i].thread, NULL, write_letters, &walkers[i]), 0);
    }
    while (read_count < (WORKERS - 1) * ROUNDS) {
        kv_read_letters(&reader);
        read_count = next_number[1] + next_number[2] + next_number[3];
    }
    for (unsigned i = 1; i < WORKERS; i++)
        pthread_join(walkers[i].thread, NULL);
    EXPECT_EQ(out_of_order_count, 0);
    EXPECT(atomic_load(&call_count) > 0);
    kv_hub_destroy(pair.hub);
    EXPECT_EQ(freed_count, 0);
}

TEST(a_worker_is_called_once_until_it_has_looked)
{
    struct kv_hub *hub;
    struct kv kv;

    forget_notes();
    atomic_store(&call_count, 0);
    EXPECT_EQ(kv_hub_create(WORKERS, note_call, NULL, &hub), OK);
    kv = (struct kv){.hub = hub};
    send(hub, NULL, 1, 0, 0);
    send(hub, NULL, 1, 0, 1);
    EXPECT_EQ(atomic_load(&call_count), 1);
    kv_read_letters(&kv);
    EXPECT_EQ(next_number[1], 2);
    send(hub, NULL, 1, 0, 2);
    EXPECT_EQ(atomic_load(&call_count), 2);
    kv_hub_destroy(hub); /* with a letter that nobody has read */
    EXPECT_EQ(freed_count, 1);
}

TEST(a_letter_to_oneself_waits_for_nobody)
{
    struct kv_hub *hub;
    struct kv kv;

    forget_notes();
    EXPECT_EQ(kv_hub_create(1, NULL, NULL, &hub), OK);
    kv = (struct kv){.hub = hub};
    send(hub, &kv, 0, 0, 0);
    EXPECT_EQ(next_number[0], 0); /* not yet: a command may be answering */
    kv_read_own_letters(&kv);
    EXPECT_EQ(next_number[0], 1);
    kv_hub_destroy(hub);
}

RUN_TESTS(TEST_ROW(who_is_alone_is_seen_by_nobody), TEST_ROW(letters_arrive_once_and_in_order),
          TEST_ROW(a_worker_is_called_once_until_it_has_looked),
          TEST_ROW(a_letter_to_oneself_waits_for_nobody))
