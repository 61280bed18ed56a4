/* tls_stream.c — one stream's TLS: from bytes to plain text and back.
 *
 *   shaking hands ──► open ──(stream_close)──► goodbye said
 *         └────────────┴── broken: an alert may leave, then the stream closes
 *
 * OpenSSL reads straight from what the loop received and writes into the buffer that will be sent. */
#include "net/listen.h"
#include "net/loop_common.h"
#include "net/tls_common.h"
#include <openssl/err.h>
#include <stdlib.h>

enum { PLAIN_BYTES = 16 * 1024 /* the most that one record holds */ };

/* ---- OpenSSL's reads and writes ---------------------------------------------------------------- */

static int read_arrived(BIO *bio, char *bytes, int size)
{
    struct tls *tls = BIO_get_data(bio);
    size_t count = tls->arrived.size < (size_t)size ? tls->arrived.size : (size_t)size;

    BIO_clear_retry_flags(bio);
    if (count == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(bytes, tls->arrived.data, count);
    tls->arrived = bytes_after(tls->arrived, count);
    return (int)count;
}

static int write_sealed(BIO *bio, const char *bytes, int size)
{
    struct tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (tls->sealed == NULL)
        tls->sealed = pool_take(&tls->stream->loop->pool);
    if (tls->sealed == NULL)
        return -1;
    buffer_append(tls->sealed, bytes_of(bytes, (size_t)size));
    return tls->sealed->failed ? -1 : size;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* all else it may ask for is nothing of ours */
}

BIO_METHOD *tls_make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");

    if (method != NULL && BIO_meth_set_read(method, read_arrived) &&
        BIO_meth_set_write(method, write_sealed) && BIO_meth_set_ctrl(method, control))
        return method;
    BIO_meth_free(method);
    return NULL;
}

SSL *tls_connect(SSL_CTX *context, const BIO_METHOD *method)
{
    BIO *bio = BIO_new(method);
    SSL *ssl = bio != NULL ? SSL_new(context) : NULL;

    if (ssl == NULL) {
        BIO_free(bio);
        return NULL;
    }
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}

/* ---- beginning and ending ---------------------------------------------------------------------- */

static void handshake_timer_fired(struct timer *timer)
{
    struct tls *tls = CONTAINER_OF(timer, struct tls, handshake_timer);
    char peer[ADDRESS_TEXT_BYTES];

    if (tls->has_begun) {
        address_of_peer(tls->stream->fd, peer);
        log_write_limited(tls->stream->loop->log, LOG_WARNING, LOG_KIND_ORIGIN,
                          "%s was too slow: its TLS handshake does not end", peer);
    } else {
        log_write_limited(tls->stream->loop->log, LOG_INFO, LOG_KIND_DEADLINE,
                          "a client was too slow: its TLS handshake does not end");
    }
    stream_break(tls->stream, ERR_TIMEOUT);
}

struct tls *tls_open(struct loop *loop, struct stream *stream, int fd,
                     const struct stream_callbacks *callbacks, SSL *ssl, int64_t handshake_ms)
{
    struct tls *tls = ssl != NULL ? calloc(1, sizeof *tls) : NULL;

    stream_open(loop, stream, fd, callbacks);
    if (tls == NULL) {
        SSL_free(ssl);
        log_write_limited(loop->log, LOG_WARNING, LOG_KIND_MEMORY, "no memory for TLS: connection cut");
        stream_break(stream, ERR_NO_MEMORY);
        return NULL;
    }
    tls->ssl = ssl;
    tls->stream = stream;
    SSL_set_app_data(ssl, tls);
    BIO_set_data(SSL_get_rbio(ssl), tls);
    timer_init(&tls->handshake_timer, handshake_timer_fired);
    timer_set(loop, &tls->handshake_timer, loop->now.mono_ms + handshake_ms);
    stream->tls = tls;
    return tls;
}

void tls_stream_open(struct loop *loop, struct stream *stream, int fd,
                     const struct stream_callbacks *callbacks, struct tls_server *server,
                     enum tls_alpn alpn, int64_t handshake_ms)
{
    struct tls_contexts *contexts = NULL;
    SSL *ssl = tls_server_connect(server, &contexts);
    struct tls *tls = tls_open(loop, stream, fd, callbacks, ssl, handshake_ms);

