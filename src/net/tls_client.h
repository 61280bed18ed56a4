/* tls_client.h — TLS for connections that we open, as tls.h is for those that we accept: the owner sees
 * plain text, the socket does not. TLS 1.2 and 1.3; the server's certificate is verified, and that it is of
 * the name that was meant. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "net/loop.h"

struct tls_client; /* opaque; shared by all workers */

struct tls_client_files {
    const char *authorities;       /* PEM; null: the system's */
    const char *certificate, *key; /* PEM, what we show of ourselves; null: nothing */
};

/* OK; ERR_TLS with a line that says what is wrong appended to `why`, without a newline; ERR_NO_MEMORY. */
enum err tls_client_create(const struct tls_client_files *files, struct buffer *why,
                           struct tls_client **client);
void tls_client_destroy(struct tls_client *client); /* all its streams must have been closed */

/* Like stream_open (net/loop.h), with TLS: output waits until hands are shaken. `host`: the name, or the
 * address, that the certificate must be for (1 to 255 bytes; names are looked for in its subjectAltName). A
 * server that has not shaken hands within `handshake_ms`, or whose certificate does not fit, is closed with
 * ERR_TLS or ERR_TIMEOUT and a line in the loop's log. */
void tls_client_stream_open(struct loop *loop, struct stream *stream, int fd,
                            const struct stream_callbacks *callbacks, struct tls_client *client,
                            const char *host, int64_t handshake_ms);
