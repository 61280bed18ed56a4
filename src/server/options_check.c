/* options_check.c — what no single option can know: checks across options, and what follows from the rest.
 */
#include "engine/gateway/policy/cors.h"
#include "server/check_upstream.h"
#include "server/option_units.h"
#include "server/options.h"
#include "server/tier_url.h"
#include <inttypes.h>
#include <string.h>

/* What connection-buffer adds to value-max when it is left to us: room for the command around the value. */
#define AROUND_A_VALUE_BYTES (64 * KIB)

enum { PORT_UNSAID = 0 };

static struct place place_of(const struct options *options, size_t offset)
{
    for (size_t i = 0; i < option_row_count(); i++)
        if (option_row(i)->roles == 0 && option_row(i)->offset == offset)
            return options->set_at[i];
    return (struct place){0};
}

/* ---- what is required -------------------------------------------------------------------------- */

static bool check_required(const struct options *options, struct buffer *message)
{
    bool is_good = true;

    for (size_t i = 0; i < options->role_count; i++) {
        const struct role_options *role = &options->roles[i];
        for (size_t j = 0; j < option_row_count(); j++) {
            const struct option_row *row = option_row(j);
            if ((row->roles & 1u << role->role) == 0 || !option_is_operand(row) ||
                (row->scope == OPTION_OF_UPSTREAM && role->upstream_count > 0) ||
                (role->role == ROLE_MOCK && role->rules_paths.count > 0) ||
                *(char **)(void *)option_field(row, (void *)(uintptr_t)role) != NULL)
                continue;
            options_report(options, role->where, message, "%s has no `%s`: %s", role_row(role->role)->name,
                           row->name, row->help);
            is_good = false;
        }
    }
    return is_good;
}

/* ---- where clients connect --------------------------------------------------------------------- */

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
            if (listen_is_same_address(list->items[j].address, address))
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

static bool check_token(const struct options *options, const struct listen_option *listen, const char *what,
                        const char *token, struct buffer *message)
{
    if (listen->transport == LISTEN_UNIX || !listen_is_beyond_loopback(listen->address))
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

/* ---- the shared tier --------------------------------------------------------------------------- */

static bool report_tier(const struct options *options, size_t offset, struct buffer *message,
                        const char *what)
{
    options_report(options, place_of(options, offset), message, "%s", what);
    return false;
}
#define REPORT_TIER(field, what) report_tier(options, offsetof(struct options, field), message, what)

static bool has_user_of_tier(const struct options *options)
{
    for (size_t i = 0; i < options->role_count; i++)
        if (options->roles[i].role != ROLE_MOCK)
            return true;
    return options->role_count == 0;
}

/* Without a tier nothing about it may be said. */
static bool check_no_tier(const struct options *options, struct buffer *message)
{
    for (size_t i = 0; i < option_row_count(); i++) {
        const struct option_row *row = option_row(i);
        if (!option_is_of_tier(row) || options->set_at[i].line == 0)
            continue;
        options_report(options, options->set_at[i], message,
                       "%s is about the shared tier, and there is none; name its hosts with tier",
                       row->name);
        return false;
    }
    return true;
}

static bool check_tier(const struct options *options, struct buffer *message)
{
    struct buffer why = {0};
    struct tier_url url;
    bool is_good = true;

    if (options->tier_url == NULL)
        return check_no_tier(options, message);
    if (tier_url_parse(bytes_of_text(options->tier_url), &url, &why) != OK) { /* no memory */
        buffer_fini(&why);
        return false;
    }
    if (!has_user_of_tier(options))
        is_good = REPORT_TIER(tier_url, "tier is for caches and gateways, and there is none; leave it out");
    if (url.user != NULL && options->tier_user != NULL)
        is_good = REPORT_TIER(tier_user, "tier names a user too; leave out the one or the other");
    if (url.password != NULL && options->tier_password_path != NULL)
        is_good = REPORT_TIER(tier_password_path,
                              "tier has a password in it too; leave out the one or the other");
    if (!url.has_tls && (options->tier_authorities_path != NULL || options->tier_certificate_path != NULL ||
                         options->tier_key_path != NULL))
        is_good = REPORT_TIER(tier_url, "tier-ca, tier-cert and tier-key are for TLS; write valkeys:// or "
                                        "rediss:// before the hosts of tier");
    if ((options->tier_certificate_path == NULL) != (options->tier_key_path == NULL))
        is_good = REPORT_TIER(tier_certificate_path, "tier-cert and tier-key go together; name both files");
    if (options->notify_events != 0)
        is_good = REPORT_TIER(notify_events, "with a tier its servers tell of changes to keys; leave out "
                                             "notify-keyspace-events, and set it there");
    if (options->tier_null_ttl_ms > options->tier_staleness_ms_max)
        is_good =
            REPORT_TIER(tier_null_ttl_ms,
                        "null-ttl is more than max-staleness, which could not be kept then; lower the "
                        "one or raise the other");
    tier_url_fini(&url);
    return is_good;
}

/* ---- sizes ------------------------------------------------------------------------------------- */

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

/* ---- pages of browsers ------------------------------------------------------------------------- */

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
static bool sets_cors(const bool is_set[OPTION_COUNT_MAX])
{
    for (size_t i = 0; i < option_row_count(); i++)
        if (is_set[i] && strncmp(option_row(i)->name, "cors-", 5) == 0 &&
            strcmp(option_row(i)->name, "cors-origins") != 0)
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
        if (cors_is_on(policy) || sets_cors(role->routes[i].is_set))
            is_good &= check_cors(options, policy, role->routes[i].where, message);
    }
    for (size_t i = 0; i < role->composition_count; i++) {
        const struct route_policy *policy = &role->compositions[i].spec.policy;
        is_used |= cors_is_on(policy);
        if (cors_is_on(policy) || sets_cors(role->compositions[i].is_set))
            is_good &= check_cors(options, policy, role->compositions[i].where, message);
    }
    if (is_good && (role->route_count == 0 || (!is_used && !cors_is_on(&role->route_policy))))
        is_good = check_cors(options, &role->route_policy, role->where, message);
    return is_good;
}

/* ---- what follows from the rest ---------------------------------------------------------------- */

/* Copies what is not set from `from` to `to`, two structs of `scope`. */
static enum err inherit(enum option_scope scope, const bool is_set[OPTION_COUNT_MAX], const void *from,
                        void *to)
{
    enum err err = OK;

    for (size_t i = 0; i < option_row_count() && err == OK; i++) {
        const struct option_row *row = option_row(i);
        if (row->scope == scope && !is_set[i])
            err = option_copy(row, (const char *)from + row->offset, (char *)to + row->offset);
    }
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
    for (size_t i = 0; i < role->composition_count && err == OK; i++)
        err = inherit(OPTION_OF_ROUTE, role->compositions[i].is_set, &role->route_policy,
                      &role->compositions[i].spec.policy);
    return err;
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
        buffer_append(&address, bytes_of_text(role_row(role->role)->listen));
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
        is_good &= check_upstreams(options, role, message);
        err = complete_listens(options, role, message);
        if (err == ERR_NO_MEMORY)
            return err;
        is_good &= err == OK;
    }
    is_good &= check_addresses(options, message);
    is_good &= check_tokens(options, message);
    is_good &= check_tls(options, message);
    is_good &= check_tier(options, message);
    return is_good ? OK : ERR_SYNTAX;
}
