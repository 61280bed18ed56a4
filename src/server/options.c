#include "server/options.h"
#include "base/number.h"
#include "engine/gateway/policy/cors.h"
#include "engine/gateway/policy/upstream_fields.h"
#include "engine/kv/kv_notify_flags.h"
#include "server/nearest.h"
#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define KIB     INT64_C(1024)
#define MIB     (1024 * KIB)
#define GIB     (1024 * MIB)
#define SECONDS INT64_C(1000)
#define HOURS   (3600 * SECONDS)

/* What connection-buffer adds to value-max when it is left to us: room for the command around the value. */
#define AROUND_A_VALUE_BYTES (64 * KIB)

/* The commands that run a server, or look at what would run one. */
enum {
    SERVER_VERBS = ((1 << VERB_COUNT) - 1) & ~(1 << VERB_PURGE),
    UNIX_PATH_BYTES_MAX = 107,
    PORT_UNSAID = 0
};

static const struct place on_command_line = {-1, 0};

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
#define COMMAND_OPTION(verb, type_, name_, field, fallback_, low_, high_, help_)                           \
    {.name = name_,                                                                                        \
     .help = help_,                                                                                        \
     .type = OPTION_TYPE_##type_,                                                                          \
     .scope = OPTION_OF_SERVER,                                                                            \
     .verbs = 1 << (verb),                                                                                 \
     .roles = 0,                                                                                           \
     .offset = offsetof(struct options, field),                                                            \
     .fallback = fallback_,                                                                                \
     .low = low_,                                                                                          \
     .high = high_},
#define DEMO_OPTION(...)  COMMAND_OPTION(VERB_DEMO, __VA_ARGS__)
#define PURGE_OPTION(...) COMMAND_OPTION(VERB_PURGE, __VA_ARGS__)
#include "tables/options.def"
#undef SERVER_OPTION
#undef ROLE_OPTION
#undef DEMO_OPTION
#undef PURGE_OPTION
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

static const struct {
    enum option_type type;
    const char *word;
    int value;
} choices[] = {
#define CHOICE(type, word, value) {OPTION_TYPE_##type, word, value},
#include "tables/options.def"
#undef CHOICE
};
static_assert(sizeof(enum loop_kind) == sizeof(int) && sizeof(enum log_level) == sizeof(int) &&
                  sizeof(enum tls_client_auth) == sizeof(int) && sizeof(enum answer) == sizeof(int) &&
                  sizeof(enum route_host) == sizeof(int) && sizeof(enum openapi_checks) == sizeof(int) &&
                  sizeof(enum access_format) == sizeof(int) && sizeof(enum compat) == sizeof(int),
              "choices are written as int");

static const struct verb_row verbs[] = {
#define VERB(id, name, operand, summary, example, example_help)                                            \
    {name, operand, summary, example, example_help},
#include "tables/roles.def"
#undef VERB
};

static const struct role_row roles[] = {
#define ROLE(id, name, listen, summary) {name, listen, summary},
#include "tables/roles.def"
#undef ROLE
};

static const struct {
    const char *name;
    enum listen_protocol protocol;
    enum listen_transport transport;
    unsigned roles;
} schemes[] = {
#define SCHEME(name, protocol, transport, roles) {name, LISTEN_##protocol, LISTEN_##transport, roles},
#include "tables/roles.def"
#undef SCHEME
};

/* Powers of two for sizes, of anything for durations; the largest first. */
static const struct unit {
    enum option_type type;
    const char *suffix;
    int64_t factor;
} units[] = {
    {OPTION_TYPE_size, "T", 1024 * GIB},
    {OPTION_TYPE_size, "G", GIB},
    {OPTION_TYPE_size, "M", MIB},
    {OPTION_TYPE_size, "k", KIB},
    {OPTION_TYPE_size, "", 1},
    {OPTION_TYPE_duration, "d", 24 * HOURS},
    {OPTION_TYPE_duration, "h", HOURS},
    {OPTION_TYPE_duration, "m", 60 * SECONDS},
    {OPTION_TYPE_duration, "s", SECONDS},
    {OPTION_TYPE_duration, "ms", 1},
};

size_t option_row_count(void) { return COUNT_OF(rows); }

const struct option_row *option_row(size_t index) { return &rows[index]; }

bool option_is_of_server(const struct option_row *row)
{
    return row->scope == OPTION_OF_SERVER && row->verbs == SERVER_VERBS;
}

bool option_is_operand(const struct option_row *row)
{
    return (row->scope == OPTION_OF_ROLE || row->scope == OPTION_OF_UPSTREAM) &&
           (row->type == OPTION_TYPE_url || row->type == OPTION_TYPE_source);
}

const struct verb_row *verb_row(enum verb verb) { return &verbs[verb]; }