    if (tls != NULL) {
        tls->contexts = contexts;
        tls->alpn = alpn;
    } else if (ssl != NULL) {
        tls_contexts_release(contexts);
    }
}

bool tls_stream_speaks_http2(const struct stream *stream)
{
    const unsigned char *name;
    unsigned size;

    SSL_get0_alpn_selected(stream->tls->ssl, &name, &size);
    return bytes_equal(bytes_of(name, size), BYTES("h2"));
}

void tls_close(struct stream *stream)
{
    struct tls *tls = stream->tls;

    if (tls->has_failed && stream->why == OK) /* what was to be said about it has left */
        stream->why = ERR_TLS;
    timer_cancel(stream->loop, &tls->handshake_timer);
    stream_give_buffer(stream->loop, &tls->unsealed);
    stream_give_buffer(stream->loop, &tls->sealed);
    SSL_free(tls->ssl);
    tls_contexts_release(tls->contexts);
    free(tls);
    stream->tls = NULL;
}

static void log_failure(struct stream *stream, bool is_plain)
{
    struct tls *tls = stream->tls;
    unsigned long error = ERR_peek_error();
    const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;
    long verdict = tls->has_begun ? SSL_get_verify_result(tls->ssl) : X509_V_OK;
    char peer[ADDRESS_TEXT_BYTES];

    if (is_plain)
        reason = tls->has_begun ? "it answers in plain text" : "plain text on a TLS port";
    else if (verdict != X509_V_OK)
        reason = X509_verify_cert_error_string(verdict);
    else if (reason == NULL)
        reason = "TLS failed";
    address_of_peer(stream->fd, peer);
    if (tls->has_begun)
        log_write_limited(stream->loop->log, LOG_WARNING, LOG_KIND_ORIGIN, "no TLS with %s: %s", peer,
                          reason);
    else
        log_write_limited(stream->loop->log, LOG_INFO, LOG_KIND_REFUSED_INPUT, "refused input from %s: %s",
                          peer, reason);
}

/* OpenSSL has refused what came, or the peer has refused us; what OpenSSL has to say about it leaves before
 * the stream closes. */
static void fail(struct stream *stream)
{
    struct tls *tls = stream->tls;
    int reason = ERR_GET_REASON(ERR_peek_error());
    bool is_plain = !tls->is_open && (reason == SSL_R_WRONG_VERSION_NUMBER ||
                                      reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST);

    if (tls->sealed != NULL && tls->sealed->failed) {
        stream_break(stream, ERR_NO_MEMORY);
        return;
    }
    log_failure(stream, is_plain);
    tls->has_failed = true;
    if (is_plain)
        stream_break(stream, ERR_TLS); /* whose peer could not read an alert */
    else
        stream_close(stream);
}

/* ---- input ------------------------------------------------------------------------------------- */

/* Whether plain text may follow. */
static bool shake_hands(struct stream *stream)
{
    struct tls *tls = stream->tls;
    int result = SSL_do_handshake(tls->ssl);

    if (result == 1) {
        tls->is_open = true;
        timer_cancel(stream->loop, &tls->handshake_timer);
        stream_touch(stream); /* the owner's output may have waited for it */
        return true;
    }
    if (SSL_get_error(tls->ssl, result) != SSL_ERROR_WANT_READ)
        fail(stream);
    return false;
}

void tls_say_hello(struct stream *stream)
{
    ERR_clear_error();
    shake_hands(stream);
    stream_touch(stream);
}

/* Whether more may follow. */
static bool read_some(struct stream *stream)
{
    struct tls *tls = stream->tls;
    char plain[PLAIN_BYTES];
    size_t size;
    int result = SSL_read_ex(tls->ssl, plain, sizeof plain, &size);

    if (LIKELY(result == 1)) {
        stream_deliver(stream, bytes_of(plain, size));
        return true;
    }
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ: return false;
    case SSL_ERROR_ZERO_RETURN: stream_deliver_end(stream); return false;
    default: fail(stream); return false;
    }
}

