/* links: nuthatch-server */
/* From options to what the tier's client is asked for: where its credentials come from and that they go,
 * TLS, numbers, and what a reload says of options that are others now. */
#include "base/compiler.h"
#include "certificates.h"
#include "server/reread.h"
#include "server/tier_plan.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

static const char password_variable[] = "NUTHATCH_TIER_PASSWORD";

/* ---- options, as a file and the environment have them --------------------------------------------- */

/* A cache with `tier` behind it, as YAML: a URL, or a mapping in braces. */
static void set_tier(struct options *options, const char *tier)
{
    struct buffer text = {0}, message = {0};

    options_init(options);
    buffer_append_format(&text, "cache:\ntier: %s\n", tier);
    if (options_read_yaml(options, "f", buffer_bytes(&text), &message) != OK)
        fail_msg("%s: %.*s", tier, BYTES_PRINTF(buffer_bytes(&message)));
    buffer_fini(&text);
    buffer_fini(&message);
}

static struct tier_plan *create_plan(const struct options *options)
{
    struct buffer message = {0};
    struct tier_plan *plan = NULL;

    if (tier_plan_create(options, NULL, &message, &plan) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&message)));
    EXPECT_EQ(message.size, 0);
    EXPECT(plan != NULL);
    buffer_fini(&message);
    return plan;
}

static void expect_refused(const struct options *options, enum err err, const char *said)
{
    struct buffer message = {0};
    struct tier_plan *plan = (struct tier_plan *)&message; /* something else than null */

    EXPECT_EQ(tier_plan_create(options, NULL, &message, &plan), err);
    EXPECT(plan == NULL);
    if (message.size == 0 || message.data[message.size - 1] != '\n' ||
        memmem(message.data, message.size, said, strlen(said)) == NULL)
        fail_msg("wanted \"%s\", got \"%.*s\"", said, BYTES_PRINTF(buffer_bytes(&message)));
    buffer_fini(&message);
}

/* The tests run in a folder of their own. */
static char folder[] = "/tmp/nuthatch-tier-plan-XXXXXX";

static void write_password(struct bytes contents)
{
    FILE *file = fopen("password", "w");

    EXPECT(file != NULL);
    EXPECT_EQ(fwrite(contents.data, 1, contents.size, file), contents.size);
    EXPECT_EQ(fclose(file), 0);
}

static void set_environment(const char *password)
{
    if (password == NULL)
        unsetenv(password_variable);
    else
        setenv(password_variable, password, 1);
}

/* ---- credentials ----------------------------------------------------------------------------------- */

TEST(without_a_tier_there_is_no_plan)
{
    struct tier_plan *plan = (struct tier_plan *)folder;
    struct buffer message = {0};
    struct options options;

    options_init(&options);
    EXPECT_EQ(tier_plan_create(&options, NULL, &message, &plan), OK);
    EXPECT(plan == NULL);
    EXPECT_EQ(message.size, 0);
    tier_plan_destroy(plan);
    options_fini(&options);
    buffer_fini(&message);
}

