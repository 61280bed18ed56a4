/* query_parameters.h — what a query is made of, as forms have it: parameters with & between. Pure. */
#pragma once
#include "base/bytes.h"

/* Runs of the query. */
struct query_parameter {
    struct bytes whole, name, value; /* the value is behind the first =; empty if there is none */
};

/* Takes the next one off the front; pieces with nothing in them are none. False at the end. */
bool query_parameter_next(struct bytes *query, struct query_parameter *parameter);

/* The next character of a name or a value as it is meant: percent-decoded, and + is a blank. What is no
 * percent-encoding stands for itself. */
char query_next_character(struct bytes text, size_t *at);

/* How a query is written again. */
struct query_form {
    bool (*counts)(const void *rules,
                   const struct query_parameter *parameter); /* the others are left out */
    bool (*append)(const struct query_parameter *parameter, char *text, size_t capacity,
                   size_t *size); /* false if there is no room */
    bool sorts; /* by name; those of one name stay in the order in which they lie in the query */
};

/* Writes `query` into `text`; `rules` is what `counts` goes by. False if that is more than `capacity`, or
 * more parameters than are sorted. */
bool query_write(struct bytes query, const struct query_form *form, const void *rules, char *text,
                 size_t capacity, size_t *size);
