/* rules_reader.h — a rules file taken apart, with a line and column for all that is wrong in it.
 *
 * The file is YAML. What is read borrows from the document, which lives as long as the reader. A problem is
 * reported and reading goes on, so that one run shows them all. One thread. */
#pragma once
#include "base/buffer.h"
#include "base/compiler.h"
#include "base/err.h"
#include <jansson.h>
#include <stdint.h>
#include <yaml.h>

struct rules_reader {
    yaml_document_t document;
    const char *path;       /* for messages, and what other files are looked for beside */
    struct buffer *message; /* "path:line:column: what is wrong; what to do", a line each */
    struct buffer files; /* the paths of the files that are named in it, each with a byte of 0 behind it */
    unsigned problem_count;
    bool no_memory;
};

enum { RULES_PROBLEMS_MAX = 20, RULES_DEPTH_MAX = 64, RULES_VALUES_MAX = 100000 };

/* Loads `text`, at most 4 MiB. Returns OK; ERR_SYNTAX with a line in `message`; ERR_NO_MEMORY. On OK
 * rules_reader_fini ends it. */
enum err rules_reader_init(struct rules_reader *reader, const char *path, struct bytes text,
                           struct buffer *message);
void rules_reader_fini(struct rules_reader *reader);

/* The top of the document, or null if it is empty. */
yaml_node_t *rules_reader_top(struct rules_reader *reader);

/* Reports what is wrong with `node`; beyond RULES_PROBLEMS_MAX problems are only counted. */
void rules_report(struct rules_reader *reader, const yaml_node_t *node, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* A key that a mapping may have, and its value there, or null. */
struct rules_key {
    const char *name;
    yaml_node_t *value;
};

/* Finds the values of `keys` in the mapping `node`, called `what` in messages. Keys that are not among them
 * are reported with those that may be there. False if it is no mapping, which is reported. */
bool rules_read_keys(struct rules_reader *reader, yaml_node_t *node, const char *what,
                     struct rules_key *keys, size_t key_count);

/* Whether `node` is of a kind. */
static inline bool rules_is_scalar(const yaml_node_t *node) { return node->type == YAML_SCALAR_NODE; }
static inline bool rules_is_list(const yaml_node_t *node) { return node->type == YAML_SEQUENCE_NODE; }
static inline bool rules_is_mapping(const yaml_node_t *node) { return node->type == YAML_MAPPING_NODE; }

/* The items of a list, or `node` itself if it is none: what may be given once or as a list. */
size_t rules_item_count(const yaml_node_t *node);
yaml_node_t *rules_item(struct rules_reader *reader, yaml_node_t *node, size_t index);

/* The pairs of a mapping. A key that is no word is reported and passed over: false. */
size_t rules_pair_count(const yaml_node_t *node);
bool rules_pair(struct rules_reader *reader, yaml_node_t *node, size_t index, struct bytes *key,
                yaml_node_t **value);

/* The values of scalars. False with a report that says what was expected. */
bool rules_read_text(struct rules_reader *reader, const yaml_node_t *node, const char *what,
                     struct bytes *text);
bool rules_read_integer(struct rules_reader *reader, const yaml_node_t *node, const char *what, int64_t low,
                        int64_t high, int64_t *value);
bool rules_read_number(struct rules_reader *reader, const yaml_node_t *node, const char *what, double low,
                       double high, double *value);
bool rules_read_answer(struct rules_reader *reader, const yaml_node_t *node, const char *what, bool *value);
/* "200ms", "1.5s", "2m", "1h": milliseconds, at most a day. */
bool rules_read_duration(struct rules_reader *reader, const yaml_node_t *node, const char *what,
                         int64_t *ms);
/* "100", "64k", "10M": bytes. */
bool rules_read_size(struct rules_reader *reader, const yaml_node_t *node, const char *what,
                     int64_t *bytes);

/* The JSON value that `node` stands for: a plain null, true, false or number is one, everything else text.
 * Null with a report if it is too deep or too large, or says a key twice. The caller drops it. */
json_t *rules_read_json(struct rules_reader *reader, yaml_node_t *node);

/* The same of one scalar: text if it is quoted or no other. Null without memory. */
json_t *rules_scalar_json(const yaml_node_t *node);

/* The path of a file that is named in this one: looked for beside it. `full` is terminated. */
bool rules_beside(struct rules_reader *reader, struct bytes name, struct buffer *full);
