/* tls_client.c — TLS of connections that we begin: whom we believe, and that it is who was meant. */
#include "net/tls_client.h"
#include "net/tls_common.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { NAME_BYTES_MAX = 255 };

struct tls_client {
    SSL_CTX *context;
    BIO_METHOD *method;
};

static enum err use_authorities(SSL_CTX *context, const char *authorities, struct buffer *why)
{
    if (authorities == NULL)
        return SSL_CTX_set_default_verify_paths(context) == 1
                   ? OK
                   : tls_refuse(why, "the authorities of", "this system");
    return SSL_CTX_load_verify_file(context, authorities) == 1
               ? OK
               : tls_refuse(why, "the authorities of", authorities);
}

enum err tls_client_create(const struct tls_client_files *files, struct buffer *why,
                           struct tls_client **result)
{
    struct tls_client *client = calloc(1, sizeof *client);
    enum err err;

    if (client == NULL)
        return ERR_NO_MEMORY;
    client->method = tls_make_method();
    client->context = SSL_CTX_new(TLS_client_method());
    if (client->method == NULL || client->context == NULL) {
        tls_client_destroy(client);
        return ERR_NO_MEMORY;
    }
    ERR_clear_error();
    SSL_CTX_set_verify(client->context, SSL_VERIFY_PEER, NULL);
    err = tls_set_rules(client->context) ? OK : tls_refuse(why, "OpenSSL", "here");
    if (err == OK)
        err = use_authorities(client->context, files->authorities, why);
    if (err == OK && files->certificate != NULL)
        err = tls_use_certificate(client->context, files->certificate, files->key, why);
    ERR_clear_error();
    if (err == OK)
        *result = client;
    else
        tls_client_destroy(client);
    return err;
}

void tls_client_destroy(struct tls_client *client)
{
    SSL_CTX_free(client->context);
    BIO_meth_free(client->method);
    free(client);
}

/* Has the certificate checked to be of `host`, and a server of many names told which is meant. */
static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *rules = SSL_get0_param(ssl);
    struct in6_addr address;
    char name[NAME_BYTES_MAX + 1];
    size_t size = strlen(host);

    if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(rules, host) == 1;
    if (size > 0 && host[size - 1] == '.') /* RFC 6066 §3: without the dot of the root */
        size--;
    if (size == 0 || size > NAME_BYTES_MAX)
        return false;
    memcpy(name, host, size);
    name[size] = '\0';
    /* RFC 9525 §6.3: a name is what stands in subjectAltName, and nothing else. */
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(rules, name, size) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

void tls_client_stream_open(struct loop *loop, struct stream *stream, int fd,
                            const struct stream_callbacks *callbacks, struct tls_client *client,
                            const char *host, int64_t handshake_ms)
{
    SSL *ssl = tls_connect(client->context, client->method);
    struct tls *tls;

    if (ssl != NULL && !expect_host(ssl, host)) {
        SSL_free(ssl);
        ssl = NULL;
    }
    tls = tls_open(loop, stream, fd, callbacks, ssl, handshake_ms);
    if (tls == NULL)
        return;
    SSL_set_connect_state(ssl);
    tls->has_begun = true;
    tls_say_hello(stream);
}
