/* embed.c — a cache inside a program, with nothing but <nuthatch.h>:
 *
 *     cc embed.c $(pkg-config --cflags --libs nuthatch) -o embed && ./embed */
#include <inttypes.h>
#include <nuthatch.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The store never reads a clock: the caller says what time it is. */
static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static nh_key key_of(const char *text)
{
    nh_key key = {text, strlen(text), 0};
    return key;
}

static nh_bytes bytes_of(const char *text)
{
    nh_bytes bytes = {text, strlen(text)};
    return bytes;
}

/* Prints the value of `name`, without a copy: the bytes are the store's until they are released. */
static void show(nh_store *store, int64_t at_ms, const char *name)
{
    nh_value value;
    nh_result result = nh_borrow(store, at_ms, key_of(name), &value);

    if (result != NH_OK) {
        printf("%-14s %s\n", name, nh_result_text(result));
        return;
    }
    printf("%-14s \"%.*s\", version %" PRIu64 "%s\n", name, (int)value.bytes.size,
           (const char *)value.bytes.data, value.version,
           value.traits & NH_VALUE_STALE ? ", stale: time to fetch it again" : "");
    nh_release(store, &value);
}

int main(void)
{
    nh_options options = {.size = sizeof options, .memory_bytes = 16 << 20};
    nh_put_options page = {.size = sizeof page};
    nh_bytes tag = {"user:7", 6};
    nh_stats stats = {.size = sizeof stats};
    int64_t visits, start_ms = now_ms();
    nh_store *store;
    nh_result result = nh_create(&options, &store);

    if (result != NH_OK) {
        fprintf(stderr, "no store: %s\n", nh_result_text(result));
        return 1;
    }

    /* Fresh for a minute, served as stale for an hour, and dropped with all else about this user. */
    page.soft_ttl_ms = 60 * 1000;
    page.ttl_ms = 60 * 60 * 1000;
    page.tags = &tag;
    page.tag_count = 1;
    result = nh_put(store, start_ms, key_of("/users/7"), bytes_of("{\"name\":\"Ada\"}"), &page, NULL);
    if (result != NH_OK)
        fprintf(stderr, "not stored: %s\n", nh_result_text(result));

    show(store, start_ms, "/users/7");
    show(store, start_ms + 2 * 60 * 1000, "/users/7"); /* as it will be in two minutes */
    show(store, start_ms, "/users/8");

    for (int i = 0; i < 3; i++)
        nh_increment(store, start_ms, key_of("visits"), 1, NH_INCREMENT_SIGNED, &visits);
    show(store, start_ms, "visits");

    nh_purge_tag(store, tag, NH_PURGE_DROP);
    show(store, start_ms, "/users/7");

    nh_sweep(store, start_ms, 1000); /* now and then: frees what has expired */
    if (nh_stats_read(store, &stats) == NH_OK)
        printf("%" PRIu64 " hits, %" PRIu64 " misses, %" PRIu64 " of %" PRIu64 " KiB in use\n", stats.hits,
               stats.misses, stats.memory_bytes >> 10, stats.memory_bytes_max >> 10);
    nh_destroy(store);
    return 0;
}
