/* tls_contexts.c — certificates, keys and rules: what OpenSSL calls contexts; and which of them a client
 * gets. */
#include "net/tls_common.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char http_protocols[] = "\x02h2\x08http/1.1"; /* best first */

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

enum match { MATCH_NONE, MATCH_WILDCARD, MATCH_EXACT };

/* How one of the certificate's names is `name`. */
static enum match match_of(const SSL_CTX *context, const char *name)
{
    const unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    char *written = NULL;
    enum match match = MATCH_NONE;

    if (X509_check_host(SSL_CTX_get0_certificate(context), name, strlen(name), flags, &written) == 1)
        match = written != NULL && written[0] == '*' ? MATCH_WILDCARD : MATCH_EXACT;
    OPENSSL_free(written);
    return match;
}

/* RFC 6066 §3. Who asks for a name that none has gets the first, and may make of it what he will. */
static int choose_certificate(SSL *ssl, int *alert, void *unused)
{
    const struct tls *tls = SSL_get_app_data(ssl);
    const struct tls_contexts *contexts = tls->contexts;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *chosen = contexts->list[0];
    enum match best = MATCH_NONE;

    (void)alert;
    (void)unused;
    if (name == NULL || contexts->count == 1)
        return SSL_TLSEXT_ERR_OK;
    for (size_t i = 0; i < contexts->count && best != MATCH_EXACT; i++) {
        enum match match = match_of(contexts->list[i], name);
        if (match <= best)
            continue;
        best = match;
        chosen = contexts->list[i];
    }
    SSL_set_SSL_CTX(ssl, chosen);
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

bool tls_set_rules(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* An idle connection holds none of OpenSSL's buffers. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets do without */
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           /* Of TLS 1.2; those of 1.3 are OpenSSL's own choice. */
           SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

static bool set_server_rules(SSL_CTX *context)
{
    static const unsigned char session_context[] = "nuthatch";

    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
    return tls_set_rules(context) &&
           SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1) == 1;
}

/* ---- files ------------------------------------------------------------------------------------- */

enum err tls_refuse(struct buffer *why, const char *what, const char *path)
{
    unsigned long error = ERR_peek_error();
    const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;

    if (ERR_SYSTEM_ERROR(error))
        reason = strerror(ERR_GET_REASON(error));
    buffer_append_format(why, "%s %s: %s", what, path, reason != NULL ? reason : "it cannot be used");
    return ERR_TLS;
}

enum err tls_use_certificate(SSL_CTX *context, const char *certificate, const char *key, struct buffer *why)
{
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        return tls_refuse(why, "the certificate", certificate);
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return tls_refuse(why, "the key", key);
    return OK;
}

static enum err use_authorities(SSL_CTX *context, const struct tls_files *files, struct buffer *why)
{
    STACK_OF(X509_NAME) * names;

    if (files->authorities == NULL || files->client_auth == TLS_CLIENT_AUTH_NONE)
        return OK;
    names = SSL_load_client_CA_file(files->authorities);
    if (names == NULL || SSL_CTX_load_verify_file(context, files->authorities) != 1)
        return tls_refuse(why, "the authorities of", files->authorities);
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(
        context,
        SSL_VERIFY_PEER |
            (files->client_auth == TLS_CLIENT_AUTH_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
        NULL);
    return OK;
}

/* Makes the context of the certificate at `index`. */
static enum err read_one(const struct tls_files *files, size_t index, struct buffer *why, SSL_CTX **result)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    enum err err;

    if (context == NULL)
        return ERR_NO_MEMORY;
    ERR_clear_error();
    if (!set_server_rules(context))
        err = tls_refuse(why, "OpenSSL", "here");
    else
        err = tls_use_certificate(context, files->certificates[index], files->keys[index], why);
    if (err == OK)
        err = use_authorities(context, files, why);
    ERR_clear_error();
    if (err == OK)
        *result = context;
    else
        SSL_CTX_free(context);
    return err;
}

void tls_contexts_hold(struct tls_contexts *contexts)
{
    atomic_fetch_add_explicit(&contexts->user_count, 1, memory_order_relaxed);
}

void tls_contexts_release(struct tls_contexts *contexts)
{
    if (contexts == NULL || atomic_fetch_sub_explicit(&contexts->user_count, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < contexts->count; i++)
        SSL_CTX_free(contexts->list[i]);
    free(contexts);
}

enum err tls_contexts_read(const struct tls_files *files, struct buffer *why, struct tls_contexts **result)
{
    struct tls_contexts *contexts = calloc(1, sizeof *contexts + files->count * sizeof contexts->list[0]);
    enum err err = OK;

    if (contexts == NULL)
        return ERR_NO_MEMORY;
    atomic_init(&contexts->user_count, 1);
    while (contexts->count < files->count && err == OK) {
        err = read_one(files, contexts->count, why, &contexts->list[contexts->count]);
        contexts->count += err == OK;
    }
    if (err == OK)
        *result = contexts;
    else
        tls_contexts_release(contexts);
    return err;
}