void verb_examples(enum verb verb, void (*each)(void *context, const char *example, const char *help),
                   void *context)
{
#define VERB_EXAMPLE(id, example, help)                                                                    \
    if (verb == VERB_##id)                                                                                 \
        each(context, example, help);
#include "tables/roles.def"
#undef VERB_EXAMPLE
}

void verb_statuses(enum verb verb, void (*each)(void *context, const char *status, const char *help),
                   void *context)
{
#define VERB_STATUS(id, status, help)                                                                      \
    if (verb == VERB_##id)                                                                                 \
        each(context, #status, help);
#include "tables/roles.def"
#undef VERB_STATUS
}

const struct role_row *role_row(enum role role) { return &roles[role]; }

static void append_schemes(struct buffer *out, unsigned wanted_roles)
{
    const char *between = "";
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        if ((schemes[i].roles & wanted_roles) == 0)
            continue;
        buffer_append_format(out, "%s%s", between, schemes[i].name);
        between = ", ";
    }
}

void role_append_schemes(struct buffer *out, enum role role) { append_schemes(out, 1u << role); }

const char *listen_scheme(enum listen_protocol protocol, enum listen_transport transport)
{
    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (schemes[i].protocol == protocol && schemes[i].transport == transport)
            return schemes[i].name;
    UNREACHABLE();
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

/* ---- values as text ----------------------------------------------------------------------------- */

static bool has_choices(enum option_type type)
{
    return type == OPTION_TYPE_loop || type == OPTION_TYPE_auth || type == OPTION_TYPE_answer ||
           type == OPTION_TYPE_host || type == OPTION_TYPE_checks || type == OPTION_TYPE_format ||
           type == OPTION_TYPE_level || type == OPTION_TYPE_compat;
}

void option_append_value(struct buffer *out, const struct option_row *row, int64_t value)
{
    switch (row->type) {
    case OPTION_TYPE_integer: buffer_append_int64(out, value); return;
    case OPTION_TYPE_size:
    case OPTION_TYPE_duration:
        if (value == 0) {
            buffer_append_byte(out, '0');
            return;
        }
        for (size_t i = 0; i < COUNT_OF(units); i++) {
            if (units[i].type != row->type || value % units[i].factor != 0)
                continue;
            buffer_append_int64(out, value / units[i].factor);
            buffer_append(out, bytes_of_text(units[i].suffix));
            return;
        }
        return;
    case OPTION_TYPE_loop:
    case OPTION_TYPE_auth:
    case OPTION_TYPE_answer:
    case OPTION_TYPE_host:
    case OPTION_TYPE_checks:
    case OPTION_TYPE_format:
    case OPTION_TYPE_compat:
    case OPTION_TYPE_level:
        for (size_t i = 0; i < COUNT_OF(choices); i++)
            if (choices[i].type == row->type && choices[i].value == value)
                buffer_append(out, bytes_of_text(choices[i].word));
        return;
    case OPTION_TYPE_events:
    case OPTION_TYPE_flag:
    case OPTION_TYPE_url:
    case OPTION_TYPE_path:
    case OPTION_TYPE_source:
    case OPTION_TYPE_folder:
    case OPTION_TYPE_paths:
    case OPTION_TYPE_text:
    case OPTION_TYPE_texts:
    case OPTION_TYPE_secret:
    case OPTION_TYPE_listens:
    case OPTION_TYPE_list: return;
    }
    UNREACHABLE();
}

void option_append_placeholder(struct buffer *out, const struct option_row *row)
{
    const char *between = "";

    switch (row->type) {
    case OPTION_TYPE_integer: buffer_append_literal(out, "NUMBER"); return;
    case OPTION_TYPE_size: buffer_append_literal(out, "SIZE"); return;
    case OPTION_TYPE_duration: buffer_append_literal(out, "TIME"); return;
    case OPTION_TYPE_loop:
    case OPTION_TYPE_auth:
    case OPTION_TYPE_answer:
    case OPTION_TYPE_host:
    case OPTION_TYPE_checks:
    case OPTION_TYPE_format:
    case OPTION_TYPE_compat:
    case OPTION_TYPE_level:
        for (size_t i = 0; i < COUNT_OF(choices); i++) {
            if (choices[i].type != row->type)
                continue;
            buffer_append_format(out, "%s%s", between, choices[i].word);
            between = "|";
        }
        return;
    case OPTION_TYPE_events: buffer_append_literal(out, "LETTERS"); return;
    case OPTION_TYPE_flag: return;
    case OPTION_TYPE_url: buffer_append_literal(out, "URL"); return;
    case OPTION_TYPE_path:
    case OPTION_TYPE_source:
    case OPTION_TYPE_paths: buffer_append_literal(out, "FILE"); return;
    case OPTION_TYPE_folder: buffer_append_literal(out, "FOLDER"); return;
    case OPTION_TYPE_text:
    case OPTION_TYPE_texts: buffer_append_literal(out, "TEXT"); return;
    case OPTION_TYPE_secret: buffer_append_literal(out, "SECRET"); return;
    case OPTION_TYPE_listens: buffer_append_literal(out, "ADDRESS"); return;
    case OPTION_TYPE_list: buffer_append_literal(out, "LIST"); return;
    }
    UNREACHABLE();
}

struct shown shown_text(struct bytes text)
{
    enum { SHOWN_BYTES_MAX = 60 };
    struct shown shown = {0};
    size_t size = text.size > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX - 3 : text.size;

    for (size_t i = 0; i < size; i++) {
        bool is_control = (unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f;
        shown.text[i] = '?';
        if (!is_control)
            shown.text[i] = text.data[i];
    }
    if (size < text.size)
        memcpy(shown.text + size, "...", 3);
    return shown;
}

/* ---- text as values ----------------------------------------------------------------------------- */

/* Digits and a unit; only "0" may go without one where a unit is always written. A product that does not
 * fit becomes INT64_MAX, out of every range. */
static bool parse_with_unit(enum option_type type, struct bytes text, int64_t *value)
{
    size_t digits = 0;
    uint64_t number;

    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    if (digits == 0)
        return false;
    if (!digits_parse(bytes_first(text, digits), INT64_MAX, &number))
        number = INT64_MAX;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (units[i].type != type ||
            !bytes_equal_nocase(bytes_after(text, digits), bytes_of_text(units[i].suffix)))
            continue;
        if (__builtin_mul_overflow((int64_t)number, units[i].factor, value))
            *value = INT64_MAX;
        return true;
    }
    if (digits == text.size && number == 0) {
        *value = 0;
        return true;
    }
    return false;
}

static enum err refuse_range(const struct option_row *row, struct bytes text, struct buffer *why)
{
    buffer_append_format(why, "%s is out of range; write ", shown_text(text).text);
    option_append_value(why, row, row->low);
    buffer_append_literal(why, " to ");
    option_append_value(why, row, row->high);
    return ERR_RANGE;
}

static enum err set_number(const struct option_row *row, char *field, struct bytes text, struct buffer *why)
{
    const char *like = NULL;
    int64_t value = 0;

    switch (row->type) {
    case OPTION_TYPE_integer:
        if (!int64_parse(text, &value))
            like = "a whole number";
        break;
    case OPTION_TYPE_size:
        if (!parse_with_unit(row->type, text, &value))
            like = "a size, such as 512, 64k, 1M or 1G";
        break;
    case OPTION_TYPE_duration:
        if (!parse_with_unit(row->type, text, &value))
            like = "a time with its unit, such as 300ms, 5s, 2m or 1h";
        break;
    case OPTION_TYPE_loop:
    case OPTION_TYPE_auth:
    case OPTION_TYPE_answer:
    case OPTION_TYPE_host:
    case OPTION_TYPE_checks:
    case OPTION_TYPE_format:
    case OPTION_TYPE_compat:
    case OPTION_TYPE_level:
    case OPTION_TYPE_events:
    case OPTION_TYPE_flag:
    case OPTION_TYPE_url:
    case OPTION_TYPE_path:
    case OPTION_TYPE_source:
    case OPTION_TYPE_folder:
    case OPTION_TYPE_paths:
    case OPTION_TYPE_text:
    case OPTION_TYPE_texts:
    case OPTION_TYPE_secret:
    case OPTION_TYPE_listens:
    case OPTION_TYPE_list: UNREACHABLE();
    }
    if (like != NULL) {
        /* A number too long for us is a number all the same. */
        uint64_t ignored;
        if (row->type == OPTION_TYPE_integer && text.size > 18 &&
            !digits_parse(text, UINT64_MAX, &ignored) &&
            strspn(shown_text(text).text, "0123456789.") == strlen(shown_text(text).text))
            return refuse_range(row, text, why);
        buffer_append_format(why, "\"%s\" does not fit; write %s", shown_text(text).text, like);
        return ERR_SYNTAX;
    }
    if (value < row->low || value > row->high)
        return refuse_range(row, text, why);
    memcpy(field, &value, sizeof value);
    return OK;
}

static enum err set_choice(const struct option_row *row, char *field, struct bytes text, struct buffer *why)
{
    for (size_t i = 0; i < COUNT_OF(choices); i++) {
        if (choices[i].type != row->type || !bytes_equal(bytes_of_text(choices[i].word), text))
            continue;
        memcpy(field, &choices[i].value, sizeof choices[i].value);
        return OK;
    }
    buffer_append_format(why, "\"%s\" is not one of the choices; write ", shown_text(text).text);
    option_append_placeholder(why, row);
    return ERR_SYNTAX;
}

static char *text_copy(struct bytes text)
{
    char *copy = malloc(text.size + 1);
    if (copy != NULL) {
        if (text.size > 0)
            memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
    }
    return copy;
}

static bool is_visible(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '!' || text.data[i] > '~')
            return false;
    return text.size > 0;
}

static enum err set_text(char **field, struct bytes text)
{
    char *copy = text_copy(text);

    if (copy == NULL)
        return ERR_NO_MEMORY;
    free(*field);
    *field = copy;
    return OK;
}

/* Only what nobody should have to find out at the first request; libcurl reads the URL again. */
static bool is_http_url(struct bytes text)
{
    struct bytes authority;
    if (bytes_start_with(text, BYTES("http://")))
        authority = bytes_after(text, sizeof "http://" - 1);
    else if (bytes_start_with(text, BYTES("https://")))
        authority = bytes_after(text, sizeof "https://" - 1);
    else
        return false;
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] >= 0x7f ||
            text.data[i] == '#' || text.data[i] == '?')
            return false;
    if (authority.size == 0 || authority.data[0] == '/' || authority.data[0] == ':')
        return false;
    for (size_t i = 0; i < authority.size && authority.data[i] != '/'; i++)
        if (authority.data[i] == '@') /* a user and a password have no place in an origin's name */
            return false;
    /* What upstream_create would refuse. */
    return text.size <= CACHE_KEY_PRIMARY_MAX / 2 && memchr(text.data, '\\', text.size) == NULL &&
           target_is_plain(text, (struct bytes){NULL, 0});
}

