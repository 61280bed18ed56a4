/* server.h — a running nuthatch: a store, the roles asked for, and one worker per thread.
 *
 * Several may live in one process (the demo has two). Life: create, perhaps restore, start, drain, join,
 * perhaps save, destroy. All functions are for the thread that created it, but for those that say
 * otherwise.
 */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "base/log.h"
#include "nuthatch.h"
#include "server/options.h"

struct server;
struct worker;

/* Opens the ports and makes the store and the engines; no thread runs yet. Whether the values could be
 * saved in the end is looked at now. `options` is complete (see
 * options_parse_arguments) and, with `log` and `clock`, is kept by reference. On an error a sentence that
 * says what to do is appended to `message`.
 * Returns OK; ERR_ADDRESS_IN_USE, ERR_EXISTS (where a Unix socket should be), ERR_FORBIDDEN,
 * ERR_UNREACHABLE, ERR_MISSING (host, file or folder), ERR_TYPE (where a file should be), ERR_SYNTAX (the
 * mock's file, the origin's URL), ERR_UNSUPPORTED (the loop asked for), ERR_NO_MEMORY, ERR_SYSTEM. */
enum err server_create(const struct options *options, struct log *log, const struct clock *clock,
                       struct buffer *message, struct server **server);

/* Takes up what server_save left in the file of the options, if they name one, and removes the file; the
 * log says what came of it. Last before server_start, since a start that fails would lose the values. */
void server_restore(struct server *server);

/* Reads the file of the options, and those of credentials and of TLS, again: see reload.h. Any thread. */
enum err server_reload(struct server *server, struct buffer *report);

/* Appends the configuration in force: see config_show.h. ERR_NO_MEMORY. Any thread. */
enum err server_append_config(struct server *server, struct buffer *out);

/* Appends how it is doing, as JSON: see GET /status in docs/operations.md. ERR_NO_MEMORY. Any thread. */
enum err server_append_status(struct server *server, int64_t now_mono_ms, struct buffer *out);

/* Appends what prometheus_upstreams.h has of all gateways; nothing if there are none. */
void server_append_upstream_metrics(struct server *server, int64_t now_mono_ms, struct buffer *out);

/* Appends gauges of the shared tier's servers as prometheus.h has them; nothing if there is no tier. */
void server_append_tier_metrics(struct server *server, int64_t now_mono_ms, struct buffer *out);

/* Starts the threads. ERR_SYSTEM if the system gives none. */
enum err server_start(struct server *server);

/* Begins to stop: no new connections; what is in hand may be finished within `drain_ms`. Any thread. */
void server_drain(struct server *server, int64_t drain_ms);

/* Waits until every worker has ended. */
void server_join(struct server *server);

/* Saves the values in the file of the options, if they name one; the log says what came of it. After
 * server_join; afterwards the server can only be destroyed. False if they could not be saved. */
bool server_save(struct server *server);

void server_destroy(struct server *server);

/* ---- what it looks like ------------------------------------------------------------------------ */

/* A port that is open: the address it got, as text, for as long as the server lives. */
struct server_port {
    enum role role; /* ROLE_COUNT: the administrator's API */
    enum listen_protocol protocol;
    enum listen_transport transport;
    const char *address; /* "127.0.0.1:6379" or "/run/cache.sock" */
    uint16_t port;       /* 0 of a Unix socket */
};
size_t server_port_count(const struct server *server);
struct server_port server_port(const struct server *server, size_t index);

/* "io_uring" or "epoll". */
const char *server_loop_name(const struct server *server);
unsigned server_thread_count(const struct server *server);

/* How many requests the mock of the server's only mock role has answered for `path`. Any thread. */
uint64_t server_mock_request_count(const struct server *server, struct bytes path);

/* Saves the data of each mock into a file of its own, and logs where they are. Blocks. Any thread. */
void server_save_mocks(struct server *server);

/* Has every worker look at the clock again: after a test's clock has been moved. Any thread. */
void server_wake(struct server *server);

/* ---- for its connections ----------------------------------------------------------------------- */

/* A number no other connection of this server has had. Any thread. */
uint64_t server_next_connection_id(struct server *server);

/* The worker whose turn it is to take a connection; `*turn` is the caller's, 0 at first. */
struct worker *server_next_worker(struct server *server, size_t *turn);
