#include "server/purge_client.h"
#include "base/compiler.h"
#include "base/now.h"
#include "engine/gateway/purge_rules.h"
#include "message/http.h"
#include "server/admin_purge.h"
#include "server/file.h"
#include <curl/curl.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

enum { STATUS_REFUSED = 1, STATUS_USAGE = 2, STATUS_NOT_THERE = 3 };
enum { ANSWER_BYTES_MAX = 64 * 1024 };
/* Of the texts of one request, as JSON. One that alone is longer has a request of its own. */
enum { TEXTS_BYTES_MAX = ADMIN_PURGE_BODY_BYTES_MAX * 3 / 4 };
enum { PAUSE_MS_MIN = 50, PAUSE_MS_MAX = 1000 };

static const char default_admin[] = "http://127.0.0.1:9190", token_variable[] = "NUTHATCH_ADMIN_TOKEN";

struct client {
    const struct options *options;
    FILE *errors;
    const char *admin;  /* as the operator knows it */
    struct buffer url;  /* to send to, terminated */
    struct buffer line; /* "Authorization: Bearer …", terminated; empty without a token */
    CURL *curl;
    struct curl_slist *headers;
    struct buffer answer;
    char why[CURL_ERROR_SIZE];
    size_t purged_count;
};

/* ---- the token ----------------------------------------------------------------------------------- */

static struct bytes first_line(struct bytes text)
{
    const char *end = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;

    if (end != NULL)
        text.size = (size_t)(end - text.data);
    if (text.size > 0 && text.data[text.size - 1] == '\r')
        text.size--;
    return text;
}

/* Makes the line of the token that there is. An exit status. */
static int take_token(struct client *client)
{
    const char *path = client->options->purge_token_path, *from_environment = getenv(token_variable);
    struct buffer file = {0};
    struct bytes token = {0};
    int status = 0;
    enum err err = OK;

    if (path != NULL)
        err = file_read(path, &file);
    if (err != OK) {
        fprintf(client->errors, "nuthatch: --token-file: %s: %s\n", path, err_text(err));
        return STATUS_USAGE;
    }
    if (path != NULL)
        token = first_line(buffer_bytes(&file));
    else if (from_environment != NULL)
        token = bytes_of_text(from_environment);
    if ((path != NULL && token.size == 0) || !http_is_field_value(token)) {
        fprintf(client->errors, "nuthatch: %s %s; write the token, and nothing else, on one line\n",
                path != NULL ? path : token_variable,
                token.size == 0 ? "has nothing in its first line" : "has a byte that no token has");
        status = STATUS_USAGE;
    } else if (token.size > 0) {
        buffer_append_format(&client->line, "Authorization: Bearer %.*s%c", BYTES_PRINTF(token), '\0');
    }
    if (file.data != NULL)
        explicit_bzero(file.data, file.size);
    buffer_fini(&file);
    return status;
}

/* ---- asking -------------------------------------------------------------------------------------- */

static size_t take_answer(char *bytes, size_t size, size_t count, void *context)
{
    struct client *client = context;

    if (size * count > ANSWER_BYTES_MAX - client->answer.size)
        return 0;
    buffer_append(&client->answer, bytes_of(bytes, size * count));
    return client->answer.failed ? 0 : size * count;
}

