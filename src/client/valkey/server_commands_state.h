/* server_commands_state.h — what server_commands.c makes and command_keys.c reads. */
#pragma once
#include "base/buffer.h"
#include "client/valkey/server_commands.h"

enum begin_search { BEGIN_UNKNOWN, BEGIN_INDEX, BEGIN_KEYWORD };
enum find_keys { FIND_UNKNOWN, FIND_RANGE, FIND_NUMBER };

/* One key specification: https://redis.io/docs/latest/develop/reference/key-specs/ */
struct key_spec {
    enum begin_search begin;
    int32_t begin_at; /* index; of a keyword: where the search for it begins, from the end if negative */
    uint32_t keyword; /* offset in `texts` */
    uint32_t keyword_size; /* bytes */
    enum find_keys find;
    int32_t last, step, limit;    /* of a range */
    int32_t number_at, first_key; /* of a number: where it is, and the first key, behind the beginning */
    bool is_no_key, is_incomplete;
};

struct entry {
    struct server_command command; /* first, so that one leads to the other */
    uint32_t name, categories;     /* offsets in `texts`, until all of that is known */
    uint32_t first_spec, spec_count;
};

struct server_commands {
    struct entry *entries; /* by name */
    size_t entry_count, entry_capacity;
    struct key_spec *specs;
    size_t spec_count, spec_capacity;
    struct buffer texts; /* names, each terminated, and keywords */
};
