#include "base/compiler.h"
#include "base/number.h"
#include "server/nearest.h"
#include "server/option_read.h"
#include "server/options.h"
#include "server/tier_url.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct place on_command_line = {-1, 0};

/* ---- the command ------------------------------------------------------------------------------- */

static bool find_verb(const char *word, enum verb *verb)
{
    for (int i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verb_row((enum verb)i)->name, word) != 0)
            continue;
        *verb = (enum verb)i;
        return true;
    }
    return false;
}

static enum err refuse_verb(const struct options *options, const char *word, struct buffer *message)
{
    struct nearest nearest = {.wanted = bytes_of_text(word)};

    for (int i = 0; i < VERB_COUNT; i++)
        nearest_consider(&nearest, verb_row((enum verb)i)->name);
    if (word[0] == '-')
        options_report(options, on_command_line, message,
                       "%s comes too early: first the command, then its options; see nuthatch --help",
                       shown_text(bytes_of_text(word)).text);
    else if (nearest.name != NULL)
        options_report(options, on_command_line, message,
                       "unknown command %s; did you mean %s? See nuthatch --help",
                       shown_text(bytes_of_text(word)).text, nearest.name);
    else
        options_report(options, on_command_line, message, "unknown command %s; see nuthatch --help",
                       shown_text(bytes_of_text(word)).text);
    return ERR_SYNTAX;
}

/* ---- flags and operands ------------------------------------------------------------------------ */

static bool is_flag_of(const struct option_row *row, enum verb verb)
{
    return (row->verbs & 1u << verb) != 0 && !option_is_operand(row);
}

static const struct option_row *find_flag(enum verb verb, struct bytes name)
{
    for (size_t i = 0; i < option_row_count(); i++)
        if (is_flag_of(option_row(i), verb) && bytes_equal(bytes_of_text(option_row(i)->name), name))
            return option_row(i);
    return NULL;
}

static enum err refuse_flag(const struct options *options, struct bytes name, struct buffer *message)
{
    struct nearest nearest = {.wanted = name};
    const char *verb = verb_row(options->verb)->name;
    struct shown shown = shown_text(name);

    for (size_t i = 0; i < option_row_count(); i++) {
        const struct option_row *row = option_row(i);
        if (is_flag_of(row, options->verb))
            nearest_consider(&nearest, row->name);
        if (!bytes_equal(bytes_of_text(row->name), name))
            continue;
        if (option_is_operand(row) && (row->verbs & 1u << options->verb) != 0)
            options_report(options, on_command_line, message,
                           "--%s is written without its name: nuthatch %s %s", row->name, verb,
                           verb_row(options->verb)->operand);
        else if (options->verb == VERB_SERVE || options->verb == VERB_CHECK)
            options_report(options, on_command_line, message, "--%s belongs under its role in the file",
                           row->name);
        else
            options_report(options, on_command_line, message,
                           "--%s is no option of %s; see nuthatch %s --help", row->name, verb, verb);
        return ERR_SYNTAX;
    }
    if (nearest.name != NULL)
        options_report(options, on_command_line, message,
                       "unknown option --%s; did you mean --%s? See nuthatch %s --help", shown.text,
                       nearest.name, verb);
    else
        options_report(options, on_command_line, message, "unknown option --%s; see nuthatch %s --help",
                       shown.text, verb);
    return ERR_SYNTAX;
}

/* What the flags and the operand of the command line are written to. */
struct command_line {
    struct options *options;
    struct role_options *role; /* null for serve, check and demo */
    int argc, next;
    char **argv;
    bool has_operand;
    struct buffer *message;
};

static enum err take_value(struct command_line *line, const struct option_row *row, const char *written,
                           struct bytes text)
{
    struct buffer why = {0};
    void *base = row->roles != 0 ? (void *)line->role : (void *)line->options;
    enum err err;

    assert(base != NULL); /* a role's options are only found under that role's verb */
    err = option_set(row, base, text, on_command_line, &why);
    if (err == OK && row->roles == 0)
        line->options->set_at[row - option_row(0)] = on_command_line;
    else if (err == OK)
        line->role->is_given[row - option_row(0)] = true;
    if (err == ERR_SYNTAX || err == ERR_RANGE) {
        options_report(line->options, on_command_line, line->message, "%s: %.*s", written,
                       BYTES_PRINTF(buffer_bytes(&why)));
        err = ERR_SYNTAX;
    }
    buffer_fini(&why);
    return err;
}

