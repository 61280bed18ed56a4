/* recorded_query.h — a request's parameters as a recorded rule says them: decoded, in one order, the same
 * one once, so that requests which mean the same have the same rule. Pure. */
#pragma once
#include "redact.h"

enum {
    RECORDED_PARAMETERS_MAX = 64, /* what a rule can demand */
    RECORDED_KEY_BYTES_MAX = 1000 /* of a name in quotes: libyaml takes keys of up to 1,024 */
};

struct recorded_parameter {
    struct bytes name, value; /* the value of a secret is empty */
    bool is_secret;
};

/* What is in the list lies in `text`. */
struct recorded_query {
    struct buffer text;
    struct recorded_parameter list[RECORDED_PARAMETERS_MAX];
    size_t count;
};

/* False if a rule cannot say the query, or without memory (`text.failed`). recorded_query_fini in either
 * case. */
bool recorded_query_init(struct recorded_query *query, const struct secret_words *words,
                         const struct http_request *request);
void recorded_query_fini(struct recorded_query *query);

/* Appends "a=1&b=2", escaped where it could be taken for another query. */
void recorded_query_append_name(const struct recorded_query *query, struct buffer *out);

/* Appends `, query: {"a": "1", "b": ["1", "2"], "token": {present: true}}`, or nothing. */
void recorded_query_append_match(const struct recorded_query *query, struct buffer *out);
