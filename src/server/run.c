#include "server/run.h"
#include "server/console.h"
#include "server/server.h"
#include "server/service_manager.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static sigset_t ending_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

static sigset_t all_signals(void)
{
    sigset_t set = ending_signals();
    sigaddset(&set, SIGHUP);
    return set;
}

/* The buffers of large answers come and go with each request. The C library would give their memory back to
 * the kernel at once and fetch it again, page by page, for the next: it may keep a little, in each thread.
 */
static void keep_a_little_freed_memory(void)
{
#ifdef __GLIBC__
    enum { KEPT_BYTES = 2 * 1024 * 1024, MAPPED_ALONE_BYTES = 1024 * 1024 };

    mallopt(M_TOP_PAD, KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, MAPPED_ALONE_BYTES);
#endif
}

void run_prepare(void)
{
    sigset_t set = ending_signals();
    struct rlimit limit;

    keep_a_little_freed_memory();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* The number of the signal that came, or a negative number. */
static int wait_for(sigset_t set, int64_t timeout_ms)
{
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};
    int signal_number;

    do
        signal_number = timeout_ms < 0 ? sigwaitinfo(&set, NULL) : sigtimedwait(&set, NULL, &timeout);
    while (signal_number < 0 && errno == EINTR);
    return signal_number;
}

bool run_wait(int64_t timeout_ms) { return wait_for(ending_signals(), timeout_ms) > 0; }

/* A second signal while the server drains: leave at once. */
static void *leave_on_signal(void *log)
{
    if (run_wait(-1)) {
        log_write(log, LOG_WARNING, "leaving at once");
        _exit(1);
    }
    return NULL;
}

static const char *scheme(struct server_port port)
{
    bool is_http = port.protocol == LISTEN_AUTO && port.role != ROLE_CACHE;
    return listen_scheme(is_http ? LISTEN_HTTP : port.protocol, port.transport);
}

static void report_start(const struct options *options, const struct server *server, struct log *log)
{
    log_write(log, LOG_INFO, "nuthatch " NUTHATCH_VERSION ", %u thread%s, %s, %lld MiB of memory",
              server_thread_count(server), server_thread_count(server) == 1 ? "" : "s",
              server_loop_name(server), (long long)options->memory_bytes / (1024 * 1024));
    for (size_t i = 0; i < server_port_count(server); i++) {
        struct server_port port = server_port(server, i);
        log_write(log, LOG_INFO, "%s ready on %s://%s",
                  port.role == ROLE_COUNT ? "admin" : role_row(port.role)->name, scheme(port),
                  port.address);
    }
}

/* The service manager waits for it: what goes wrong with that is worth a line. */
static void tell_ready(struct log *log)
{
    enum err err = service_manager_tell(getenv("NOTIFY_SOCKET"), "READY=1");

    if (err != OK)
        log_write(log, LOG_WARNING, "the service manager at NOTIFY_SOCKET cannot be told: %s",
                  err_text(err));
}

static void on_typed(void *server, struct bytes line)
{
    if (bytes_equal(line, BYTES("s")))
        server_save_mocks(server);
}

int run_roles(const struct options *options)
{
    struct log *log = log_create(stderr, options->log_level, &clock_system);
    struct buffer message = {0};
    sigset_t signals = all_signals();
    struct server *server;
    struct console *console = NULL;
    pthread_t leaver;
    bool is_saved;
    enum err err;

    run_prepare();
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    err = server_create(options, log, &clock_system, &message, &server);
    if (err != OK) {
        fprintf(stderr, "nuthatch: %.*s", BYTES_PRINTF(buffer_bytes(&message)));
        if (message.size == 0)
            fprintf(stderr, "nuthatch: cannot start: %s\n", err_text(err));
        buffer_fini(&message);
        log_destroy(log);
        return 1;
    }
    server_restore(server);
    err = server_start(server);
    if (err != OK) {
        log_write(log, LOG_ERROR, "cannot start a thread: %s", err_text(err));
        _exit(1);
    }
    report_start(options, server, log);
    tell_ready(log);
    if (options->verb == VERB_MOCK && options->roles[0].record_url == NULL &&
        (console = console_begin(on_typed, server)) != NULL)
        log_write(log, LOG_INFO, "s and Enter saves the data as they are, to a file of its own");
    while (wait_for(signals, -1) == SIGHUP) {
        struct buffer report = {0};
        service_manager_tell_reloading(getenv("NOTIFY_SOCKET"), clock_read(&clock_system));
        server_reload(server, &report); /* which logs what came of it */
        tell_ready(log);
        buffer_fini(&report);
    }
    log_write(log, LOG_INFO, "stopping: answers in hand have %lld ms; a second signal ends them",
              (long long)options->drain_timeout_ms);
    service_manager_tell(getenv("NOTIFY_SOCKET"), "STOPPING=1");
    console_end(console);
    if (pthread_create(&leaver, NULL, leave_on_signal, log) == 0)
        pthread_detach(leaver);
    server_drain(server, options->drain_timeout_ms);
    server_join(server);
    is_saved = server_save(server);
    server_destroy(server);
    log_write(log, LOG_INFO, "stopped");
    buffer_fini(&message);
    /* The log stays: the thread that waits for a second signal may still write to it. */
    return is_saved ? 0 : 1;
}
