/* tier_plan.h — from options to what the shared tier's client is asked for, credentials and all. */
#pragma once
#include "client/tier/tier.h"
#include "server/options.h"
#include "server/tier_url.h"

/* Kept for as long as the tier lives: it refers to itself, and is not moved. */
struct tier_plan {
    struct valkey_options server;
    struct tier_url url;
    char *password; /* from a file or the environment, or null */
    struct tls_client *tls;
};

/* Reads the files that the options name; those are kept by reference. `*plan` is null if there is no tier.
 * Returns OK; ERR_SYNTAX, ERR_TLS, ERR_MISSING and the like with a line that says what to do appended to
 * `message`; ERR_NO_MEMORY. */
enum err tier_plan_create(const struct options *options, struct log *log, struct buffer *message,
                          struct tier_plan **plan);
void tier_plan_destroy(struct tier_plan *plan); /* null: nothing happens */

/* The tier's options, but for the store and the workers. */
struct tier_options tier_plan_options(const struct tier_plan *plan, const struct options *options);
