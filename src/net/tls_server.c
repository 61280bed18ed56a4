/* tls_server.c — what all connections begin from, and its change while they go on. */
#include "net/tls_common.h"
#include <pthread.h>
#include <stdlib.h>

struct tls_server {
    struct tls_files files;
    BIO_METHOD *method;
    pthread_mutex_t lock; /* over `contexts`, until a connection that begins holds them */
    struct tls_contexts *contexts;
};

SSL *tls_server_connect(struct tls_server *server, struct tls_contexts **contexts)
{
    SSL *ssl;

    pthread_mutex_lock(&server->lock);
    *contexts = server->contexts;
    tls_contexts_hold(*contexts);
    pthread_mutex_unlock(&server->lock);
    ssl = tls_connect((*contexts)->list[0], server->method);
    if (ssl == NULL)
        tls_contexts_release(*contexts);
    else
        SSL_set_accept_state(ssl);
    return ssl;
}

/* ---- making and changing ----------------------------------------------------------------------- */

enum err tls_server_create(const struct tls_files *files, struct buffer *why, struct tls_server **result)
{
    struct tls_server *server = calloc(1, sizeof *server);
    enum err err = ERR_NO_MEMORY;

    if (server == NULL)
        return ERR_NO_MEMORY;
    server->files = *files;
    pthread_mutex_init(&server->lock, NULL);
    server->method = tls_make_method();
    if (server->method != NULL)
        err = tls_contexts_read(files, why, &server->contexts);
    if (err != OK) {
        tls_server_destroy(server);
        return err;
    }
    *result = server;
    return OK;
}

enum err tls_server_reload(struct tls_server *server, struct buffer *why)
{
    struct tls_contexts *contexts, *before;
    enum err err = tls_contexts_read(&server->files, why, &contexts);

    if (err != OK)
        return err;
    pthread_mutex_lock(&server->lock);
    before = server->contexts;
    server->contexts = contexts;
    pthread_mutex_unlock(&server->lock);
    tls_contexts_release(before); /* its connections keep it until they end */
    return OK;
}

void tls_server_destroy(struct tls_server *server)
{
    tls_contexts_release(server->contexts);
    BIO_meth_free(server->method);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
