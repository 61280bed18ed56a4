#include "server/demo.h"
#include "net/listen.h"
#include "server/demo_client.h"
#include "server/run.h"
#include "server/server.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LATENCY_MS = 300, FRESH_S = 2, CROWD_CLIENTS = 1000 };

struct demo {
    const struct options *asked;
    FILE *out;
    bool colour;
    struct log *log;
    struct options mock_options, front_options; /* each of one server */
    struct server *mock, *front;
    uint16_t mock_port, gateway_port, resp_port, memcached_port;
    int step;
    bool held; /* every step so far */
};

static const char *paint(const struct demo *demo, const char *code) { return demo->colour ? code : ""; }
#define BOLD  "\033[1m"
#define DIM   "\033[2m"
#define GREEN "\033[32m"
#define RED   "\033[31m"
#define CYAN  "\033[36m"
#define PLAIN "\033[0m"

/* ---- showing ----------------------------------------------------------------------------------- */

/* Begins a step: its number and what is being tried. */
static void announce(struct demo *demo, const char *what)
{
    fprintf(demo->out, "\n%s%d%s  %s\n", paint(demo, BOLD CYAN), ++demo->step, paint(demo, PLAIN), what);
    fflush(demo->out);
}

/* A time as a bar on a logarithmic scale from 10 µs to 1 s, so that both a hit and a miss can be seen. */
static void show_time(struct demo *demo, const char *word, double milliseconds)
{
    enum { WIDTH = 40 };
    double share = (log10(milliseconds * 1000) - 1) / 5;
    int filled = share < 0.025 ? 1 : share > 1 ? WIDTH : (int)(share * WIDTH + 0.5);

    fprintf(demo->out, "   %s%-6s%s %9.3f ms  %s", paint(demo, BOLD), word, paint(demo, PLAIN),
            milliseconds, paint(demo, milliseconds < 50 ? GREEN : CYAN));
    for (int i = 0; i < filled; i++)
        fputs("█", demo->out);
    fprintf(demo->out, "%s\n", paint(demo, PLAIN));
}

static void show(struct demo *demo, const char *format, ...) PRINTF_LIKE(2, 3);
static void show(struct demo *demo, const char *format, ...)
{
    va_list arguments;

    fprintf(demo->out, "   %s", paint(demo, DIM));
    va_start(arguments, format);
    vfprintf(demo->out, format, arguments);
    va_end(arguments);
    fprintf(demo->out, "%s\n", paint(demo, PLAIN));
}

/* Ends a step: whether it held. */
static void conclude(struct demo *demo, bool held, const char *claim)
{
    fprintf(demo->out, "   %s%s%s %s\n", paint(demo, held ? GREEN : RED),
            held ? "✓" : "✗ NOT SO:", paint(demo, PLAIN), claim);
    fflush(demo->out);
    demo->held = demo->held && held;
}

/* ---- the two servers --------------------------------------------------------------------------- */

/* The port to use: the usual one, or a free one with a word about it if somebody has that. 0 if none is
 * free. */
static uint16_t choose_port(struct demo *demo, const char *what, uint16_t usual)
{
    char text[ADDRESS_TEXT_BYTES];
    struct address address;
    uint16_t port = 0;
    int fd;

    for (int attempt = 0; attempt < 2 && port == 0; attempt++) {
        snprintf(text, sizeof text, "127.0.0.1:%d", attempt == 0 ? usual : 0);
        if (address_parse(bytes_of_text(text), &address) == OK && listen_open(&address, false, &fd) == OK) {
            port = address_port(&address);
            close(fd);
        }
    }
    if (port != usual)
        fprintf(demo->out, "Port %d is in use: %s is on port %d instead.\n", usual, what, port);
    return port;
}

/* Sets an option of a role as the command line would. */
static bool set(struct role_options *role, const char *name, const char *text)
{
    const struct option_row *row = option_find_key(1u << role->role, bytes_of_text(name));
    struct buffer why = {0};
    bool ok = row != NULL && option_set(row, role, bytes_of_text(text), (struct place){0}, &why) == OK;

    buffer_fini(&why);
    return ok;
}

