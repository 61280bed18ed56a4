/* server_commands.c — from the reply to COMMAND to a table by name.
 *
 * What RESP3 says as maps and sets, RESP2 says as arrays: a map's pairs one behind the other. Servers
 * before Redis 7 say less: no key specifications and no subcommands. */
#include "base/compiler.h"
#include "client/valkey/server_commands_state.h"
#include <stdlib.h>

enum {
    NAME_BYTES_MAX = 128, /* of a command, its subcommand included */
    COMMANDS_MAX = 65536,
    CATEGORIES_MAX = 64,    /* of one command */
    POSITION_MAX = 1 << 20, /* of arguments */
};

/* ---- what a reply says -------------------------------------------------------------------------- */

static bool is_list(const struct resp_node *node)
{
    return node != NULL && (node->type == RESP_ARRAY || node->type == RESP_SET);
}

static bool is_text(const struct resp_node *node)
{
    return node != NULL && (node->type == RESP_BULK || node->type == RESP_SIMPLE);
}

/* The value of `name` in a map, be it one of RESP2; null if there is none. */
static const struct resp_node *value_of(const struct resp_node *map, struct bytes name)
{
    const struct resp_node *key;
    int64_t pair_count;

    if (map == NULL || (map->type != RESP_MAP && map->type != RESP_ARRAY))
        return NULL;
    pair_count = map->type == RESP_MAP ? map->integer : map->integer / 2;
    key = resp_first_member(map);
    for (int64_t i = 0; i < pair_count; i++, key = resp_next(resp_next(key)))
        if (is_text(key) && bytes_equal(key->bytes, name))
            return resp_next(key);
    return NULL;
}

static struct bytes text_of(const struct resp_node *map, struct bytes name)
{
    const struct resp_node *value = value_of(map, name);
    return is_text(value) ? value->bytes : (struct bytes){NULL, 0};
}

static bool is_position(const struct resp_node *node)
{
    return node != NULL && node->type == RESP_INTEGER && node->integer >= -POSITION_MAX &&
           node->integer <= POSITION_MAX;
}

static bool read_position(const struct resp_node *map, struct bytes name, int32_t *position)
{
    const struct resp_node *value = value_of(map, name);

    if (!is_position(value))
        return false;
    *position = (int32_t)value->integer;
    return true;
}

static bool has_word(const struct resp_node *list, struct bytes word)
{
    const struct resp_node *member;

    if (!is_list(list))
        return false;
    member = resp_first_member(list);
    for (int64_t i = 0; i < list->integer; i++, member = resp_next(member))
        if (is_text(member) && bytes_equal(member->bytes, word))
            return true;
    return false;
}

/* ---- into the table ----------------------------------------------------------------------------- */

