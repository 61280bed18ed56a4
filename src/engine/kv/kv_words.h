/* kv_words.h — a short list of texts, each with a number beside it: patterns of keys, rules of a user.
 *
 * Zeroed is empty. Linear in everything: for lists that a person writes. One thread at a time. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"

struct kv_word {
    struct bytes text; /* the list's own */
    unsigned number;   /* the caller's */
};

struct kv_words {
    struct kv_word *items;
    size_t count;
};

/* Appends a copy of `text`. ERR_NO_MEMORY: the list is as before. */
enum err kv_words_add(struct kv_words *words, struct bytes text, unsigned number);

/* The first of that text, or null. */
struct kv_word *kv_words_find(const struct kv_words *words, struct bytes text);

void kv_words_remove(struct kv_words *words, size_t index);

/* Appends copies of all of `from`. ERR_NO_MEMORY: some are there. */
enum err kv_words_add_all(struct kv_words *words, const struct kv_words *from);

/* Leaves an empty list. */
void kv_words_fini(struct kv_words *words);
