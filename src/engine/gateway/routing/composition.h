/* composition.h — a route that answers with one JSON document made of several answers of the gateway's own:
 * which requests it takes, what its parts are, and what becomes of those that fail. Part of a plan, and as
 * immutable. */
#pragma once
#include "part_target.h"
#include "route.h"

enum { COMPOSED_PARTS_MAX = 32 };

/* A part as it is asked for; the texts are the asker's. */
struct part_spec {
    char *name;
    char *target;                /* see part_target.h */
    char *pointer;               /* what of the answer is the part (RFC 6901); null: all of it */
    struct field_spec *selected; /* or: the members of the part, each with its pointer */
    size_t selected_count;
    char *optional;     /* "yes" or "no"; null: as on_failure says */
    int64_t timeout_ms; /* 0: the composition's */
};

struct composition_spec {
    char *path;
    struct part_spec *parts;
    size_t part_count;
    char **passed; /* names of fields of the client's request that the parts' have too */
    size_t passed_count;
    char *on_failure; /* "null" or "fail"; null: the former */
    int64_t timeout_ms;
    int64_t body_bytes_max; /* of the whole, and of the answer that a part is taken from */
    struct route_policy policy;
};

/* A copy in memory of its own, but for the policy. False if there is none; fini is due in any case. */
bool composition_spec_copy(struct composition_spec *copy, const struct composition_spec *spec);
/* Frees all but the policy. */
void composition_spec_fini(struct composition_spec *spec);

/* What is wrong with the name of a part, of a member that is selected, of a field to pass on, or null. */
const char *part_name_is_wrong(struct bytes name);
const char *member_name_is_wrong(struct bytes name);
const char *passed_field_is_wrong(struct bytes name);

struct composition {
    struct route route; /* its policy, and the plan it is part of; it leads to no upstream */
    struct composition_spec own;
    struct path_pattern path;
};

/* ERR_SYNTAX: a path or a target that is none; ERR_NO_MEMORY. After an error, too, fini is due. */
enum err composition_init(struct composition *composition, const struct composition_spec *spec);
void composition_fini(struct composition *composition);

/* Whether the whole fails if this part does. */
bool part_is_required(const struct composition_spec *spec, const struct part_spec *part);
