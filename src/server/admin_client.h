/* admin_client.h — requests of the command line to the administrator's API of a nuthatch that runs. */
#pragma once
#include "server/options.h"
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>

/* Exit statuses: VERB_STATUS of tables/roles.def. */
enum { ADMIN_REFUSED = 1, ADMIN_USAGE = 2, ADMIN_NOT_THERE = 3 };

struct admin_client {
    const struct options *options;
    FILE *errors;
    const char *api;    /* as the operator knows it */
    struct buffer url;  /* to send to, terminated */
    struct buffer line; /* "Authorization: Bearer …", terminated; empty without a token */
    CURL *curl;
    struct curl_slist *headers;
    struct buffer answer; /* the body of the latest, at most 1 MiB */
    char why[CURL_ERROR_SIZE];
};

/* Makes ready to ask for `path` of the API that the options of a command name. Returns 0, or an exit status
 * with a word on `errors`; fini is due in any case. */
int admin_client_init(struct admin_client *client, const struct options *options, FILE *errors,
                      const char *path);
void admin_client_fini(struct admin_client *client);

/* Sends `body` by POST, or, if it is null, nothing by GET. Returns 0 with the status of HTTP in
 * `*http_status` and client->answer, or an exit status with a word on `errors`. */
int admin_client_ask(struct admin_client *client, const char *body, long *http_status);

/* The answer as JSON, the caller's; null if it is none. */
json_t *admin_client_json(const struct admin_client *client);

/* Says why the API refused: the answer, as JSON or null, and its status. Returns an exit status. */
int admin_client_report_refusal(const struct admin_client *client, long http_status, const json_t *answer);
