#include "server/demo_redis.h"
#include "base/compiler.h"
#include "net/listen.h"
#include "server/demo_client.h"
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 16384, NODE_TIMEOUT_MS = 1500, PATIENCE_MS = 30000, LOOK_EVERY_MS = 20 };

enum { ATTEMPTS = 3 }; /* a port that was free may be taken before its server has it */

static int64_t now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void demo_redis_slots(size_t index, unsigned *first, unsigned *last)
{
    *first = (unsigned)(SLOTS * index / DEMO_PRIMARIES);
    *last = (unsigned)(SLOTS * (index + 1) / DEMO_PRIMARIES) - 1;
}

/* ---- processes ------------------------------------------------------------------------------------ */

static bool is_in_path(const char *program)
{
    const char *path = getenv("PATH");
    char *copy = strdup(path != NULL ? path : "/usr/local/bin:/usr/bin:/bin"), *rest = copy, *folder;
    bool found = false;

    while (!found && (folder = strsep(&rest, ":")) != NULL) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", folder, program);
        found = access(file, X_OK) == 0;
    }
    free(copy);
    return found;
}

/* Free now. Its socket closes before the server opens its own. */
static uint16_t free_port(void)
{
    struct address address;
    uint16_t port = 0;
    int fd;

    if (address_parse(BYTES("127.0.0.1:0"), &address) == OK && listen_open(&address, false, &fd) == OK) {
        port = address_port(&address);
        close(fd);
    }
    return port;
}

/* In the child. Nothing but what may be done after fork in a process with threads. */
static void become_server(const char *program, char **arguments, pid_t parent)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        execvp(program, arguments);
    _exit(127);
}

static bool write_configuration(const struct demo_redis_node *node, const char *folder, const char *path)
{
    FILE *file = fopen(path, "we");
    bool is_written;

    if (file == NULL)
        return false;
    is_written = fprintf(file,
                         "bind 127.0.0.1\nport %d\ncluster-port %d\ndir %s\nlogfile %s/log\nsave \"\"\n"
                         "appendonly no\ndaemonize no\ncluster-enabled yes\n"
                         "cluster-config-file nodes.conf\ncluster-node-timeout %d\n"
                         "repl-diskless-sync-delay 0\n",
                         node->port, node->bus_port, folder, folder, NODE_TIMEOUT_MS) > 0;
    return fclose(file) == 0 && is_written;
}

static bool start_node(struct demo_redis *redis, size_t index)
{
    struct demo_redis_node *node = &redis->nodes[index];
    char folder[96], configuration[112];
    char *arguments[] = {(char *)(uintptr_t)redis->program, configuration, NULL};
    pid_t parent = getpid();

    node->port = free_port();
    node->bus_port = free_port();
    snprintf(folder, sizeof folder, "%s/%zu", redis->folder, index);
    snprintf(configuration, sizeof configuration, "%s/conf", folder);
    if (node->port == 0 || node->bus_port == 0 || mkdir(folder, 0700) != 0 ||
        !write_configuration(node, folder, configuration))
        return false;
    node->pid = fork();
    if (node->pid == 0)
        become_server(redis->program, arguments, parent);
    return node->pid > 0;
}