/* A role that listens on `port`; null if there is no memory. */
static struct role_options *add_role(struct options *options, enum role role, const char *scheme,
                                     uint16_t port)
{
    struct role_options *added = options_add_role(options, role, (struct place){0});
    char listen[ADDRESS_TEXT_BYTES];

    snprintf(listen, sizeof listen, "%s://127.0.0.1:%d", scheme, port);
    return added != NULL && set(added, "listen", listen) ? added : NULL;
}

/* A copy of what was asked for on the command line, without roles of its own. Its servers come and go and
 * begin empty. */
static void begin_options(const struct demo *demo, struct options *options)
{
    *options = *demo->asked;
    options->file = NULL;
    options->roles = NULL;
    options->role_count = 0;
    options->persist_path = NULL;
}

static struct server *start(struct demo *demo, const struct options *options)
{
    struct buffer message = {0};
    struct server *server = NULL;
    enum err err = server_create(options, demo->log, &clock_system, &message, &server);

    if (err == OK)
        err = server_start(server);
    if (err != OK)
        fprintf(stderr, "nuthatch: %.*s%s\n", BYTES_PRINTF(buffer_bytes(&message)), err_text(err));
    buffer_fini(&message);
    return err == OK ? server : NULL;
}

static void stop(struct server **server)
{
    if (*server == NULL)
        return;
    server_drain(*server, 0);
    server_join(*server);
    server_destroy(*server);
    *server = NULL;
}