/* Makes room for one more of `size` bytes each. */
static bool make_room(void **items, size_t count, size_t *capacity, size_t size)
{
    size_t wanted = *capacity > 0 ? *capacity * 2 : 64;
    void *grown;

    if (count < *capacity)
        return true;
    grown = realloc(*items, wanted * size);
    if (grown == NULL)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

static void read_beginning(struct server_commands *commands, const struct resp_node *search,
                           struct key_spec *spec)
{
    const struct resp_node *details = value_of(search, BYTES("spec"));
    struct bytes type = text_of(search, BYTES("type")), keyword = text_of(details, BYTES("keyword"));

    if (bytes_equal(type, BYTES("index")) && read_position(details, BYTES("index"), &spec->begin_at) &&
        spec->begin_at > 0) {
        spec->begin = BEGIN_INDEX;
    } else if (bytes_equal(type, BYTES("keyword")) && keyword.size > 0 && keyword.size <= NAME_BYTES_MAX &&
               read_position(details, BYTES("startfrom"), &spec->begin_at) && spec->begin_at != 0) {
        spec->begin = BEGIN_KEYWORD;
        spec->keyword = (uint32_t)commands->texts.size;
        spec->keyword_size = (uint32_t)keyword.size;
        buffer_append(&commands->texts, keyword);
    }
}

static void read_finding(const struct resp_node *find, struct key_spec *spec)
{
    const struct resp_node *details = value_of(find, BYTES("spec"));
    struct bytes type = text_of(find, BYTES("type"));

    if (!read_position(details, BYTES("keystep"), &spec->step) || spec->step <= 0)
        return;
    if (bytes_equal(type, BYTES("range")) && read_position(details, BYTES("lastkey"), &spec->last) &&
        read_position(details, BYTES("limit"), &spec->limit) && spec->limit >= 0)
        spec->find = FIND_RANGE;
    else if (bytes_equal(type, BYTES("keynum")) &&
             read_position(details, BYTES("keynumidx"), &spec->number_at) && spec->number_at >= 0 &&
             read_position(details, BYTES("firstkey"), &spec->first_key) && spec->first_key >= 0)
        spec->find = FIND_NUMBER;
}

/* What it does not say in a way that we know is unknown, never an error: a newer server may say more. */
static enum err read_spec(struct server_commands *commands, const struct resp_node *node)
{
    const struct resp_node *flags = value_of(node, BYTES("flags"));
    struct key_spec spec = {
        .is_no_key = has_word(flags, BYTES("not_key")),
        .is_incomplete = has_word(flags, BYTES("incomplete")),
    };

    if (!make_room((void **)&commands->specs, commands->spec_count, &commands->spec_capacity, sizeof spec))
        return ERR_NO_MEMORY;
    read_beginning(commands, value_of(node, BYTES("begin_search")), &spec);
    read_finding(value_of(node, BYTES("find_keys")), &spec);
    commands->specs[commands->spec_count++] = spec;
    return OK;
}

static unsigned read_flags(const struct resp_node *flags, const struct resp_node *categories)
{
    static const struct {
        struct bytes word;
        unsigned flag;
    } words[] = {
        {BYTES_INIT("write"), SERVER_COMMAND_WRITES},
        {BYTES_INIT("readonly"), SERVER_COMMAND_READS},
        {BYTES_INIT("blocking"), SERVER_COMMAND_BLOCKS},
        {BYTES_INIT("pubsub"), SERVER_COMMAND_PUBSUB},
        {BYTES_INIT("movablekeys"), SERVER_COMMAND_MOVABLE_KEYS},
        {BYTES_INIT("admin"), SERVER_COMMAND_ADMIN},
        {BYTES_INIT("denyoom"), SERVER_COMMAND_DENYOOM},
    };
    unsigned result = 0;

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (has_word(flags, words[i].word))
            result |= words[i].flag;
    if (has_word(flags, BYTES("noscript")) && has_word(categories, BYTES("@scripting")))
        result |= SERVER_COMMAND_SCRIPT;
    return result;
}

static void read_tips(const struct resp_node *tips, struct server_command *command)
{
    static const struct {
        struct bytes tip;
        enum server_reply_policy policy;
    } policies[] = {
        {BYTES_INIT("response_policy:agg_sum"), REPLY_SUM},
        {BYTES_INIT("response_policy:agg_min"), REPLY_MIN},
        {BYTES_INIT("response_policy:agg_max"), REPLY_MAX},
        {BYTES_INIT("response_policy:agg_logical_and"), REPLY_AND},
        {BYTES_INIT("response_policy:agg_logical_or"), REPLY_OR},
        {BYTES_INIT("response_policy:all_succeeded"), REPLY_ALL_SUCCEEDED},
        {BYTES_INIT("response_policy:one_succeeded"), REPLY_ONE_SUCCEEDED},
        {BYTES_INIT("response_policy:special"), REPLY_SPECIAL},
    };

    if (!has_word(tips, BYTES("request_policy:all_shards")) &&
        !has_word(tips, BYTES("request_policy:all_nodes")))
        return;
    command->flags |= SERVER_COMMAND_EVERY_SHARD;
    command->reply_policy = REPLY_CONCATENATED; /* what is meant where nothing is said */
    for (size_t i = 0; i < COUNT_OF(policies); i++)
        if (has_word(tips, policies[i].tip))
            command->reply_policy = policies[i].policy;
}

/* Keeps a name in lower case, terminated. */
static bool keep_name(struct server_commands *commands, const struct resp_node *node, uint32_t *offset)
{
    *offset = (uint32_t)commands->texts.size;
    if (!is_text(node) || node->bytes.size == 0 || node->bytes.size > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < node->bytes.size; i++) {
        char byte = node->bytes.data[i];
        if (byte <= ' ' || byte > '~')
            return false;
        buffer_append_byte(&commands->texts, byte_to_lower(byte));
    }
    buffer_append_byte(&commands->texts, '\0');
    return true;
}

/* "@read", "@fast" as " read fast ". */
static void keep_categories(struct server_commands *commands, const struct resp_node *list,
                            uint32_t *offset)
{
    const struct resp_node *member;

    *offset = (uint32_t)commands->texts.size;
    if (is_list(list) && list->integer > 0 && list->integer <= CATEGORIES_MAX) {
        buffer_append_byte(&commands->texts, ' ');
        member = resp_first_member(list);
        for (int64_t i = 0; i < list->integer; i++, member = resp_next(member)) {
            if (!is_text(member) || member->bytes.size < 2 || member->bytes.size > NAME_BYTES_MAX ||
                member->bytes.data[0] != '@' ||
                memchr(member->bytes.data, '\0', member->bytes.size) != NULL)
                continue;
            for (size_t at = 1; at < member->bytes.size; at++)
                buffer_append_byte(&commands->texts, byte_to_lower(member->bytes.data[at]));
            buffer_append_byte(&commands->texts, ' ');
        }
    }
    buffer_append_byte(&commands->texts, '\0');
}

/* What COMMAND says of one command, one behind the other; a server before Redis 7 says the first six or
 * seven of them. */
struct fields {
    const struct resp_node *name, *arity, *flags, *first_key, *last_key, *key_step, *categories, *tips,
        *specs, *subcommands;
};

static bool split_fields(const struct resp_node *node, struct fields *fields)
{
    enum { COUNT = 10, NEEDED = 6 };
    const struct resp_node *at[COUNT] = {0}, *member;

    if (node->type != RESP_ARRAY || node->integer < NEEDED)
        return false;
    member = resp_first_member(node);
    for (int64_t i = 0; i < node->integer && i < COUNT; i++, member = resp_next(member))
        at[i] = member;
    *fields = (struct fields){at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7], at[8], at[9]};
    return is_list(fields->flags) && is_position(fields->arity) && is_position(fields->first_key) &&
           is_position(fields->last_key) && is_position(fields->key_step);
}

