/* kv_category.h — what can be permitted: commands and subcommands, by themselves or by Redis's categories.
 *
 * A permission is a number: a command's id, or COMMAND_COUNT and the row of tables/subcommands.def. Pure.
 */
#pragma once
#include "base/bytes.h"
#include "message/command.h"

enum kv_category {
#define CATEGORY(name) KV_CATEGORY_##name,
#include "tables/categories.def"
#undef CATEGORY
    KV_CATEGORY_COUNT
};

enum {
    KV_SUBCOMMAND_COUNT = 0
#define SUBCOMMAND(container, name, categories, key) +1
#include "tables/subcommands.def"
#undef SUBCOMMAND
    ,
    KV_PERMISSION_COUNT = COMMAND_COUNT + KV_SUBCOMMAND_COUNT
};

enum { KV_PERMISSION_NAME_BYTES = 64 };

/* Static, such as "dangerous". */
const char *kv_category_name(enum kv_category category);

/* True if there is one of that name, without '@', in any case. */
bool kv_category_find(struct bytes name, enum kv_category *category);

/* The categories of a permission, a bit each: 1 << KV_CATEGORY_…. */
uint32_t kv_categories(unsigned permission);

/* "get" or "config|get"; `name` has KV_PERMISSION_NAME_BYTES. */
void kv_permission_name(unsigned permission, char *name);

/* Whether a permission is of RESP, or memcached's alone. Permission 0 is none. */
bool kv_permission_is_resp(unsigned permission);

/* What a command needs: the permission of its subcommand if argument 1 names one, else its own. */
unsigned kv_permission_of(enum command_id id, const struct bytes *arguments, uint32_t argument_count);

/* The subcommand of a container of that name; 0 if there is none. */
unsigned kv_subcommand_find(struct bytes container, struct bytes name);
bool kv_is_container(struct bytes name);

/* The container a subcommand belongs to, and the argument that is its key, 0 for none. Of a command: null
 * and 0. */
const char *kv_subcommand_container(unsigned permission);
uint32_t kv_subcommand_key(unsigned permission);
