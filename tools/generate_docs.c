/* generate_docs.c — writes docs/options.md, docs/commands.md, docs/metrics.md and docs/man/nuthatch.1 from
 * the tables. Built and run by tools/generate-docs; never part of the product.
 *
 *   generate_docs options|commands|metrics|man      prints that page */
#include "message/command.h"
#include "server/options.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char generated[] =
    "<!-- Generated from src/tables by `./dev docs`; edit the tables instead. -->\n";

/* ---- options ------------------------------------------------------------------------------------ */

/* `text` without the bars that would end a table's cell, or a roff control character at a line's start. */
static void print_cell(const char *text)
{
    for (; *text != '\0'; text++)
        printf(*text == '|' ? "\\|" : "%c", *text);
}

static const char *value_text(const struct option_row *row, int64_t value)
{
    static struct buffer text;
    buffer_clear(&text);
    option_append_value(&text, row, value);
    buffer_append_byte(&text, '\0');
    return text.data;
}

static const char *placeholder_text(const struct option_row *row)
{
    static struct buffer text;
    buffer_clear(&text);
    option_append_placeholder(&text, row);
    buffer_append_byte(&text, '\0');
    return text.data;
}

static const char table_head[] =
    "| option | value | default | range | what it does |\n|---|---|---|---|---|\n";

static void print_option_row(const struct option_row *row)
{
    printf("| `%s` | ", row->name);
    if (row->type != OPTION_TYPE_flag)
        printf("`");
    print_cell(placeholder_text(row));
    printf(row->type != OPTION_TYPE_flag ? "` | " : " | ");
    if (option_has_default(row))
        printf("`%s`", value_text(row, row->fallback));
    printf(" | ");
    if (option_has_range(row)) {
        printf("`%s` to ", value_text(row, row->low));
        printf("`%s`", value_text(row, row->high));
    }
    printf(" | ");
    print_cell(row->help);
    printf(" |\n");
}

/* `verb` is the one command whose options of no role they are, or VERB_HELP. */
static void print_option_rows(unsigned roles, enum option_scope scope, enum verb verb)
{
    printf("%s", table_head);
    for (size_t i = 0; i < option_row_count(); i++) {
        const struct option_row *row = option_row(i);
        bool is_of_one = row->roles == 0 && !option_is_of_server(row);
        if (option_is_of_tier(row))
            continue;
        if (row->roles != roles || row->scope != scope ||
            (is_of_one ? (row->verbs & 1u << verb) == 0 : verb != VERB_HELP))
            continue;
        print_option_row(row);
    }
}

/* Options that a file may give each upstream and route of a gateway, or the gateway for all of them. */
static void print_gateway_policies(bool is_first)
{
    printf("%sIn a file these may also stand in one of the gateway's `upstreams`; under the gateway they "
           "are for "
           "all that do\n"
           "not say otherwise:\n\n",
           is_first ? "\n" : "");
    print_option_rows(ROLES_GATEWAY, OPTION_OF_UPSTREAM, VERB_HELP);
    printf("\nAnd these in one of its [`routes`](gateway.md#several-apis-behind-one-gateway):\n\n");
    print_option_rows(ROLES_GATEWAY, OPTION_OF_ROUTE, VERB_HELP);
}

/* Their names are those of the command line; in a file most are shorter. */
static void print_tier_options(void)
{
    printf(
        "\n## Of the shared tier\n\n"
        "Flags of the commands that run a cache or a gateway. In the file they stand under `tier:` without "
        "`tier-`\n"
        "before their names, and `--tier` itself is `servers`; or `tier:` is followed by that alone "
        "([more than one\n"
        "machine](tier.md)).\n\n"
        "```yaml\n"
        "tier:\n"
        "  servers: valkey://10.0.0.1:6379,10.0.0.2:6379\n"
        "  max-staleness: 500ms\n"
        "```\n\n%s",
        table_head);
    for (size_t i = 0; i < option_row_count(); i++)
        if (option_is_of_tier(option_row(i)))
            print_option_row(option_row(i));
}