/* "URL", or "URL weight=3". */
static bool is_origin(struct bytes text)
{
    static const struct bytes key = BYTES_INIT("weight=");
    const char *space = text.size > 0 ? memchr(text.data, ' ', text.size) : NULL;
    struct bytes url = space != NULL ? bytes_first(text, (size_t)(space - text.data)) : text, rest;
    uint64_t weight = 1;

    if (space != NULL) {
        rest = bytes_trim(bytes_after(text, url.size));
        if (!bytes_start_with(rest, key) || !uint64_parse(bytes_after(rest, key.size), &weight))
            return false;
    }
    return weight >= 1 && weight <= ORIGIN_WEIGHT_MAX && is_http_url(url);
}

/* Adds a line to those that are there. */
static enum err add_origin(char **field, struct bytes text, struct buffer *why)
{
    struct buffer lines = {0};
    size_t count = 1;
    enum err err;

    if (!is_origin(text)) {
        buffer_append_format(why,
                             "\"%s\" is not an origin; write one like https://api.example.com or "
                             "http://127.0.0.1:3000/base%s",
                             shown_text(text).text,
                             text.size > 0 && memchr(text.data, ' ', text.size) != NULL
                                 ? ", one of several perhaps like https://api.example.com weight=3"
                                 : "");
        return ERR_SYNTAX;
    }
    for (const char *at = *field; at != NULL; at = strchr(at + 1, '\n'))
        count++;
    if (count > ORIGINS_MAX) {
        buffer_append_format(why, "there are more than %d origins; leave some out", ORIGINS_MAX);
        return ERR_SYNTAX;
    }
    if (*field != NULL)
        buffer_append_format(&lines, "%s\n", *field);
    buffer_append(&lines, text);
    err = lines.failed ? ERR_NO_MEMORY : set_text(field, buffer_bytes(&lines));
    buffer_fini(&lines);
    return err;
}

/* ---- where clients connect ---------------------------------------------------------------------- */