/* The option that `--no-NAME` answers with no, or null. */
static const struct option_row *find_denied(enum verb verb, struct bytes name)
{
    const struct option_row *row =
        bytes_start_with(name, BYTES("no-")) ? find_flag(verb, bytes_after(name, 3)) : NULL;

    return row != NULL && row->type == OPTION_TYPE_answer ? row : NULL;
}

/* Whether the next word of the command line answers an option that may also stand alone. What the command
 * still waits for does not. */
static bool is_answered(const struct command_line *line)
{
    const char *word = line->next < line->argc ? line->argv[line->next] : "--";

    return strcmp(word, "yes") == 0 || strcmp(word, "no") == 0 ||
           (strncmp(word, "--", 2) != 0 &&
            (verb_row(line->options->verb)->operand == NULL || line->has_operand));
}

static enum err take_delay(struct command_line *line, const struct option_row *row, struct bytes value)
{
    struct buffer text = {0};
    int64_t ignored;
    enum err err;

    buffer_append(&text, value);
    if (int64_parse(value, &ignored))
        buffer_append_literal(&text, "ms");
    err = text.failed ? ERR_NO_MEMORY : take_value(line, row, "--delay", buffer_bytes(&text));
    buffer_fini(&text);
    return err;
}

/* So that a secret is not seen for as long as the process runs. The bytes are argv's, and may be written.
 */
static void wipe_argument(struct bytes secret)
{
    if (secret.size > 0)
        memset((char *)(uintptr_t)secret.data, '*', secret.size);
}

static enum err take_flag(struct command_line *line, const char *argument)
{
    const char *equals = strchr(argument, '=');
    struct bytes name = {argument + 2,
                         equals != NULL ? (size_t)(equals - argument - 2) : strlen(argument + 2)};
    bool is_delay = line->options->verb == VERB_MOCK && bytes_equal(name, BYTES("delay"));
    const struct option_row *row = find_flag(line->options->verb, is_delay ? BYTES("latency") : name);
    struct bytes value = BYTES("");
    enum err err;
    char written[OPTION_COUNT_MAX];

    if (row == NULL && equals == NULL && (row = find_denied(line->options->verb, name)) != NULL)
        return take_value(line, row, argument, BYTES("no"));
    if (row == NULL)
        return refuse_flag(line->options, name, line->message);
    snprintf(written, sizeof written, "--%s", row->name);
    if (row->type == OPTION_TYPE_answer && equals == NULL && !is_answered(line)) {
        value = BYTES("yes");
    } else if (row->type == OPTION_TYPE_flag) {
        if (equals != NULL) {
            options_report(line->options, on_command_line, line->message, "%s takes no value", written);
            return ERR_SYNTAX;
        }
    } else if (equals != NULL) {
        value = bytes_of_text(equals + 1);
    } else if (line->next < line->argc && strncmp(line->argv[line->next], "--", 2) != 0) {
        value = bytes_of_text(line->argv[line->next++]);
    } else {
        struct buffer placeholder = {0};
        option_append_placeholder(&placeholder, row);
        options_report(line->options, on_command_line, line->message, "%s needs a value: %s %.*s", written,
                       written, BYTES_PRINTF(buffer_bytes(&placeholder)));
        buffer_fini(&placeholder);
        return ERR_SYNTAX;
    }
    if (is_delay) /* json-server's name for latency, and its number is of milliseconds */
        return take_delay(line, row, value);
    err = take_value(line, row, written, value);
    if (row->type == OPTION_TYPE_secret)
        wipe_argument(value);
    else if (row->type == OPTION_TYPE_tier)
        wipe_argument(tier_url_password(value));
    return err;
}

static const struct option_row *operand_of(enum verb verb)
{
    for (size_t i = 0; i < option_row_count() && (unsigned)verb < ROLE_COUNT; i++)
        if ((option_row(i)->verbs & 1u << verb) != 0 && option_is_operand(option_row(i)))
            return option_row(i);
    return NULL;
}

static enum err take_purge_url(struct command_line *line, struct bytes text)
{
    if (option_text_is_visible(text) && (text.data[0] == '/' || bytes_start_with(text, BYTES("http://")) ||
                                         bytes_start_with(text, BYTES("https://"))))
        return text_list_append(&line->options->purge_urls, text);
    options_report(line->options, on_command_line, line->message,
                   "\"%s\" is no URL; write a path such as /birds/1, or a whole URL",
                   shown_text(text).text);
    return ERR_SYNTAX;
}

