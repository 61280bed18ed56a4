/* options.h — what the operator asked for: the command line and the YAML file, both from tables/options.def
 * and tables/roles.def.
 *
 * Text is owned by the struct and freed by options_fini. Nothing here opens a socket or looks up a name.
 * One thread at a time. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/gateway/access_line.h"
#include "engine/gateway/routing/plan.h"
#include "engine/mock/collections/compat.h"
#include "engine/mock/openapi/openapi_options.h"
#include "net/loop.h"
#include "net/tls.h"
#include <stdbool.h>
#include <stdint.h>

/* Where something was asked for: a line and column of the file, counted from 1. */
struct place {
    int line; /* 0: nowhere, it is the default; -1: on the command line */
    int column;
};

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

struct listen_option {
    enum listen_protocol protocol;
    enum listen_transport transport;
    char *address; /* "HOST:PORT", for address_parse of net/listen.h; well-formed, not looked up. Of a Unix
                    * socket its absolute path */
    int mode;      /* of a Unix socket: its permissions, or -1 */
    struct place where;
};

struct listen_list {
    struct listen_option *items;
    size_t count;
};

/* Names of files and the like, in the order they were given. */
struct text_list {
    char **items;
    size_t count;
};

/* Of an option that is answered. */
enum answer { ANSWER_NO, ANSWER_YES };

enum { OPTION_COUNT_MAX = 256 };

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

/* One role of the process. The fields of other roles hold their defaults and mean nothing. */
struct role_options {
    enum role role;
    struct place where;
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
    struct place upstreams_at, routes_at;
};

struct options {
    enum verb verb;
    enum verb help_verb;         /* if verb is VERB_HELP: of what; VERB_HELP itself for the overview */
    char *file;                  /* of serve and check; else null */
    struct text_list purge_urls; /* of purge */
    struct role_options *roles;
    size_t role_count;
#define SERVER_OPTION(type, name, field, fallback, low, high, help) OPTION_FIELD_##type(field)
#define DEMO_OPTION(type, name, field, fallback, low, high, help)   OPTION_FIELD_##type(field)
#define PURGE_OPTION(type, name, field, fallback, low, high, help)  OPTION_FIELD_##type(field)
#include "tables/options.def"
#undef PURGE_OPTION
#undef SERVER_OPTION
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

/* ---- the tables, for config_yaml.c, help.c and the generated documentation ---------------------- */

enum option_type {
    OPTION_TYPE_integer,
    OPTION_TYPE_size,
    OPTION_TYPE_duration,
    OPTION_TYPE_loop,
    OPTION_TYPE_auth,
    OPTION_TYPE_answer,
    OPTION_TYPE_host,
    OPTION_TYPE_checks,
    OPTION_TYPE_format,
    OPTION_TYPE_compat,
    OPTION_TYPE_level,
    OPTION_TYPE_events,
    OPTION_TYPE_flag,
    OPTION_TYPE_url,
    OPTION_TYPE_path,
    OPTION_TYPE_source, /* a file or a folder that the command line has without a name */
    OPTION_TYPE_folder,
    OPTION_TYPE_paths, /* may be repeated */
    OPTION_TYPE_text,
    OPTION_TYPE_texts,  /* may be repeated */
    OPTION_TYPE_secret, /* a text that is never shown again */
    OPTION_TYPE_listens,
    OPTION_TYPE_list, /* a route's: `fallback` is an enum route_list; with commas, or a list in YAML,
                         or a mapping of items before and behind a = */
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

size_t option_row_count(void);
const struct option_row *option_row(size_t index);

/* The row called `name` that is a key at the top of the file (`roles` 0) or under one of `roles`, or null.
 */
const struct option_row *option_find_key(unsigned roles, struct bytes name);

/* The row called `name` that is a key of an upstream or a route of a gateway, or null. */
const struct option_row *option_find_scoped(enum option_scope scope, struct bytes name);

/* Sets the option of the server in `base`, a struct options, or of a role and what it has, in a struct
 * role_options, from `text`. Returns OK; ERR_SYNTAX or
 * ERR_RANGE with what is wrong and what to write instead, without a newline, appended to `why`;
 * ERR_NO_MEMORY. */
enum err option_set(const struct option_row *row, void *base, struct bytes text, struct place where,
                    struct buffer *why);

/* The same of an upstream's option in a struct upstream_policy, or of a route's in a struct route_policy.
 */
enum err option_set_policy(const struct option_row *row, void *policy, struct bytes text,
                           struct place where, struct buffer *why);

/* Where the option is in `base`: a struct options, or a struct role_options. */
void *option_field(const struct option_row *row, void *base);

/* Copies an option's value from field to field; a text that was there is freed. ERR_NO_MEMORY. */
enum err option_copy(const struct option_row *row, const void *from, void *to);

/* Appends a value as an operator would write it ("64M", "5s", "auto"); nothing for text. */
void option_append_value(struct buffer *out, const struct option_row *row, int64_t value);

/* Appends what stands for the value in help: "SIZE", "auto|uring|epoll"; nothing for a flag. */
void option_append_placeholder(struct buffer *out, const struct option_row *row);

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

/* Appends the schemes that listeners of `role` may name: "tcp, resp, memcached". */
void role_append_schemes(struct buffer *out, enum role role);

/* What goes before the :// of such a listener: "resp+unix". */
const char *listen_scheme(enum listen_protocol protocol, enum listen_transport transport);

/* Appends one line about something asked for at `where`: of the file, or of the command line. */
void options_report(const struct options *options, struct place where, struct buffer *message,
                    const char *format, ...) PRINTF_LIKE(4, 5);

/* Fills in what follows from the rest and checks what no single option can. Returns OK, ERR_SYNTAX,
 * ERR_NO_MEMORY. */
enum err options_complete(struct options *options, struct buffer *message);

/* For "%.*s": at most 60 bytes of `text`. Control bytes have become '?'. */
struct shown {
    char text[64];
};
struct shown shown_text(struct bytes text);
