/* option_row.h — every option as a row: tables/options.def, upstream_options.def and route_options.def. */
#pragma once
#include "server/roles.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPTION_COUNT_MAX = 256 };

enum option_type {
#define OPTION_TYPE(type, kept, help, read, shown, traits) OPTION_TYPE_##type,
#include "tables/option_types.def"
#undef OPTION_TYPE
};

/* Which struct an option's field is in. */
enum option_scope {
    OPTION_OF_SERVER,   /* struct options */
    OPTION_OF_ROLE,     /* struct role_options */
    OPTION_OF_UPSTREAM, /* struct upstream_policy */
    OPTION_OF_ROUTE,    /* struct route_policy */
};

struct option_row {
    const char *name; /* "idle-timeout" */
    const char *key;  /* under `tier:` in the file; null: not an option of the tier */
    const char *help;
    enum option_type type;
    enum option_scope scope;
    unsigned verbs; /* 1 << VERB_…: the commands it is a flag of */
    unsigned roles; /* ROLES_…: the roles it is a key of; 0: not a role's option */
    size_t offset;  /* in the struct of its scope */
    int64_t fallback, low, high;
};

/* Whether the option is required, and written without its name on the command line: an origin, a file. */
bool option_is_operand(const struct option_row *row);

/* Whether it is the server's: a key at the top of the file, and a flag of every command that runs one. */
bool option_is_of_server(const struct option_row *row);

/* Whether it is of the shared tier: a key under `tier:` in the file. */
bool option_is_of_tier(const struct option_row *row);

size_t option_row_count(void);
const struct option_row *option_row(size_t index);

/* The row called `name` that is a key at the top of the file (`roles` 0) or under one of `roles`, or null.
 */
const struct option_row *option_find_key(unsigned roles, struct bytes name);

/* The row called `name` that is a key of an upstream or a route of a gateway, or null. */
const struct option_row *option_find_scoped(enum option_scope scope, struct bytes name);

/* Whether it is a route's that a composed route has, too. */
bool option_is_of_composition(const struct option_row *row);

/* The row that is called `key` under `tier:`, or null. */
const struct option_row *option_find_tier_key(struct bytes key);

/* Where the option is in `base`: a struct options, or a struct role_options. */
void *option_field(const struct option_row *row, void *base);
