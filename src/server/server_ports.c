#include "server/server_state.h"
#include "server/users.h"
#include <stdlib.h>
#include <unistd.h>

bool server_is_admin_port(const struct server *server, const struct shared_port *port)
{
    return port->role_index == server->options->role_count;
}

enum role server_role_of_port(const struct server *server, const struct shared_port *port)
{
    return server_is_admin_port(server, port) ? ROLE_COUNT : server->options->roles[port->role_index].role;
}

/* Whether the port goes by a token of its own rather than by the users of the cache. */
static bool wants_token(const struct server *server, const struct shared_port *port,
                        enum listen_protocol protocol)
{
    return server_is_admin_port(server, port) || protocol == LISTEN_KV_HTTP;
}

const char *server_token_of_port(const struct server *server, const struct shared_port *port)
{
    return server_is_admin_port(server, port) ? server->options->admin_token
                                              : server->options->roles[port->role_index].http_token;
}

static void refuse_to_listen(const struct listen_option *listen, enum err err, struct buffer *message)
{
    bool is_unix = listen->transport == LISTEN_UNIX;
    const char *hint = "";

    if (err == ERR_ADDRESS_IN_USE)
        hint = is_unix ? "; stop what listens there, or choose another with --listen"
                       : "; stop what listens there, or choose another with --listen (port 0 takes any "
                         "free one)";
    else if (err == ERR_FORBIDDEN)
        hint = is_unix ? "; this user must be allowed to write in its folder"
                       : "; ports below 1024 need root, or choose a higher one with --listen";
    else if (err == ERR_EXISTS)
        hint = ", and it is no socket; move it away, or choose another path with --listen";
    else if (err == ERR_MISSING)
        hint = "; its folder must be there";
    buffer_append_format(message, "cannot listen on %s: %s%s\n", listen->address, err_text(err), hint);
}

static enum err open_sockets(struct server *server, struct shared_port *port,
                             const struct listen_option *listen)
{
    enum err err = OK;

    if (listen->transport == LISTEN_UNIX)
        return listen_open_unix(&port->address, listen->mode, &port->file, &port->fds[0]);
    for (size_t i = 0; i < server->worker_count && err == OK; i++)
        err = listen_open(&port->address, server->worker_count > 1, &port->fds[i]);
    return err;
}

static enum err open_port(struct server *server, size_t role_index, const struct listen_option *listen,
                          struct buffer *message)
{
    struct shared_port *port = &server->ports[server->port_count];
    struct bytes text = bytes_of_text(listen->address);
    enum err err = listen->transport == LISTEN_UNIX ? address_of_path(text, &port->address)
                                                    : address_parse(text, &port->address);

    if (err != OK) {
        buffer_append_format(message, "%s: %s\n", listen->address,
                             err == ERR_MISSING ? "there is no such host" : err_text(err));
        return err;
    }
    port->role_index = role_index;
    if (wants_token(server, port, listen->protocol) && !address_is_loopback(&port->address) &&
        server_token_of_port(server, port) == NULL) {
        buffer_append_format(
            message, "%s at %s can be reached from other machines; set %s, or listen at 127.0.0.1\n",
            server_is_admin_port(server, port) ? "admin" : "kv+http", listen->address,
            server_is_admin_port(server, port) ? "admin-token" : "http-token");
        return ERR_FORBIDDEN;
    }
    if (!wants_token(server, port, listen->protocol) &&
        !users_allow_listening(server->options, server->hub, role_index, &port->address, listen->address,
                               message))
        return ERR_FORBIDDEN;
    port->protocol = listen->protocol;
    port->transport = listen->transport;
    port->fds = malloc(server->worker_count * sizeof *port->fds);
    if (port->fds == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < server->worker_count; i++)
        port->fds[i] = -1;
    server->port_count++;
    err = open_sockets(server, port, listen);
    if (err != OK) {
        refuse_to_listen(listen, err, message);
        return err;
    }
    address_format(&port->address, port->text);
    return OK;
}

static enum err open_list(struct server *server, size_t role_index, const struct listen_list *list,
                          struct buffer *message)
{
    enum err err = OK;

    for (size_t i = 0; i < list->count && err == OK; i++)
        err = open_port(server, role_index, &list->items[i], message);
    return err;
}

enum err server_open_ports(struct server *server, struct buffer *message)
{
    const struct options *options = server->options;
    size_t count = options->admin_listens.count;
    enum err err = OK;

    for (size_t i = 0; i < options->role_count; i++)
        count += options->roles[i].listens.count;
    server->ports = calloc(count > 0 ? count : 1, sizeof *server->ports);
    if (server->ports == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < options->role_count && err == OK; i++)
        err = open_list(server, i, &options->roles[i].listens, message);
    return err == OK ? open_list(server, options->role_count, &options->admin_listens, message) : err;
}

void server_remove_socket_files(struct server *server)
{
    for (size_t i = 0; i < server->port_count; i++)
        if (server->ports[i].transport == LISTEN_UNIX && server->ports[i].fds[0] >= 0)
            socket_file_remove(&server->ports[i].address, &server->ports[i].file);
}

bool server_is_on_loopback(const struct server *server, size_t role_index)
{
    bool is_reached = false;

    for (size_t i = 0; i < server->port_count; i++) {
        const struct shared_port *port = &server->ports[i];
        if (port->role_index != role_index || port->transport == LISTEN_UNIX)
            continue;
        if (!address_is_loopback(&port->address))
            return false;
        is_reached = true;
    }
    return is_reached;
}

void server_close_ports(struct server *server)
{
    for (size_t i = 0; i < server->port_count; i++) {
        for (size_t j = 0; j < server->worker_count; j++)
            if (server->ports[i].fds[j] >= 0)
                close(server->ports[i].fds[j]);
        free(server->ports[i].fds);
    }
    free(server->ports);
}

size_t server_port_count(const struct server *server) { return server->port_count; }

struct server_port server_port(const struct server *server, size_t index)
{
    const struct shared_port *port = &server->ports[index];
    return (struct server_port){server_role_of_port(server, port), port->protocol, port->transport,
                                port->text, address_port(&port->address)};
}
