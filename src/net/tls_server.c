/* tls_server.c — certificates, keys and rules: what OpenSSL calls a context. */
#include "net/tls_common.h"
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tls_server {
    struct tls_files files;
    BIO_METHOD *method;
    pthread_mutex_t lock; /* over `context`, and each connection's beginning from it */
    SSL_CTX *context;
};

static const unsigned char http_protocols[] = "\x02h2\x08http/1.1"; /* best first */

/* ---- how OpenSSL reaches a stream -------------------------------------------------------------- */

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* all else it may ask for is nothing of ours */
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");

    if (method != NULL && BIO_meth_set_read(method, tls_read) && BIO_meth_set_write(method, tls_write) &&
        BIO_meth_set_ctrl(method, control))
        return method;
    BIO_meth_free(method);
    return NULL;
}

SSL *tls_server_connect(struct tls_server *server)
{
    BIO *bio = BIO_new(server->method);
    SSL *ssl;

    if (bio == NULL)
        return NULL;
    pthread_mutex_lock(&server->lock);
    ssl = SSL_new(server->context);
    pthread_mutex_unlock(&server->lock);
    if (ssl == NULL) {
        BIO_free(bio);
        return NULL;
    }
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    return ssl;
}

/* ---- rules ------------------------------------------------------------------------------------- */

static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size,
                           const unsigned char *offered, unsigned offered_size, void *context)
{
    enum { H2_BYTES = 3 };
    const struct tls *tls = SSL_get_app_data(ssl);
    size_t skipped = tls->alpn == TLS_ALPN_HTTP1 ? H2_BYTES : 0;
    unsigned char *found;

    (void)context;
    if (tls->alpn == TLS_ALPN_NONE)
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_select_next_proto(&found, chosen_size, http_protocols + skipped,
                              (unsigned)(sizeof http_protocols - 1 - skipped), offered,
                              offered_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 §3.2 */
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

/* OpenSSL would ask on the terminal. */
static int no_passphrase(char *text, int size, int writing, void *context)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static bool set_rules(SSL_CTX *context)
{
    static const unsigned char session_context[] = "nuthatch";

    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* An idle connection holds none of OpenSSL's buffers. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets do without */
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           /* Of TLS 1.2; those of 1.3 are OpenSSL's own choice. */
           SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1) == 1;
}

/* ---- files ------------------------------------------------------------------------------------- */

static enum err refuse(struct buffer *why, const char *what, const char *path)
{
    unsigned long error = ERR_peek_error();
    const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;

    if (ERR_SYSTEM_ERROR(error))
        reason = strerror(ERR_GET_REASON(error));
    buffer_append_format(why, "%s %s: %s", what, path, reason != NULL ? reason : "it cannot be used");
    return ERR_TLS;
}

static enum err use_authorities(SSL_CTX *context, const struct tls_files *files, struct buffer *why)
{
    STACK_OF(X509_NAME) * names;

    if (files->authorities == NULL || files->client_auth == TLS_CLIENT_AUTH_NONE)
        return OK;
    names = SSL_load_client_CA_file(files->authorities);
    if (names == NULL || SSL_CTX_load_verify_file(context, files->authorities) != 1)
        return refuse(why, "the authorities of", files->authorities);
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(
        context,
        SSL_VERIFY_PEER |
            (files->client_auth == TLS_CLIENT_AUTH_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
        NULL);
    return OK;
}

static enum err read_files(const struct tls_files *files, struct buffer *why, SSL_CTX **result)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    enum err err;

    if (context == NULL)
        return ERR_NO_MEMORY;
    ERR_clear_error();
    if (!set_rules(context))
        err = refuse(why, "OpenSSL", "here");
    else if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1)
        err = refuse(why, "the certificate", files->certificate);
    else if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(context) != 1)
        err = refuse(why, "the key", files->key);
    else
        err = use_authorities(context, files, why);
    ERR_clear_error();
    if (err == OK)
        *result = context;
    else
        SSL_CTX_free(context);
    return err;
}

enum err tls_server_create(const struct tls_files *files, struct buffer *why, struct tls_server **result)
{
    struct tls_server *server = calloc(1, sizeof *server);
    enum err err = ERR_NO_MEMORY;

    if (server == NULL)
        return ERR_NO_MEMORY;
    server->files = *files;
    pthread_mutex_init(&server->lock, NULL);
    server->method = make_method();
    if (server->method != NULL)
        err = read_files(files, why, &server->context);
    if (err != OK) {
        tls_server_destroy(server);
        return err;
    }
    *result = server;
    return OK;
}

enum err tls_server_reload(struct tls_server *server, struct buffer *why)
{
    SSL_CTX *context, *before;
    enum err err = read_files(&server->files, why, &context);

    if (err != OK)
        return err;
    pthread_mutex_lock(&server->lock);
    before = server->context;
    server->context = context;
    pthread_mutex_unlock(&server->lock);
    SSL_CTX_free(before); /* its connections keep it until they end */
    return OK;
}

void tls_server_destroy(struct tls_server *server)
{
    SSL_CTX_free(server->context);
    BIO_meth_free(server->method);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
