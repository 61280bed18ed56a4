#include "server/status_client.h"
#include "server/admin_client.h"
#include "server/status_page.h"
#include <stdlib.h>
#include <unistd.h>

static bool is_in_colour(FILE *out)
{
    const char *no_colour = getenv("NO_COLOR");

    return isatty(fileno(out)) && (no_colour == NULL || no_colour[0] == '\0');
}

static int show(const struct admin_client *client, const json_t *status, FILE *out)
{
    struct buffer page = {0};
    struct bytes shown = buffer_bytes(&client->answer);
    bool is_written;

    if (!client->options->status_as_json) {
        status_page_append(&page, status, client->api, is_in_colour(out));
        shown = buffer_bytes(&page);
    }
    is_written = !page.failed && fwrite(shown.data, 1, shown.size, out) == shown.size && fflush(out) == 0;
    if (!is_written)
        fprintf(client->errors, "nuthatch: what the API says could not be written\n");
    buffer_fini(&page);
    return is_written ? 0 : ADMIN_REFUSED;
}

int status_run(const struct options *options, FILE *out, FILE *errors)
{
    struct admin_client client;
    int status = admin_client_init(&client, options, errors, "/status");
    json_t *answer = NULL;
    long http_status = 0;

    if (status == 0)
        status = admin_client_ask(&client, NULL, &http_status);
    if (status == 0) {
        answer = admin_client_json(&client);
        status = http_status == 200 && json_is_string(json_object_get(answer, "version"))
                     ? show(&client, answer, out)
                     : admin_client_report_refusal(&client, http_status, answer);
    }
    json_decref(answer);
    admin_client_fini(&client);
    return status;
}
