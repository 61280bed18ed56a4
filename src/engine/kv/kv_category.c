#include "engine/kv/kv_category.h"
#include "base/compiler.h"
#include <stdio.h>

#define BIT(name) (UINT32_C(1) << KV_CATEGORY_##name)

/* The words of tables/subcommands.def. */
enum {
    NONE = 0,
    ADMIN = BIT(admin) | BIT(dangerous),
    CONNECTION = BIT(connection),
    KEYSPACE = BIT(keyspace),
    READ = BIT(read),
    PUBSUB = BIT(pubsub),
};

static const struct subcommand {
    const char *container, *name;
    uint32_t categories, key;
} subcommands[] = {
#define SUBCOMMAND(container, name, categories, key) {container, name, categories, key},
#include "tables/subcommands.def"
#undef SUBCOMMAND
};

static const char *const category_names[] = {
#define CATEGORY(name) #name,
#include "tables/categories.def"
#undef CATEGORY
};

/* Groups of tables/commands.def that are a category of Redis. */
static const struct {
    const char *group;
    uint32_t category;
} categories_of_groups[] = {
    {"string", BIT(string)},         {"bitmap", BIT(bitmap)},
    {"pubsub", BIT(pubsub)},         {"transactions", BIT(transaction)},
    {"connection", BIT(connection)}, {"generic", BIT(keyspace)},
};

const char *kv_category_name(enum kv_category category) { return category_names[category]; }

bool kv_category_find(struct bytes name, enum kv_category *category)
{
    for (int i = 0; i < KV_CATEGORY_COUNT; i++) {
        if (!bytes_equal_nocase(bytes_of_text(category_names[i]), name))
            continue;
        *category = (enum kv_category)i;
        return true;
    }
    return false;
}

static const struct subcommand *subcommand_of(unsigned permission)
{
    return permission < COMMAND_COUNT ? NULL : &subcommands[permission - COMMAND_COUNT];
}

/* A container is asked about for its subcommands only: Redis has it in no category but @slow. COMMAND does
 * something by itself. */
static bool is_mere_container(const struct command_row *row)
{
    return row->arity == -2 && kv_is_container(bytes_of_text(row->name));
}

static uint32_t categories_of_row(const struct command_row *row)
{
    uint32_t categories = row->flags & COMMAND_FAST ? BIT(fast) : BIT(slow);

    if (is_mere_container(row))
        return BIT(slow);
    for (size_t i = 0; i < COUNT_OF(categories_of_groups); i++)
        if (strcmp(categories_of_groups[i].group, row->group) == 0)
            categories |= categories_of_groups[i].category;
    /* What is about all keys is Redis's "server", but for LOLWUT, which is about none; and WAIT is
     * "generic". */
    if (strcmp(row->group, "server") == 0 && row->flags & (COMMAND_READONLY | COMMAND_WRITE) &&
        strcmp(row->name, "lolwut") != 0)
        categories |= BIT(keyspace);
    if (strcmp(row->name, "wait") == 0)
        categories &= ~BIT(keyspace);
    if (row->flags & COMMAND_READONLY)
        categories |= BIT(read);
    if (row->flags & COMMAND_WRITE)
        categories |= BIT(write);
    /* Redis has ROLE and LASTSAVE among them, too, though not by their flags. */
    if (row->flags & COMMAND_ADMIN || strcmp(row->name, "role") == 0 || strcmp(row->name, "lastsave") == 0)
        categories |= BIT(admin) | BIT(dangerous);
    if (row->flags & COMMAND_DANGEROUS)
        categories |= BIT(dangerous);
    if (row->flags & COMMAND_CONNECTION)
        categories |= BIT(connection);
    return categories;
}

uint32_t kv_categories(unsigned permission)
{
    const struct subcommand *subcommand = subcommand_of(permission);

    if (permission == COMMAND_UNKNOWN)
        return 0;
    if (subcommand != NULL)
        return subcommand->categories | BIT(slow);
    return categories_of_row(command_row((enum command_id)permission));
}

void kv_permission_name(unsigned permission, char *name)
{
    const struct subcommand *subcommand = subcommand_of(permission);

    if (subcommand != NULL)
        snprintf(name, KV_PERMISSION_NAME_BYTES, "%s|%s", subcommand->container, subcommand->name);
    else
        snprintf(name, KV_PERMISSION_NAME_BYTES, "%s", command_row((enum command_id)permission)->name);
}

bool kv_permission_is_resp(unsigned permission)
{
    const struct subcommand *subcommand = subcommand_of(permission);

    if (permission == COMMAND_UNKNOWN)
        return false;
    if (subcommand != NULL)
        return command_find(DIALECT_resp, bytes_of_text(subcommand->container)) != COMMAND_UNKNOWN;
    return command_row((enum command_id)permission)->dialect == DIALECT_resp;
}

unsigned kv_subcommand_find(struct bytes container, struct bytes name)
{
    for (unsigned i = 0; i < COUNT_OF(subcommands); i++)
        if (bytes_equal_nocase(bytes_of_text(subcommands[i].name), name) &&
            bytes_equal_nocase(bytes_of_text(subcommands[i].container), container))
            return COMMAND_COUNT + i;
    return 0;
}

bool kv_is_container(struct bytes name)
{
    for (size_t i = 0; i < COUNT_OF(subcommands); i++)
        if (bytes_equal_nocase(bytes_of_text(subcommands[i].container), name))
            return true;
    return false;
}

unsigned kv_permission_of(enum command_id id, const struct bytes *arguments, uint32_t argument_count)
{
    const struct command_row *row;
    unsigned subcommand = 0;

    if (id == COMMAND_UNKNOWN)
        return 0;
    row = command_row(id);
    if (argument_count > 1 && (row->arity == -2 || row->arity == -1) && row->dialect == DIALECT_resp)
        subcommand = kv_subcommand_find(bytes_of_text(row->name), arguments[1]);
    return subcommand != 0 ? subcommand : id;
}

const char *kv_subcommand_container(unsigned permission)
{
    const struct subcommand *subcommand = subcommand_of(permission);
    return subcommand != NULL ? subcommand->container : NULL;
}

uint32_t kv_subcommand_key(unsigned permission)
{
    const struct subcommand *subcommand = subcommand_of(permission);
    return subcommand != NULL ? subcommand->key : 0;
}