void demo_redis_kill(struct demo_redis *redis, size_t index)
{
    struct demo_redis_node *node = &redis->nodes[index];

    if (node->pid <= 0)
        return;
    kill(node->pid, SIGKILL);
    while (waitpid(node->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    node->pid = 0;
}

/* Whether one of them has ended by itself. */
static bool has_ended(struct demo_redis *redis)
{
    bool ended = false;

    for (size_t i = 0; i < DEMO_REDIS_NODES; i++)
        if (redis->nodes[i].pid > 0 && waitpid(redis->nodes[i].pid, NULL, WNOHANG) > 0) {
            redis->nodes[i].pid = 0;
            ended = true;
        }
    return ended;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind, (void)place;
    return remove(path);
}

void demo_redis_stop(struct demo_redis *redis)
{
    for (size_t i = 0; i < DEMO_REDIS_NODES; i++)
        demo_redis_kill(redis, i);
    if (redis->folder[0] != '\0')
        nftw(redis->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    redis->folder[0] = '\0';
}

/* ---- asking --------------------------------------------------------------------------------------- */

/* Whether `node` answers the inline command with something that ends in `ending`; into `answer`,
 * terminated. */
static bool ask(const struct demo_redis_node *node, const char *command, const char *ending,
                struct buffer *answer)
{
    char line[128];
    int fd = node->pid > 0 ? demo_connect(node->port) : -1;
    bool ok;

    buffer_clear(answer);
    snprintf(line, sizeof line, "%s\r\n", command);
    ok = fd >= 0 && demo_talk(fd, line, ending, answer);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool is_ok(const struct demo_redis_node *node, const char *command)
{
    struct buffer answer = {0};
    bool ok = ask(node, command, "\r\n", &answer) && strncmp(answer.data, "+OK", 3) == 0;

    buffer_fini(&answer);
    return ok;
}

/* Whether the text that the node answers holds `word`. */
static bool says(const struct demo_redis_node *node, const char *command, const char *word)
{
    struct buffer answer = {0};
    bool ok = ask(node, command, "\r\n\r\n", &answer) && strstr(answer.data, word) != NULL;

    buffer_fini(&answer);
    return ok;
}

static bool answers(const struct demo_redis *redis, size_t index)
{
    struct buffer answer = {0};
    bool ok = ask(&redis->nodes[index], "PING", "+PONG\r\n", &answer);

    buffer_fini(&answer);
    return ok;
}

static bool take_id(struct demo_redis_node *node)
{
    struct buffer answer = {0};
    bool ok = ask(node, "CLUSTER MYID", "\r\n", &answer) && answer.size >= 45 &&
              strncmp(answer.data, "$40\r\n", 5) == 0;

    if (ok)
        snprintf(node->id, sizeof node->id, "%.40s", answer.data + 5);
    buffer_fini(&answer);
    return ok;
}

/* ---- the cluster ---------------------------------------------------------------------------------- */

static bool knows_all(const struct demo_redis *redis, size_t index)
{
    return says(&redis->nodes[index], "CLUSTER INFO", "cluster_known_nodes:6\r");
}

static bool is_fine(const struct demo_redis *redis, size_t index)
{
    return says(&redis->nodes[index], "CLUSTER INFO", "cluster_state:ok");
}

static bool follows(const struct demo_redis *redis, size_t index)
{
    char command[64];

    if (index < DEMO_PRIMARIES)
        return true;
    if (says(&redis->nodes[index], "INFO replication", "master_link_status:up"))
        return true;
    snprintf(command, sizeof command, "CLUSTER REPLICATE %s", redis->nodes[index - DEMO_PRIMARIES].id);
    is_ok(&redis->nodes[index], command); /* perhaps again: it has to have heard of its primary */
    return false;
}

/* Waits until it is so with each of the servers. OK; ERR_TIMEOUT; ERR_CLOSED if one has ended. */
static enum err wait_for_all(struct demo_redis *redis,
                             bool (*is_so)(const struct demo_redis *redis, size_t index))
{
    int64_t end_ms = now_ms() + PATIENCE_MS;

    for (size_t i = 0; i < DEMO_REDIS_NODES; i++)
        while (!is_so(redis, i)) {
            if (has_ended(redis))
                return ERR_CLOSED;
            if (now_ms() > end_ms)
                return ERR_TIMEOUT;
            usleep(LOOK_EVERY_MS * 1000);
        }
    return OK;
}

/* Gives out slots and introduces the servers to each other. */
static bool introduce(struct demo_redis *redis)
{
    bool ok = true;

    for (size_t i = 0; i < DEMO_REDIS_NODES && ok; i++) {
        char command[96];
        unsigned first, last;

        ok = take_id(&redis->nodes[i]);
        snprintf(command, sizeof command, "CLUSTER SET-CONFIG-EPOCH %zu", i + 1);
        ok = ok && is_ok(&redis->nodes[i], command);
        demo_redis_slots(i, &first, &last);
        snprintf(command, sizeof command, "CLUSTER ADDSLOTSRANGE %u %u", first, last);
        ok = ok && (i >= DEMO_PRIMARIES || is_ok(&redis->nodes[i], command));
        for (size_t j = 0; j < i && ok; j++) {
            snprintf(command, sizeof command, "CLUSTER MEET 127.0.0.1 %d %d", redis->nodes[j].port,
                     redis->nodes[j].bus_port);
            ok = is_ok(&redis->nodes[i], command);
        }
    }
    return ok;
}

static bool make_folder(struct demo_redis *redis)
{
    const char *base = getenv("TMPDIR");

    if (base == NULL || strlen(base) > sizeof redis->folder - sizeof "/nuthatch-demo-XXXXXX")
        base = "/tmp";
    snprintf(redis->folder, sizeof redis->folder, "%s/nuthatch-demo-XXXXXX", base);
    if (mkdtemp(redis->folder) != NULL)
        return true;
    redis->folder[0] = '\0';
    return false;
}

/* OK; else what wait_for_all says, or ERR_SYSTEM with errno set. */
static enum err make_cluster(struct demo_redis *redis)
{
    enum err err = OK;

    for (size_t i = 0; i < DEMO_REDIS_NODES; i++)
        if (!start_node(redis, i))
            return ERR_SYSTEM;
    err = wait_for_all(redis, answers);
    if (err == OK && !introduce(redis))
        err = has_ended(redis) ? ERR_CLOSED : ERR_TIMEOUT;
    if (err == OK)
        err = wait_for_all(redis, knows_all);
    if (err == OK)
        err = wait_for_all(redis, follows);
    return err == OK ? wait_for_all(redis, is_fine) : err;
}

bool demo_redis_start(struct demo_redis *redis, struct buffer *why)
{
    enum err err = ERR_CLOSED;

    *redis = (struct demo_redis){.program = is_in_path("valkey-server") ? "valkey-server" : "redis-server"};
    if (!is_in_path(redis->program)) {
        buffer_append_literal(why,
                              "this tour needs the program valkey-server or redis-server, 7.0 or later; "
                              "install it (Debian's package redis-server has it), or run "
                              "`./dev demo --cluster`, which does so");
        return false;
    }
    for (int attempt = 0; attempt < ATTEMPTS && err == ERR_CLOSED; attempt++) {
        demo_redis_stop(redis); /* what the attempt before has left */
        if (!make_folder(redis)) {
            buffer_append_format(why, "no temporary folder can be made: %s", strerror(errno));
            return false;
        }
        err = make_cluster(redis);
    }
    if (err == ERR_SYSTEM)
        buffer_append_format(why, "%s cannot be started: %s", redis->program, strerror(errno));
    else if (err == ERR_CLOSED)
        buffer_append_format(why,
                             "%s ends as soon as it is started as a node of a cluster; is it 7.0 or later?",
                             redis->program);
    else if (err != OK)
        buffer_append_format(why,
                             "six of %s did not become a cluster within %d s; is it 7.0 or later, and this "
                             "machine not too busy?",
                             redis->program, PATIENCE_MS / 1000);
    return err == OK;
}

bool demo_redis_has_taken_over(const struct demo_redis *redis, size_t index)
{
    if (!says(&redis->nodes[DEMO_PRIMARIES + index], "INFO replication", "role:master"))
        return false;
    for (size_t i = 0; i < DEMO_REDIS_NODES; i++)
        if (redis->nodes[i].pid > 0 && !is_fine(redis, i))
            return false;
    return true;
}
