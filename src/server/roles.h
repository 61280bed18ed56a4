/* roles.h — the roles that a process can play, the words that follow `nuthatch` on the command line, and
 * what goes before the :// of listeners: tables/roles.def. */
#pragma once
#include "base/buffer.h"
#include <stdbool.h>

enum verb {
#define VERB(id, name, operand, summary, example, example_help) VERB_##id,
#include "tables/roles.def"
#undef VERB
    VERB_HELP,    /* --help; `help_verb` says of what */
    VERB_VERSION, /* --version */
    VERB_COUNT = VERB_HELP
};

enum role {
#define ROLE(id, name, listen, summary) ROLE_##id,
#include "tables/roles.def"
#undef ROLE
    ROLE_COUNT
};

enum {
#define ROLE(id, name, listen, summary) ROLES_##id = 1 << ROLE_##id,
#include "tables/roles.def"
#undef ROLE
    ROLES_EVERY = (1 << ROLE_COUNT) - 1,
    ROLES_ADMIN = 1 << ROLE_COUNT /* of schemes: the administrator's API, which is no role */
};

/* What is spoken where clients connect. AUTO: what the role speaks; on a cache, the first bytes decide. */
enum listen_protocol { LISTEN_AUTO, LISTEN_RESP, LISTEN_MEMCACHED, LISTEN_HTTP, LISTEN_KV_HTTP };

enum listen_transport { LISTEN_TCP, LISTEN_UNIX, LISTEN_TLS };

struct verb_row {
    const char *name, *operand, *summary, *example, *example_help;
};
const struct verb_row *verb_row(enum verb verb); /* not of VERB_HELP and VERB_VERSION */

/* Calls `each` with a further example of the command, and what it does, for all of them; and with what
 * its exit statuses say. */
void verb_examples(enum verb verb, void (*each)(void *context, const char *example, const char *help),
                   void *context);
void verb_statuses(enum verb verb, void (*each)(void *context, const char *status, const char *help),
                   void *context);

struct role_row {
    const char *name, *listen, *summary;
};
const struct role_row *role_row(enum role role);

/* What goes before the :// of a listener, and what it means. */
struct scheme {
    const char *name;
    enum listen_protocol protocol;
    enum listen_transport transport;
    unsigned roles; /* ROLES_… that take it */
};

/* The scheme called `name`, or null. */
const struct scheme *scheme_find(struct bytes name);

/* Appends the schemes that listeners of `takers`, ROLES_…, may name: "tcp, resp, memcached". */
void schemes_append(struct buffer *out, unsigned takers);

/* What goes before the :// of a listener: "resp+unix". */
const char *listen_scheme(enum listen_protocol protocol, enum listen_transport transport);