static bool set_up(struct client *client)
{
    static const char unix_scheme[] = "http+unix://";
    const struct options *options = client->options;
    bool is_unix = bytes_start_with(bytes_of_text(client->admin), BYTES("http+unix://"));
    struct bytes base = bytes_of_text(is_unix ? "http://localhost" : client->admin);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more = NULL;
    CURL *curl = curl_easy_init();
    CURLcode code = CURLE_OK;

    client->curl = curl;
    client->headers = headers;
    while (base.size > 0 && base.data[base.size - 1] == '/')
        base.size--;
    buffer_append_format(&client->url, "%.*s/purge%c", BYTES_PRINTF(base), '\0');
    if (headers != NULL && client->line.size > 0) {
        more = curl_slist_append(headers, client->line.data);
        if (more == NULL)
            return false;
    }
    if (curl == NULL || headers == NULL || client->url.failed || client->line.failed)
        return false;
#define SET(option, value) code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_##option, value)
    SET(URL, client->url.data);
    SET(PROTOCOLS_STR, "http,https");
    SET(PROXY, ""); /* a token is for the gateway alone */
    SET(NOSIGNAL, 1L);
    SET(HTTPHEADER, headers);
    SET(ERRORBUFFER, client->why);
    SET(TIMEOUT_MS, (long)options->purge_timeout_ms);
    SET(WRITEFUNCTION, take_answer);
    SET(WRITEDATA, client);
    if (is_unix)
        SET(UNIX_SOCKET_PATH, client->admin + sizeof unix_scheme - 1);
    if (options->purge_authorities_path != NULL)
        SET(CAINFO, options->purge_authorities_path);
#undef SET
    return code == CURLE_OK;
}

/* Says why no answer came. */
static int report_silence(const struct client *client, CURLcode code)
{
    const char *why = client->why[0] != '\0' ? client->why : curl_easy_strerror(code);

    switch (code) { /* the default: whatever else is between us and the gateway */
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        fprintf(client->errors,
                "nuthatch: no gateway's administrator answers at %s: %s; start the gateway with --admin, "
                "or say "
                "here with --admin where it is\n",
                client->admin, why);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        fprintf(client->errors, "nuthatch: %s does not answer: %s; --timeout says how long to wait\n",
                client->admin, why);
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
        fprintf(
            client->errors,
            "nuthatch: the certificate of %s is not to be trusted: %s; --tls-ca names the authorities\n",
            client->admin, why);
        break;
    default: fprintf(client->errors, "nuthatch: %s: %s\n", client->admin, why); break;
    }
    return STATUS_NOT_THERE;
}

static int report_refusal(const struct client *client, long status, const json_t *root)
{
    const char *detail = json_string_value(json_object_get(root, "detail"));

    if (status == 401)
        fprintf(client->errors, "nuthatch: %s\n",
                client->line.size > 0 ? "the token is not the gateway's admin-token"
                                      : "the gateway wants its admin-token: put it into the variable "
                                        "NUTHATCH_ADMIN_TOKEN, or name "
                                        "a file that has it with --token-file");
    else if (detail != NULL)
        fprintf(client->errors, "nuthatch: %s\n", detail);
    else
        fprintf(client->errors,
                "nuthatch: %s answers %ld, which is no administrator's API of nuthatch; see --admin\n",
                client->admin, status);
    return STATUS_REFUSED;
}

/* What came of a request. */
struct outcome {
    int status;        /* to exit with; 0: all was done */
    bool is_busy;      /* it may go better later */
    size_t done_count; /* of the list, where not all was done */
};

static struct outcome judge(struct client *client, bool is_last)
{
    json_t *root =
        json_loadb(client->answer.data != NULL ? client->answer.data : "", client->answer.size, 0, NULL);
    const json_t *purged = json_object_get(root, "purged");
    json_int_t done_count = json_integer_value(json_object_get(root, "done"));
    struct outcome outcome = {0};
    long http_status = 0;

    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &http_status);
    outcome.is_busy = http_status == 503;
    outcome.done_count = done_count > 0 ? (size_t)done_count : 0;
    if (http_status == 200 && json_is_integer(purged))
        client->purged_count += (size_t)json_integer_value(purged);
    else if (outcome.is_busy && !is_last)
        outcome.status = STATUS_REFUSED;
    else
        outcome.status = report_refusal(client, http_status, root);
    json_decref(root);
    return outcome;
}

