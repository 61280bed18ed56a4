/* text_check.h — one demand on one text. Any thread may ask. */
#pragma once
#include "rules_reader.h"

enum text_check_kind { TEXT_EQUALS, TEXT_CONTAINS, TEXT_MATCHES, TEXT_PRESENT, TEXT_ABSENT, TEXT_SHA256 };

struct text_check {
    enum text_check_kind kind;
    struct bytes name; /* whose text it is; the owner's */
    struct bytes wanted;
    void *pattern; /* compiled; of MATCHES */
};

/* Reads a text, or a mapping with one of equals, contains, matches, present. Borrows. False with a report;
 * text_check_fini in either case. */
bool text_check_read(struct rules_reader *reader, yaml_node_t *node, const char *what,
                     struct text_check *check);

/* Which of `keys`, each one of those words, is the one that is said. Null with a report if none is, or two.
 */
const struct rules_key *text_check_key(struct rules_reader *reader, const yaml_node_t *node,
                                       const char *what, const struct rules_key *keys, size_t count);

/* Makes a check of one of those words, or of sha256. As above. */
bool text_check_make(struct rules_reader *reader, yaml_node_t *node, const char *word,
                     struct text_check *check);
void text_check_fini(struct text_check *check);

/* Whether the text, which is there, is what is wanted. */
bool text_check_holds(const struct text_check *check, struct bytes text);
