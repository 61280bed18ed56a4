#include "server/reload.h"
#include "server/gateway_plan.h"
#include "server/poll_plan.h"
#include "server/reread.h"
#include <stdlib.h>

/* Logs the lines of `report` from `start` on. */
static void log_lines(struct log *log, enum log_level level, const struct buffer *report, size_t start)
{
    struct bytes rest = bytes_after(buffer_bytes(report), start);

    while (rest.data != NULL && rest.size > 0) {
        const char *end = memchr(rest.data, '\n', rest.size);
        size_t size = end != NULL ? (size_t)(end - rest.data) : rest.size;
        log_write(log, level, "reload: %.*s", (int)size, rest.data);
        rest = bytes_after(rest, end != NULL ? size + 1 : size);
    }
}

/* Makes a plan for each gateway that goes on; the others' places stay null. */
static enum err make_plans(const struct reloadable *what, const struct options *fresh,
                           struct route_plan **plans, struct buffer *report)
{
    enum err result = OK;

    for (size_t i = 0; i < what->running->role_count; i++) {
        const struct role_options *role =
            what->gateways[i] != NULL ? options_successor(what->running, fresh, i) : NULL;
        struct plan_spec spec;
        enum err err;

        if (role == NULL)
            continue;
        err = plan_spec_init(&spec, fresh, role, report);
        if (err == OK) {
            err = gateway_plan(what->gateways[i], &spec, &plans[i]);
            plan_spec_fini(&spec);
            plan_report(fresh, role, err, report);
        }
        if (err != OK)
            result = err;
    }
    return result;
}

static enum err reload_tls(const struct reloadable *what, struct buffer *report)
{
    struct buffer why = {0};
    enum err err = tls_server_reload(what->tls, &why);

    if (err != OK)
        buffer_append_format(
            report, "TLS: nothing changes: %.*s\n",
            BYTES_PRINTF(why.size > 0 ? buffer_bytes(&why) : bytes_of_text(err_text(err))));
    buffer_fini(&why);
    return err;
}

static void say_what_runs(const struct reloadable *what, struct route_plan *const *plans,
                          struct buffer *report)
{
    for (size_t i = 0; i < what->running->role_count; i++)
        if (plans[i] != NULL)
            buffer_append_format(report, "the gateway at %s has %zu upstream%s and %zu route%s\n",
                                 what->running->roles[i].listens.items[0].address, plans[i]->upstream_count,
                                 plans[i]->upstream_count == 1 ? "" : "s", plans[i]->route_count,
                                 plans[i]->route_count == 1 ? "" : "s");
    if (what->tls != NULL)
        for (size_t i = 0; i < what->running->tls_certificate_paths.count; i++)
            buffer_append_format(report, "TLS: %s is in use for new connections\n",
                                 what->running->tls_certificate_paths.items[i]);
}

static void free_configs(json_t **configs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_decref(configs[i]);
    free(configs);
}

/* What is to be shown of the gateways that have a plan; null without memory. */
static json_t **make_configs(const struct reloadable *what, const struct options *fresh,
                             struct route_plan *const *plans)
{
    size_t count = what->running->role_count;
    json_t **configs = calloc(count + 1, sizeof(json_t *));

    for (size_t i = 0; i < count && configs != NULL; i++) {
        if (plans[i] == NULL)
            continue;
        configs[i] = config_of_gateway(options_successor(what->running, fresh, i));
        if (configs[i] == NULL) {
            free_configs(configs, count);
            return NULL;
        }
    }
    return configs;
}

/* What can go wrong has been looked at: but for memory. */
static enum err follow_polls(const struct reloadable *what, const struct options *fresh,
                             struct route_plan *const *plans, struct buffer *report)
{
    enum err err = OK;

    for (size_t i = 0; i < what->running->role_count && err == OK; i++) {
        const struct role_options *role =
            plans[i] != NULL ? options_successor(what->running, fresh, i) : NULL;
        if (role == NULL)
            continue;
        err = poll_plan_follow(what->polls[i], role);
        if (err != OK)
            options_report(fresh, role->polls_at, report, "poll: %s", err_text(err));
    }
    return err;
}

static enum err take_up(const struct reloadable *what, const struct options *fresh,
                        struct route_plan **plans, struct buffer *report)
{
    enum err err = fresh != NULL ? make_plans(what, fresh, plans, report) : OK;
    json_t **configs = err == OK ? make_configs(what, fresh, plans) : NULL;

    if (err == OK && configs == NULL)
        err = ERR_NO_MEMORY;
    if (err == OK && what->tls != NULL)
        err = reload_tls(what, report);
    if (err == OK)
        say_what_runs(what, plans, report);
    if (err == OK && fresh != NULL)
        err = follow_polls(what, fresh, plans, report);
    for (size_t i = 0; i < what->running->role_count && err == OK; i++) {
        if (plans[i] == NULL)
            continue;
        gateway_follow(what->gateways[i], plans[i]);
        config_shown_set(what->shown, i, configs[i]);
        configs[i] = NULL;
    }
    if (configs != NULL)
        free_configs(configs, what->running->role_count);
    return err;
}

enum err reload(const struct reloadable *what, struct buffer *report)
{
    struct route_plan **plans = calloc(what->running->role_count + 1, sizeof(struct route_plan *));
    bool has_file = what->running->file != NULL;
    size_t start = report->size, restarts;
    struct options fresh;
    enum err err = OK;

    if (plans == NULL)
        return ERR_NO_MEMORY;
    options_init(&fresh);
    if (!has_file && what->tls == NULL)
        buffer_append_literal(report, "nothing to reload: there is no file and no TLS listener\n");
    else if (has_file)
        err = options_reread(what->running, &fresh, report);
    if (err == OK)
        err = take_up(what, has_file ? &fresh : NULL, plans, report);
    if (err != OK) {
        for (size_t i = 0; i < what->running->role_count; i++)
            if (plans[i] != NULL)
                plan_release(plans[i]);
        buffer_append_literal(report, "nothing changes\n");
    }
    log_lines(what->log, err == OK ? LOG_INFO : LOG_ERROR, report, start);
    restarts = report->size;
    if (err == OK && has_file)
        options_report_restarts(what->running, &fresh, report);
    log_lines(what->log, LOG_WARNING, report, restarts);
    options_fini(&fresh);
    free(plans);
    return err;
}