/* "HOST:PORT" or "[v6]:PORT"; whether the host exists is for whoever opens the socket. */
static bool is_address(struct bytes text)
{
    struct bytes host, port;
    const char *colon = text.size > 0 ? memrchr(text.data, ':', text.size) : NULL;
    uint64_t number;

    if (colon == NULL)
        return false;
    host = bytes_first(text, (size_t)(colon - text.data));
    port = bytes_after(text, host.size + 1);
    if (!uint64_parse(port, &number) || number > UINT16_MAX)
        return false;
    if (host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']') {
        char inside[INET6_ADDRSTRLEN];
        struct in6_addr ignored;
        if (host.size - 2 >= sizeof inside)
            return false;
        memcpy(inside, host.data + 1, host.size - 2);
        inside[host.size - 2] = '\0';
        return inet_pton(AF_INET6, inside, &ignored) == 1;
    }
    for (size_t i = 0; i < host.size; i++) {
        char c = byte_to_lower(host.data[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'))
            return false;
    }
    return host.size > 0 && host.size <= 253;
}

/* Splits "/run/cache.sock?mode=0660"; `*mode` is -1 if none is written. What is wrong, or null. */
static const char *split_path(struct bytes text, struct bytes *path, int *mode)
{
    const char *question = text.size > 0 ? memchr(text.data, '?', text.size) : NULL;
    struct bytes rest;

    *path = question != NULL ? bytes_first(text, (size_t)(question - text.data)) : text;
    *mode = -1;
    if (path->size < 2 || path->data[0] != '/' || memchr(path->data, '\0', path->size) != NULL)
        return "does not end in an absolute path, as in unix:///run/nuthatch.sock";
    if (path->size > UNIX_PATH_BYTES_MAX)
        return "is longer than the path of a Unix socket may be, 107 bytes";
    if (question == NULL)
        return NULL;
    rest = bytes_after(text, path->size + 1);
    if (!bytes_start_with(rest, BYTES("mode=")) || rest.size < 5 + 3 || rest.size > 5 + 4)
        return "has something else than ?mode=0660 behind its path";
    *mode = 0;
    for (size_t i = 5; i < rest.size; i++) {
        if (rest.data[i] < '0' || rest.data[i] > '7')
            return "has a mode that is no octal number from 000 to 777";
        *mode = *mode * 8 + (rest.data[i] - '0');
    }
    return *mode <= 0777 ? NULL : "has a mode that is no octal number from 000 to 777";
}

/* Without a role it is the administrator's API that listens. */
static unsigned takers_of(const struct role_options *role)
{
    return role != NULL ? 1u << role->role : ROLES_ADMIN;
}

static enum err refuse_listen(const struct role_options *role, struct bytes text, const char *what,
                              struct buffer *why)
{
    buffer_append_format(why, "\"%s\" %s; write one like %s (", shown_text(text).text, what,
                         role != NULL ? roles[role->role].listen : "http://127.0.0.1:9190");
    append_schemes(why, takers_of(role));
    buffer_append_literal(why, ")");
    return ERR_SYNTAX;
}

static enum err append_listen(struct listen_list *list, struct listen_option item)
{
    struct listen_option *items;

    if (item.address == NULL)
        return ERR_NO_MEMORY;
    items = reallocarray(list->items, list->count + 1, sizeof *items);
    if (items == NULL) {
        free(item.address);
        return ERR_NO_MEMORY;
    }
    list->items = items;
    list->items[list->count++] = item;
    return OK;
}

static enum err set_listen(const struct role_options *role, struct listen_list *list, struct bytes text,
                           struct place where, struct buffer *why)
{
    const char *slashes = text.size > 0 ? memmem(text.data, text.size, "://", 3) : NULL;
    const char *what = NULL;
    struct bytes scheme, address;
    int mode = -1;

    if (slashes == NULL)
        return refuse_listen(role, text, "has no scheme", why);
    scheme = bytes_first(text, (size_t)(slashes - text.data));
    address = bytes_after(text, scheme.size + 3);
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        if (!bytes_equal(bytes_of_text(schemes[i].name), scheme))
            continue;
        if ((schemes[i].roles & takers_of(role)) == 0)
            return refuse_listen(role, text, "is not spoken by this role", why);
        if (schemes[i].transport == LISTEN_UNIX)
            what = split_path(address, &address, &mode);
        else if (!is_address(address))
            what = "does not end in HOST:PORT, a port from 0 to 65535";
        if (what != NULL)
            return refuse_listen(role, text, what, why);
        return append_listen(list, (struct listen_option){schemes[i].protocol, schemes[i].transport,
                                                          text_copy(address), mode, where});
    }
    return refuse_listen(role, text, "has an unknown scheme", why);
}

static enum err append_text(struct text_list *list, struct bytes text)
{
    char **items = reallocarray(list->items, list->count + 1, sizeof *items);

    if (items == NULL)
        return ERR_NO_MEMORY;
    list->items = items;
    items[list->count] = text_copy(text);
    if (items[list->count] == NULL)
        return ERR_NO_MEMORY;
    list->count++;
    return OK;
}

static enum err set_events(uint32_t *flags, struct bytes text, struct buffer *why)
{
    if (kv_notify_parse(text, flags))
        return OK;
    buffer_append_format(
        why, "\"%s\" names no events; write letters of \"A" KV_NOTIFY_LETTERS "\", such as KEA, or none",
        shown_text(text).text);
    return ERR_SYNTAX;
}

/* Writes "404=30s" as "404=30000". */
static enum err write_ttl(const struct option_row *row, struct bytes item, struct buffer *out,
                          struct buffer *why)
{
    const char *equals = memchr(item.data, '=', item.size);
    size_t size = equals != NULL ? (size_t)(equals - item.data) : item.size;
    struct bytes time = equals != NULL ? bytes_trim(bytes_after(item, size + 1)) : (struct bytes){0};
    int64_t ms;

    if (!parse_with_unit(OPTION_TYPE_duration, time, &ms)) {
        buffer_append_format(why,
                             "\"%s\" does not fit; write a status and a time with its unit, such as "
                             "404=30s or 5xx=0",
                             shown_text(item).text);
        return ERR_SYNTAX;
    }
    if (ms > row->high) {
        buffer_append_format(why, "\"%s\" is longer than a year", shown_text(item).text);
        return ERR_RANGE;
    }
    buffer_append(out, bytes_trim(bytes_first(item, size)));
    buffer_append_format(out, "=%lld", (long long)ms);
    return OK;
}

static bool has_key_of(const char *items, struct bytes item)
{
    struct bytes rest = route_items(items), other;
    size_t size = (size_t)((const char *)memchr(item.data, '=', item.size) - item.data) + 1;

    while (http_list_next(&rest, &other))
        if (bytes_start_with(other, bytes_first(item, size)))
            return true;
    return false;
}

/* Adds one item to those that are there. */
static enum err add_item(const struct option_row *row, char **field, struct bytes item, struct buffer *why)
{
    const char *wrong = route_item_is_wrong((enum route_list)row->fallback, item);
    struct buffer items = {0};
    enum err err;

    if (wrong != NULL) {
        buffer_append_format(why, "\"%s\" %s", shown_text(item).text, wrong);
        return ERR_SYNTAX;
    }
    if (*field != NULL)
        buffer_append_format(&items, "%s,", *field);
    buffer_append(&items, item);
    if (items.size > ROUTE_LIST_BYTES_MAX) {
        buffer_append_format(why, "the list is longer than %d bytes; leave some out", ROUTE_LIST_BYTES_MAX);
        err = ERR_SYNTAX;
    } else {
        err = items.failed || items.data == NULL ? ERR_NO_MEMORY : set_text(field, buffer_bytes(&items));
    }
    buffer_fini(&items);
    return err;
}

static enum err add_ttl(const struct option_row *row, char **field, struct bytes text, struct buffer *why)
{
    struct buffer item = {0};
    enum err err = write_ttl(row, text, &item, why);

    if (err == OK && item.failed)
        err = ERR_NO_MEMORY;
    if (err == OK && has_key_of(*field, buffer_bytes(&item))) {
        buffer_append_format(why, "\"%s\" has a status that is there twice; keep one",
                             shown_text(text).text);
        err = ERR_SYNTAX;
    }
    if (err == OK)
        err = add_item(row, field, buffer_bytes(&item), why);
    buffer_fini(&item);
    return err;
}

static enum err add_items(const struct option_row *row, char **field, struct bytes text, struct buffer *why)
{
    struct bytes item;
    enum err err = OK;

    while (err == OK && http_list_next(&text, &item))
        err = row->fallback == ROUTE_LIST_TTLS ? add_ttl(row, field, item, why)
                                               : add_item(row, field, item, why);
    return err;
}

/* `role` is whose listener it is, if it is one. */
static enum err set_field(const struct option_row *row, void *field, struct role_options *role,
                          struct bytes text, struct place where, struct buffer *why)
{
    switch (row->type) {
    case OPTION_TYPE_integer:
    case OPTION_TYPE_size:
    case OPTION_TYPE_duration: return set_number(row, field, text, why);
    case OPTION_TYPE_loop:
    case OPTION_TYPE_auth:
    case OPTION_TYPE_answer:
    case OPTION_TYPE_host:
    case OPTION_TYPE_checks:
    case OPTION_TYPE_format:
    case OPTION_TYPE_compat:
    case OPTION_TYPE_level: return set_choice(row, field, text, why);
    case OPTION_TYPE_events: return set_events(field, text, why);
    case OPTION_TYPE_flag: *(bool *)field = true; return OK;
    case OPTION_TYPE_url: return add_origin(field, text, why);
    case OPTION_TYPE_secret:
        if (text.size == 0) {
            buffer_append_literal(why, "the password is empty; leave the option out for none");
            return ERR_SYNTAX;
        }
        return set_text(field, text);
    case OPTION_TYPE_path:
    case OPTION_TYPE_source:
    case OPTION_TYPE_folder:
    case OPTION_TYPE_paths:
        if (text.size == 0) {
            buffer_append_format(why, "the name of the %s is empty",
                                 row->type == OPTION_TYPE_folder ? "folder" : "file");
            return ERR_SYNTAX;
        }
        return row->type == OPTION_TYPE_paths ? append_text(field, text) : set_text(field, text);
    case OPTION_TYPE_text:
    case OPTION_TYPE_texts:
        if (!is_visible(text)) {
            buffer_append_literal(why, "write one or more visible ASCII characters, no spaces");
            return ERR_SYNTAX;
        }
        return row->type == OPTION_TYPE_text ? set_text(field, text) : append_text(field, text);
    case OPTION_TYPE_listens: return set_listen(row->roles != 0 ? role : NULL, field, text, where, why);
    case OPTION_TYPE_list: return add_items(row, field, text, why);
    }
    UNREACHABLE();
}

enum err option_set(const struct option_row *row, void *base, struct bytes text, struct place where,
                    struct buffer *why)
{
    return set_field(row, option_field(row, base), base, text, where, why);
}

enum err option_set_policy(const struct option_row *row, void *policy, struct bytes text,
                           struct place where, struct buffer *why)
{
    return set_field(row, (char *)policy + row->offset, NULL, text, where, why);
}

/* ---- the struct --------------------------------------------------------------------------------- */

static void set_defaults(void *base, bool of_role)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *field;
        int choice = (int)rows[i].fallback;
        if ((rows[i].roles != 0) != of_role)
            continue;
        field = option_field(&rows[i], base);
        if (has_choices(rows[i].type))
            memcpy(field, &choice, sizeof choice);
        else if (rows[i].type <= OPTION_TYPE_duration)
            memcpy(field, &rows[i].fallback, sizeof rows[i].fallback);
    }
}

void options_init(struct options *options)
{
    *options = (struct options){.verb = VERB_HELP, .help_verb = VERB_HELP};
    set_defaults(options, false);
}

static bool is_owned_text(enum option_type type)
{
    return type == OPTION_TYPE_url || type == OPTION_TYPE_path || type == OPTION_TYPE_source ||
           type == OPTION_TYPE_folder || type == OPTION_TYPE_text || type == OPTION_TYPE_secret ||
           type == OPTION_TYPE_list;
}

static void free_list(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

static void free_texts(enum option_scope scope, void *policy)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        void *field = (char *)policy + rows[i].offset;

        if (rows[i].scope != scope)
            continue;
        if (is_owned_text(rows[i].type))
            free(*(char **)field);
        else if (rows[i].type == OPTION_TYPE_paths || rows[i].type == OPTION_TYPE_texts)
            free_list(field);
    }
}

static enum err copy_list(const struct text_list *from, struct text_list *to)
{
    enum err err = OK;

