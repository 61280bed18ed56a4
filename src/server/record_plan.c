#include "server/record_plan.h"
#include "server/mock_plan.h"
#include <assert.h>
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

/* The name of an option that is given, and says something of a mock's own answers; null if there is none.
 */
static const char *find_idle_option(const struct role_options *role)
{
    static const char *const names[] = {
        "rules",   "static",   "routes",  "snapshots", "id",   "foreign-key-suffix", "watch",   "ephemeral",
        "gzip",    "cors",     "compat",  "journal",   "seed", "journal-secrets",    "dynamic", "read-only",
        "latency", "validate", "max-age", "stateful"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const struct option_row *row = option_find_key(1U << ROLE_MOCK, bytes_of_text(names[i]));
        assert(row != NULL);
        if (role->is_given[row - option_row(0)])
            return names[i];
    }
    return NULL;
}

enum err record_plan_create(const struct role_options *role, bool is_local, struct log *log,
                            struct recorder **recorder, struct buffer *message)
{
    const char *idle = find_idle_option(role);
    struct recorder_options options = {.path = role->data_path,
                                       .url = role->record_url,
                                       .authorities_path = role->record_authorities_path,
                                       .secret_names = role->record_secrets.items,
                                       .secret_name_count = role->record_secrets.count,
                                       .log = log,
                                       .is_local = is_local};
    struct bytes *hosts;
    enum err err;

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
    hosts = mock_plan_list_hosts(&role->listens, &options.host_count);
    if (hosts == NULL)
        return ERR_NO_MEMORY;
    options.hosts = hosts;
    err = recorder_create(&options, recorder, message);
    free(hosts);
    return err;
}