static void print_options(void)
{
    printf("%s# Options\n\n"
           "Every option is a flag on the command line (`--name VALUE` or `--name=VALUE`) and a key in the "
           "YAML file\n"
           "(`name: VALUE`), by the same name. In the file, options of the server stand at the top and "
           "options of a\n"
           "role under it; a role may be a list, to have several of it. A flag wins over the file.\n"
           "`nuthatch check FILE` says what is wrong in a file, with line and column.\n\n"
           "```yaml\n"
           "memory: 1G\n"
           "cache:\n"
           "  listen: tcp://127.0.0.1:6379\n"
           "gateway:\n"
           "  - origin: https://api.example.com\n"
           "    listen: http://127.0.0.1:8080\n"
           "    stale-if-error: 1h\n"
           "mock:\n"
           "  data: db.json        # looked for beside this file\n"
           "```\n\n"
           "Sizes are bytes, or take `k`, `M`, `G` or `T` (powers of 1024). Times take `ms`, `s`, `m`, `h` "
           "or `d`.\n\n"
           "## Of the server\n\n",
           generated);
    print_option_rows(0, OPTION_OF_SERVER, VERB_HELP);
    print_tier_options();
    printf("\n## Of every role\n\n");
    print_option_rows(ROLES_EVERY, OPTION_OF_ROLE, VERB_HELP);
    printf("\n| role | listens at, unless told otherwise | schemes |\n|---|---|---|\n");
    for (int i = 0; i < ROLE_COUNT; i++) {
        struct buffer schemes = {0};
        schemes_append(&schemes, 1u << i);
        printf("| %s | `%s` | %.*s |\n", role_row((enum role)i)->name, role_row((enum role)i)->listen,
               BYTES_PRINTF(buffer_bytes(&schemes)));
        buffer_fini(&schemes);
    }
    printf(
        "\nOn a cache's `tcp` port the first bytes of a client decide between the Redis and the "
        "memcached protocol;\n"
        "`resp` and `memcached` pin one. Port 0 asks for any free port. A Unix socket has a path instead,\n"
        "`unix:///run/nuthatch.sock`, perhaps with `?mode=0660` behind it.\n");
    for (int i = 0; i < ROLE_COUNT; i++) {
        bool has_own = false;
        for (size_t j = 0; j < option_row_count(); j++)
            has_own |= option_row(j)->roles == 1u << i && option_row(j)->scope == OPTION_OF_ROLE;
        if (!has_own && i != ROLE_GATEWAY)
            continue;
        printf("\n## Of %s: %s\n\n", role_row((enum role)i)->name, role_row((enum role)i)->summary);
        if (has_own)
            print_option_rows(1u << i, OPTION_OF_ROLE, VERB_HELP);
        if (i == ROLE_GATEWAY)
            print_gateway_policies(has_own);
    }
    printf("\nWhat a role cannot do without, `origin` and `data`, is written without its name on the "
           "command line:\n"
           "`nuthatch gateway https://api.example.com`, `nuthatch mock db.json`.\n"
           "\n## Of the demo\n\n");
    print_option_rows(0, OPTION_OF_SERVER, VERB_DEMO);
    printf("\n## Of `nuthatch purge`\n\nFlags of the command alone "
           "([purging](purging.md#from-the-command-line)).\n\n");
    print_option_rows(0, OPTION_OF_SERVER, VERB_PURGE);
    printf("\n## Of `nuthatch status`\n\nFlags of the command alone "
           "([operations](operations.md#how-it-is-doing)).\n\n");
    print_option_rows(0, OPTION_OF_SERVER, VERB_STATUS);
}

/* ---- commands ----------------------------------------------------------------------------------- */

static const struct command_line {
    enum dialect dialect;
    const char *name;
    int arity;
    unsigned flags;
    const char *group, *since, *summary;
} commands[] = {
#define COMMAND(dialect, id, name, arity, flags, first_key, last_key, key_step, group, since, summary)     \
    {DIALECT_##dialect, name, arity, flags, group, since, summary},
#include "tables/commands.def"
#undef COMMAND
};

/* Whether a row before this one began the same group. */
static bool begins_group(size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (commands[i].dialect == commands[index].dialect &&
            strcmp(commands[i].group, commands[index].group) == 0)
            return false;
    return true;
}

/* How many words follow the name. */
static void print_arguments(int arity)
{
    if (arity < 0)
        printf("%d or more", -arity - 1);
    else
        printf("%d", arity - 1);
}

static void print_dialect(enum dialect dialect)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (commands[i].dialect != dialect || !begins_group(i))
            continue;
        printf("\n### %s\n\n| command | arguments | as of | what it does |\n|---|---|---|---|\n",
               commands[i].group);
        for (size_t j = i; j < COUNT_OF(commands); j++) {
            if (commands[j].dialect != dialect || strcmp(commands[j].group, commands[i].group) != 0)
                continue;
            printf("| `%s` | ", commands[j].name);
            print_arguments(commands[j].arity);
            printf(" | %s | ", commands[j].since);
            print_cell(commands[j].summary);
            printf(" |\n");
        }
    }
}

static void print_commands(void)
{
    printf("%s# Commands\n\n"
           "What a cache port understands. Both dialects work on the same keys. *Arguments* is how many "
           "words follow\n"
           "the name; *as of* is the version of Redis or memcached that brought the command in.\n\n"
           "## Redis (RESP2 and RESP3)\n",
           generated);
    print_dialect(DIALECT_resp);
    printf("\n## memcached (text protocol)\n");
    print_dialect(DIALECT_memcached);
}

/* ---- metrics ------------------------------------------------------------------------------------ */

static void print_metrics(void)
{
    printf("%s# Metrics\n\n"
           "What every worker counts since its start. `INFO nuthatch` shows the sums over the workers by "
           "these names.\n\n"
           "| metric | what it counts |\n|---|---|\n",
           generated);
#define METRIC(name, help) printf("| `%s` | %s |\n", #name, help);
#include "tables/metrics.def"
#undef METRIC
}

/* ---- the manual page ---------------------------------------------------------------------------- */

