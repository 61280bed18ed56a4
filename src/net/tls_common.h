/* tls_common.h — what tls_server.c, tls_client.c, tls_stream.c and stream.c share.
 *
 *      socket ──► stream_input ──► tls_input ──► stream_deliver ──► owner
 *      socket ◄── `sending` ◄── `sealed` ◄── tls_seal ◄── `unsealed` ◄── stream_output ◄── owner */
#pragma once
#include "net/tls.h"
#include <openssl/ssl.h>
#include <stdatomic.h>

enum {
    TLS_SEALED_BYTES_MAX = 256 * 1024, /* about so much is sealed ahead of the socket */
    TLS_UNASKED_BYTES_MAX = 64 * 1024, /* what a peer's bytes alone may have us say before it reads */
};

/* What was read from the files: a context for each certificate, the first of them for who asks for none of
 * its names. Never changed; freed when the server has newer ones and the last connection is gone. */
struct tls_contexts {
    atomic_size_t user_count;
    size_t count;
    SSL_CTX *list[];
};

/* The TLS of one stream. */
struct tls {
    SSL *ssl;
    struct tls_contexts *contexts; /* those it began with; null: we began */
    struct bytes arrived;          /* what OpenSSL may read now; borrowed for the length of tls_input */
    struct buffer *unsealed;       /* the owner's output that is being sealed */
    size_t unsealed_offset;
    struct buffer *sealed; /* what goes to the socket next; null when there is none */
    struct stream *stream;
    struct timer handshake_timer;
    enum tls_alpn alpn;
    uint8_t is_open : 1, has_failed : 1, has_said_goodbye : 1, has_begun : 1 /* the connection is ours */;
};

/* Reads the files. As tls_server_create; the result has one user. */
enum err tls_contexts_read(const struct tls_files *files, struct buffer *why,
                           struct tls_contexts **contexts);

/* What holds for all connections, whoever begins them. False if OpenSSL cannot. */
bool tls_set_rules(SSL_CTX *context);

/* A certificate and its key, from PEM files. */
enum err tls_use_certificate(SSL_CTX *context, const char *certificate, const char *key,
                             struct buffer *why);

/* ERR_TLS, after a line to `why`: `what` and `path` and OpenSSL's reason. */
enum err tls_refuse(struct buffer *why, const char *what, const char *path);

/* One more user, or one less. Any thread. */
void tls_contexts_hold(struct tls_contexts *contexts);
void tls_contexts_release(struct tls_contexts *contexts); /* or null */

/* How OpenSSL reaches a stream; null without memory. BIO_meth_free frees it. */
BIO_METHOD *tls_make_method(void);

/* A new connection's SSL, whose reads and writes go by `method`; null without memory. */
SSL *tls_connect(SSL_CTX *context, const BIO_METHOD *method);

/* A new connection as of the newest files, `*contexts`, which it uses; null without memory. Any thread. */
SSL *tls_server_connect(struct tls_server *server, struct tls_contexts **contexts);

/* Opens the stream with the TLS of `ssl`, which may be null for want of memory: then, as when there is no
 * memory for more, the stream breaks and the result is null. */
struct tls *tls_open(struct loop *loop, struct stream *stream, int fd,
                     const struct stream_callbacks *callbacks, SSL *ssl, int64_t handshake_ms);

/* Whoever begins says the first word. */
void tls_say_hello(struct stream *stream);

/* Bytes have come from the socket. */
void tls_input(struct stream *stream, struct bytes bytes);

/* The socket's end has come. */
void tls_input_end(struct stream *stream);

/* Seals output, unless some is being sent, and returns where the buffer is that goes to the socket next;
 * there may be none. May break the stream. */
struct buffer **tls_seal(struct stream *stream);

/* Bytes of output that `output` and `sending` do not hold. */
size_t tls_queued_bytes(const struct stream *stream);

/* The stream is closed: frees its TLS, which may know better why. */
void tls_close(struct stream *stream);
