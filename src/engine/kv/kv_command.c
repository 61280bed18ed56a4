/* kv_command.c — COMMAND: the table of commands told to those who ask. */
#include "base/glob.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_category.h"
#include "engine/kv/kv_command_keys.h"
#include <stdio.h>

static void say_text(const struct kv_call *call, const char *text)
{
    reply_say(call->reply, &(struct outcome){.kind = OUTCOME_text, .bytes = bytes_of_text(text)});
}

static void say_value(const struct kv_call *call, const char *text)
{
    reply_value(call->reply, bytes_of_text(text));
}

/* Says the names whose condition holds, as a set. */
struct word_if {
    const char *word;
    bool holds;
};

static void say_words(const struct kv_call *call, const struct word_if *words, size_t count)
{
    size_t holding = 0;

    for (size_t i = 0; i < count; i++)
        holding += words[i].holds;
    reply_aggregate(call->reply, OUTCOME_set, holding);
    for (size_t i = 0; i < count; i++)
        if (words[i].holds)
            say_text(call, words[i].word);
}

static void say_flags(const struct kv_call *call, unsigned flags)
{
    const struct word_if words[] = {
        {"write", flags & COMMAND_WRITE},
        {"readonly", flags & COMMAND_READONLY},
        {"denyoom", flags & COMMAND_DENYOOM},
        {"admin", flags & COMMAND_ADMIN},
        {"pubsub", flags & COMMAND_PUBSUB},
        {"noscript",
         flags & COMMAND_HANDSHAKE || (flags & (COMMAND_PUBSUB | COMMAND_FAST)) == COMMAND_PUBSUB},
        {"loading", flags & COMMAND_ALWAYS},
        {"stale", flags & COMMAND_ALWAYS},
        {"fast", flags & COMMAND_FAST},
        {"no_auth", flags & COMMAND_HANDSHAKE},
        {"allow_busy", flags & COMMAND_HANDSHAKE},
    };
    say_words(call, words, COUNT_OF(words));
}

static void say_categories(const struct kv_call *call, enum command_id id)
{
    uint32_t categories = kv_categories(id);
    struct word_if words[KV_CATEGORY_COUNT];
    char names[KV_CATEGORY_COUNT][32];

    for (int i = 0; i < KV_CATEGORY_COUNT; i++) {
        snprintf(names[i], sizeof names[i], "@%s", kv_category_name((enum kv_category)i));
        words[i] = (struct word_if){names[i], categories >> i & 1};
    }
    say_words(call, words, COUNT_OF(words));
}

static bool is_in_category(enum command_id id, struct bytes name)
{
    for (int i = 0; i < KV_CATEGORY_COUNT; i++)
        if (kv_categories(id) >> i & 1 &&
            bytes_equal_nocase(bytes_of_text(kv_category_name((enum kv_category)i)), name))
            return true;
    return false;
}

static void say_key_specifications(const struct kv_call *call, const struct command_row *row)
{
    reply_aggregate(call->reply, OUTCOME_set, row->first_key != 0);
    if (row->first_key == 0)
        return;
    reply_aggregate(call->reply, OUTCOME_map, 3);
    say_value(call, "flags");
    kv_say_key_flags(call, kv_key_flags(row));
    say_value(call, "begin_search");
    reply_aggregate(call->reply, OUTCOME_map, 2);
    say_value(call, "type");
    say_value(call, "index");
    say_value(call, "spec");
    reply_aggregate(call->reply, OUTCOME_map, 1);
    say_value(call, "index");
    reply_integer(call->reply, row->first_key);
    say_value(call, "find_keys");
    reply_aggregate(call->reply, OUTCOME_map, 2);
    say_value(call, "type");
    say_value(call, "range");
    say_value(call, "spec");
    reply_aggregate(call->reply, OUTCOME_map, 3);
    say_value(call, "lastkey"); /* counted from the first key */
    reply_integer(call->reply, row->last_key > 0 ? row->last_key - row->first_key : row->last_key);
    say_value(call, "keystep");
    reply_integer(call->reply, row->key_step);
    say_value(call, "limit");
    reply_integer(call->reply, 0);
}

static void say_row(const struct kv_call *call, enum command_id id)
{
    const struct command_row *row = command_row(id);

    reply_aggregate(call->reply, OUTCOME_array, 10);
    say_value(call, row->name);
    reply_integer(call->reply, row->arity);
    say_flags(call, row->flags);
    reply_integer(call->reply, row->first_key);
    reply_integer(call->reply, row->last_key);
    reply_integer(call->reply, row->key_step);
    say_categories(call, id);
    reply_aggregate(call->reply, OUTCOME_set, 0); /* tips */
    say_key_specifications(call, row);
    reply_aggregate(call->reply, OUTCOME_set, 0); /* subcommands are not rows */
}

