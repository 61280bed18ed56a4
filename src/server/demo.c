#include "server/demo.h"
#include "server/demo_client.h"
#include "server/demo_stage.h"
#include "server/run.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LATENCY_MS = 300, FRESH_S = 2, CROWD_CLIENTS = 1000 };

struct demo {
    struct demo_stage stage;
    struct options mock_options, front_options; /* each of one server */
    struct server *mock, *front;
    uint16_t mock_port, gateway_port, resp_port, memcached_port;
};

/* ---- the two servers --------------------------------------------------------------------------- */

static bool start_servers(struct demo *demo)
{
    struct role_options *role;
    char origin[64];

    demo->mock_port = demo_choose_port(&demo->stage, "the API", 3000);
    demo->gateway_port = demo_choose_port(&demo->stage, "the gateway", 8080);
    demo->resp_port = demo_choose_port(&demo->stage, "the cache (Redis protocol)", 6379);
    demo->memcached_port = demo_choose_port(&demo->stage, "the cache (memcached protocol)", 11211);

    if (!demo_begin_options(&demo->stage, &demo->mock_options) ||
        !demo_begin_options(&demo->stage, &demo->front_options))
        return false;
    role = demo_add_role(&demo->mock_options, ROLE_MOCK, "http", demo->mock_port);
    if (role == NULL)
        return false;
    role->latency_ms = LATENCY_MS;
    role->max_age_ms = FRESH_S * 1000;

    demo->front_options.admin_listens = demo->stage.asked->admin_listens; /* on loan */
    role = demo_add_role(&demo->front_options, ROLE_GATEWAY, "http", demo->gateway_port);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d", demo->mock_port);
    if (role == NULL || !demo_set(role, "origin", origin))
        return false;
    role->route_policy.stale_if_error_ms = 3600 * 1000;
    if (demo_add_role(&demo->front_options, ROLE_CACHE, "resp", demo->resp_port) == NULL ||
        demo_add_role(&demo->front_options, ROLE_CACHE, "memcached", demo->memcached_port) == NULL)
        return false;

    demo->mock = demo_start(&demo->stage, &demo->mock_options);
    demo->front = demo->mock != NULL ? demo_start(&demo->stage, &demo->front_options) : NULL;
    return demo->front != NULL;
}

/* ---- the tour ---------------------------------------------------------------------------------- */

static bool is_hit(const struct demo_answer *answer)
{
    return strstr(answer->cache_status, "; hit") != NULL;
}

static void show_miss_and_hit(struct demo *demo)
{
    struct demo_answer miss = {0}, hit = {0};
    int fd = demo_connect(demo->gateway_port);
    bool ok;

    demo_announce(&demo->stage, "A first GET /birds/1 through the gateway: the API behind it takes 300 ms");
    ok = demo_get(fd, "/birds/1", &miss);
    demo_show_time(&demo->stage, "MISS", miss.milliseconds);
    demo_show(&demo->stage, "Cache-Status: %s", miss.cache_status);
    demo_conclude(&demo->stage,
                  ok && miss.status == 200 && !is_hit(&miss) && miss.milliseconds >= LATENCY_MS,
                  "the answer came from the API");

    demo_announce(&demo->stage, "The same GET again");
    ok = demo_get(fd, "/birds/1", &hit);
    demo_show_time(&demo->stage, "HIT", hit.milliseconds);
    demo_show(&demo->stage, "Cache-Status: %s", hit.cache_status);
    demo_conclude(&demo->stage,
                  ok && hit.status == 200 && is_hit(&hit) && hit.milliseconds < miss.milliseconds / 10,
                  "the answer came from the store");
    close(fd);
}