    for (size_t i = 0; i < from->count && err == OK; i++)
        err = append_text(to, bytes_of_text(from->items[i]));
    return err;
}

enum err option_copy(const struct option_row *row, const void *from, void *to)
{
    switch (row->type) {
    case OPTION_TYPE_integer:
    case OPTION_TYPE_size:
    case OPTION_TYPE_duration: memcpy(to, from, sizeof(int64_t)); return OK;
    case OPTION_TYPE_loop:
    case OPTION_TYPE_auth:
    case OPTION_TYPE_answer:
    case OPTION_TYPE_host:
    case OPTION_TYPE_checks:
    case OPTION_TYPE_format:
    case OPTION_TYPE_compat:
    case OPTION_TYPE_level: memcpy(to, from, sizeof(int)); return OK;
    case OPTION_TYPE_events: memcpy(to, from, sizeof(uint32_t)); return OK;
    case OPTION_TYPE_flag: memcpy(to, from, sizeof(bool)); return OK;
    case OPTION_TYPE_url:
    case OPTION_TYPE_path:
    case OPTION_TYPE_source:
    case OPTION_TYPE_folder:
    case OPTION_TYPE_text:
    case OPTION_TYPE_secret:
    case OPTION_TYPE_list: {
        const char *text = *(char *const *)from;
        return text != NULL ? set_text(to, bytes_of_text(text)) : OK;
    }
    case OPTION_TYPE_paths:
    case OPTION_TYPE_texts: return copy_list(from, to);
    case OPTION_TYPE_listens: return OK; /* a role's own: never taken from elsewhere */
    }
    UNREACHABLE();
}

/* Copies what is not set from `from` to `to`, two structs of `scope`. */
static enum err inherit(enum option_scope scope, const bool is_set[OPTION_COUNT_MAX], const void *from,
                        void *to)
{
    enum err err = OK;

    for (size_t i = 0; i < COUNT_OF(rows) && err == OK; i++)
        if (rows[i].scope == scope && !is_set[i])
            err = option_copy(&rows[i], (const char *)from + rows[i].offset, (char *)to + rows[i].offset);
    return err;
}

/* What upstreams and routes do not say themselves is as their gateway says. */
static enum err inherit_policies(struct role_options *role)
{
    enum err err = OK;

    for (size_t i = 0; i < role->upstream_count && err == OK; i++)
        err = inherit(OPTION_OF_UPSTREAM, role->upstreams[i].is_set, &role->upstream_policy,
                      &role->upstreams[i].spec.policy);
    for (size_t i = 0; i < role->route_count && err == OK; i++)
        err = inherit(OPTION_OF_ROUTE, role->routes[i].is_set, &role->route_policy,
                      &role->routes[i].spec.policy);
    return err;
}

static void route_entry_fini(struct route_entry *route)
{
    struct route_spec *spec = &route->spec;

    free_texts(OPTION_OF_ROUTE, &spec->policy);
    match_spec_fini(&spec->match);
    free(spec->upstream);
    free(spec->rewrite.strip_prefix);
    free(spec->rewrite.prefix);
    free(spec->rewrite.path);
    field_edit_spec_fini(&spec->request_fields);
    field_edit_spec_fini(&spec->response_fields);
    free(spec->credential.header);
    free(route->credential_env);
    free(route->credential_file);
    free(route->credential_prefix);
}

static void free_listens(struct listen_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].address);
    free(list->items);
}

static void role_fini(struct role_options *role)
{
    free_texts(OPTION_OF_ROLE, role);
    free_texts(OPTION_OF_UPSTREAM, &role->upstream_policy);
    free_texts(OPTION_OF_ROUTE, &role->route_policy);
    for (size_t i = 0; i < role->upstream_count; i++) {
        free_texts(OPTION_OF_UPSTREAM, &role->upstreams[i].spec.policy);
        free(role->upstreams[i].spec.name);
    }
    for (size_t i = 0; i < role->route_count; i++) {
        route_entry_fini(&role->routes[i]);
    }
    free(role->upstreams);
    free(role->routes);
    free_listens(&role->listens);
}

void options_fini(struct options *options)
{
    for (size_t i = 0; i < options->role_count; i++)
        role_fini(&options->roles[i]);
    free_texts(OPTION_OF_SERVER, options);
    free_listens(&options->admin_listens);
    free_list(&options->purge_urls);
    free(options->roles);
    free(options->file);
    options_init(options);
}

struct role_options *options_add_role(struct options *options, enum role role, struct place where)
{
    struct role_options *grown = reallocarray(options->roles, options->role_count + 1, sizeof *grown);
    if (grown == NULL)
        return NULL;
    options->roles = grown;
    grown += options->role_count++;
    *grown = (struct role_options){.role = role, .where = where};
    set_defaults(grown, true);
    return grown;
}

void options_report(const struct options *options, struct place where, struct buffer *message,
                    const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (where.line > 0)
        buffer_append_format(message, "%s:%d:%d: %s\n", options->file, where.line, where.column, line);
    else
        buffer_append_format(message, "nuthatch: %s\n", line);
}

/* ---- what no single option can know ------------------------------------------------------------- */

/* Two ways to write one address are one address; a name is taken as it is. */
static bool is_same_address(const char *a, const char *b)
{
    const char *texts[] = {a, b};
    char hosts[2][256];
    const char *ports[2];

    if (a[0] == '/' || b[0] == '/') /* a path: one is named by its text */
        return strcmp(a, b) == 0;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct in6_addr parsed;
        size_t size;
        ports[i] = strrchr(texts[i], ':') + 1;
        size = (size_t)(ports[i] - 1 - texts[i]);
        if (texts[i][0] == '[') {
            memcpy(hosts[i], texts[i] + 1, size - 2);
            hosts[i][size - 2] = '\0';
            if (inet_pton(AF_INET6, hosts[i], &parsed) == 1)
                inet_ntop(AF_INET6, &parsed, hosts[i], sizeof hosts[i]);
        } else {
            memcpy(hosts[i], texts[i], size);
            hosts[i][size] = '\0';
            if (strcasecmp(hosts[i], "localhost") == 0)
                memcpy(hosts[i], "127.0.0.1", sizeof "127.0.0.1");
        }
    }
    /* Any number of listeners may ask for any free port. */
    return strcmp(ports[0], "0") != 0 && strcmp(ports[0], ports[1]) == 0 &&
           strcasecmp(hosts[0], hosts[1]) == 0;
}

/* Where role `index` listens, or the administrator's API, if that is role_count. */
static const struct listen_list *listens_of(const struct options *options, size_t index)
{
    return index < options->role_count ? &options->roles[index].listens : &options->admin_listens;
}

/* The first listener, in the order of the file, at the address of the one at (`role`, `index`). */
static const struct listen_option *first_at_same_address(const struct options *options, size_t role,
                                                         size_t index)
{
    const char *address = listens_of(options, role)->items[index].address;

    for (size_t i = 0; i <= role; i++) {
        const struct listen_list *list = listens_of(options, i);
        for (size_t j = 0; j < list->count && (i < role || j < index); j++)
            if (is_same_address(list->items[j].address, address))
                return &list->items[j];
    }
    return NULL;
}

static bool check_addresses(const struct options *options, struct buffer *message)
{
    bool is_good = true;

    for (size_t i = 0; i <= options->role_count; i++) {
        const struct listen_list *list = listens_of(options, i);
        for (size_t j = 0; j < list->count; j++) {
            const struct listen_option *other = first_at_same_address(options, i, j);
            if (other == NULL)
                continue;
            if (other->where.line > 0)
                options_report(options, list->items[j].where, message,
                               "%s is taken by the listener of line %d; give each role its own `listen`",
                               list->items[j].address, other->where.line);
            else
                options_report(options, list->items[j].where, message, "--listen: %s is given twice",
                               list->items[j].address);
            is_good = false;
        }
    }
    return is_good;
}

