#include "server/option_row.h"
#include "server/option_units.h"
#include "server/options.h"
#include <assert.h>

/* The commands that ask a server that runs, and those that run one or look at what would. */
enum {
    ASKING_VERBS = 1 << VERB_PURGE | 1 << VERB_STATUS,
    SERVER_VERBS = ((1 << VERB_COUNT) - 1) & ~ASKING_VERBS,
    TIER_VERBS = 1 << VERB_CACHE | 1 << VERB_GATEWAY | 1 << VERB_SERVE | 1 << VERB_CHECK,
};

/* A role is also the verb that runs it alone, so that ROLES_… are bits of option_row.verbs. */
static_assert((int)VERB_CACHE == (int)ROLE_CACHE && (int)VERB_GATEWAY == (int)ROLE_GATEWAY &&
                  (int)VERB_MOCK == (int)ROLE_MOCK,
              "roles and their verbs in the same order");

static const struct option_row rows[] = {
#define SERVER_OPTION(type_, name_, field, fallback_, low_, high_, help_)                                  \
    {.name = name_,                                                                                        \
     .help = help_,                                                                                        \
     .type = OPTION_TYPE_##type_,                                                                          \
     .scope = OPTION_OF_SERVER,                                                                            \
     .verbs = SERVER_VERBS,                                                                                \
     .roles = 0,                                                                                           \
     .offset = offsetof(struct options, field),                                                            \
     .fallback = fallback_,                                                                                \
     .low = low_,                                                                                          \
     .high = high_},
#define TIER_OPTION(type_, name_, key_, field, fallback_, low_, high_, help_)                              \
    {.name = name_,                                                                                        \
     .key = key_,                                                                                          \
     .help = help_,                                                                                        \
     .type = OPTION_TYPE_##type_,                                                                          \
     .scope = OPTION_OF_SERVER,                                                                            \
     .verbs = TIER_VERBS,                                                                                  \
     .roles = 0,                                                                                           \
     .offset = offsetof(struct options, field),                                                            \
     .fallback = fallback_,                                                                                \
     .low = low_,                                                                                          \
     .high = high_},
#define ROLE_OPTION(roles_, type_, name_, field, fallback_, low_, high_, help_)                            \
    {.name = name_,                                                                                        \
     .help = help_,                                                                                        \
     .type = OPTION_TYPE_##type_,                                                                          \
     .scope = OPTION_OF_ROLE,                                                                              \
     .verbs = ROLES_##roles_,                                                                              \
     .roles = ROLES_##roles_,                                                                              \
     .offset = offsetof(struct role_options, field),                                                       \
     .fallback = fallback_,                                                                                \
     .low = low_,                                                                                          \
     .high = high_},
#define COMMAND_OPTION(verbs_, type_, name_, field, fallback_, low_, high_, help_)                         \
    {.name = name_,                                                                                        \
     .help = help_,                                                                                        \
     .type = OPTION_TYPE_##type_,                                                                          \
     .scope = OPTION_OF_SERVER,                                                                            \
     .verbs = verbs_,                                                                                      \
     .roles = 0,                                                                                           \
     .offset = offsetof(struct options, field),                                                            \
     .fallback = fallback_,                                                                                \
     .low = low_,                                                                                          \
     .high = high_},
#define DEMO_OPTION(...)   COMMAND_OPTION(1 << VERB_DEMO, __VA_ARGS__)
#define PURGE_OPTION(...)  COMMAND_OPTION(1 << VERB_PURGE, __VA_ARGS__)
#define ADMIN_OPTION(...)  COMMAND_OPTION(ASKING_VERBS, __VA_ARGS__)
#define STATUS_OPTION(...) COMMAND_OPTION(1 << VERB_STATUS, __VA_ARGS__)
#include "tables/options.def"
#undef SERVER_OPTION
#undef TIER_OPTION
#undef ROLE_OPTION
#undef DEMO_OPTION
#undef PURGE_OPTION
#undef ADMIN_OPTION
#undef STATUS_OPTION
#undef COMMAND_OPTION
#define POLICY_OPTION(scope_, struct_, type_, name_, field, fallback_, low_, high_, help_)                 \
    {.name = name_,                                                                                        \
     .help = help_,                                                                                        \
     .type = OPTION_TYPE_##type_,                                                                          \
     .scope = scope_,                                                                                      \
     .verbs = ROLES_GATEWAY,                                                                               \
     .roles = ROLES_GATEWAY,                                                                               \
     .offset = offsetof(struct struct_, field),                                                            \
     .fallback = fallback_,                                                                                \
     .low = low_,                                                                                          \
     .high = high_},
#define UPSTREAM_OPTION(...) POLICY_OPTION(OPTION_OF_UPSTREAM, upstream_policy, __VA_ARGS__)
#include "tables/upstream_options.def"
#undef UPSTREAM_OPTION
#define ROUTE_OPTION(...) POLICY_OPTION(OPTION_OF_ROUTE, route_policy, __VA_ARGS__)
#include "tables/route_options.def"
#undef ROUTE_OPTION
#undef POLICY_OPTION
};
static_assert(COUNT_OF(rows) <= OPTION_COUNT_MAX, "set_at has a place for each row");

size_t option_row_count(void) { return COUNT_OF(rows); }

const struct option_row *option_row(size_t index) { return &rows[index]; }

bool option_is_of_server(const struct option_row *row)
{
    return row->scope == OPTION_OF_SERVER && row->verbs == SERVER_VERBS;
}

bool option_is_of_composition(const struct option_row *row)
{
    static const char *const names[] = {"compress", "compress-min", "request-id", "access-log-sample"};

    if (row->scope != OPTION_OF_ROUTE)
        return false;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(row->name, names[i]) == 0)
            return true;
    return strncmp(row->name, "cors-", 5) == 0 || strcmp(row->name, "live") == 0 ||
           strncmp(row->name, "live-", 5) == 0;
}

bool option_is_of_tier(const struct option_row *row) { return row->key != NULL; }

bool option_is_operand(const struct option_row *row)
{
    return (row->scope == OPTION_OF_ROLE || row->scope == OPTION_OF_UPSTREAM) &&
           (row->type == OPTION_TYPE_url || row->type == OPTION_TYPE_source);
}

const struct option_row *option_find_key(unsigned wanted_roles, struct bytes name)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool belongs =
            wanted_roles == 0 ? option_is_of_server(&rows[i]) : (rows[i].roles & wanted_roles) != 0;
        if (belongs && bytes_equal(bytes_of_text(rows[i].name), name))
            return &rows[i];
    }
    return NULL;
}

const struct option_row *option_find_scoped(enum option_scope scope, struct bytes name)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].scope == scope && bytes_equal(bytes_of_text(rows[i].name), name))
            return &rows[i];
    return NULL;
}

const struct option_row *option_find_tier_key(struct bytes key)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].key != NULL && bytes_equal(bytes_of_text(rows[i].key), key))
            return &rows[i];
    return NULL;
}

void *option_field(const struct option_row *row, void *base)
{
    switch (row->scope) {
    case OPTION_OF_SERVER:
    case OPTION_OF_ROLE: break;
    case OPTION_OF_UPSTREAM: base = &((struct role_options *)base)->upstream_policy; break;
    case OPTION_OF_ROUTE: base = &((struct role_options *)base)->route_policy; break;
    }
    return (char *)base + row->offset;
}