static enum err read_command(struct server_commands *commands, const struct resp_node *node,
                             const struct resp_node **subcommands)
{
    struct entry entry = {.first_spec = (uint32_t)commands->spec_count};
    struct server_command *command = &entry.command;
    const struct resp_node *spec;
    struct fields fields;
    enum err err = OK;

    if (!split_fields(node, &fields) || !keep_name(commands, fields.name, &entry.name))
        return ERR_SYNTAX;
    if (commands->entry_count == COMMANDS_MAX)
        return ERR_SYNTAX;
    if (!make_room((void **)&commands->entries, commands->entry_count, &commands->entry_capacity,
                   sizeof entry))
        return ERR_NO_MEMORY;
    command->arity = (int)fields.arity->integer;
    command->first_key = (int)fields.first_key->integer;
    command->last_key = (int)fields.last_key->integer;
    command->key_step = (int)fields.key_step->integer;
    command->flags = read_flags(fields.flags, fields.categories);
    keep_categories(commands, fields.categories, &entry.categories);
    read_tips(fields.tips, command);
    if (is_list(fields.specs)) {
        spec = resp_first_member(fields.specs);
        for (int64_t i = 0; i < fields.specs->integer && err == OK; i++, spec = resp_next(spec))
            err = read_spec(commands, spec);
        entry.spec_count = (uint32_t)commands->spec_count - entry.first_spec;
    }
    *subcommands =
        is_list(fields.subcommands) && fields.subcommands->integer > 0 ? fields.subcommands : NULL;
    if (*subcommands != NULL)
        command->flags |= SERVER_COMMAND_HAS_SUBCOMMANDS;
    commands->entries[commands->entry_count++] = entry;
    return err;
}

