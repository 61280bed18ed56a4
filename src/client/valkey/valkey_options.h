/* valkey_options.h — how servers of the shared tier are spoken to. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VALKEY_HOST_BYTES_MAX = 253, VALKEY_SEEDS_MAX = 64, VALKEY_ALLOWED_MAX = 32 };

struct tls_client; /* net/tls_client.h */

enum valkey_resp { VALKEY_RESP_AUTO, VALKEY_RESP_2, VALKEY_RESP_3 };

struct valkey_seed {
    const char *host;
    uint16_t port;
};

/* An address range that servers may be in: `bits` of a network, IPv4 as mapped in IPv6. */
struct valkey_range {
    uint8_t network[16];
    uint8_t bits; /* 0 to 128 */
};

/* Kept by reference by all that use it, texts included. */
struct valkey_options {
    struct valkey_seed seeds[VALKEY_SEEDS_MAX];
    size_t seed_count;
    const char *user, *password; /* null: none; a password without a user is that of "default" */
    const char *client_name;     /* for CLIENT LIST there; null: none */
    struct tls_client *tls;      /* null: without */
    enum valkey_resp resp;       /* AUTO: 3, and 2 where a server refuses 3 */
    bool reads_from_replicas;    /* what is asked with VALKEY_REPLICA_WILL_DO goes to replicas, if there are
                                    any */
    /* Servers that the cluster names are connected to only within these ranges; none: those in the same
     * class (loopback; private, RFC 1918 and RFC 4193; public) as the seeds are, never link-local ones. */
    struct valkey_range allowed[VALKEY_ALLOWED_MAX];
    size_t allowed_count;
    int64_t connect_timeout_ms; /* name, connection, TLS and greeting together */
    int64_t call_timeout_ms; /* from the call to its last reply, redirections included; what is asked with a
                              * deadline of its own has that */
    int64_t canary_interval_ms; /* between two canaries of a tracked connection; see source.h */
    uint32_t redirections_max;  /* of one call */
    uint32_t in_flight_max;     /* requests of one connection */
    size_t queued_bytes_max;    /* that wait to be sent on one connection; and for one, of all together */
    uint64_t reply_bytes_max;   /* of one reply */
    int64_t backoff_min_ms,
        backoff_max_ms; /* between two attempts to connect, doubled each time, with jitter */
    uint32_t
        breaker_failures; /* in a row, after which a server is left alone until a probe of it succeeds */
    uint64_t seed;        /* of the jitter */
    struct log *log;
};
