/* config_show.h — the configuration in force, defaults included, as it would stand in a file.
 *
 * It is JSON, which is YAML: `nuthatch check` takes it. Secrets are "***": passwords and tokens, and what
 * is set in or looked for in a header that is not known to bear none. Values of credentials are not even
 * read: only where they are found is shown, and of what stands before them as much as a scheme. */
#pragma once
#include "server/options.h"
#include <jansson.h>
#include <pthread.h>

struct config_shown {
    const struct options *options; /* kept by reference */
    pthread_mutex_t lock;          /* guards the next */
    json_t **gateways; /* by role: what its gateway goes by, as a reload has left it; null for others */
};

/* `options` are complete. ERR_NO_MEMORY; fini is due in any case. */
enum err config_shown_init(struct config_shown *shown, const struct options *options);
void config_shown_fini(struct config_shown *shown);

/* What a reload may change of a gateway: its upstreams, its routes, and the options of both. Null without
 * memory. */
json_t *config_of_gateway(const struct role_options *role);

/* From now on the gateway of the role at `index` goes by that, which is taken over. Any thread. */
void config_shown_set(struct config_shown *shown, size_t index, json_t *gateway);

/* Appends the whole as JSON, indented, with a newline. ERR_NO_MEMORY. Any thread. */
enum err config_shown_append(struct config_shown *shown, struct buffer *out);
