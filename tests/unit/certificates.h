/* certificates.h — an authority and certificates that it signs, as PEM files in a temporary folder. */
#pragma once
#include "test.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CERTIFICATES_MAX = 8 };

struct certificates {
    char folder[32];
    EVP_PKEY *authority_key;
    X509 *authority;
    char paths[2 * CERTIFICATES_MAX][64];
    int path_count;
};

static inline void add_extension(X509 *certificate, X509 *issuer, int id, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, id, value);
    EXPECT(extension != NULL);
    EXPECT_EQ(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* A certificate that is good from an hour ago until `seconds` from now. `issuer` null: signed by itself. */
static inline X509 *make_certificate(const char *name, const char *alternatives, long seconds,
                                     EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    static long serial;
    X509 *certificate = X509_new();

    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), seconds);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer != NULL ? issuer : certificate));
    X509_set_pubkey(certificate, key);
    if (issuer == NULL)
        add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
    if (alternatives != NULL)
        add_extension(certificate, issuer != NULL ? issuer : certificate, NID_subject_alt_name,
                      alternatives);
    EXPECT(X509_sign(certificate, issuer_key != NULL ? issuer_key : key, EVP_sha256()) > 0);
    return certificate;
}

static inline FILE *open_pem(struct certificates *certificates, const char *name, const char *suffix,
                             const char **path)
{
    char *text = certificates->paths[certificates->path_count++];
    char folder[sizeof certificates->folder]; /* a copy: gcc takes parts of one struct for overlapping */
    FILE *file;

    memcpy(folder, certificates->folder, sizeof folder);
    snprintf(text, sizeof certificates->paths[0], "%s/%s%s", folder, name, suffix);
    file = fopen(text, "w");
    EXPECT(file != NULL);
    *path = text;
    return file;
}

static inline const char *write_certificate(struct certificates *certificates, const char *name, X509 *x509)
{
    const char *path;
    FILE *file = open_pem(certificates, name, ".pem", &path);
    PEM_write_X509(file, x509);
    fclose(file);
    return path;
}

static inline const char *write_key(struct certificates *certificates, const char *name, EVP_PKEY *key)
{
    const char *path;
    FILE *file = open_pem(certificates, name, ".key", &path);
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    return path;
}

/* Makes the folder and an authority of that name, whose file is `*authority`. */
static inline void certificates_init(struct certificates *certificates, const char *name,
                                     const char **authority)
{
    *certificates = (struct certificates){.folder = "/tmp/certificates-XXXXXX"};
    EXPECT(mkdtemp(certificates->folder) != NULL);
    certificates->authority_key = EVP_EC_gen("P-256");
    certificates->authority = make_certificate(name, NULL, 3600, certificates->authority_key, NULL, NULL);
    *authority = write_certificate(certificates, name, certificates->authority);
}

/* A certificate that the authority signs, for `alternatives` such as "DNS:localhost,IP:127.0.0.1", or null.
 */
static inline void certificates_add(struct certificates *certificates, const char *name,
                                    const char *alternatives, long seconds, char **certificate, char **key)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x509 = make_certificate(name, alternatives, seconds, pair, certificates->authority,
                                  certificates->authority_key);

    *certificate = (char *)write_certificate(certificates, name, x509);
    *key = (char *)write_key(certificates, name, pair);
    X509_free(x509);
    EVP_PKEY_free(pair);
}

static inline void certificates_fini(struct certificates *certificates)
{
    for (int i = 0; i < certificates->path_count; i++)
        unlink(certificates->paths[i]);
    rmdir(certificates->folder);
    X509_free(certificates->authority);
    EVP_PKEY_free(certificates->authority_key);
}