TEST(the_password_is_that_of_the_url_or_else_of_the_file_or_else_of_the_environment)
{
    static const struct {
        const char *tier;
        const char *environment; /* null: not set */
        const char *user, *password;
    } cases[] = {
        {"redis://a", NULL, NULL, NULL},
        {"redis://a", "", NULL, NULL},
        {"redis://a", "by environment", NULL, "by environment"},
        {"redis://u@a", "by environment", "u", "by environment"},
        {"'redis://u:by%20url@a'", NULL, "u", "by url"},
        {"redis://u:url@a", "by environment", "u", "url"},
        {"redis://:url@a", "by environment", NULL, "url"},
        {"{servers: 'redis://a', user: v}", "by environment", "v", "by environment"},
        {"{servers: 'redis://:url@a', user: v}", "by environment", "v", "url"},
        {"{servers: 'redis://a', password-file: password}", NULL, NULL, "by file"},
        {"{servers: 'redis://a', password-file: password}", "by environment", NULL, "by file"},
        {"{servers: 'redis://a', user: v, password-file: password}", "by environment", "v", "by file"},
        {"{servers: 'redis://u@a', password-file: password}", "by environment", "u", "by file"},
    };

    write_password(BYTES("by file\nand another line\n"));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options options;
        struct tier_plan *plan;

        set_environment(cases[i].environment);
        set_tier(&options, cases[i].tier);
        plan = create_plan(&options);
        EXPECT_EQ(plan->server.user == NULL, cases[i].user == NULL);
        EXPECT_EQ(plan->server.password == NULL, cases[i].password == NULL);
        if (cases[i].user != NULL)
            assert_string_equal(plan->server.user, cases[i].user);
        if (cases[i].password != NULL)
            assert_string_equal(plan->server.password, cases[i].password);
        tier_plan_destroy(plan);
        options_fini(&options);
    }
    set_environment(NULL);
}