static enum err take_operand(struct command_line *line, const char *argument)
{
    const struct verb_row *verb = verb_row(line->options->verb);
    const struct option_row *row = operand_of(line->options->verb);
    bool may_be_repeated = line->options->verb == VERB_PURGE || (row != NULL && option_is_list(row));

    if (verb->operand == NULL || (line->has_operand && !may_be_repeated)) {
        options_report(line->options, on_command_line, line->message,
                       "%s is one word too many; see nuthatch %s --help",
                       shown_text(bytes_of_text(argument)).text, verb->name);
        return ERR_SYNTAX;
    }
    line->has_operand = true;
    if (line->options->verb == VERB_PURGE)
        return take_purge_url(line, bytes_of_text(argument));
    if (row != NULL)
        return take_value(line, row, verb->operand, bytes_of_text(argument));
    line->options->file = strdup(argument);
    return line->options->file != NULL ? OK : ERR_NO_MEMORY;
}

/* ---- the whole --------------------------------------------------------------------------------- */

static enum err take_rest(struct command_line *line)
{
    bool only_operands = false;
    enum err err = OK;

    while (line->next < line->argc && err == OK) {
        const char *argument = line->argv[line->next++];
        if (only_operands || argument[0] != '-' || argument[1] == '\0')
            err = take_operand(line, argument);
        else if (strcmp(argument, "--") == 0)
            only_operands = true;
        else if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            line->options->help_verb = line->options->verb;
            line->options->verb = VERB_HELP;
            return OK;
        } else if (strcmp(argument, "--version") == 0) {
            line->options->verb = VERB_VERSION;
            return OK;
        } else if (argument[1] != '-') {
            options_report(line->options, on_command_line, line->message,
                           "unknown option %s; options are whole words, such as --threads",
                           shown_text(bytes_of_text(argument)).text);
            return ERR_SYNTAX;
        } else
            err = take_flag(line, argument);
    }
    return err;
}

/* Of the commands that ask the administrator's API. */
static bool check_admin(const struct options *options, struct buffer *message)
{
    const char *admin = options->admin_api;

    if (admin == NULL || option_is_http_url(bytes_of_text(admin)) ||
        bytes_start_with(bytes_of_text(admin), BYTES("http+unix:///")))
        return true;
    options_report(options, on_command_line, message,
                   "--admin: \"%s\" is not where an administrator's API is; write one like "
                   "http://127.0.0.1:9190 or http+unix:///run/nuthatch.sock",
                   shown_text(bytes_of_text(admin)).text);
    return false;
}

static bool check_purge(const struct options *options, struct buffer *message)
{
    size_t named = options->purge_urls.count + options->purge_prefixes.count + options->purge_tags.count;

    if (named == 0 && !options->purge_all)
        options_report(options, on_command_line, message,
                       "purge what? Name a URL, or --prefix, --tag or --all; see nuthatch purge --help");
    else if (named > 0 && options->purge_all)
        options_report(options, on_command_line, message,
                       "--all leaves nothing else to name; leave out the one or the other");
    else
        return check_admin(options, message);
    return false;
}

enum err options_parse_arguments(struct options *options, int argc, char **argv, struct buffer *message)
{
    struct command_line line = {
        .options = options, .argc = argc, .argv = argv, .next = 2, .message = message};
    enum err err;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        options->verb = options->help_verb = VERB_HELP;
        return OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        options->verb = VERB_VERSION;
        return OK;
    }
    if (!find_verb(argv[1], &options->verb))
        return refuse_verb(options, argv[1], message);
    if ((unsigned)options->verb < ROLE_COUNT) {
        line.role = options_add_role(options, (enum role)options->verb, on_command_line);
        if (line.role == NULL)
            return ERR_NO_MEMORY;
    }
    err = take_rest(&line);
    if (err != OK || options->verb == VERB_HELP || options->verb == VERB_VERSION)
        return err;
    if (options->verb == VERB_PURGE)
        return check_purge(options, message) ? OK : ERR_SYNTAX;
    if (options->verb == VERB_STATUS)
        return check_admin(options, message) ? OK : ERR_SYNTAX;
    if (verb_row(options->verb)->operand != NULL && !line.has_operand &&
        (options->verb != VERB_MOCK || line.role->rules_paths.count == 0)) {
        options_report(options, on_command_line, message, "%s needs a %s, such as: %s",
                       verb_row(options->verb)->name, verb_row(options->verb)->operand,
                       verb_row(options->verb)->example);
        return ERR_SYNTAX;
    }
    if (options->file != NULL)
        return options_load_yaml(options, options->file, message);
    return options_complete(options, message);
}
