#include "server/record_plan.h"
#include <stdlib.h>
#include <string.h>

/* What nobody should have to find out at the first request; libcurl reads the URL again. */
static bool is_good_url(const char *url)
{
    const char *authority = strncmp(url, "http://", 7) == 0    ? url + 7
                            : strncmp(url, "https://", 8) == 0 ? url + 8
                                                               : "";
    size_t size = strcspn(authority, "/");

    return size > 0 && authority[0] != ':' && memchr(authority, '@', size) == NULL &&
           strpbrk(authority, "?#\\") == NULL;
}

/* The name of an option that says something of a mock's own answers, and is given; null if there is none.
 */
static const char *find_idle_option(const struct role_options *role)
{
    const struct {
        const char *name;
        bool is_given;
    } options[] = {{"rules", role->rules_paths.count > 0},
                   {"static", role->static_path != NULL},
                   {"routes", role->rewrite_path != NULL},
                   {"snapshots", role->snapshots_path != NULL},
                   {"id", role->id_name != NULL},
                   {"foreign-key-suffix", role->foreign_key_suffix != NULL},
                   {"watch", role->is_watching == ANSWER_YES},
                   {"ephemeral", role->is_ephemeral == ANSWER_YES},
                   {"read-only", role->is_read_only == ANSWER_YES},
                   {"gzip", role->codes == ANSWER_NO},
                   {"dynamic", role->is_dynamic == ANSWER_YES},
                   {"stateful", role->is_stateful == ANSWER_YES},
                   {"latency", role->latency_ms > 0},
                   {"max-age", role->max_age_ms > 0}};

    for (size_t i = 0; i < COUNT_OF(options); i++)
        if (options[i].is_given)
            return options[i].name;
    return NULL;
}

enum err record_plan_create(const struct role_options *role, struct log *log, struct recorder **recorder,
                            struct buffer *message)
{
    const char *idle = find_idle_option(role);
    struct recorder_options options = {.path = role->data_path,
                                       .url = role->record_url,
                                       .authorities_path = role->record_authorities_path,
                                       .secret_names = role->record_secrets.items,
                                       .secret_name_count = role->record_secrets.count,
                                       .log = log};

    if (!is_good_url(role->record_url)) {
        buffer_append_format(message,
                             "record: \"%s\" is no API; write one like https://api.example.com or "
                             "http://127.0.0.1:3000/base\n",
                             role->record_url);
        return ERR_SYNTAX;
    }
    if (role->data_path == NULL) {
        buffer_append_literal(message,
                              "record needs a folder to record into, such as: nuthatch mock --record "
                              "https://api.example.com out/\n");
        return ERR_SYNTAX;
    }
    if (idle != NULL) {
        buffer_append_format(
            message, "%s is of a mock's own answers: it does not go with record; leave it out\n", idle);
        return ERR_SYNTAX;
    }
    return recorder_create(&options, recorder, message);
}