void tls_input(struct stream *stream, struct bytes bytes)
{
    struct tls *tls = stream->tls;
    bool goes_on;

    if (stream->dead || stream->closing) {
        stream_deliver(stream, bytes); /* which drops it, and counts */
        return;
    }
    ERR_clear_error();
    tls->arrived = bytes;
    goes_on = tls->is_open || shake_hands(stream);
    while (goes_on && !stream->dead && !stream->closing)
        goes_on = read_some(stream);
    tls->arrived = (struct bytes){NULL, 0};
    if (tls->sealed == NULL || stream->dead)
        return;
    if (tls->sealed->size > TLS_UNASKED_BYTES_MAX) /* it asks and asks and does not read */
        stream_break(stream, ERR_TLS);
    else
        stream_touch(stream);
}

void tls_input_end(struct stream *stream)
{
    /* Without a close_notify the end is as good: every protocol we speak says where its messages end. */
    if (stream->tls->is_open || stream->closing)
        stream_deliver_end(stream);
    else
        stream_break(stream, ERR_TRUNCATED);
}

/* ---- output ------------------------------------------------------------------------------------ */

size_t tls_queued_bytes(const struct stream *stream)
{
    const struct tls *tls = stream->tls;
    return (tls->unsealed != NULL ? tls->unsealed->size - tls->unsealed_offset : 0) +
           (tls->sealed != NULL ? tls->sealed->size : 0);
}

/* Seals a part of what the owner has said. False if that broke the stream. */
static bool seal_some(struct stream *stream)
{
    struct tls *tls = stream->tls;
    size_t rest = tls->unsealed->size - tls->unsealed_offset, done;

    if (rest > TLS_SEALED_BYTES_MAX)
        rest = TLS_SEALED_BYTES_MAX;
    if (rest > 0) {
        if (tls->sealed == NULL)
            tls->sealed = pool_take(&stream->loop->pool);
        if (tls->sealed != NULL) /* at once, rather than by doubling: records add some 0.2 % */
            buffer_reserve(tls->sealed, rest + rest / 256 + 256);
        ERR_clear_error();
        if (SSL_write_ex(tls->ssl, tls->unsealed->data + tls->unsealed_offset, rest, &done) != 1) {
            stream_break(stream, tls->sealed == NULL || tls->sealed->failed ? ERR_NO_MEMORY : ERR_TLS);
            return false;
        }
        tls->unsealed_offset += done;
    }
    if (tls->unsealed_offset == tls->unsealed->size)
        stream_give_buffer(stream->loop, &tls->unsealed);
    return true;
}

/* Tells the peer that nothing follows, once nothing does. */
static void say_goodbye(struct stream *stream)
{
    struct tls *tls = stream->tls;

    if (tls->has_said_goodbye || tls->has_failed)
        return;
    tls->has_said_goodbye = true;
    ERR_clear_error();
    SSL_shutdown(tls->ssl);
}

struct buffer **tls_seal(struct stream *stream)
{
    struct tls *tls = stream->tls;

    if (UNLIKELY(stream->output != NULL && stream->output->failed))
        return &stream->output; /* for the caller to find */
    if (UNLIKELY(!tls->is_open || tls->has_failed)) {
        if (stream->closing) { /* nobody will read it */
            stream_give_buffer(stream->loop, &stream->output);
            stream_give_buffer(stream->loop, &tls->unsealed);
        }
        return &tls->sealed;
    }
    if (stream->sending != NULL)
        return &tls->sealed;
    while (tls->sealed == NULL || tls->sealed->size < TLS_SEALED_BYTES_MAX) {
        if (tls->unsealed == NULL) {
            if (stream->output == NULL)
                break;
            tls->unsealed = stream->output;
            tls->unsealed_offset = 0;
            stream->output = NULL;
        }
        if (!seal_some(stream))
            return &tls->sealed;
    }
    if (UNLIKELY(stream->closing) && tls->unsealed == NULL && stream->output == NULL)
        say_goodbye(stream);
    return &tls->sealed;
}
