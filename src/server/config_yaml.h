/* config_yaml.h — the walk over a YAML file's events, for the files that read a part of it.
 *
 * A function that reads a value is called with the reader at the event that begins it, and leaves it at the
 * one behind it, whatever it had to report. */
#pragma once
#include "server/options.h"
#include <yaml.h>

enum { CONFIG_PROBLEMS_MAX = 20 }; /* that are said one by one */

struct config_reader {
    struct options *options;
    struct buffer *message;
    struct bytes text;
    yaml_parser_t parser;
    yaml_event_t event; /* the present one, while has_event */
    bool has_event;
    bool is_broken; /* no further event is to be had */
    bool no_memory;
    unsigned problem_count;
};

/* Says one problem, at a struct place: a format and what it takes. */
#define CONFIG_REPORT(reader, where, ...)                                                                  \
    do {                                                                                                   \
        if ((reader)->problem_count++ < CONFIG_PROBLEMS_MAX)                                               \
            options_report((reader)->options, where, (reader)->message, __VA_ARGS__);                      \
    } while (0)

/* Where the present event begins. */
struct place config_here(const struct config_reader *reader);

/* Moves to the next event. False at the end of what can be read. */
bool config_advance(struct config_reader *reader);
bool config_is_at(const struct config_reader *reader, yaml_event_type_t type);

/* Moves behind the value that the present event begins; from a key, behind it and its value. */
void config_skip(struct config_reader *reader);
void config_skip_pair(struct config_reader *reader);

/* True if there was an alias, an anchor or a tag, which has been reported and skipped. */
bool config_refuse_alias(struct config_reader *reader);

/* The present scalar, good until the next event; whether it is `key:` with nothing behind it. */
struct bytes config_scalar(const struct config_reader *reader);
bool config_is_empty(const struct config_reader *reader);

/* Of a mapping's key: its text, good until the next event. Anything else is reported and skipped, its value
 * with it. */
bool config_read_key(struct config_reader *reader, struct bytes *name);

/* Reads the value of the option `row` into `base`, the struct of its scope. */
void config_read_value(struct config_reader *reader, const struct option_row *row, void *base);

/* Appends where a file called `path` is: beside the file that names it. */
enum err config_beside_file(const struct config_reader *reader, struct bytes path, struct buffer *full);

/* The same of one of the server, unless the command line has said it. */
void config_read_server_option(struct config_reader *reader, const struct option_row *row);

/* ---- config_tier.c ------------------------------------------------------------------------------- */

/* Reads what stands behind `tier:`. */
void config_read_tier(struct config_reader *reader);

/* The key under `tier:` of the option that is called `name`, or null. */
const char *config_tier_key_of(struct bytes name);

/* ---- config_gateway.c ---------------------------------------------------------------------------- */

/* Reads what a key of a gateway other than an option's says; false, with nothing read, if it is none. */
bool config_read_gateway_key(struct config_reader *reader, struct role_options *role, struct bytes name);

/* Considers the names of those keys. */
struct nearest;
void config_consider_gateway_keys(struct nearest *nearest);

/* Says what is wrong with a gateway as a whole. */
void config_check_gateway(struct config_reader *reader, struct role_options *role);

/* ---- config_compose.c ---------------------------------------------------------------------------- */

/* Reads what stands behind `compose:` of a gateway. */
void config_read_compose(struct config_reader *reader, struct role_options *role);

/* Says what is wrong with its composed routes as a whole. */
void config_check_compose(struct config_reader *reader, const struct role_options *role);

/* The options that are no rows of a table: of a composed route, in a struct composition_spec, and of a part
 * of it, in a struct part_spec. */
extern const struct option_row compose_timeout_row, compose_max_row, part_timeout_row;
