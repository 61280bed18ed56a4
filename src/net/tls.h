/* tls.h — TLS between a stream and its owner: the owner sees plain text, the socket does not.
 *
 * A tls_server is what all workers share: certificates, their keys, whose certificates clients may show. It
 * can be loaded anew at any time; connections keep what they began with. TLS 1.2 and 1.3, ciphers with
 * forward secrecy, no renegotiation, sessions resumed by tickets alone, so that nothing is kept for a
 * client that has gone. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "net/loop.h"

struct tls_server; /* opaque: tls_server.c */

/* Whether a client must show a certificate that the authorities vouch for. OPTIONAL: it may have none, but
 * none that they do not vouch for. */
enum tls_client_auth { TLS_CLIENT_AUTH_NONE, TLS_CLIENT_AUTH_OPTIONAL, TLS_CLIENT_AUTH_REQUIRED };

/* Names of PEM files, kept by reference, as are the lists. The certificate is chosen by the name that the
 * client asks for (SNI) among those that each has for it, an exact one before a wildcard; else it is the
 * first. */
struct tls_files {
    char *const *certificates; /* each with those between it and an authority */
    char *const *keys;         /* not encrypted; one for each certificate */
    size_t count;              /* of both, at least 1 */
    const char *authorities;   /* may be null if client_auth is NONE */
    enum tls_client_auth client_auth;
};

/* Reads the files. Returns OK; ERR_TLS with a line that says what is wrong appended to `why`, without a
 * newline; ERR_NO_MEMORY. */
enum err tls_server_create(const struct tls_files *files, struct buffer *why, struct tls_server **server);

/* Reads the files again, for connections that begin from now on. On an error, the same as above, all stays
 * as it was. One thread at a time; other threads may use the server meanwhile. */
enum err tls_server_reload(struct tls_server *server, struct buffer *why);

/* All its streams must have been closed. */
void tls_server_destroy(struct tls_server *server);

/* What ALPN offers: nothing, it is left alone; http/1.1; h2 and http/1.1. */
enum tls_alpn { TLS_ALPN_NONE, TLS_ALPN_HTTP1, TLS_ALPN_HTTP };

/* Like stream_open (net/loop.h), with TLS. `received` is called with plain text; stream_queued_bytes counts
 * plain text, or what it has become. A client that has not shaken hands within `handshake_ms`, or whose
 * bytes are no TLS, is closed with a line in the loop's log. */
void tls_stream_open(struct loop *loop, struct stream *stream, int fd,
                     const struct stream_callbacks *callbacks, struct tls_server *server,
                     enum tls_alpn alpn, int64_t handshake_ms);

/* Whether client and server have agreed on HTTP/2; known once `received` is called. */
bool tls_stream_speaks_http2(const struct stream *stream);