/* True for a number that is not loopback's; what a name means is found out when it is looked up. */
static bool is_beyond_loopback(const char *address)
{
    const char *colon = strrchr(address, ':');
    bool is_bracketed = address[0] == '[';
    struct in6_addr six;
    struct in_addr four;
    char host[256];

    snprintf(host, sizeof host, "%.*s", (int)(colon - address) - 2 * is_bracketed, address + is_bracketed);
    if (is_bracketed)
        return inet_pton(AF_INET6, host, &six) == 1 && !IN6_IS_ADDR_LOOPBACK(&six);
    return inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 != 127;
}

static bool check_token(const struct options *options, const struct listen_option *listen, const char *what,
                        const char *token, struct buffer *message)
{
    if (listen->transport == LISTEN_UNIX || !is_beyond_loopback(listen->address))
        return true;
    options_report(options, listen->where, message,
                   "%s at %s can be reached from other machines; set %s, or listen at 127.0.0.1", what,
                   listen->address, token);
    return false;
}

static bool takes_purge(const struct role_options *role)
{
    for (size_t i = 0; i < role->route_count; i++)
        if (role->routes[i].spec.policy.takes_purge != 0)
            return true;
    return role->route_policy.takes_purge != 0;
}

static bool check_tokens(const struct options *options, struct buffer *message)
{
    bool is_good = true;

    for (size_t i = 0; i < options->role_count; i++) {
        const struct role_options *role = &options->roles[i];
        for (size_t j = 0; j < role->listens.count && role->http_token == NULL; j++)
            if (role->listens.items[j].protocol == LISTEN_KV_HTTP)
                is_good &= check_token(options, &role->listens.items[j], "kv+http", "http-token", message);
    }
    for (size_t i = 0; i < options->role_count && options->admin_token == NULL; i++) {
        if (!takes_purge(&options->roles[i]))
            continue;
        options_report(options, options->roles[i].where, message,
                       "purge-method needs admin-token, which PURGE requests are to bear");
        is_good = false;
    }
    for (size_t j = 0; j < options->admin_listens.count && options->admin_token == NULL; j++)
        is_good &= check_token(options, &options->admin_listens.items[j], "admin", "admin-token", message);
    return is_good;
}

static struct place place_of(const struct options *options, size_t offset)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].roles == 0 && rows[i].offset == offset)
            return options->set_at[i];
    return (struct place){0};
}

static bool check_routes_sizes(const struct options *options, const struct role_options *role,
                               struct buffer *message)
{
    bool is_good = true;

    for (size_t i = 0; i < role->route_count; i++) {
        if (role->routes[i].spec.policy.object_bytes_max <= options->value_bytes_max)
            continue;
        options_report(options, role->routes[i].where, message,
                       "object-max is more than value-max; lower the one or raise the other");
        is_good = false;
    }
    return is_good;
}

static bool check_cors(const struct options *options, const struct route_policy *policy, struct place where,
                       struct buffer *message)
{
    const char *wrong = cors_is_wrong(policy);

    if (wrong != NULL)
        options_report(options, where, message, "%s", wrong);
    return wrong == NULL;
}

/* Whether the route says itself how pages are dealt with; that there are none it may say of what it
 * inherits. */
static bool sets_cors(const struct route_entry *route)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (route->is_set[i] && strncmp(rows[i].name, "cors-", 5) == 0 &&
            strcmp(rows[i].name, "cors-origins") != 0)
            return true;
    return false;
}

/* A gateway may say how pages are dealt with that only some of its routes let in. */
static bool check_pages(const struct options *options, const struct role_options *role,
                        struct buffer *message)
{
    bool is_good = true, is_used = role->route_count == 0;

    for (size_t i = 0; i < role->route_count; i++) {
        const struct route_policy *policy = &role->routes[i].spec.policy;
        is_used |= cors_is_on(policy);
        if (cors_is_on(policy) || sets_cors(&role->routes[i]))
            is_good &= check_cors(options, policy, role->routes[i].where, message);
    }
    if (is_good && (role->route_count == 0 || (!is_used && !cors_is_on(&role->route_policy))))
        is_good = check_cors(options, &role->route_policy, role->where, message);
    return is_good;
}

/* A limit that nobody set follows the one it hangs on; one that was set is checked against it. */
static bool check_sizes(struct options *options, struct buffer *message)
{
    bool is_good = true;
    struct place value_max_at = place_of(options, offsetof(struct options, value_bytes_max));
    int64_t object_max_by_default = option_find_key(ROLES_GATEWAY, BYTES("object-max"))->fallback;
    int64_t least_buffer_bytes;

    if (options->value_bytes_max > options->memory_bytes / 2) {
        if (value_max_at.line != 0) {
            options_report(options, value_max_at, message,
                           "value-max is more than half of memory; lower the one or raise the other");
            is_good = false;
        }
        options->value_bytes_max = options->memory_bytes / 2;
    }
    least_buffer_bytes = options->value_bytes_max + AROUND_A_VALUE_BYTES;
    if (options->connection_buffer_bytes == 0)
        options->connection_buffer_bytes = least_buffer_bytes;
    if (options->connection_buffer_bytes < least_buffer_bytes) {
        options_report(options, place_of(options, offsetof(struct options, connection_buffer_bytes)),
                       message,
                       "connection-buffer has no room for the largest value; write at least %" PRId64
                       ", which is value-max and 64k, or 0",
                       least_buffer_bytes);
        is_good = false;
    }
    for (size_t i = 0; i < options->role_count; i++) {
        struct role_options *role = &options->roles[i];
        is_good &= check_routes_sizes(options, role, message);
        if (role->route_policy.object_bytes_max <= options->value_bytes_max)
            continue;
        if (role->route_policy.object_bytes_max == object_max_by_default) {
            role->route_policy.object_bytes_max = options->value_bytes_max;
            continue;
        }
        options_report(options, role->where, message,
                       "object-max is more than value-max; lower the one or raise the other");
        is_good = false;
    }
    return is_good;
}

/* A TLS listener needs a certificate and its key; who asks for clients' needs their authorities. */
static bool check_tls(const struct options *options, struct buffer *message)
{
    for (size_t i = 0; i <= options->role_count; i++) {
        const struct listen_list *list = listens_of(options, i);
        for (size_t j = 0; j < list->count; j++) {
            if (list->items[j].transport != LISTEN_TLS)
                continue;
            if (options->tls_certificate_paths.count > 0 && options->tls_key_paths.count > 0)
                break;
            options_report(options, list->items[j].where, message,
                           "%s: a TLS listener needs tls-cert and tls-key, the names of two PEM files",
                           list->items[j].address);
            return false;
        }
    }
    if (options->tls_certificate_paths.count != options->tls_key_paths.count) {
        options_report(
            options, place_of(options, offsetof(struct options, tls_key_paths)), message,
            "there are %zu tls-cert and %zu tls-key; each certificate needs its key, in the same "
            "order",
            options->tls_certificate_paths.count, options->tls_key_paths.count);
        return false;
    }
    if (options->tls_client_auth != TLS_CLIENT_AUTH_NONE && options->tls_authorities_path == NULL) {
        options_report(options, place_of(options, offsetof(struct options, tls_client_auth)), message,
                       "tls-client-auth needs tls-ca, the PEM file of the authorities to trust");
        return false;
    }
    return true;
}

