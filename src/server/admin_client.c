#include "server/admin_client.h"
#include "base/compiler.h"
#include "message/http.h"
#include "server/file.h"
#include <string.h>

enum { ANSWER_BYTES_MAX = 1024 * 1024 };

static const char default_api[] = "http://127.0.0.1:9190", token_variable[] = "NUTHATCH_ADMIN_TOKEN";

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
static int take_token(struct admin_client *client)
{
    const char *path = client->options->admin_token_path, *from_environment = getenv(token_variable);
    struct buffer file = {0};
    struct bytes token = {0};
    int status = 0;
    enum err err = OK;

    if (path != NULL)
        err = file_read(path, &file);
    if (err != OK) {
        fprintf(client->errors, "nuthatch: --token-file: %s: %s\n", path, err_text(err));
        return ADMIN_USAGE;
    }
    if (path != NULL)
        token = first_line(buffer_bytes(&file));
    else if (from_environment != NULL)
        token = bytes_of_text(from_environment);
    if ((path != NULL && token.size == 0) || !http_is_field_value(token)) {
        fprintf(client->errors, "nuthatch: %s %s; write the token, and nothing else, on one line\n",
                path != NULL ? path : token_variable,
                token.size == 0 ? "has nothing in its first line" : "has a byte that no token has");
        status = ADMIN_USAGE;
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
    struct admin_client *client = context;

    if (size * count > ANSWER_BYTES_MAX - client->answer.size)
        return 0;
    buffer_append(&client->answer, bytes_of(bytes, size * count));
    return client->answer.failed ? 0 : size * count;
}

static bool set_up(struct admin_client *client, const char *path)
{
    static const char unix_scheme[] = "http+unix://";
    const struct options *options = client->options;
    bool is_unix = bytes_start_with(bytes_of_text(client->api), BYTES("http+unix://"));
    struct bytes base = bytes_of_text(is_unix ? "http://localhost" : client->api);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more = NULL;
    CURL *curl = curl_easy_init();
    CURLcode code = CURLE_OK;

    client->curl = curl;
    client->headers = headers;
    while (base.size > 0 && base.data[base.size - 1] == '/')
        base.size--;
    buffer_append_format(&client->url, "%.*s%s%c", BYTES_PRINTF(base), path, '\0');
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
    SET(PROXY, ""); /* a token is for nuthatch alone */
    SET(NOSIGNAL, 1L);
    SET(HTTPHEADER, headers);
    SET(ERRORBUFFER, client->why);
    SET(TIMEOUT_MS, (long)options->admin_timeout_ms);
    SET(WRITEFUNCTION, take_answer);
    SET(WRITEDATA, client);
    if (is_unix)
        SET(UNIX_SOCKET_PATH, client->api + sizeof unix_scheme - 1);
    if (options->admin_authorities_path != NULL)
        SET(CAINFO, options->admin_authorities_path);
#undef SET
    return code == CURLE_OK;
}

/* Says why no answer came. */
static int report_silence(const struct admin_client *client, CURLcode code)
{
    const char *why = client->why[0] != '\0' ? client->why : curl_easy_strerror(code);

    switch (code) { /* the default: whatever else is between us and it */
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        fprintf(client->errors,
                "nuthatch: no administrator's API answers at %s: %s; start nuthatch with --admin, or say "
                "here with --admin where it is\n",
                client->api, why);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        fprintf(client->errors, "nuthatch: %s does not answer: %s; --timeout says how long to wait\n",
                client->api, why);
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
        fprintf(
            client->errors,
            "nuthatch: the certificate of %s is not to be trusted: %s; --tls-ca names the authorities\n",
            client->api, why);
        break;
    default: fprintf(client->errors, "nuthatch: %s: %s\n", client->api, why); break;
    }
    return ADMIN_NOT_THERE;
}

int admin_client_report_refusal(const struct admin_client *client, long http_status, const json_t *root)
{
    const char *detail = json_string_value(json_object_get(root, "detail"));

    if (http_status == 401)
        fprintf(client->errors, "nuthatch: %s\n",
                client->line.size > 0
                    ? "the token is not the admin-token of what runs there"
                    : "it wants its admin-token: put it into the variable "
                      "NUTHATCH_ADMIN_TOKEN, or name a file that has it with --token-file");
    else if (detail != NULL)
        fprintf(client->errors, "nuthatch: %s\n", detail);
    else
        fprintf(client->errors,
                "nuthatch: %s answers %ld, which is no administrator's API of nuthatch; see --admin\n",
                client->api, http_status);
    return ADMIN_REFUSED;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

int admin_client_init(struct admin_client *client, const struct options *options, FILE *errors,
                      const char *path)
{
    int status;

    *client = (struct admin_client){.options = options,
                                    .errors = errors,
                                    .api = options->admin_api != NULL ? options->admin_api : default_api};
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fprintf(errors, "nuthatch: libcurl cannot be used here\n");
        return ADMIN_REFUSED;
    }
    status = take_token(client);
    if (status == 0 && !set_up(client, path)) {
        fprintf(errors, "nuthatch: no memory, or a libcurl that is too old\n");
        status = ADMIN_REFUSED;
    }
    return status;
}

void admin_client_fini(struct admin_client *client)
{
    curl_slist_free_all(client->headers);
    curl_easy_cleanup(client->curl);
    if (client->line.data != NULL)
        explicit_bzero(client->line.data, client->line.size);
    buffer_fini(&client->line);
    buffer_fini(&client->url);
    buffer_fini(&client->answer);
    curl_global_cleanup();
}

int admin_client_ask(struct admin_client *client, const char *body, long *http_status)
{
    CURLcode code = CURLE_OK;

    buffer_clear(&client->answer);
    if (body != NULL)
        code = curl_easy_setopt(client->curl, CURLOPT_COPYPOSTFIELDS, body);
    if (code == CURLE_OK)
        code = curl_easy_perform(client->curl);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, http_status);
    return code == CURLE_OK ? 0 : report_silence(client, code);
}

json_t *admin_client_json(const struct admin_client *client)
{
    return json_loadb(client->answer.data != NULL ? client->answer.data : "", client->answer.size, 0, NULL);
}