static void print_roff(const char *text)
{
    if (*text == '.' || *text == '\'')
        printf("\\&");
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            printf("\\e");
        else if (*text == '-')
            printf("\\-");
        else
            putchar(*text);
    }
}

static void print_option_roff(const struct option_row *row)
{
    printf(".TP\n.B \\-\\-");
    print_roff(row->name);
    if (row->type != OPTION_TYPE_flag) {
        printf(" \\fI");
        print_roff(placeholder_text(row));
        printf("\\fR");
    }
    printf("\n");
    print_roff(row->help);
    if (option_has_default(row)) {
        printf(" (default ");
        print_roff(value_text(row, row->fallback));
        printf(")");
    }
    printf(".\n");
}

static void print_man_example(void *context, const char *example, const char *help)
{
    (void)context;
    printf(".TP\n.B ");
    print_roff(example);
    printf("\n");
    print_roff(help);
    printf(".\n");
}

static void print_man_status(void *context, const char *status, const char *help)
{
    const char *verb = context;

    printf(".TP\n.B %s: %s\n", verb, status);
    print_roff(help);
    printf(".\n");
}

static void print_man(void)
{
    printf(".\\\" Generated from src/tables by ./dev docs; edit the tables instead.\n"
           ".TH NUTHATCH 1 \"\" \"nuthatch " NUTHATCH_VERSION "\"\n"
           ".SH NAME\nnuthatch \\- a cache server, a caching gateway and a mock API in one process\n"
           ".SH SYNOPSIS\n");
    for (int i = 0; i < VERB_COUNT; i++) {
        const struct verb_row *row = verb_row((enum verb)i);
        printf("%s.B nuthatch %s\n%s%s%s[options]\n", i > 0 ? ".br\n" : "", row->name,
               row->operand != NULL ? "\\fI" : "", row->operand != NULL ? row->operand : "",
               row->operand != NULL ? "\\fR " : "");
    }
    printf(".SH COMMANDS\n");
    for (int i = 0; i < VERB_COUNT; i++) {
        const struct verb_row *row = verb_row((enum verb)i);
        printf(".TP\n.B %s%s%s\n", row->name, row->operand != NULL ? " " : "",
               row->operand != NULL ? row->operand : "");
        print_roff(row->summary);
        printf(".\n");
    }
    printf(".SH OPTIONS OF EVERY COMMAND BUT PURGE AND STATUS\n");
    for (size_t i = 0; i < option_row_count(); i++)
        if (option_is_of_server(option_row(i)))
            print_option_roff(option_row(i));
    for (int verb = 0; verb < VERB_COUNT; verb++) {
        bool has_heading = false;
        for (size_t i = 0; i < option_row_count(); i++) {
            const struct option_row *row = option_row(i);
            if (option_is_of_server(row) || option_is_of_tier(row) || (row->verbs & 1u << verb) == 0 ||
                option_is_operand(row))
                continue;
            if (!has_heading)
                printf(".SH OPTIONS OF %s\n", verb_row((enum verb)verb)->name);
            has_heading = true;
            print_option_roff(row);
        }
    }
    printf(".SH OPTIONS OF THE SHARED TIER\n");
    for (size_t i = 0; i < option_row_count(); i++)
        if (option_is_of_tier(option_row(i)))
            print_option_roff(option_row(i));
    printf(
        ".SH VALUES\n"
        "Sizes are bytes, or take k, M, G or T (powers of 1024). Times take ms, s, m, h or d.\n"
        ".SH FILES\n"
        "The YAML file of serve and check has the options of the server as keys at its top and the options "
        "of a\n"
        "role as keys under cache, gateway or mock; each of these may be a list.\n"
        ".SH SIGNALS\n"
        "SIGTERM and SIGINT end the process once the answers in progress have left, at the latest after\n"
        ".BR \\-\\-drain\\-timeout ;\n"
        "a second one ends it at once.\n"
        "SIGHUP has the YAML file, the files of credentials and those of TLS read again.\n"
        ".SH EXAMPLES\n");
    for (int i = 0; i < VERB_COUNT; i++) {
        print_man_example(NULL, verb_row((enum verb)i)->example, verb_row((enum verb)i)->example_help);
        verb_examples((enum verb)i, print_man_example, NULL);
    }
    printf(".SH EXIT STATUS\n"
           "0 if all went well, 1 if not, 2 if the command line is wrong. Moreover:\n");
    for (int i = 0; i < VERB_COUNT; i++)
        verb_statuses((enum verb)i, print_man_status, (void *)(uintptr_t)verb_row((enum verb)i)->name);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } pages[] = {{"options", print_options},
                 {"commands", print_commands},
                 {"metrics", print_metrics},
                 {"man", print_man}};

    for (size_t i = 0; argc == 2 && i < COUNT_OF(pages); i++) {
        if (strcmp(argv[1], pages[i].name) != 0)
            continue;
        pages[i].print();
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    fprintf(stderr, "usage: generate_docs options|commands|metrics|man\n");
    return EXIT_FAILURE;
}