static void say_documentation(const struct kv_call *call, enum command_id id)
{
    const struct command_row *row = command_row(id);

    say_value(call, row->name);
    reply_aggregate(call->reply, OUTCOME_map, 3);
    say_value(call, "summary");
    say_value(call, row->summary);
    say_value(call, "since");
    say_value(call, row->since);
    say_value(call, "group");
    say_value(call, row->group);
}

static bool is_resp(enum command_id id) { return command_row(id)->dialect == DIALECT_resp; }

static size_t count_of_commands(void)
{
    size_t count = 0;

    for (enum command_id id = COMMAND_UNKNOWN + 1; id < COMMAND_COUNT; id++)
        count += is_resp(id);
    return count;
}

/* ---- subcommands --------------------------------------------------------------------------------------
 */

static void command_all(const struct kv_call *call)
{
    reply_aggregate(call->reply, OUTCOME_array, count_of_commands());
    for (enum command_id id = COMMAND_UNKNOWN + 1; id < COMMAND_COUNT; id++)
        if (is_resp(id))
            say_row(call, id);
}

static void command_count(const struct kv_call *call)
{
    reply_integer(call->reply, (int64_t)count_of_commands());
}

static void command_info(const struct kv_call *call)
{
    if (call->argument_count == 2) {
        command_all(call);
        return;
    }
    reply_aggregate(call->reply, OUTCOME_array, call->argument_count - 2);
    for (uint32_t i = 2; i < call->argument_count; i++) {
        enum command_id id = command_find(DIALECT_resp, call->arguments[i]);
        if (id == COMMAND_UNKNOWN)
            reply_kind(call->reply, OUTCOME_nothing);
        else
            say_row(call, id);
    }
}

static void command_docs(const struct kv_call *call)
{
    size_t known = 0;

    if (call->argument_count == 2) {
        reply_aggregate(call->reply, OUTCOME_map, count_of_commands());
        for (enum command_id id = COMMAND_UNKNOWN + 1; id < COMMAND_COUNT; id++)
            if (is_resp(id))
                say_documentation(call, id);
        return;
    }
    for (uint32_t i = 2; i < call->argument_count; i++)
        known += command_find(DIALECT_resp, call->arguments[i]) != COMMAND_UNKNOWN;
    reply_aggregate(call->reply, OUTCOME_map, known);
    for (uint32_t i = 2; i < call->argument_count; i++) {
        enum command_id id = command_find(DIALECT_resp, call->arguments[i]);
        if (id != COMMAND_UNKNOWN)
            say_documentation(call, id);
    }
}

/* COMMAND LIST FILTERBY MODULE | ACLCAT | PATTERN; nothing is of a module. */
static bool is_listed(const struct kv_call *call, enum command_id id)
{
    if (!is_resp(id))
        return false;
    if (call->argument_count == 2)
        return true;
    if (kv_argument_is(call, 3, BYTES("aclcat")))
        return is_in_category(id, call->arguments[4]);
    if (kv_argument_is(call, 3, BYTES("pattern")))
        return glob_fits_nocase(call->arguments[4], bytes_of_text(command_row(id)->name));
    return false;
}

static void command_list(const struct kv_call *call)
{
    size_t count = 0;

    if (call->argument_count != 2 &&
        (call->argument_count != 5 || !kv_argument_is(call, 2, BYTES("filterby")) ||
         (!kv_argument_is(call, 3, BYTES("module")) && !kv_argument_is(call, 3, BYTES("aclcat")) &&
          !kv_argument_is(call, 3, BYTES("pattern"))))) {
        kv_syntax_error(call);
        return;
    }
    for (enum command_id id = COMMAND_UNKNOWN + 1; id < COMMAND_COUNT; id++)
        count += is_listed(call, id);
    reply_aggregate(call->reply, OUTCOME_array, count);
    for (enum command_id id = COMMAND_UNKNOWN + 1; id < COMMAND_COUNT; id++)
        if (is_listed(call, id))
            say_value(call, command_row(id)->name);
}

static void command_help(const struct kv_call *call)
{
    static const char *const lines[] = {
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the number of commands.",
        "LIST [FILTERBY (MODULE|ACLCAT|PATTERN) <value>]",
        "    Return the names of all commands, or of some.",
        "GETKEYS <full-command>",
        "    Return the keys from a full command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full command.",
        "INFO [<command-name> ...]",
        "    Return details about some commands, or all.",
        "DOCS [<command-name> ...]",
        "    Return documentation of some commands, or all.",
        "HELP",
        "    Print this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_command(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {
        {"docs", -2, command_docs},
        {"info", -2, command_info},
        {"count", 2, command_count},
        {"list", -2, command_list},
        {"help", 2, command_help},
        {"getkeys", -4, kv_command_getkeys},
        {"getkeysandflags", -4, kv_command_getkeysandflags},
    };
    if (call->argument_count == 1)
        command_all(call);
    else
        kv_run_subcommand(call, rows, COUNT_OF(rows));
}
