#include "server/demo_cluster.h"
#include "base/thread.h"
#include "server/demo_client.h"
#include "server/demo_redis.h"
#include "server/demo_stage.h"
#include "server/run.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LATENCY_MS = 300,
    FRESH_S = 3600,
    CROWD_CLIENTS = 500, /* of each node */
    NODES = 2,
    PATIENCE_MS = 15000,
    BETWEEN_LOOKS_US = 2000,
};

struct node {
    struct options options;
    struct server *server;
    uint16_t gateway_port, cache_port, admin_port;
};

struct tour {
    struct demo_stage stage;
    struct demo_redis redis;
    struct options mock_options;
    struct server *mock;
    uint16_t mock_port;
    struct node nodes[NODES];
};

static double since_ms(struct timespec began)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - began.tv_sec) * 1e3 + (double)(now.tv_nsec - began.tv_nsec) / 1e6;
}

static struct timespec begin(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now;
}

/* ---- what runs ------------------------------------------------------------------------------------ */

static bool set_server(struct options *options, const char *name, const char *text)
{
    for (size_t i = 0; i < option_row_count(); i++) {
        const struct option_row *row = option_row(i);
        struct buffer why = {0};
        enum err err;

        if (strcmp(row->name, name) != 0 || (row->verbs & 1u << VERB_SERVE) == 0)
            continue;
        err = option_set(row, options, bytes_of_text(text), (struct place){0}, &why);
        buffer_fini(&why);
        return err == OK;
    }
    return false;
}

static uint16_t admin_port_of(const struct server *server)
{
    for (size_t i = 0; i < server_port_count(server); i++)
        if (server_port(server, i).role == ROLE_COUNT)
            return server_port(server, i).port;
    return 0;
}

/* A gateway before the API and a cache, on the tier that all share. */
static bool start_node(struct tour *tour, size_t index)
{
    struct node *node = &tour->nodes[index];
    struct options *options = &node->options;
    struct role_options *role;
    char origin[64], tier[96], what[64];

    snprintf(what, sizeof what, "the gateway of node %c", (int)('A' + index));
    node->gateway_port = demo_choose_port(&tour->stage, what, (uint16_t)(8080 + index));
    snprintf(what, sizeof what, "the cache of node %c", (int)('A' + index));
    node->cache_port = demo_choose_port(&tour->stage, what, (uint16_t)(6379 + index));
    snprintf(tier, sizeof tier, "valkey://127.0.0.1:%d,127.0.0.1:%d", tour->redis.nodes[0].port,
             tour->redis.nodes[1].port);
    if (!demo_begin_options(&tour->stage, options) || !set_server(options, "tier", tier) ||
        !set_server(options, "admin", "http://127.0.0.1:0"))
        return false;
    role = demo_add_role(options, ROLE_GATEWAY, "http", node->gateway_port);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d", tour->mock_port);
    if (role == NULL || !demo_set(role, "origin", origin) ||
        demo_add_role(options, ROLE_CACHE, "resp", node->cache_port) == NULL)
        return false;
    node->server = demo_start(&tour->stage, options);
    if (node->server != NULL)
        node->admin_port = admin_port_of(node->server);
    return node->server != NULL;
}

static bool start_mock(struct tour *tour)
{
    struct role_options *role;

    tour->mock_port = demo_choose_port(&tour->stage, "the API", 3000);
    if (!demo_begin_options(&tour->stage, &tour->mock_options))
        return false;
    role = demo_add_role(&tour->mock_options, ROLE_MOCK, "http", tour->mock_port);
    if (role == NULL)
        return false;
    role->latency_ms = LATENCY_MS;
    role->max_age_ms = FRESH_S * 1000;
    tour->mock = demo_start(&tour->stage, &tour->mock_options);
    return tour->mock != NULL;
}

/* ---- clients -------------------------------------------------------------------------------------- */

