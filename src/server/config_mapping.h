/* config_mapping.h — mappings of a YAML file whose keys are rows: what a key's value is, and where it goes.
 */
#pragma once
#include "server/config_yaml.h"

struct config_key {
    const char *name;
    /* Reads the present value into `into`, which the mapping is read into. */
    void (*read)(struct config_reader *reader, const struct config_key *key, void *into);
    size_t offset, count_offset; /* of what is read, and of its count, if it is a list of texts or fields */
    size_t at_offset;            /* of a struct place that is told where it was; 0: none */
    const char *like;            /* what to write for a value */
    const char *(*wrong)(struct bytes value);     /* says what is wrong with one, or null; may be null */
    const char *(*wrong_name)(struct bytes name); /* the same of a field's name */
    const struct config_key *keys;                /* of a mapping inside */
    size_t key_count;
};

/* Functions for `read`. A char * of its own, */
void config_read_text(struct config_reader *reader, const struct config_key *key, void *into);
/* any number of them, one text or a list; */
void config_read_texts(struct config_reader *reader, const struct config_key *key, void *into);
/* names and their values, each a struct field_spec; */
void config_read_fields(struct config_reader *reader, const struct config_key *key, void *into);
/* a mapping, its own struct. */
void config_read_inner(struct config_reader *reader, const struct config_key *key, void *into);

/* ---- config_poll.c: what stands behind `poll:`, into a struct role_options ------------------------ */

void config_read_polls(struct config_reader *reader, const struct config_key *key, void *into);

/* Rows of config_key: their name, the struct that the mapping is read into, fields of it. */
#define CONFIG_TEXT(name_, type, field, wrong_, like_)                                                     \
    {                                                                                                      \
        .name = name_, .read = config_read_text, .offset = offsetof(type, field), .wrong = wrong_,         \
        .like = like_                                                                                      \
    }
#define CONFIG_TEXTS(name_, type, field, count, wrong_, like_)                                             \
    {                                                                                                      \
        .name = name_, .read = config_read_texts, .offset = offsetof(type, field),                         \
        .count_offset = offsetof(type, count), .wrong = wrong_, .like = like_                              \
    }
#define CONFIG_FIELDS(name_, type, field, count, wrong_name_, wrong_, like_)                               \
    {                                                                                                      \
        .name = name_, .read = config_read_fields, .offset = offsetof(type, field),                        \
        .count_offset = offsetof(type, count), .wrong_name = wrong_name_, .wrong = wrong_, .like = like_   \
    }
#define CONFIG_INNER(name_, type, field, keys_)                                                            \
    {                                                                                                      \
        .name = name_, .read = config_read_inner, .offset = offsetof(type, field), .keys = keys_,          \
        .key_count = COUNT_OF(keys_)                                                                       \
    }

/* A mapping whose keys are such rows and, if `scope` is not OPTION_OF_SERVER, the options of it. */
struct config_mapping {
    const char *what; /* "a route" */
    const struct config_key *keys;
    size_t key_count;
    enum option_scope scope;
    bool (*takes)(const struct option_row *row); /* which options of that scope; null: all */
    void *policy;                                /* what the options are set in */
    bool *is_set;                                /* by row */
};

void config_read_mapping(struct config_reader *reader, const struct config_mapping *mapping, void *into);

/* A list: `read_item` reads each of its items. `otherwise` is what is said where
 * there is something else. */
void config_read_list(struct config_reader *reader, const char *otherwise,
                      void (*read_item)(struct config_reader *reader, struct role_options *role),
                      struct role_options *role);

/* One more item, all zeroes; null, with no_memory set, if there is no room. */
#define CONFIG_APPEND(reader, items, count) config_append(reader, (void **)(items), count, sizeof **(items))
void *config_append(struct config_reader *reader, void **items, size_t *count, size_t size);
