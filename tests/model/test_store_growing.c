/* links: nuthatch-store */
/* Values that grow under many readers: each sees a whole beginning, and then the end or the abort. */
#include "threads.h"
#include <sched.h>

enum { RUN_MS = 1200, KEYS = 24, SIZE_MAX_BYTES = 300000, FOLLOWED = 4 };

struct scene {
    bool is_disturbed; /* others delete, overwrite, clear and evict */
    _Atomic uint64_t
        published[KEYS]; /* the sequence that a publish has returned for; one writer for each key */
    _Atomic uint64_t ends, aborts;
};

static void *run_writer(void *context)
{
    struct member *member = context;
    struct scene *scene = member->team->shared;
    nh_store *store = member->team->store;
    char *bytes = malloc(SIZE_MAX_BYTES);
    uint64_t sequence = 0;

    while (!is_over(member)) {
        uint64_t number = draw(member, KEYS / 2) * 2 + member->number;
        size_t size = sizeof(struct stamp) + draw(member, one_in(member, 3) ? SIZE_MAX_BYTES - 100 : 3000);
        size_t published_at = draw(member, size), written = 0;
        bool is_published = false, is_aborted = one_in(member, 5);
        nh_writer *writer;
        nh_result result;

        stamp_make(bytes, size, number, ++sequence, 0);
        result = nh_writer_create(store, 1, (nh_key){&number, sizeof number, 0}, NULL, &writer);
        MUST(result == NH_OK || (result == NH_FULL && scene->is_disturbed));
        if (result != NH_OK)
            continue;
        while (written < size) {
            size_t step = 1 + draw(member, written + 100);
            if (step > size - written)
                step = size - written;
            result = nh_writer_append(writer, 1, (nh_bytes){bytes + written, step});
            if (result != NH_OK)
                break;
            written += step;
            if (!is_published && written >= published_at && written >= sizeof(struct stamp)) {
                result = nh_writer_publish(writer, 1);
                if (result != NH_OK)
                    break;
                is_published = true;
                atomic_store(&scene->published[number], sequence);
            }
            if (is_aborted && written > size / 2) {
                nanosleep(&(struct timespec){.tv_nsec = 20 * 1000},
                          NULL); /* so that somebody gets to see it */
                break;
            }
            if (one_in(member, 4))
                sched_yield();
        }
        MUST(result == NH_OK || (result == NH_FULL && scene->is_disturbed));
        if (result != NH_OK || (is_aborted && written < size)) {
            nh_writer_abort(writer);
            continue;
        }
        result = nh_writer_commit(writer, 1, NULL);
        MUST(result == NH_OK || (result == NH_CHANGED && is_published) || result == NH_FULL);
        MUST(result == NH_OK || scene->is_disturbed);
        if (result == NH_OK && !scene->is_disturbed)
            atomic_store(&scene->published[number], sequence);
    }
    free(bytes);
    return NULL;
}

/* One value that is followed to its end. */
struct followed {
    nh_value value;
    uint64_t key, read;
    struct stamp stamp;
    bool is_held;
};

/* Reads on from where he was; false when there will be no more. */
static bool follow(struct member *member, struct followed *followed)
{
    struct scene *scene = member->team->shared;
    nh_store *store = member->team->store;
    nh_bytes piece;
    nh_result result;

    while ((result = nh_value_piece(store, &followed->value, followed->read, &piece)) == NH_OK) {
        MUST(piece.size > 0);
        MUST(followed->read + piece.size <= followed->stamp.size);
        MUST(is_row(piece.data, piece.size, followed->stamp.shift + followed->read - sizeof(struct stamp)));
        followed->read += piece.size;
    }
    if (result == NH_GROWING)
        return true;
    MUST(result == NH_MISSING || result == NH_ABORTED);
    MUST(result == NH_ABORTED || followed->read == followed->stamp.size);
    atomic_fetch_add(result == NH_MISSING ? &scene->ends : &scene->aborts, 1);
    return false;
}

static void *run_reader(void *context)
{
    struct member *member = context;
    struct scene *scene = member->team->shared;
    nh_store *store = member->team->store;
    struct followed followed[FOLLOWED] = {0};

    while (!is_over(member)) {
        struct followed *one = &followed[draw(member, FOLLOWED)];
        uint64_t floor;
        nh_result result;
        if (one->is_held) {
            if (!follow(member, one) || one_in(member, 50)) {
                nh_release(store, &one->value);
                one->is_held = false;
            }
            continue;
        }
        one->key = draw(member, KEYS);
        floor = atomic_load(&scene->published[one->key]);
        result = nh_borrow(store, 1, (nh_key){&one->key, sizeof one->key, 0}, &one->value);
        MUST(result == NH_OK || result == NH_MISSING || result == NH_FULL);
        if (result != NH_OK)
            continue;
        one->is_held = true;
        one->stamp = stamp_check_lent(store, &one->value, one->key);
        one->read = sizeof(struct stamp);
        MUST(one->stamp.sequence >= floor);
    }
    for (unsigned i = 0; i < FOLLOWED; i++)
        if (followed[i].is_held)
            nh_release(store, &followed[i].value);
    return NULL;
}

static void *run_disturber(void *context)
{
    struct member *member = context;
    struct scene *scene = member->team->shared;
    nh_store *store = member->team->store;
    char *bytes = malloc(3000);

    while (!is_over(member)) {
        uint64_t number = draw(member, KEYS);
        nh_key key = {&number, sizeof number, 0};
        size_t size = sizeof(struct stamp) + draw(member, 2900);
        nh_bytes value = stamp_make(bytes, size, number, UINT64_MAX, 0);
        if (!scene->is_disturbed) {
            nh_sweep(store, 1, 50);
            sched_yield();
            continue;
        }
        switch (draw(member, 10)) {
        case 0: nh_delete(store, 1, key); break;
        case 1: nh_put(store, 1, key, value, NULL, NULL); break;
        case 2:
            if (one_in(member, 20))
                nh_clear(store, 0);
            break;
        default:
            number = draw(member, 100000);
            key.space = 1;
            nh_put(store, 1, key, value, NULL, NULL);
            break;
        }
        if (one_in(member, 20))
            sched_yield();
    }
    free(bytes);
    return NULL;
}

static void run(bool is_disturbed, uint64_t memory_bytes)
{
    void *(*const starts[])(void *) = {run_writer, run_writer, run_reader, run_reader, run_disturber};
    struct scene *scene = calloc(1, sizeof *scene);
    struct team team = {.store = make_store_of_values(memory_bytes, 512 << 10), .shared = scene};

    scene->is_disturbed = is_disturbed;
    team_run(&team, RUN_MS, starts, COUNT_OF(starts));
    printf("%llu read to the end, %llu to an abort\n", (unsigned long long)scene->ends,
           (unsigned long long)scene->aborts);
    EXPECT(scene->ends > 0);
    EXPECT(scene->aborts > 0);
    nh_clear(team.store, NH_SPACE_ALL);
    sweep_all(team.store, 1);
    EXPECT_EQ(nh_count(team.store, NH_SPACE_ALL), 0);
    team_end(&team);
    free(scene);
}

TEST(readers_see_a_growing_value_to_its_end_or_its_abort) { run(false, 64 << 20); }

TEST(also_while_others_overwrite_delete_clear_and_evict_it) { run(true, 8 << 20); }

RUN_TESTS(TEST_ROW(readers_see_a_growing_value_to_its_end_or_its_abort),
          TEST_ROW(also_while_others_overwrite_delete_clear_and_evict_it))
