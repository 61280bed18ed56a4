/* kv_user_rule.h — for kv_user_rule.c alone: the rules of commands. Null, or what is wrong, as
 * kv_user_apply. */
#pragma once
#include "engine/kv/kv_user.h"

/* "allcommands" and "nocommands". */
const char *kv_rule_all_commands(struct kv_user *user, bool is_permitted);

/* "+@name" and "-@name". */
const char *kv_rule_category(struct kv_user *user, bool is_permitted, struct bytes name);

/* "+name", "+name|subcommand", "+name|first argument"; and "-". */
const char *kv_rule_command(struct kv_user *user, bool is_permitted, struct bytes name);
