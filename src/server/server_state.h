/* server_state.h — what the files of the server share: server*.c's business alone. */
#pragma once
#include "engine/kv/kv_admin.h"
#include "net/listen.h"
#include "server/config_show.h"
#include "server/server.h"
#include "server/tier_board.h"
#include "server/tier_plan.h"
#include "server/worker.h"
#include <pthread.h>
#include <stdatomic.h>

/* A port of the whole server: each worker listens on a socket of its own, all on the same address; on a
 * Unix socket the first listens for all. */
struct shared_port {
    size_t role_index; /* the options' role_count: of the administrator's API */
    enum listen_protocol protocol;
    enum listen_transport transport;
    struct address address;
    struct socket_file file; /* of a Unix socket */
    char text[ADDRESS_TEXT_BYTES];
    int *fds; /* one per worker; -1 for none */
};

struct shared_role {
    struct gateway *gateway;
    struct live *live;   /* in front of it */
    struct polls *polls; /* the first worker's */
    struct mock *mock;
    struct recorder *recorder;
};

struct server {
    const struct options *options;
    struct log *log;
    const struct clock *clock;
    struct conn_limits limits;
    nh_store *store;
    struct tls_server *tls;       /* null if no port has TLS */
    struct line_sink *access_log; /* or null */
    struct tier_plan *tier_plan;  /* null without a shared tier, */
    struct tier *tier;            /* and so are these */
    struct tier_board *tier_board;
    struct kv_hub *hub;
    struct shared_role *roles;
    struct shared_port *ports;
    size_t port_count;
    struct worker *workers;
    size_t worker_count;
    size_t loop_count; /* workers whose loop was made */
    atomic_int connection_count;
    _Atomic uint64_t last_connection_id;
    struct now started;
    _Atomic uint64_t metrics_forgotten[METRIC_COUNT]; /* by CONFIG RESETSTAT */
    struct buffer bind_text;
    pthread_mutex_t reload_lock;
    struct config_shown shown;
};

/* ---- server_ports.c: where clients connect ----------------------------------------------------- */

/* Opens all ports. On an error a line that says what to do is appended to `message`. */
enum err server_open_ports(struct server *server, struct buffer *message);

/* A successor may have the Unix sockets' paths. Repeated, it does nothing. */
void server_remove_socket_files(struct server *server);
void server_close_ports(struct server *server);

bool server_is_admin_port(const struct server *server, const struct shared_port *port);

/* ROLE_COUNT for the administrator's API. */
enum role server_role_of_port(const struct server *server, const struct shared_port *port);
const char *server_token_of_port(const struct server *server, const struct shared_port *port);

/* Whether no other machine reaches the role, and a browser on this one does: not by a Unix socket. */
bool server_is_on_loopback(const struct server *server, size_t role_index);

/* ---- server_workers.c: threads ----------------------------------------------------------------- */

/* Makes the worker at `index`, with its loop, its engines and its ports. */
enum err server_create_worker(struct server *server, size_t index, struct buffer *message);

/* Once they have been joined: what they have borrowed is given back, their access log is closed. */
void server_end_workers(struct server *server);

/* The hub's `call`: any thread. */
void server_call_worker(void *context, unsigned number);

/* ---- server_facts.c: what INFO and CONFIG show ------------------------------------------------- */

void server_read_facts(void *context, struct kv_facts *facts);
void server_reset_facts(void *context);
void server_set_settings(struct server *server);

/* ---- server_persist.c: warm restart ------------------------------------------------------------ */

/* Whether the values could be saved. */
enum err server_check_persist(const struct options *options, struct buffer *message);
