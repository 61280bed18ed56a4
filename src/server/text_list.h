/* text_list.h — names of files and the like, in the order they were given, each owned by its list.
 *
 * A list of zeroes is empty. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"

struct text_list {
    char **items;
    size_t count;
};

/* A copy with a 0 behind it, the caller's; null without memory. */
char *text_copy(struct bytes text);

/* `*field` becomes a copy of `text`; what was there is freed. ERR_NO_MEMORY leaves it. */
enum err text_set(char **field, struct bytes text);

/* Adds copies at the end. ERR_NO_MEMORY. */
enum err text_list_append(struct text_list *list, struct bytes text);
enum err text_list_append_all(struct text_list *list, const struct text_list *from);

bool text_list_equal(const struct text_list *a, const struct text_list *b);
void text_list_fini(struct text_list *list);
