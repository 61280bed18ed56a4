#include "engine/kv/kv_words.h"
#include <stdint.h>
#include <stdlib.h>

enum err kv_words_add(struct kv_words *words, struct bytes text, unsigned number)
{
    struct kv_word *items = reallocarray(words->items, words->count + 1, sizeof *items);
    char *copy = malloc(text.size + 1);

    if (items != NULL)
        words->items = items;
    if (items == NULL || copy == NULL) {
        free(copy);
        return ERR_NO_MEMORY;
    }
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    words->items[words->count++] = (struct kv_word){{copy, text.size}, number};
    return OK;
}

struct kv_word *kv_words_find(const struct kv_words *words, struct bytes text)
{
    for (size_t i = 0; i < words->count; i++)
        if (bytes_equal(words->items[i].text, text))
            return &words->items[i];
    return NULL;
}

void kv_words_remove(struct kv_words *words, size_t index)
{
    free((char *)(uintptr_t)words->items[index].text.data);
    words->count--;
    memmove(&words->items[index], &words->items[index + 1], (words->count - index) * sizeof *words->items);
}

enum err kv_words_add_all(struct kv_words *words, const struct kv_words *from)
{
    enum err err = OK;

    for (size_t i = 0; i < from->count && err == OK; i++)
        err = kv_words_add(words, from->items[i].text, from->items[i].number);
    return err;
}

void kv_words_fini(struct kv_words *words)
{
    while (words->count > 0)
        kv_words_remove(words, words->count - 1);
    free(words->items);
    words->items = NULL;
}
