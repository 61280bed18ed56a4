#include "server/tier_plan.h"
#include "base/now.h"
#include "net/tls_client.h"
#include "server/address_range.h"
#include "server/file.h"
#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    CANARIES_PER_BOUND = 4, /* so that one may come late, and one be lost, without what is near going */
    BACKOFF_MS_MIN = 50,
    BACKOFF_MS_MAX = 5000,
    BREAKER_FAILURES = 5,
    AROUND_A_VALUE_BYTES = 64 * 1024,
};

static const char password_variable[] = "NUTHATCH_TIER_PASSWORD";

static void wipe(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

/* ---- credentials --------------------------------------------------------------------------------- */

static struct bytes first_line(struct bytes text)
{
    const char *end = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;

    if (end != NULL)
        text.size = (size_t)(end - text.data);
    if (text.size > 0 && text.data[text.size - 1] == '\r')
        text.size--;
    return text;
}

static enum err read_password_file(const char *path, char **password, struct buffer *message)
{
    struct buffer file = {0};
    enum err err = file_read(path, &file);
    struct bytes line = first_line(buffer_bytes(&file));

    if (err != OK) {
        buffer_append_format(message, "tier-password-file: %s: %s\n", path, err_text(err));
    } else if (line.size == 0 || memchr(line.data, '\0', line.size) != NULL) {
        buffer_append_format(message, "tier-password-file: %s: its first line, the password, %s\n", path,
                             line.size == 0 ? "is empty" : "has a byte of 0 in it");
        err = ERR_SYNTAX;
    } else if ((*password = text_copy(line)) == NULL) {
        err = ERR_NO_MEMORY;
    }
    if (file.data != NULL)
        explicit_bzero(file.data, file.capacity);
    buffer_fini(&file);
    return err;
}

static enum err find_credentials(struct tier_plan *plan, const struct options *options,
                                 struct buffer *message)
{
    const char *from_environment = getenv(password_variable);
    enum err err = OK;

    plan->server.user = plan->url.user != NULL ? plan->url.user : options->tier_user;
    if (options->tier_password_path != NULL)
        err = read_password_file(options->tier_password_path, &plan->password, message);
    else if (plan->url.password == NULL && from_environment != NULL && from_environment[0] != '\0')
        err = (plan->password = strdup(from_environment)) != NULL ? OK : ERR_NO_MEMORY;
    plan->server.password = plan->url.password != NULL ? plan->url.password : plan->password;
    if (err == OK && plan->server.user != NULL && plan->server.password == NULL) {
        buffer_append_format(message,
                             "tier: the user %s needs a password: name a file that has it with "
                             "tier-password-file, or set %s in the environment\n",
                             shown_text(bytes_of_text(plan->server.user)).text, password_variable);
        err = ERR_SYNTAX;
    }
    return err;
}

static enum err create_tls(struct tier_plan *plan, const struct options *options, struct buffer *message)
{
    struct buffer why = {0};
    enum err err;

    if (!plan->url.has_tls)
        return OK;
    err = tls_client_create(&(struct tls_client_files){.authorities = options->tier_authorities_path,
                                                       .certificate = options->tier_certificate_path,
                                                       .key = options->tier_key_path},
                            &why, &plan->tls);
    if (why.size > 0)
        buffer_append_format(message, "tier: TLS: %.*s\n", BYTES_PRINTF(buffer_bytes(&why)));
    buffer_fini(&why);
    return err;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

static void set_ranges(struct valkey_options *server, const struct text_list *ranges)
{
    for (size_t i = 0; i < ranges->count; i++) {
        struct buffer ignored = {0};
        bool is_range = address_range_parse(bytes_of_text(ranges->items[i]), &server->allowed[i], &ignored);

        assert(is_range && i < VALKEY_ALLOWED_MAX); /* or the option would have been refused */
        buffer_fini(&ignored);
        server->allowed_count++;
    }
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) /* early in the machine's life */
        seed = (uint64_t)clock_read(&clock_system).wall_ms;
    return seed;
}

static void set_server(struct tier_plan *plan, const struct options *options, struct log *log)
{
    struct valkey_options *server = &plan->server;

    memcpy(server->seeds, plan->url.seeds, sizeof server->seeds);
    server->seed_count = plan->url.seed_count;
    server->client_name = "nuthatch";
    server->tls = plan->tls;
    server->resp = options->tier_resp;
    server->reads_from_replicas = options->tier_reads_from_replicas == ANSWER_YES;
    set_ranges(server, &options->tier_allowed);
    server->connect_timeout_ms = options->tier_connect_timeout_ms;
    server->call_timeout_ms = options->tier_timeout_ms;
    server->canary_interval_ms = options->tier_staleness_ms_max / CANARIES_PER_BOUND;
    server->redirections_max = (uint32_t)options->tier_redirections_max;
    server->in_flight_max = (uint32_t)options->tier_in_flight_max;
    server->queued_bytes_max = (size_t)options->tier_queue_bytes_max;
    server->reply_bytes_max = options->tier_reply_bytes_max > 0
                                  ? (uint64_t)options->tier_reply_bytes_max
                                  : 2 * ((uint64_t)options->value_bytes_max + AROUND_A_VALUE_BYTES);
    server->backoff_min_ms = BACKOFF_MS_MIN;
    server->backoff_max_ms = BACKOFF_MS_MAX;
    server->breaker_failures = BREAKER_FAILURES;
    server->seed = random_seed();
    server->log = log;
}

enum err tier_plan_create(const struct options *options, struct log *log, struct buffer *message,
                          struct tier_plan **result)
{
    struct buffer why = {0};
    struct tier_plan *plan;
    enum err err;

    *result = NULL;
    if (options->tier_url == NULL)
        return OK;
    plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return ERR_NO_MEMORY;
    err = tier_url_parse(bytes_of_text(options->tier_url), &plan->url, &why);
    if (err == OK)
        err = find_credentials(plan, options, message);
    if (err == OK)
        err = create_tls(plan, options, message);
    if (err == OK)
        set_server(plan, options, log);
    buffer_fini(&why);
    if (err != OK) {
        tier_plan_destroy(plan);
        return err;
    }
    *result = plan;
    return OK;
}

void tier_plan_destroy(struct tier_plan *plan)
{
    if (plan == NULL)
        return;
    if (plan->tls != NULL)
        tls_client_destroy(plan->tls);
    wipe(plan->password);
    tier_url_fini(&plan->url);
    free(plan);
}

struct tier_options tier_plan_options(const struct tier_plan *plan, const struct options *options)
{
    return (struct tier_options){
        .server = &plan->server,
        .max_staleness_ms = options->tier_staleness_ms_max,
        .near_ttl_max_ms = options->tier_near_ttl_ms,
        .null_ttl_ms =
            options->tier_null_ttl_ms > 0 ? options->tier_null_ttl_ms : options->tier_staleness_ms_max,
        .log = plan->server.log,
    };
}
