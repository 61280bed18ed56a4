/* options.h — what the operator asked for: the command line and the YAML file, both from tables/options.def
 * and tables/roles.def.
 *
 * Text is owned by the struct and freed by options_fini. Nothing here opens a socket or looks up a name.
 * One thread at a time. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "base/log.h"
#include "client/valkey/valkey_options.h"
#include "engine/gateway/access_line.h"
#include "engine/gateway/routing/plan.h"
#include "engine/mock/collections/compat.h"
#include "engine/mock/openapi/openapi_options.h"
#include "engine/poll/poll_spec.h"
#include "net/loop.h"
#include "net/tls.h"
#include "server/listen_option.h"
#include "server/option_row.h"
#include "server/option_value.h"
#include "server/shown_text.h"
#include "server/text_list.h"
#include <stdbool.h>
#include <stdint.h>

/* Of an option that is answered. */
enum answer { ANSWER_NO, ANSWER_YES };

/* The C type of a field by the type of its row. */
#define OPTION_FIELD_integer(field)  int64_t field;
#define OPTION_FIELD_size(field)     int64_t field;
#define OPTION_FIELD_duration(field) int64_t field;
#define OPTION_FIELD_loop(field)     enum loop_kind field;
#define OPTION_FIELD_auth(field)     enum tls_client_auth field;
#define OPTION_FIELD_answer(field)   enum answer field;
#define OPTION_FIELD_checks(field)   enum openapi_checks field;
#define OPTION_FIELD_format(field)   enum access_format field;
#define OPTION_FIELD_compat(field)   enum compat field;
#define OPTION_FIELD_resp(field)     enum valkey_resp field;
#define OPTION_FIELD_level(field)    enum log_level field;
#define OPTION_FIELD_events(field)   uint32_t field; /* bits of engine/kv/kv_notify_flags.h */
#define OPTION_FIELD_flag(field)     bool field;
#define OPTION_FIELD_url(field)      char *field;
#define OPTION_FIELD_path(field)     char *field;
#define OPTION_FIELD_source(field)   char *field;
#define OPTION_FIELD_folder(field)   char *field;
#define OPTION_FIELD_paths(field)    struct text_list field;
#define OPTION_FIELD_text(field)     char *field;
#define OPTION_FIELD_texts(field)    struct text_list field;
#define OPTION_FIELD_secret(field)   char *field;
#define OPTION_FIELD_tier(field)     char *field;
#define OPTION_FIELD_rates(field)    char *field;
#define OPTION_FIELD_ranges(field)   struct text_list field;
#define OPTION_FIELD_listens(field)  struct listen_list field;

/* An upstream as the file has it, and a route; what they do not say themselves is filled in from their role
 * once that has been read. */
struct upstream_entry {
    struct upstream_spec spec;
    struct place where;
    bool is_set[OPTION_COUNT_MAX]; /* by row */
};

struct route_entry {
    struct route_spec spec;  /* but for the credential's value and source, which are yet to be found: */
    char *credential_env;    /* in the environment, */
    char *credential_file;   /* or in a file, */
    char *credential_prefix; /* behind this, if it is not null */
    struct place where, upstream_at, rewrite_at, credential_at;
    bool is_set[OPTION_COUNT_MAX];
};

/* What is polled. */
struct poll_entry {
    struct poll_spec spec;
    int64_t interval_ms; /* as one was written, rather than two bounds; else 0 */
    struct place where;
};

/* A composed route, likewise; its policy has only what option_is_of_composition says. */
struct compose_entry {
    struct composition_spec spec;
    struct place where, path_at;
    struct place *part_places; /* of each of spec.parts */
    size_t part_place_count;
    bool is_set[OPTION_COUNT_MAX];
};

/* One role of the process. The fields of other roles hold their defaults and mean nothing. */
struct role_options {
    enum role role;
    struct place where;
    bool is_given[OPTION_COUNT_MAX]; /* by row: whether somebody said it, be it what it is anyway */
#define ROLE_OPTION(role, type, name, field, fallback, low, high, help) OPTION_FIELD_##type(field)
#include "tables/options.def"
#undef ROLE_OPTION
    /* A gateway's: for upstreams and routes that do not say otherwise, and those that do. */
    struct upstream_policy upstream_policy;
    struct route_policy route_policy;
    struct upstream_entry *upstreams;
    size_t upstream_count;
    struct route_entry *routes;
    size_t route_count;
    struct poll_entry *polls;
    size_t poll_count;
    struct compose_entry *compositions;
    size_t composition_count;
    struct place upstreams_at, routes_at, polls_at, compose_at;
};

struct options {
    enum verb verb;
    enum verb help_verb;         /* if verb is VERB_HELP: of what; VERB_HELP itself for the overview */
    char *file;                  /* of serve and check; else null */
    struct text_list purge_urls; /* of purge */
    struct role_options *roles;
    size_t role_count;
#define SERVER_OPTION(type, name, field, fallback, low, high, help)    OPTION_FIELD_##type(field)
#define DEMO_OPTION(type, name, field, fallback, low, high, help)      OPTION_FIELD_##type(field)
#define PURGE_OPTION(type, name, field, fallback, low, high, help)     OPTION_FIELD_##type(field)
#define ADMIN_OPTION(type, name, field, fallback, low, high, help)     OPTION_FIELD_##type(field)
#define STATUS_OPTION(type, name, field, fallback, low, high, help)    OPTION_FIELD_##type(field)
#define TIER_OPTION(type, name, key, field, fallback, low, high, help) OPTION_FIELD_##type(field)
#include "tables/options.def"
#undef STATUS_OPTION
#undef ADMIN_OPTION
#undef PURGE_OPTION
#undef SERVER_OPTION
#undef TIER_OPTION
#undef DEMO_OPTION
    struct place set_at[OPTION_COUNT_MAX]; /* of server-wide options, by row */
};

/* Every option at its default, no role. */
void options_init(struct options *options);
void options_fini(struct options *options);

/* Adds a role with its defaults and no listener. Null if there is no memory. The pointer is good until the
 * next call. */
struct role_options *options_add_role(struct options *options, enum role role, struct place where);

/* Takes over the whole command line; for serve and check it reads the file too, where the command line's
 * flags win over the file's. On OK the options are complete: every role has at least one listener and what
 * it cannot do without, and connection_buffer_bytes is not 0. A role command leaves that one role; demo
 * and purge none. Returns OK; ERR_SYNTAX with lines for the operator, newline after each, appended to
 * `message`; ERR_NO_MEMORY. */
enum err options_parse_arguments(struct options *options, int argc, char **argv, struct buffer *message);

/* Reads a YAML file into initialised options and completes them. Returns OK; ERR_SYNTAX with a line
 * "file:line:column: what is wrong; what to do" for each problem appended to `message`; ERR_MISSING and the
 * like, with a line, if the file cannot be read; ERR_NO_MEMORY. */
enum err options_load_yaml(struct options *options, const char *path, struct buffer *message);

/* The same of text that somebody else has read from `path`. */
enum err options_read_yaml(struct options *options, const char *path, struct bytes text,
                           struct buffer *message);

/* Appends one line about something asked for at `where`: of the file, or of the command line. */
void options_report(const struct options *options, struct place where, struct buffer *message,
                    const char *format, ...) PRINTF_LIKE(4, 5);

/* Fills in what follows from the rest and checks what no single option can. Returns OK, ERR_SYNTAX,
 * ERR_NO_MEMORY. */
enum err options_complete(struct options *options, struct buffer *message);
