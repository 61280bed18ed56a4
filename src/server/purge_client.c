#include "server/purge_client.h"
#include "base/now.h"
#include "engine/gateway/purge_rules.h"
#include "server/admin_client.h"
#include "server/admin_purge.h"
#include <stdlib.h>
#include <unistd.h>

/* Of the texts of one request, as JSON. One that alone is longer has a request of its own. */
enum { TEXTS_BYTES_MAX = ADMIN_PURGE_BODY_BYTES_MAX * 3 / 4 };
enum { PURGE_UNTOLD = 4 }; /* the exit status */
enum { PAUSE_MS_MIN = 50, PAUSE_MS_MAX = 1000 };

struct purger {
    struct admin_client admin;
    const struct options *options;
    size_t purged_count;
    bool is_untold; /* the tier does not have all of them yet */
};

/* What came of a request. */
struct outcome {
    int status;        /* to exit with; 0: all was done */
    bool is_busy;      /* it may go better later */
    size_t done_count; /* of the list, where not all was done */
};

static struct outcome judge(struct purger *purger, long http_status, bool is_last)
{
    json_t *root = admin_client_json(&purger->admin);
    const json_t *purged = json_object_get(root, "purged");
    json_int_t done_count = json_integer_value(json_object_get(root, "done"));
    struct outcome outcome = {0};

    outcome.is_busy = http_status == 503;
    outcome.done_count = done_count > 0 ? (size_t)done_count : 0;
    if (http_status == 202)
        purger->is_untold = true;
    if ((http_status == 200 || http_status == 202) && json_is_integer(purged))
        purger->purged_count += (size_t)json_integer_value(purged);
    else if (outcome.is_busy && !is_last)
        outcome.status = ADMIN_REFUSED;
    else
        outcome.status = admin_client_report_refusal(&purger->admin, http_status, root);
    json_decref(root);
    return outcome;
}

/* One request for one kind of purge; `is_last`: if the gateway is busy, that is the end of it. */
static struct outcome ask(struct purger *purger, const char *kind, json_t *what, bool is_last)
{
    json_t *order = json_pack("{s:o, s:b}", kind, what, "soft", (int)purger->options->purge_softly);
    char *body = order != NULL ? json_dumps(order, JSON_COMPACT) : NULL;
    long http_status = 0;
    int status = ADMIN_REFUSED;

    json_decref(order);
    if (body == NULL)
        fprintf(purger->admin.errors, "nuthatch: no memory\n");
    else
        status = admin_client_ask(&purger->admin, body, &http_status);
    free(body);
    return status != 0 ? (struct outcome){.status = status} : judge(purger, http_status, is_last);
}

/* As many of the list from `first` on as one request takes. Null, with a word on why, if that cannot be. */
static json_t *batch(const struct purger *purger, const struct text_list *list, size_t first,
                     size_t count_max)
{
    json_t *texts = json_array();
    size_t bytes = 0;

    for (size_t i = first; i < list->count && i - first < count_max; i++) {
        json_t *text = json_string(list->items[i]);
        bytes += json_dumpb(text, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) + 1;
        if (i > first && bytes > TEXTS_BYTES_MAX) {
            json_decref(text);
            break;
        }
        if (json_array_append_new(texts, text) != 0) {
            fprintf(purger->admin.errors, "nuthatch: \"%s\" is no UTF-8; write its bytes as %%XX\n",
                    list->items[i]);
            json_decref(texts);
            return NULL;
        }
    }
    return texts;
}

/* As many requests as the list needs. While the gateway is busy it is asked again for what is not done yet,
 * until it has done nothing of it for the time that the operator allows. */
static int ask_for_all(struct purger *purger, const char *kind, const struct text_list *list,
                       size_t count_max)
{
    int64_t timeout_ms = purger->options->admin_timeout_ms;
    int64_t deadline_ms = clock_read(&clock_system).mono_ms + timeout_ms, pause_ms = PAUSE_MS_MIN;
    size_t first = 0;

    while (first < list->count) {
        bool is_last = deadline_ms - clock_read(&clock_system).mono_ms <= pause_ms;
        json_t *some = batch(purger, list, first, count_max);
        size_t count = json_array_size(some);
        struct outcome outcome;

        if (some == NULL)
            return ADMIN_USAGE;
        outcome = ask(purger, kind, some, is_last);
        if (outcome.status == 0) {
            outcome.done_count = count;
        } else {
            outcome.done_count = outcome.done_count < count ? outcome.done_count : count;
            purger->purged_count += outcome.done_count;
            if (is_last || !outcome.is_busy)
                return outcome.status;
        }
        first += outcome.done_count;
        if (outcome.done_count > 0) {
            deadline_ms = clock_read(&clock_system).mono_ms + timeout_ms;
            pause_ms = PAUSE_MS_MIN;
        }
        if (outcome.status != 0) {
            usleep((useconds_t)pause_ms * 1000);
            pause_ms = pause_ms * 2 < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX;
        }
    }
    return 0;
}

static int ask_for_everything(struct purger *purger)
{
    const struct options *options = purger->options;
    int status = options->purge_all ? ask(purger, "all", json_true(), true).status : 0;

    if (status == 0)
        status = ask_for_all(purger, "url", &options->purge_urls, ADMIN_PURGES_MAX);
    if (status == 0)
        status = ask_for_all(purger, "prefix", &options->purge_prefixes, PURGE_RULES_MAX);
    if (status == 0)
        status = ask_for_all(purger, "tag", &options->purge_tags, ADMIN_PURGES_MAX);
    return status;
}

int purge_run(const struct options *options, FILE *out, FILE *errors)
{
    struct purger purger = {.options = options};
    int status = admin_client_init(&purger.admin, options, errors, "/purge");

    if (status == 0)
        status = ask_for_everything(&purger);
    if (status == 0 || purger.purged_count > 0)
        fprintf(out, options->purge_softly ? "made stale: %zu\n" : "purged: %zu\n", purger.purged_count);
    if (status == 0 && purger.is_untold) {
        fprintf(errors,
                "nuthatch: the shared tier could not be reached: other nodes will hear of it once it can "
                "be, unless this one stops before\n");
        status = PURGE_UNTOLD;
    }
    admin_client_fini(&purger.admin);
    return status;
}