static bool check_required(const struct options *options, struct buffer *message)
{
    bool is_good = true;

    for (size_t i = 0; i < options->role_count; i++) {
        const struct role_options *role = &options->roles[i];
        for (size_t j = 0; j < COUNT_OF(rows); j++) {
            if ((rows[j].roles & 1u << role->role) == 0 || !option_is_operand(&rows[j]) ||
                (rows[j].scope == OPTION_OF_UPSTREAM && role->upstream_count > 0) ||
                (role->role == ROLE_MOCK && role->rules_paths.count > 0) ||
                *(char **)(void *)option_field(&rows[j], (void *)(uintptr_t)role) != NULL)
                continue;
            options_report(options, role->where, message, "%s has no `%s`: %s", roles[role->role].name,
                           rows[j].name, rows[j].help);
            is_good = false;
        }
    }
    return is_good;
}

/* A mock may be told a host and a port, as json-server is; else every role has its usual place. */
static enum err complete_listens(const struct options *options, struct role_options *role,
                                 struct buffer *message)
{
    struct buffer address = {0}, why = {0};
    bool is_named = role->role == ROLE_MOCK && (role->host != NULL || role->port != PORT_UNSAID);
    enum err err;

    if (role->listens.count > 0) {
        if (!is_named)
            return OK;
        options_report(
            options, role->where, message,
            "host and port say where to listen, and listen does too; leave out the one or the other");
        return ERR_SYNTAX;
    }
    if (is_named) {
        const char *host = role->host != NULL ? role->host : "127.0.0.1";
        bool is_v6 = strchr(host, ':') != NULL && host[0] != '[';
        buffer_append_format(&address, "http://%s%s%s:%" PRId64, is_v6 ? "[" : "", host, is_v6 ? "]" : "",
                             role->port != PORT_UNSAID ? role->port : 3000);
    } else {
        buffer_append(&address, bytes_of_text(roles[role->role].listen));
    }
    err = address.failed ? ERR_NO_MEMORY
                         : option_set(option_find_key(ROLES_EVERY, BYTES("listen")), role,
                                      buffer_bytes(&address), role->where, &why);
    if (err == ERR_SYNTAX)
        options_report(options, role->where, message, "host: %.*s", BYTES_PRINTF(buffer_bytes(&why)));
    buffer_fini(&address);
    buffer_fini(&why);
    return err;
}

static bool check_purge(const struct options *options, struct buffer *message)
{
    const char *admin = options->purge_admin;
    size_t named = options->purge_urls.count + options->purge_prefixes.count + options->purge_tags.count;

    if (named == 0 && !options->purge_all)
        options_report(options, on_command_line, message,
                       "purge what? Name a URL, or --prefix, --tag or --all; see nuthatch purge --help");
    else if (named > 0 && options->purge_all)
        options_report(options, on_command_line, message,
                       "--all leaves nothing else to name; leave out the one or the other");
    else if (admin != NULL && !is_http_url(bytes_of_text(admin)) &&
             !bytes_start_with(bytes_of_text(admin), BYTES("http+unix:///")))
        options_report(options, on_command_line, message,
                       "--admin: \"%s\" is not where an administrator's API is; write one like "
                       "http://127.0.0.1:9190 or http+unix:///run/nuthatch.sock",
                       shown_text(bytes_of_text(admin)).text);
    else
        return true;
    return false;
}

enum err options_complete(struct options *options, struct buffer *message)
{
    bool is_good = check_required(options, message);

    is_good &= check_sizes(options, message);
    for (size_t i = 0; i < options->role_count; i++) {
        struct role_options *role = &options->roles[i];
        enum err err = inherit_policies(role);
        if (err != OK)
            return err;
        is_good &= check_pages(options, role, message);
        err = complete_listens(options, role, message);
        if (err == ERR_NO_MEMORY)
            return err;
        is_good &= err == OK;
    }
    is_good &= check_addresses(options, message);
    is_good &= check_tokens(options, message);
    is_good &= check_tls(options, message);
    return is_good ? OK : ERR_SYNTAX;
}

/* ---- the command line --------------------------------------------------------------------------- */

static bool find_verb(const char *word, enum verb *verb)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (strcmp(verbs[i].name, word) != 0)
            continue;
        *verb = (enum verb)i;
        return true;
    }
    return false;
}

static enum err refuse_verb(const struct options *options, const char *word, struct buffer *message)
{
    struct nearest nearest = {.wanted = bytes_of_text(word)};

    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        nearest_consider(&nearest, verbs[i].name);
    if (word[0] == '-')
        options_report(options, on_command_line, message,
                       "%s comes too early: first the command, then its options; see nuthatch --help",
                       shown_text(bytes_of_text(word)).text);
    else if (nearest.name != NULL)
        options_report(options, on_command_line, message,
                       "unknown command %s; did you mean %s? See nuthatch --help",
                       shown_text(bytes_of_text(word)).text, nearest.name);
    else
        options_report(options, on_command_line, message, "unknown command %s; see nuthatch --help",
                       shown_text(bytes_of_text(word)).text);
    return ERR_SYNTAX;
}

static bool is_flag_of(const struct option_row *row, enum verb verb)
{
    return (row->verbs & 1u << verb) != 0 && !option_is_operand(row);
}

static const struct option_row *find_flag(enum verb verb, struct bytes name)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (is_flag_of(&rows[i], verb) && bytes_equal(bytes_of_text(rows[i].name), name))
            return &rows[i];
    return NULL;
}

static enum err refuse_flag(const struct options *options, struct bytes name, struct buffer *message)
{
    struct nearest nearest = {.wanted = name};
    const char *verb = verbs[options->verb].name;
    struct shown shown = shown_text(name);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct option_row *row = &rows[i];
        if (is_flag_of(row, options->verb))
            nearest_consider(&nearest, row->name);
        if (!bytes_equal(bytes_of_text(row->name), name))
            continue;
        if (option_is_operand(row) && (row->verbs & 1u << options->verb) != 0)
            options_report(options, on_command_line, message,
                           "--%s is written without its name: nuthatch %s %s", row->name, verb,
                           verbs[options->verb].operand);
        else if (options->verb == VERB_SERVE || options->verb == VERB_CHECK)
            options_report(options, on_command_line, message, "--%s belongs under its role in the file",
                           row->name);
        else
            options_report(options, on_command_line, message,
                           "--%s is no option of %s; see nuthatch %s --help", row->name, verb, verb);
        return ERR_SYNTAX;
    }
    if (nearest.name != NULL)
        options_report(options, on_command_line, message,
                       "unknown option --%s; did you mean --%s? See nuthatch %s --help", shown.text,
                       nearest.name, verb);
    else
        options_report(options, on_command_line, message, "unknown option --%s; see nuthatch %s --help",
                       shown.text, verb);
    return ERR_SYNTAX;
}

/* What the flags and the operand of the command line are written to. */
struct command_line {
    struct options *options;
    struct role_options *role; /* null for serve, check and demo */
    int argc, next;
    char **argv;
    bool has_operand;
    struct buffer *message;
};

static enum err take_value(struct command_line *line, const struct option_row *row, const char *written,
                           struct bytes text)
{
    struct buffer why = {0};
    void *base = row->roles != 0 ? (void *)line->role : (void *)line->options;
    enum err err;

    assert(base != NULL); /* a role's options are only found under that role's verb */
    err = option_set(row, base, text, on_command_line, &why);
    if (err == OK && row->roles == 0)
        line->options->set_at[row - rows] = on_command_line;
    if (err == ERR_SYNTAX || err == ERR_RANGE) {
        options_report(line->options, on_command_line, line->message, "%s: %.*s", written,
                       BYTES_PRINTF(buffer_bytes(&why)));
        err = ERR_SYNTAX;
    }
    buffer_fini(&why);
    return err;
}