TEST(the_password_of_a_file_is_its_first_line)
{
    static const struct {
        struct bytes contents;
        const char *password; /* null: refused */
        const char *said;
    } cases[] = {
        {BYTES_INIT("secret"), "secret", NULL},
        {BYTES_INIT("secret\n"), "secret", NULL},
        {BYTES_INIT("secret\r\n"), "secret", NULL},
        {BYTES_INIT(" se cret \nother"), " se cret ", NULL},
        {BYTES_INIT("\xc3\xa4%41:@/"), "\xc3\xa4%41:@/", NULL},
        {BYTES_INIT(""), NULL, "its first line, the password, is empty"},
        {BYTES_INIT("\nsecret\n"), NULL, "its first line, the password, is empty"},
        {BYTES_INIT("\r\nsecret\n"), NULL, "its first line, the password, is empty"},
        {BYTES_INIT("se\0cret\n"), NULL, "the password, has a byte of 0 in it"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options options;

        write_password(cases[i].contents);
        set_tier(&options, "{servers: 'redis://a', password-file: password}");
        if (cases[i].password == NULL) {
            expect_refused(&options, ERR_SYNTAX, cases[i].said);
            expect_refused(&options, ERR_SYNTAX, "tier-password-file: password: ");
        } else {
            struct tier_plan *plan = create_plan(&options);
            assert_string_equal(plan->server.password, cases[i].password);
            tier_plan_destroy(plan);
        }
        options_fini(&options);
    }
}

TEST(a_password_that_is_not_there_is_asked_for)
{
    struct options options;

    set_tier(&options, "redis://u@a");
    expect_refused(&options, ERR_SYNTAX,
                   "the user u needs a password: name a file that has it with "
                   "tier-password-file, or set NUTHATCH_TIER_PASSWORD");
    options_fini(&options);
    set_tier(&options, "{servers: 'redis://a', user: v}");
    expect_refused(&options, ERR_SYNTAX, "the user v needs a password");
    options_fini(&options);
    set_tier(&options, "{servers: 'redis://a', password-file: /nowhere/password}");
    expect_refused(&options, ERR_MISSING, "tier-password-file: /nowhere/password: not found");
    options_fini(&options);
    set_tier(&options, "{servers: 'redis://a', password-file: /tmp}");
    expect_refused(&options, ERR_TYPE, "tier-password-file: /tmp: of the wrong type");
    options_fini(&options);
}

/* ---- what is left of a password --------------------------------------------------------------------- */

enum { REGION_BYTES_MAX = 256 << 20, PIECE_BYTES = 64 << 10 };

/* The other way round, so that it is in memory only where it was read into. */
static const char backwards[] = "efas-si-noitatnalp-eht-no-stuhtun-thgie-ytxis";

enum { SECRET_BYTES = sizeof backwards - 1, END_BYTES = SECRET_BYTES / 2 };

static void write_secret(void)
{
    FILE *file = fopen("password", "w");

    EXPECT(file != NULL);
    setvbuf(file, NULL, _IONBF, 0);
    for (size_t i = 0; i < SECRET_BYTES; i++)
        fputc(backwards[SECRET_BYTES - 1 - i], file);
    fclose(file);
}

/* The end of it alone: an allocator may write over the first bytes of what is free. */
static size_t count_in(const char *piece, size_t size)
{
    size_t count = 0, at;

    for (const char *last = piece + size; size >= END_BYTES; piece++, size = (size_t)(last - piece)) {
        piece = memchr(piece, backwards[END_BYTES - 1], size - END_BYTES + 1);
        if (piece == NULL)
            break;
        for (at = 1; at < END_BYTES && piece[at] == backwards[END_BYTES - 1 - at];)
            at++;
        count += at == END_BYTES;
    }
    return count;
}

static size_t count_in_region(int memory, uint64_t begin, uint64_t end)
{
    static char piece[PIECE_BYTES];
    size_t count = 0;

    while (begin < end) {
        size_t wanted = end - begin < PIECE_BYTES ? (size_t)(end - begin) : PIECE_BYTES;
        ssize_t size = pread(memory, piece, wanted, (off_t)begin);
        if (size < END_BYTES)
            break;
        count += count_in(piece, (size_t)size);
        explicit_bzero(piece, (size_t)size); /* or it would be found in here */
        begin += (size_t)size == wanted && begin + wanted == end ? wanted : (size_t)size - END_BYTES + 1;
    }
    return count;
}

/* How often the secret is in this process's memory, what is free included. */
static size_t count_secrets(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    FILE *memory = fopen("/proc/self/mem", "re");
    char line[512], rights[8];
    unsigned long long begin, end;
    size_t count = 0;

    EXPECT(maps != NULL && memory != NULL);
    while (fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%llx-%llx %7s", &begin, &end, rights) == 3 && rights[0] == 'r' &&
            rights[1] == 'w' && end - begin <= REGION_BYTES_MAX) /* larger: a sanitizer's */
            count += count_in_region(fileno(memory), begin, end);
    fclose(maps);
    fclose(memory);
    return count;
}

TEST(of_a_password_that_was_read_from_a_file_nothing_is_left_in_memory)
{
    struct options options;
    struct tier_plan *plan;

    write_secret();
    EXPECT_EQ(count_secrets(), 0);
    set_tier(&options, "{servers: 'redis://a', password-file: password}");
    plan = create_plan(&options);
    EXPECT_EQ(count_secrets(), 1); /* nor did it leave copies */
    tier_plan_destroy(plan);
    EXPECT_EQ(count_secrets(), 0);
    options_fini(&options);
}

/* ---- TLS --------------------------------------------------------------------------------------------- */

TEST(tls_is_by_the_scheme_and_its_files_are_read_at_once)
{
    struct certificates certificates;
    const char *authority;
    char *certificate, *key;
    char tier[512];
    struct options options;
    struct tier_plan *plan;

    certificates_init(&certificates, "ca", &authority);
    certificates_add(&certificates, "us", NULL, 3600, &certificate, &key);

    set_tier(&options, "redis://a");
    plan = create_plan(&options);
    EXPECT(plan->tls == NULL && plan->server.tls == NULL);
    tier_plan_destroy(plan);
    options_fini(&options);

    set_tier(&options, "rediss://a"); /* with what the system trusts */
    plan = create_plan(&options);
    EXPECT(plan->tls != NULL && plan->server.tls == plan->tls);
    tier_plan_destroy(plan);
    options_fini(&options);

    snprintf(tier, sizeof tier, "{servers: 'valkeys://a', ca: '%s', cert: '%s', key: '%s'}", authority,
             certificate, key);
    set_tier(&options, tier);
    plan = create_plan(&options);
    EXPECT(plan->server.tls != NULL);
    tier_plan_destroy(plan);
    options_fini(&options);

    snprintf(tier, sizeof tier, "{servers: 'valkeys://a', ca: '%s'}", key);
    set_tier(&options, tier);
    expect_refused(&options, ERR_TLS, "tier: TLS: ");
    expect_refused(&options, ERR_TLS, key);
    options_fini(&options);

    snprintf(tier, sizeof tier, "{servers: 'valkeys://a', cert: '%s', key: '%s'}", authority, key);
    set_tier(&options, tier);
    expect_refused(&options, ERR_TLS, "tier: TLS: ");
    options_fini(&options);

    set_tier(&options, "{servers: 'valkeys://a', ca: /nowhere/ca.pem}");
    expect_refused(&options, ERR_TLS, "/nowhere/ca.pem");
    options_fini(&options);
    certificates_fini(&certificates);
}

/* ---- numbers ----------------------------------------------------------------------------------------- */

TEST(what_options_say_arrives_at_the_client)
{
    struct options options;
    struct tier_plan *plan;
    struct tier_options tier;

    set_tier(&options,
             "{servers: 'redis://a:1,b', max-staleness: 200ms, near-ttl: 3s, resp: 2, replicas: yes, "
             "allow: [10.0.0.0/8, '::1'], timeout: 700ms, connect-timeout: 300ms, redirections: 3, "
             "in-flight: 77, queue: 1m, reply-max: 5m}");
    plan = create_plan(&options);
    EXPECT_EQ(plan->server.seed_count, 2);
    assert_string_equal(plan->server.seeds[0].host, "a");
    EXPECT_EQ(plan->server.seeds[0].port, 1);
    assert_string_equal(plan->server.seeds[1].host, "b");
    EXPECT_EQ(plan->server.resp, VALKEY_RESP_2);
    EXPECT(plan->server.reads_from_replicas);
    EXPECT_EQ(plan->server.allowed_count, 2);
    EXPECT_EQ(plan->server.allowed[0].bits, 104);
    EXPECT_EQ(plan->server.allowed[1].bits, 128);
    EXPECT_EQ(plan->server.call_timeout_ms, 700);
    EXPECT_EQ(plan->server.connect_timeout_ms, 300);
    EXPECT_EQ(plan->server.redirections_max, 3);
    EXPECT_EQ(plan->server.in_flight_max, 77);
    EXPECT_EQ(plan->server.queued_bytes_max, 1 << 20);
    EXPECT_EQ(plan->server.reply_bytes_max, 5 << 20);
    EXPECT_EQ(plan->server.canary_interval_ms, 50); /* so that one may be lost within the bound */
    tier = tier_plan_options(plan, &options);
    EXPECT(tier.server == &plan->server);
    EXPECT_EQ(tier.max_staleness_ms, 200);
    EXPECT_EQ(tier.near_ttl_max_ms, 3000);
    EXPECT_EQ(tier.null_ttl_ms, 200); /* nobody said: the bound */
    tier_plan_destroy(plan);
    options_fini(&options);

    set_tier(&options, "{servers: 'redis://a', null-ttl: 60ms, max-staleness: 90ms}");
    plan = create_plan(&options);
    EXPECT_EQ(tier_plan_options(plan, &options).null_ttl_ms, 60);
    EXPECT(!plan->server.reads_from_replicas);
    EXPECT_EQ(plan->server.resp, VALKEY_RESP_AUTO);
    EXPECT_EQ(plan->server.allowed_count, 0);
    /* What is to be near has to come through, with all around it. */
    EXPECT(plan->server.reply_bytes_max > 2 * (uint64_t)options.value_bytes_max);
    tier_plan_destroy(plan);
    options_fini(&options);
}

TEST(as_many_ranges_as_are_permitted_arrive_and_one_more_is_refused)
{
    struct buffer tier = {0}, message = {0}, text = {0};
    struct options options;
    struct tier_plan *plan;

    buffer_append_literal(&tier, "{servers: 'redis://a', allow: [10.0.0.0/8");
    for (int i = 1; i < VALKEY_ALLOWED_MAX; i++)
        buffer_append_format(&tier, ", 10.0.0.%d", i);
    buffer_append_format(&text, "cache:\ntier: %.*s, 10.0.1.0]}\n", BYTES_PRINTF(buffer_bytes(&tier)));
    buffer_append(&tier, BYTES("]}\0"));
    set_tier(&options, tier.data);
    plan = create_plan(&options);
    EXPECT_EQ(plan->server.allowed_count, VALKEY_ALLOWED_MAX);
    tier_plan_destroy(plan);
    options_fini(&options);
    options_init(&options);
    EXPECT_EQ(options_read_yaml(&options, "f", buffer_bytes(&text), &message), ERR_SYNTAX);
    buffer_append_byte(&message, '\0');
    EXPECT(strstr(message.data, "write fewer, wider ones") != NULL);
    options_fini(&options);
    buffer_fini(&tier);
    buffer_fini(&text);
    buffer_fini(&message);
}

/* ---- another file, while it runs ----------------------------------------------------------------------
 */

TEST(every_option_of_the_tier_that_is_another_needs_a_restart_and_that_is_said)
{
    static const struct {
        const char *running, *fresh, *said;
    } cases[] = {
        {"redis://a", "redis://a", ""},
        {"redis://a", "redis://b", "f:2:7: tier is another than runs: that needs a restart\n"},
        {"redis://a", "{servers: 'redis://a'}", ""},
        {"redis://a", "{servers: 'redis://a', max-staleness: 1s}", ""}, /* as without */
        {"redis://a", "{servers: 'redis://a', max-staleness: 2s, resp: 3}",
         "f:2:45: max-staleness is another than runs: that needs a restart\n"
         "f:2:55: tier-resp is another than runs: that needs a restart\n"},
        {"{servers: 'redis://a', password-file: p}", "{servers: 'redis://a', password-file: q}",
         "f:2:45: tier-password-file is another than runs: that needs a restart\n"},
        {"{servers: 'redis://a', allow: [10.0.0.0/8]}", "{servers: 'redis://a', allow: [10.0.0.0/9]}",
         "f:2:37: tier-allow is another than runs: that needs a restart\n"},
        {"{servers: 'redis://a', timeout: 2s}", "redis://a",
         "nuthatch: tier-timeout is another than runs: that needs a restart\n"},
        {"redis://u:secret@a", "redis://u:other@a",
         "f:2:7: tier is another than runs: that needs a restart\n"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options running, fresh;
        struct buffer message = {0};

        set_tier(&running, cases[i].running);
        set_tier(&fresh, cases[i].fresh);
        options_report_restarts(&running, &fresh, &message);
        EXPECT_TEXT(buffer_bytes(&message), bytes_of_text(cases[i].said));
        options_fini(&running);
        options_fini(&fresh);
        buffer_fini(&message);
    }
}

static int begin(void **state __attribute__((unused)))
{
    unsetenv(password_variable);
    return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int end(void **state __attribute__((unused)))
{
    unlink("password");
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ROW(without_a_tier_there_is_no_plan),
        TEST_ROW(the_password_is_that_of_the_url_or_else_of_the_file_or_else_of_the_environment),
        TEST_ROW(the_password_of_a_file_is_its_first_line),
        TEST_ROW(a_password_that_is_not_there_is_asked_for),
        TEST_ROW(of_a_password_that_was_read_from_a_file_nothing_is_left_in_memory),
        TEST_ROW(tls_is_by_the_scheme_and_its_files_are_read_at_once),
        TEST_ROW(what_options_say_arrives_at_the_client),
        TEST_ROW(as_many_ranges_as_are_permitted_arrive_and_one_more_is_refused),
        TEST_ROW(every_option_of_the_tier_that_is_another_needs_a_restart_and_that_is_said),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