/* One command to a node's cache, on a connection of its own, into `answer`, terminated. */
static bool ask_cache(const struct node *node, const char *command, struct buffer *answer)
{
    char line[128];
    int fd = demo_connect(node->cache_port);
    bool ok;

    buffer_clear(answer);
    snprintf(line, sizeof line, "%s\r\n", command);
    ok = fd >= 0 && demo_talk(fd, line, "\r\n", answer);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Until the node's cache answers what ends in `wanted`; false if it does not in time. */
static bool wait_for_answer(const struct node *node, const char *command, const char *wanted,
                            double *milliseconds)
{
    struct timespec began = begin();
    struct buffer answer = {0};
    bool is_there = false;

    while (!is_there && since_ms(began) < PATIENCE_MS) {
        is_there = ask_cache(node, command, &answer) && strstr(answer.data, wanted) != NULL;
        if (!is_there)
            usleep(BETWEEN_LOOKS_US);
    }
    *milliseconds = since_ms(began);
    buffer_fini(&answer);
    return is_there;
}

static bool get(const struct node *node, const char *path, struct demo_answer *answer)
{
    int fd = demo_connect(node->gateway_port);
    bool ok = fd >= 0 && demo_get(fd, path, answer);

    if (fd >= 0)
        close(fd);
    return ok;
}

static bool is_hit(const struct demo_answer *answer)
{
    return strstr(answer->cache_status, "; hit") != NULL;
}

static uint64_t asked_for(const struct tour *tour, const char *path)
{
    return server_mock_request_count(tour->mock, bytes_of_text(path));
}

/* ---- the tour ------------------------------------------------------------------------------------- */

static void show_cluster(struct tour *tour)
{
    struct demo_stage *stage = &tour->stage;
    double milliseconds = 0, other = 0;

    demo_announce(stage,
                  "A cluster of three primaries with a replica each, and two nodes of nuthatch before it");
    for (size_t i = 0; i < DEMO_PRIMARIES; i++) {
        unsigned first, last;
        demo_redis_slots(i, &first, &last);
        demo_show(stage, "%s 127.0.0.1:%-5d  slots %5u to %5u   replica 127.0.0.1:%d", tour->redis.program,
                  tour->redis.nodes[i].port, first, last, tour->redis.nodes[DEMO_PRIMARIES + i].port);
    }
    for (size_t i = 0; i < NODES; i++)
        demo_show(stage, "node %c       http://127.0.0.1:%d and redis://127.0.0.1:%d", (int)('A' + i),
                  tour->nodes[i].gateway_port, tour->nodes[i].cache_port);
    demo_conclude(stage,
                  wait_for_answer(&tour->nodes[0], "SET greeting hello", "+OK", &milliseconds) &&
                      wait_for_answer(&tour->nodes[1], "GET greeting", "hello", &other),
                  "what is written on one node is read on the other");
}

static void show_near(struct tour *tour)
{
    struct demo_stage *stage = &tour->stage;
    double bound_ms = (double)tour->nodes[1].options.tier_staleness_ms_max, milliseconds = 0;
    struct buffer answer = {0};
    int fd = demo_connect(tour->nodes[1].cache_port);
    struct timespec began;
    bool ok = true;
    double first = 0, near = 0;

    demo_announce(stage, "Node B keeps near what it has read; then node A writes it anew");
    for (int i = 0; i < 3 && ok; i++) { /* once to read it, once to be warm, once to be measured */
        buffer_clear(&answer);
        began = begin();
        ok = fd >= 0 && demo_talk(fd, "GET greeting\r\n", "hello\r\n", &answer);
        near = since_ms(began);
        if (i == 0)
            first = near;
    }
    demo_show_time(stage, "FIRST", first);
    demo_show_time(stage, "NEAR", near);
    ok = ok && wait_for_answer(&tour->nodes[0], "SET greeting goodbye", "+OK", &milliseconds) &&
         wait_for_answer(&tour->nodes[1], "GET greeting", "goodbye", &milliseconds);
    demo_show_time(stage, "TOLD", milliseconds);
    demo_show(stage, "the bound that is promised (--max-staleness): %.0f ms", bound_ms);
    demo_conclude(stage, ok && milliseconds <= bound_ms, "node B has the new value within the bound");
    if (fd >= 0)
        close(fd);
    buffer_fini(&answer);
}

static void show_one_fetch(struct tour *tour)
{
    struct demo_stage *stage = &tour->stage;
    struct demo_answer miss = {0}, other = {0}, again = {0};
    uint64_t before = asked_for(tour, "/birds/1"), asked;
    bool ok;

    demo_announce(stage, "GET /birds/1 on node A, then on node B: the API behind both takes 300 ms");
    ok = get(&tour->nodes[0], "/birds/1", &miss);
    demo_show_time(stage, "A", miss.milliseconds);
    demo_show(stage, "Cache-Status: %s", miss.cache_status);
    ok = get(&tour->nodes[1], "/birds/1", &other) && ok;
    demo_show_time(stage, "B", other.milliseconds);
    demo_show(stage, "Cache-Status: %s", other.cache_status);
    ok = get(&tour->nodes[1], "/birds/1", &again) && ok;
    demo_show_time(stage, "B", again.milliseconds);
    asked = asked_for(tour, "/birds/1") - before;
    demo_show(stage, "the API was asked %llu time%s", (unsigned long long)asked, asked == 1 ? "" : "s");
    demo_conclude(stage,
                  ok && asked == 1 && !is_hit(&miss) && miss.status == 200 && other.status == 200 &&
                      other.milliseconds < LATENCY_MS,
                  "one fetch was enough for both nodes");
}

struct crowd {
    uint16_t port;
    size_t good;
    double milliseconds;
};

static void *run_crowd(void *context)
{
    struct crowd *crowd = context;

    crowd->good = demo_crowd(crowd->port, "/trees", CROWD_CLIENTS, &crowd->milliseconds);
    return NULL;
}

static void show_crowd(struct tour *tour)
{
    struct demo_stage *stage = &tour->stage;
    struct crowd crowds[NODES];
    uint64_t before = asked_for(tour, "/trees"), asked;
    pthread_t other;
    bool has_other;

    demo_announce(stage, "500 clients of each node at once ask for one URL that is not in the tier");
    for (size_t i = 0; i < NODES; i++)
        crowds[i] = (struct crowd){.port = tour->nodes[i].gateway_port};
    has_other = thread_start(&other, run_crowd, &crowds[1]);
    run_crowd(&crowds[0]);
    if (has_other)
        pthread_join(other, NULL);
    asked = asked_for(tour, "/trees") - before;
    for (size_t i = 0; i < NODES; i++)
        demo_show_time(stage, i == 0 ? "A" : "B", crowds[i].milliseconds);
    demo_show(stage, "%zu of %d clients were answered; the API was asked %llu time%s",
              crowds[0].good + crowds[1].good, NODES * CROWD_CLIENTS, (unsigned long long)asked,
              asked == 1 ? "" : "s");
    demo_conclude(stage, crowds[0].good + crowds[1].good == NODES * CROWD_CLIENTS && asked == 1,
                  "one request reached the API");
}

static bool purge(const struct node *node, const char *body)
{
    char request[256];
    struct buffer answer = {0};
    int fd = demo_connect(node->admin_port);
    bool ok;

    snprintf(request, sizeof request,
             "POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
             body);
    ok = fd >= 0 && demo_talk(fd, request, "}\n", &answer) && strstr(answer.data, "\"purged\":1") != NULL;
    if (fd >= 0)
        close(fd);
    buffer_fini(&answer);
    return ok;
}

static void show_purge(struct tour *tour)
{
    struct demo_stage *stage = &tour->stage;
    double bound_ms = (double)tour->nodes[1].options.tier_staleness_ms_max, seen_ms = 0;
    uint64_t before = asked_for(tour, "/birds/1");
    struct demo_answer answer = {0};
    struct timespec began;
    bool ok, is_gone = false;

    demo_announce(stage, "A purge of /birds/1 on node A, by its administrator's API");
    ok = purge(&tour->nodes[0], "{\"url\": \"/birds/1\"}");
    began = begin();
    while (ok && !is_gone && since_ms(began) < PATIENCE_MS) {
        seen_ms = since_ms(began);
        ok = get(&tour->nodes[1], "/birds/1", &answer);
        is_gone = asked_for(tour, "/birds/1") > before;
        if (!is_gone)
            usleep(BETWEEN_LOOKS_US);
    }
    demo_show_time(stage, "SEEN", seen_ms);
    demo_show(stage, "the bound: %.0f ms", bound_ms);
    demo_conclude(stage, ok && is_gone && seen_ms <= bound_ms,
                  "node B does not give it any more, within the bound");
}

static void show_failover(struct tour *tour)
{
    enum { LOOKS_MIN = 200 };
    struct demo_stage *stage = &tour->stage;
    struct timespec began;
    size_t asked = 0, answered = 0;
    double slowest = 0, whole_ms = 0, written_ms = 0;
    bool is_written;

    demo_announce(stage, "One of the primaries is killed, while clients of both nodes go on");
    demo_redis_kill(&tour->redis, 0);
    began = begin();
    while ((whole_ms == 0 || asked < LOOKS_MIN) && since_ms(began) < PATIENCE_MS) {
        for (size_t i = 0; i < NODES; i++) {
            struct demo_answer answer = {0};
            bool ok = get(&tour->nodes[i], asked % 4 < 2 ? "/trees" : "/birds/1", &answer);
            asked++;
            answered += ok && answer.status == 200;
            if (answer.milliseconds > slowest)
                slowest = answer.milliseconds;
        }
        if (whole_ms == 0 && demo_redis_has_taken_over(&tour->redis, 0))
            whole_ms = since_ms(began);
        usleep(BETWEEN_LOOKS_US);
    }
    is_written = wait_for_answer(&tour->nodes[0], "SET greeting again", "+OK", &written_ms) &&
                 wait_for_answer(&tour->nodes[1], "GET greeting", "again", &written_ms);
    demo_show(stage, "%zu of %zu requests to the gateways were answered, the slowest after %.0f ms",
              answered, asked, slowest);
    demo_show(stage, "after %.1f s a replica had taken over; then a write through A was read through B",
              whole_ms / 1000);
    demo_conclude(stage, answered == asked && whole_ms > 0 && is_written,
                  "clients were served all the time");
}

static void show_addresses(struct tour *tour)
{
    const char *bold = demo_paint(&tour->stage, BOLD), *plain = demo_paint(&tour->stage, PLAIN);
    FILE *out = tour->stage.out;

    fprintf(out, "\n%sIt stays up. Try:%s\n", bold, plain);
    for (size_t i = 0; i < NODES; i++)
        fprintf(out, "   curl -i http://127.0.0.1:%d/birds/2        node %c\n", tour->nodes[i].gateway_port,
                (int)('A' + i));
    fprintf(out, "   nuthatch status --admin http://127.0.0.1:%d\n", tour->nodes[0].admin_port);
    fprintf(out,
            "   redis-cli -p %d HSET bird:1 name nuthatch    what nuthatch has not itself, the tier has\n",
            tour->nodes[0].cache_port);
    fprintf(out, "%sCtrl-C ends it, the cluster as well.%s\n", bold, plain);
    fflush(out);
}

static void play(struct tour *tour)
{
    static void (*const steps[])(struct tour *) = {show_cluster, show_near,  show_one_fetch,
                                                   show_crowd,   show_purge, show_failover};
    bool interrupted = false;

    for (size_t i = 0; i < COUNT_OF(steps) && !interrupted; i++) {
        steps[i](tour);
        interrupted = run_wait(0);
    }
    if (interrupted) {
        tour->stage.held = false;
    } else if (!tour->stage.asked->demo_once) {
        show_addresses(tour);
        run_wait(-1);
    }
}

int demo_cluster_run(const struct options *options, FILE *out)
{
    struct tour *tour = calloc(1, sizeof *tour);
    struct buffer why = {0};
    bool held;

    if (tour == NULL)
        return 1;
    run_prepare();
    demo_stage_init(&tour->stage, options, out);
    fprintf(out, "%snuthatch%s: a slow API, two nodes in front of it, and a cluster that they share\n",
            demo_paint(&tour->stage, BOLD), demo_paint(&tour->stage, PLAIN));
    fflush(out);
    if (!demo_redis_start(&tour->redis, &why)) {
        fprintf(stderr, "nuthatch: %.*s\n", BYTES_PRINTF(buffer_bytes(&why)));
        tour->stage.held = false;
    } else if (start_mock(tour) && start_node(tour, 0) && start_node(tour, 1)) {
        play(tour);
    } else {
        tour->stage.held = false;
    }
    for (size_t i = 0; i < NODES; i++) {
        demo_stop(&tour->nodes[i].server);
        options_fini(&tour->nodes[i].options);
    }
    demo_stop(&tour->mock);
    options_fini(&tour->mock_options);
    demo_redis_stop(&tour->redis);
    held = tour->stage.held;
    demo_stage_fini(&tour->stage);
    buffer_fini(&why);
    free(tour);
    return held ? 0 : 1;
}
