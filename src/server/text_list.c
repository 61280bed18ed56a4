#include "server/text_list.h"
#include <stdlib.h>
#include <string.h>

char *text_copy(struct bytes text)
{
    char *copy = malloc(text.size + 1);
    if (copy != NULL) {
        if (text.size > 0)
            memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
    }
    return copy;
}

enum err text_set(char **field, struct bytes text)
{
    char *copy = text_copy(text);

    if (copy == NULL)
        return ERR_NO_MEMORY;
    free(*field);
    *field = copy;
    return OK;
}

enum err text_list_append(struct text_list *list, struct bytes text)
{
    char **items = reallocarray(list->items, list->count + 1, sizeof *items);

    if (items == NULL)
        return ERR_NO_MEMORY;
    list->items = items;
    items[list->count] = text_copy(text);
    if (items[list->count] == NULL)
        return ERR_NO_MEMORY;
    list->count++;
    return OK;
}

enum err text_list_append_all(struct text_list *list, const struct text_list *from)
{
    enum err err = OK;

    for (size_t i = 0; i < from->count && err == OK; i++)
        err = text_list_append(list, bytes_of_text(from->items[i]));
    return err;
}

bool text_list_equal(const struct text_list *a, const struct text_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

void text_list_fini(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}