/* One request for one kind of purge; `is_last`: if the gateway is busy, that is the end of it. */
static struct outcome ask(struct client *client, const char *kind, json_t *what, bool is_last)
{
    json_t *order = json_pack("{s:o, s:b}", kind, what, "soft", (int)client->options->purge_softly);
    char *body = order != NULL ? json_dumps(order, JSON_COMPACT) : NULL;
    CURLcode code = CURLE_OUT_OF_MEMORY;

    json_decref(order);
    buffer_clear(&client->answer);
    if (body != NULL)
        code = curl_easy_setopt(client->curl, CURLOPT_COPYPOSTFIELDS, body);
    free(body);
    if (code == CURLE_OK)
        code = curl_easy_perform(client->curl);
    return code != CURLE_OK ? (struct outcome){.status = report_silence(client, code)}
                            : judge(client, is_last);
}

/* As many of the list from `first` on as one request takes. Null, with a word on why, if that cannot be. */
static json_t *batch(const struct client *client, const struct text_list *list, size_t first,
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
            fprintf(client->errors, "nuthatch: \"%s\" is no UTF-8; write its bytes as %%XX\n",
                    list->items[i]);
            json_decref(texts);
            return NULL;
        }
    }
    return texts;
}

/* As many requests as the list needs. While the gateway is busy it is asked again for what is not done yet,
 * until it has done nothing of it for the time that the operator allows. */
static int ask_for_all(struct client *client, const char *kind, const struct text_list *list,
                       size_t count_max)
{
    int64_t timeout_ms = client->options->purge_timeout_ms;
    int64_t deadline_ms = clock_read(&clock_system).mono_ms + timeout_ms, pause_ms = PAUSE_MS_MIN;
    size_t first = 0;

    while (first < list->count) {
        bool is_last = deadline_ms - clock_read(&clock_system).mono_ms <= pause_ms;
        json_t *some = batch(client, list, first, count_max);
        size_t count = json_array_size(some);
        struct outcome outcome;

        if (some == NULL)
            return STATUS_USAGE;
        outcome = ask(client, kind, some, is_last);
        if (outcome.status == 0) {
            outcome.done_count = count;
        } else {
            outcome.done_count = outcome.done_count < count ? outcome.done_count : count;
            client->purged_count += outcome.done_count;
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

static int ask_for_everything(struct client *client)
{
    const struct options *options = client->options;
    int status = options->purge_all ? ask(client, "all", json_true(), true).status : 0;

    if (status == 0)
        status = ask_for_all(client, "url", &options->purge_urls, ADMIN_PURGES_MAX);
    if (status == 0)
        status = ask_for_all(client, "prefix", &options->purge_prefixes, PURGE_RULES_MAX);
    if (status == 0)
        status = ask_for_all(client, "tag", &options->purge_tags, ADMIN_PURGES_MAX);
    return status;
}

static void fini(struct client *client)
{
    curl_slist_free_all(client->headers);
    curl_easy_cleanup(client->curl);
    if (client->line.data != NULL)
        explicit_bzero(client->line.data, client->line.size);
    buffer_fini(&client->line);
    buffer_fini(&client->url);
    buffer_fini(&client->answer);
}

int purge_run(const struct options *options, FILE *out, FILE *errors)
{
    struct client client = {.options = options,
                            .errors = errors,
                            .admin = options->purge_admin != NULL ? options->purge_admin : default_admin};
    int status;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fprintf(errors, "nuthatch: libcurl cannot be used here\n");
        return STATUS_REFUSED;
    }
    status = take_token(&client);
    if (status == 0 && !set_up(&client)) {
        fprintf(errors, "nuthatch: no memory, or a libcurl that is too old\n");
        status = STATUS_REFUSED;
    }
    if (status == 0)
        status = ask_for_everything(&client);
    if (status == 0 || client.purged_count > 0)
        fprintf(out, options->purge_softly ? "made stale: %zu\n" : "purged: %zu\n", client.purged_count);
    fini(&client);
    curl_global_cleanup();
    return status;
}
