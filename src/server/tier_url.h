/* tier_url.h — where the shared tier is, as an operator writes it:
 * valkey://user:password@host:port,host:port. Pure. */
#pragma once
#include "base/buffer.h"
#include "client/valkey/valkey_options.h"

struct tier_url {
    bool has_tls;
    char *user, *password; /* decoded; null: none */
    struct valkey_seed seeds[VALKEY_SEEDS_MAX];
    size_t seed_count;
    char *hosts; /* what the seeds' names are in */
};

/* Takes `text` apart; a port that is not said is 6379. Returns OK; ERR_SYNTAX with what is wrong and what
 * to write instead, without a newline and without the password, appended to `why`; ERR_NO_MEMORY. On an
 * error there is nothing to free. */
enum err tier_url_parse(struct bytes text, struct tier_url *url, struct buffer *why);
void tier_url_fini(struct tier_url *url);

/* Where the password is in `text`, which may be wrong in other places; empty if there is none. */
struct bytes tier_url_password(struct bytes text);