/* Subcommands have none of their own. */
static enum err read_with_subcommands(struct server_commands *commands, const struct resp_node *node)
{
    const struct resp_node *subcommands, *none, *subcommand;
    enum err err = read_command(commands, node, &subcommands);

    if (err != OK || subcommands == NULL)
        return err;
    subcommand = resp_first_member(subcommands);
    for (int64_t i = 0; i < subcommands->integer && err == OK; i++, subcommand = resp_next(subcommand))
        err = read_command(commands, subcommand, &none);
    return err;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->command.name, ((const struct entry *)b)->command.name);
}

enum err server_commands_create(const struct resp_reply *reply, struct server_commands **result)
{
    const struct resp_node *list = reply->nodes, *node = resp_first_member(list);
    struct server_commands *commands;
    enum err err = OK;

    if (!is_list(list) || list->integer <= 0)
        return ERR_SYNTAX;
    commands = calloc(1, sizeof *commands);
    if (commands == NULL)
        return ERR_NO_MEMORY;
    for (int64_t i = 0; i < list->integer && err == OK; i++, node = resp_next(node))
        err = read_with_subcommands(commands, node);
    if (err == OK && commands->texts.failed)
        err = ERR_NO_MEMORY;
    if (err != OK) {
        server_commands_destroy(commands);
        return err;
    }
    for (size_t i = 0; i < commands->entry_count; i++) {
        struct entry *entry = &commands->entries[i];
        entry->command.name = commands->texts.data + entry->name;
        entry->command.categories = commands->texts.data + entry->categories;
    }
    qsort(commands->entries, commands->entry_count, sizeof commands->entries[0], by_name);
    *result = commands;
    return OK;
}

void server_commands_destroy(struct server_commands *commands)
{
    if (commands == NULL)
        return;
    free(commands->entries);
    free(commands->specs);
    buffer_fini(&commands->texts);
    free(commands);
}

/* ---- finding a command -------------------------------------------------------------------------- */

/* Appends `word` in lower case to a name of `*size` bytes; false if it gets too long. */
static bool add_word(char name[NAME_BYTES_MAX + 1], size_t *size, struct bytes word)
{
    if (word.size > NAME_BYTES_MAX - *size)
        return false;
    for (size_t i = 0; i < word.size; i++)
        name[(*size)++] = byte_to_lower(word.data[i]);
    name[*size] = '\0';
    return memchr(word.data, '\0', word.size) == NULL;
}

static const struct server_command *find(const struct server_commands *commands, const char *name)
{
    const struct entry key = {.command.name = name};
    const struct entry *entry =
        bsearch(&key, commands->entries, commands->entry_count, sizeof key, by_name);
    return entry != NULL ? &entry->command : NULL;
}

const struct server_command *server_commands_find(const struct server_commands *commands,
                                                  const struct bytes *arguments, uint32_t argument_count)
{
    const struct server_command *command;
    char name[NAME_BYTES_MAX + 1];
    size_t size = 0;

    if (argument_count == 0 || arguments[0].size == 0 || !add_word(name, &size, arguments[0]) ||
        strchr(name, '|') !=
            NULL) /* which stands between a command and its subcommand here, and only here */
        return NULL;
    command = find(commands, name);
    if (command == NULL || argument_count == 1 || !(command->flags & SERVER_COMMAND_HAS_SUBCOMMANDS))
        return command;
    if (!add_word(name, &size, BYTES("|")) || arguments[1].size == 0 ||
        !add_word(name, &size, arguments[1]))
        return NULL;
    return find(commands, name);
}

bool server_command_is_of(const struct server_command *command, struct bytes category)
{
    struct bytes rest = bytes_of_text(command->categories);
    const char *end;

    if (category.size == 0 || memchr(category.data, ' ', category.size) != NULL)
        return false;
    while (rest.size > 1 && (end = memchr(rest.data + 1, ' ', rest.size - 1)) != NULL) {
        if (bytes_equal(bytes_of(rest.data + 1, (size_t)(end - rest.data) - 1), category))
            return true;
        rest = bytes_after(rest, (size_t)(end - rest.data));
    }
    return false;
}
