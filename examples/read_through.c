/* read_through.c — a cache in front of something slow. However many threads ask at once, the slow thing is
 * asked once; what is stale is served while one thread renews it; a tag drops all that belongs together.
 *
 *     cc read_through.c $(pkg-config --cflags --libs nuthatch) -pthread -o read_through && ./read_through
 */
#include <nuthatch.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CALLERS 12
#define BIRDS   3

static const char *const birds[BIRDS] = {"nuthatch", "coal tit", "jay"};
static atomic_int asked_count; /* how often the slow thing was asked */
static atomic_int stale_count; /* how many callers were served what is stale */
static int64_t skipped_ms; /* the store believes what it is told of the time: no need to sit out a TTL */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + skipped_ms;
}

static void pause_ms(int ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000L};
    nanosleep(&pause, NULL);
}

/* ---- the slow thing: a database, say, or somebody's API ----------------------------------------- */

static bool ask_slowly(const char *bird, char *text, size_t capacity)
{
    pause_ms(200);
    snprintf(text, capacity, "all about the %s, answer %d", bird, atomic_fetch_add(&asked_count, 1) + 1);
    return true;
}

/* ---- the cache in front of it ------------------------------------------------------------------- */

/* Computes what a lease was given for. Should the key be written or purged meanwhile, the store refuses
 * the fill: the caller has an answer all the same, and the next one computes it anew. */
static bool compute(nh_store *store, nh_key key, uint64_t lease, char *text, size_t capacity)
{
    nh_bytes tag = {"birds", 5};
    nh_put_options options = {.size = sizeof options, .soft_ttl_ms = 60000, .ttl_ms = 3600000};
    int64_t began_ms = now_ms();

    if (!ask_slowly(key.data, text, capacity)) {
        nh_give_up(store, key, lease); /* let somebody else try */
        return false;
    }
    options.cost_ms = (uint32_t)(now_ms() - began_ms);
    options.tags = &tag;
    options.tag_count = 1;
    nh_fill(store, now_ms(), key, lease, (nh_bytes){text, strlen(text) + 1}, &options, NULL);
    return true;
}

static bool look_up(nh_store *store, const char *bird, char *text, size_t capacity)
{
    nh_key key = {bird, strlen(bird), 0};
    nh_fetch_state state;
    nh_value value;
    uint64_t lease;

    for (;;) {
        if (nh_fetch(store, now_ms(), key, NULL, &state, &lease, &value) != NH_OK)
            return ask_slowly(bird, text, capacity); /* the cache is no reason to fail */
        switch (state) {
        case NH_FETCH_STALE: atomic_fetch_add(&stale_count, 1); /* fall through */
        case NH_FETCH_HIT:
            snprintf(text, capacity, "%s", (const char *)value.bytes.data);
            nh_release(store, &value);
            return true;
        case NH_FETCH_HIT_LEASE:
        case NH_FETCH_STALE_LEASE:
            /* A lease is only a number: it could go to a thread in the background, and this caller be
             * served at once. Here it computes. */
            nh_release(store, &value); /* fall through */
        case NH_FETCH_MISS_LEASE: return compute(store, key, lease, text, capacity);
        case NH_FETCH_MISS_WAIT: pause_ms(5); break;
        }
    }
}

/* ---- many callers at once ----------------------------------------------------------------------- */

struct caller {
    pthread_t thread;
    nh_store *store;
    const char *bird;
};

static void *call(void *argument)
{
    struct caller *caller = argument;
    char text[100];

    if (!look_up(caller->store, caller->bird, text, sizeof text))
        printf("nobody knows about the %s\n", caller->bird);
    return NULL;
}

static void all_ask(nh_store *store, const char *occasion)
{
    struct caller callers[CALLERS];
    int asked_before = asked_count, stale_before = stale_count, started = 0;

    while (started < CALLERS) {
        callers[started].store = store;
        callers[started].bird = birds[started % BIRDS];
        if (pthread_create(&callers[started].thread, NULL, call, &callers[started]) != 0)
            break;
        started++;
    }
    for (int i = 0; i < started; i++)
        pthread_join(callers[i].thread, NULL);
    printf("%-24s %d callers, %d slow answers, %d served what is stale\n", occasion, started,
           asked_count - asked_before, stale_count - stale_before);
}

int main(void)
{
    nh_options options = {.size = sizeof options, .memory_bytes = 16 << 20};
    nh_store *store;
    nh_result result = nh_create(&options, &store);

    if (result != NH_OK) {
        fprintf(stderr, "no store: %s\n", nh_result_text(result));
        return 1;
    }
    all_ask(store, "nothing is known:");
    all_ask(store, "all is fresh:");
    skipped_ms += 2 * 60000;
    all_ask(store, "two minutes later:");
    nh_purge_tag(store, (nh_bytes){"birds", 5}, NH_PURGE_SOFT);
    all_ask(store, "after a soft purge:");
    nh_purge_tag(store, (nh_bytes){"birds", 5}, NH_PURGE_DROP);
    all_ask(store, "after a purge:");
    nh_destroy(store);
    return 0;
}