/* The option that `--no-NAME` answers with no, or null. */
static const struct option_row *find_denied(enum verb verb, struct bytes name)
{
    const struct option_row *row =
        bytes_start_with(name, BYTES("no-")) ? find_flag(verb, bytes_after(name, 3)) : NULL;

    return row != NULL && row->type == OPTION_TYPE_answer ? row : NULL;
}

/* Whether the next word of the command line answers an option that may also stand alone. What the command
 * still waits for does not. */
static bool is_answered(const struct command_line *line)
{
    const char *word = line->next < line->argc ? line->argv[line->next] : "--";

    return strcmp(word, "yes") == 0 || strcmp(word, "no") == 0 ||
           (strncmp(word, "--", 2) != 0 &&
            (verbs[line->options->verb].operand == NULL || line->has_operand));
}

static enum err take_delay(struct command_line *line, const struct option_row *row, struct bytes value)
{
    struct buffer text = {0};
    int64_t ignored;
    enum err err;

    buffer_append(&text, value);
    if (int64_parse(value, &ignored))
        buffer_append_literal(&text, "ms");
    err = text.failed ? ERR_NO_MEMORY : take_value(line, row, "--delay", buffer_bytes(&text));
    buffer_fini(&text);
    return err;
}

static enum err take_flag(struct command_line *line, const char *argument)
{
    const char *equals = strchr(argument, '=');
    struct bytes name = {argument + 2,
                         equals != NULL ? (size_t)(equals - argument - 2) : strlen(argument + 2)};
    bool is_delay = line->options->verb == VERB_MOCK && bytes_equal(name, BYTES("delay"));
    const struct option_row *row = find_flag(line->options->verb, is_delay ? BYTES("latency") : name);
    struct bytes value = BYTES("");
    enum err err;
    char written[OPTION_COUNT_MAX];

    if (row == NULL && equals == NULL && (row = find_denied(line->options->verb, name)) != NULL)
        return take_value(line, row, argument, BYTES("no"));
    if (row == NULL)
        return refuse_flag(line->options, name, line->message);
    snprintf(written, sizeof written, "--%s", row->name);
    if (row->type == OPTION_TYPE_answer && equals == NULL && !is_answered(line)) {
        value = BYTES("yes");
    } else if (row->type == OPTION_TYPE_flag) {
        if (equals != NULL) {
            options_report(line->options, on_command_line, line->message, "%s takes no value", written);
            return ERR_SYNTAX;
        }
    } else if (equals != NULL) {
        value = bytes_of_text(equals + 1);
    } else if (line->next < line->argc && strncmp(line->argv[line->next], "--", 2) != 0) {
        value = bytes_of_text(line->argv[line->next++]);
    } else {
        struct buffer placeholder = {0};
        option_append_placeholder(&placeholder, row);
        options_report(line->options, on_command_line, line->message, "%s needs a value: %s %.*s", written,
                       written, BYTES_PRINTF(buffer_bytes(&placeholder)));
        buffer_fini(&placeholder);
        return ERR_SYNTAX;
    }
    if (is_delay) /* json-server's name for latency, and its number is of milliseconds */
        return take_delay(line, row, value);
    err = take_value(line, row, written, value);
    /* So that it is not seen for as long as the process runs. The bytes are argv's, and may be written. */
    if (row->type == OPTION_TYPE_secret)
        memset((char *)(uintptr_t)value.data, '*', value.size);
    return err;
}

static const struct option_row *operand_of(enum verb verb)
{
    for (size_t i = 0; i < COUNT_OF(rows) && (unsigned)verb < ROLE_COUNT; i++)
        if ((rows[i].verbs & 1u << verb) != 0 && option_is_operand(&rows[i]))
            return &rows[i];
    return NULL;
}

static enum err take_purge_url(struct command_line *line, struct bytes text)
{
    if (is_visible(text) && (text.data[0] == '/' || bytes_start_with(text, BYTES("http://")) ||
                             bytes_start_with(text, BYTES("https://"))))
        return append_text(&line->options->purge_urls, text);
    options_report(line->options, on_command_line, line->message,
                   "\"%s\" is no URL; write a path such as /birds/1, or a whole URL",
                   shown_text(text).text);
    return ERR_SYNTAX;
}

static enum err take_operand(struct command_line *line, const char *argument)
{
    const struct verb_row *verb = &verbs[line->options->verb];
    const struct option_row *row = operand_of(line->options->verb);
    bool may_be_repeated =
        line->options->verb == VERB_PURGE || (row != NULL && row->type == OPTION_TYPE_url);

    if (verb->operand == NULL || (line->has_operand && !may_be_repeated)) {
        options_report(line->options, on_command_line, line->message,
                       "%s is one word too many; see nuthatch %s --help",
                       shown_text(bytes_of_text(argument)).text, verb->name);
        return ERR_SYNTAX;
    }
    line->has_operand = true;
    if (line->options->verb == VERB_PURGE)
        return take_purge_url(line, bytes_of_text(argument));
    if (row != NULL)
        return take_value(line, row, verb->operand, bytes_of_text(argument));
    line->options->file = strdup(argument);
    return line->options->file != NULL ? OK : ERR_NO_MEMORY;
}

static enum err take_rest(struct command_line *line)
{
    bool only_operands = false;
    enum err err = OK;

    while (line->next < line->argc && err == OK) {
        const char *argument = line->argv[line->next++];
        if (only_operands || argument[0] != '-' || argument[1] == '\0')
            err = take_operand(line, argument);
        else if (strcmp(argument, "--") == 0)
            only_operands = true;
        else if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            line->options->help_verb = line->options->verb;
            line->options->verb = VERB_HELP;
            return OK;
        } else if (strcmp(argument, "--version") == 0) {
            line->options->verb = VERB_VERSION;
            return OK;
        } else if (argument[1] != '-') {
            options_report(line->options, on_command_line, line->message,
                           "unknown option %s; options are whole words, such as --threads",
                           shown_text(bytes_of_text(argument)).text);
            return ERR_SYNTAX;
        } else
            err = take_flag(line, argument);
    }
    return err;
}

enum err options_parse_arguments(struct options *options, int argc, char **argv, struct buffer *message)
{
    struct command_line line = {
        .options = options, .argc = argc, .argv = argv, .next = 2, .message = message};
    enum err err;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        options->verb = options->help_verb = VERB_HELP;
        return OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        options->verb = VERB_VERSION;
        return OK;
    }
    if (!find_verb(argv[1], &options->verb))
        return refuse_verb(options, argv[1], message);
    if ((unsigned)options->verb < ROLE_COUNT) {
        line.role = options_add_role(options, (enum role)options->verb, on_command_line);
        if (line.role == NULL)
            return ERR_NO_MEMORY;
    }
    err = take_rest(&line);
    if (err != OK || options->verb == VERB_HELP || options->verb == VERB_VERSION)
        return err;
    if (options->verb == VERB_PURGE)
        return check_purge(options, message) ? OK : ERR_SYNTAX;
    if (verbs[options->verb].operand != NULL && !line.has_operand &&
        (options->verb != VERB_MOCK || line.role->rules_paths.count == 0)) {
        options_report(options, on_command_line, message, "%s needs a %s, such as: %s",
                       verbs[options->verb].name, verbs[options->verb].operand,
                       verbs[options->verb].example);
        return ERR_SYNTAX;
    }
    if (options->file != NULL)
        return options_load_yaml(options, options->file, message);
    return options_complete(options, message);
}
