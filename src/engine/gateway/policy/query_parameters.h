/* query_parameters.h — what a query is made of, as forms have it: parameters with & between. Pure. */
#pragma once
#include "base/bytes.h"

enum { QUERY_SORTED_MAX = 256 };

/* Runs of the query. */
struct query_parameter {
    struct bytes whole, name, value; /* the value is behind the first =; empty if there is none */
};

/* Takes the next one off the front; pieces with nothing in them are none. False at the end. */
bool query_parameter_next(struct bytes *query, struct query_parameter *parameter);

/* The next character of a name or a value as it is meant: percent-decoded, and + is a blank. What is no
 * percent-encoding stands for itself. */
char query_next_character(struct bytes text, size_t *at);

/* By name; those of one name in the order in which they lie in the query. */
void query_parameters_sort(struct query_parameter *parameters, size_t count);