static void show_crowd(struct demo *demo)
{
    struct rlimit files;
    size_t clients = CROWD_CLIENTS, good;
    double milliseconds = 0;
    uint64_t before, asked;

    /* Both ends of each connection are in this process. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 2 * clients + 200)
        clients = files.rlim_cur > 400 ? (size_t)(files.rlim_cur - 200) / 2 : 100;
    demo_announce(&demo->stage, "1,000 clients at once ask for one URL that is not in the store");
    if (clients < CROWD_CLIENTS)
        demo_show(&demo->stage, "only %zu: this system allows %llu open files (see ulimit -n)", clients,
                  (unsigned long long)files.rlim_cur);
    before = server_mock_request_count(demo->mock, BYTES("/trees"));
    good = demo_crowd(demo->gateway_port, "/trees", clients, &milliseconds);
    asked = server_mock_request_count(demo->mock, BYTES("/trees")) - before;
    demo_show_time(&demo->stage, "ALL", milliseconds);
    demo_show(&demo->stage, "%zu of %zu clients were answered; the API was asked %llu time%s", good,
              clients, (unsigned long long)asked, asked == 1 ? "" : "s");
    demo_conclude(&demo->stage, good == clients && asked == 1, "one request reached the API");
}

static void show_stale(struct demo *demo)
{
    struct demo_answer answer = {0};
    int fd;
    bool ok;

    demo_announce(&demo->stage, "The API is stopped, and what the store holds is no longer fresh");
    demo_stop(&demo->mock);
    usleep((FRESH_S * 1000 + 100) * 1000);
    fd = demo_connect(demo->gateway_port);
    ok = demo_get(fd, "/birds/1", &answer);
    demo_show_time(&demo->stage, "STALE", answer.milliseconds);
    demo_show(&demo->stage, "Age: %ld", answer.age_s);
    demo_show(&demo->stage, "Cache-Status: %s", answer.cache_status);
    demo_conclude(&demo->stage,
                  ok && answer.status == 200 && answer.age_s >= FRESH_S &&
                      strstr(answer.cache_status, "fwd=stale") != NULL,
                  "the gateway answers without the API, and says that the answer is stale");
    close(fd);
    demo->mock = demo_start(&demo->stage, &demo->mock_options);
}

static void show_cache(struct demo *demo)
{
    struct buffer stored = {0}, read = {0};
    int resp = demo_connect(demo->resp_port), memcached = demo_connect(demo->memcached_port);
    bool ok;

    demo_announce(&demo->stage, "A value set over the Redis protocol, read over memcached's");
    ok = demo_talk(resp, "SET greeting hello EX 60\r\n", "\r\n", &stored) &&
         demo_talk(memcached, "get greeting\r\n", "END\r\n", &read);
    demo_show(&demo->stage, "redis:     SET greeting hello EX 60  →  %.*s",
              stored.size >= 2 ? (int)stored.size - 2 : 0, stored.data);
    demo_show(&demo->stage, "memcached: get greeting              →  %s",
              ok && strstr(read.data, "\r\nhello\r\n") != NULL ? "hello" : "(nothing)");
    demo_conclude(&demo->stage, ok && strcmp(read.data, "VALUE greeting 0 5\r\nhello\r\nEND\r\n") == 0,
                  "both protocols share the keys");
    close(resp);
    close(memcached);
    buffer_fini(&stored);
    buffer_fini(&read);
}

static void show_addresses(struct demo *demo)
{
    const char *bold = demo_paint(&demo->stage, BOLD), *plain = demo_paint(&demo->stage, PLAIN);

    fprintf(demo->stage.out, "\n%sIt stays up. Try:%s\n", bold, plain);
    fprintf(demo->stage.out,
            "   curl -i http://127.0.0.1:%d/birds/2        the gateway; twice, and look at Cache-Status\n",
            demo->gateway_port);
    fprintf(demo->stage.out, "   curl -i http://127.0.0.1:%d/birds          the API itself, 300 ms slow\n",
            demo->mock_port);
    fprintf(demo->stage.out, "   redis-cli -p %d SET greeting hello        the cache, as Redis\n",
            demo->resp_port);
    fprintf(demo->stage.out,
            "   exec 3<>/dev/tcp/127.0.0.1/%d; printf 'get greeting\\r\\nquit\\r\\n' >&3; cat <&3    as "
            "memcached\n",
            demo->memcached_port);
    fprintf(demo->stage.out, "%sCtrl-C ends it.%s\n", bold, plain);
    fflush(demo->stage.out);
}

int demo_run(const struct options *options, FILE *out)
{
    static void (*const tour[])(struct demo *) = {show_miss_and_hit, show_crowd, show_stale, show_cache};
    struct demo demo = {0};
    bool interrupted = false, held;

    run_prepare();
    demo_stage_init(&demo.stage, options, out);
    if (!start_servers(&demo)) {
        demo.stage.held = false;
    } else {
        fprintf(out,
                "%snuthatch%s: a slow API, a gateway in front of it and a cache, in one process (%s, %u "
                "thread%s)\n",
                demo_paint(&demo.stage, BOLD), demo_paint(&demo.stage, PLAIN), server_loop_name(demo.front),
                server_thread_count(demo.front), server_thread_count(demo.front) == 1 ? "" : "s");
        for (size_t i = 0; i < COUNT_OF(tour) && !interrupted; i++) {
            tour[i](&demo);
            interrupted = run_wait(0);
        }
        if (demo.mock == NULL)
            demo.stage.held = false;
        if (!options->demo_once && !interrupted) {
            show_addresses(&demo);
            run_wait(-1);
        }
    }
    demo_stop(&demo.front);
    demo_stop(&demo.mock);
    demo.front_options.admin_listens = (struct listen_list){0};
    options_fini(&demo.mock_options);
    options_fini(&demo.front_options);
    held = demo.stage.held;
    demo_stage_fini(&demo.stage);
    return held ? 0 : 1;
}