static bool start_servers(struct demo *demo)
{
    struct role_options *role;
    char origin[64];

    demo->mock_port = choose_port(demo, "the API", 3000);
    demo->gateway_port = choose_port(demo, "the gateway", 8080);
    demo->resp_port = choose_port(demo, "the cache (Redis protocol)", 6379);
    demo->memcached_port = choose_port(demo, "the cache (memcached protocol)", 11211);

    begin_options(demo, &demo->mock_options);
    role = add_role(&demo->mock_options, ROLE_MOCK, "http", demo->mock_port);
    if (role == NULL)
        return false;
    role->latency_ms = LATENCY_MS;
    role->max_age_ms = FRESH_S * 1000;

    begin_options(demo, &demo->front_options);
    role = add_role(&demo->front_options, ROLE_GATEWAY, "http", demo->gateway_port);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d", demo->mock_port);
    if (role == NULL || !set(role, "origin", origin))
        return false;
    role->route_policy.stale_if_error_ms = 3600 * 1000;
    if (add_role(&demo->front_options, ROLE_CACHE, "resp", demo->resp_port) == NULL ||
        add_role(&demo->front_options, ROLE_CACHE, "memcached", demo->memcached_port) == NULL)
        return false;

    demo->mock = start(demo, &demo->mock_options);
    demo->front = demo->mock != NULL ? start(demo, &demo->front_options) : NULL;
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

    announce(demo, "A first GET /birds/1 through the gateway: the API behind it takes 300 ms");
    ok = demo_get(fd, "/birds/1", &miss);
    show_time(demo, "MISS", miss.milliseconds);
    show(demo, "Cache-Status: %s", miss.cache_status);
    conclude(demo, ok && miss.status == 200 && !is_hit(&miss) && miss.milliseconds >= LATENCY_MS,
             "the answer came from the API");

    announce(demo, "The same GET again");
    ok = demo_get(fd, "/birds/1", &hit);
    show_time(demo, "HIT", hit.milliseconds);
    show(demo, "Cache-Status: %s", hit.cache_status);
    conclude(demo, ok && hit.status == 200 && is_hit(&hit) && hit.milliseconds < miss.milliseconds / 10,
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
    announce(demo, "1,000 clients at once ask for one URL that is not in the store");
    if (clients < CROWD_CLIENTS)
        show(demo, "only %zu: this system allows %llu open files (see ulimit -n)", clients,
             (unsigned long long)files.rlim_cur);
    before = server_mock_request_count(demo->mock, BYTES("/trees"));
    good = demo_crowd(demo->gateway_port, "/trees", clients, &milliseconds);
    asked = server_mock_request_count(demo->mock, BYTES("/trees")) - before;
    show_time(demo, "ALL", milliseconds);
    show(demo, "%zu of %zu clients were answered; the API was asked %llu time%s", good, clients,
         (unsigned long long)asked, asked == 1 ? "" : "s");
    conclude(demo, good == clients && asked == 1, "one request reached the API");
}

static void show_stale(struct demo *demo)
{
    struct demo_answer answer = {0};
    int fd;
    bool ok;

    announce(demo, "The API is stopped, and what the store holds is no longer fresh");
    stop(&demo->mock);
    usleep((FRESH_S * 1000 + 100) * 1000);
    fd = demo_connect(demo->gateway_port);
    ok = demo_get(fd, "/birds/1", &answer);
    show_time(demo, "STALE", answer.milliseconds);
    show(demo, "Age: %ld", answer.age_s);
    show(demo, "Cache-Status: %s", answer.cache_status);
    conclude(demo,
             ok && answer.status == 200 && answer.age_s >= FRESH_S &&
                 strstr(answer.cache_status, "fwd=stale") != NULL,
             "the gateway answers without the API, and says that the answer is stale");
    close(fd);
    demo->mock = start(demo, &demo->mock_options);
}

static void show_cache(struct demo *demo)
{
    struct buffer stored = {0}, read = {0};
    int resp = demo_connect(demo->resp_port), memcached = demo_connect(demo->memcached_port);
    bool ok;

    announce(demo, "A value set over the Redis protocol, read over memcached's");
    ok = demo_talk(resp, "SET greeting hello EX 60\r\n", "\r\n", &stored) &&
         demo_talk(memcached, "get greeting\r\n", "END\r\n", &read);
    show(demo, "redis:     SET greeting hello EX 60  →  %.*s", stored.size >= 2 ? (int)stored.size - 2 : 0,
         stored.data);
    show(demo, "memcached: get greeting              →  %s",
         ok && strstr(read.data, "\r\nhello\r\n") != NULL ? "hello" : "(nothing)");
    conclude(demo, ok && strcmp(read.data, "VALUE greeting 0 5\r\nhello\r\nEND\r\n") == 0,
             "both protocols share the keys");
    close(resp);
    close(memcached);
    buffer_fini(&stored);
    buffer_fini(&read);
}

static void show_addresses(struct demo *demo)
{
    const char *bold = paint(demo, BOLD), *plain = paint(demo, PLAIN);

    fprintf(demo->out, "\n%sIt stays up. Try:%s\n", bold, plain);
    fprintf(demo->out,
            "   curl -i http://127.0.0.1:%d/birds/2        the gateway; twice, and look at Cache-Status\n",
            demo->gateway_port);
    fprintf(demo->out, "   curl -i http://127.0.0.1:%d/birds          the API itself, 300 ms slow\n",
            demo->mock_port);
    fprintf(demo->out, "   redis-cli -p %d SET greeting hello        the cache, as Redis\n",
            demo->resp_port);
    fprintf(demo->out,
            "   exec 3<>/dev/tcp/127.0.0.1/%d; printf 'get greeting\\r\\nquit\\r\\n' >&3; cat <&3    as "
            "memcached\n",
            demo->memcached_port);
    fprintf(demo->out, "%sCtrl-C ends it.%s\n", bold, plain);
    fflush(demo->out);
}

int demo_run(const struct options *options, FILE *out)
{
    struct demo demo = {.asked = options,
                        .out = out,
                        .colour = isatty(fileno(out)) && getenv("NO_COLOR") == NULL,
                        .log = log_create(stderr, LOG_ERROR, &clock_system),
                        .held = true};

    run_prepare();
    if (!start_servers(&demo)) {
        demo.held = false;
    } else {
        fprintf(out,
                "%snuthatch%s: a slow API, a gateway in front of it and a cache, in one process (%s, %u "
                "thread%s)\n",
                paint(&demo, BOLD), paint(&demo, PLAIN), server_loop_name(demo.front),
                server_thread_count(demo.front), server_thread_count(demo.front) == 1 ? "" : "s");
        static void (*const tour[])(struct demo *) = {show_miss_and_hit, show_crowd, show_stale,
                                                      show_cache};
        bool interrupted = false;

        for (size_t i = 0; i < COUNT_OF(tour) && !interrupted; i++) {
            tour[i](&demo);
            interrupted = run_wait(0);
        }
        if (demo.mock == NULL)
            demo.held = false;
        if (!options->demo_once && !interrupted) {
            show_addresses(&demo);
            run_wait(-1);
        }
    }
    stop(&demo.front);
    stop(&demo.mock);
    options_fini(&demo.mock_options);
    options_fini(&demo.front_options);
    log_destroy(demo.log);
    return demo.held ? 0 : 1;
}
