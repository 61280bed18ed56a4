/* matcher.h — which requests something is about: their method, path, query, header fields and body.
 *
 *   method: GET                      or a list; HEAD goes with GET
 *   path: /users/{id}                see rule_path.h
 *   query: {page: "1"}               a text is what the value must be (a list: each of some value); else
 * one of exact_query: yes                 the query has no parameters but those headers: {Accept:
 * {contains: json}}   equals, contains, matches (a PCRE2 pattern), present (true, false) body: a list of:
 * the same, or sha256, of all the body, or with `pointer` of
 *     - {pointer: /age, equals: 7}   what a JSON pointer finds; equals is then any JSON value
 *
 * All that is said must hold; of several values of one name, one must do. A pattern that would take too
 * long does not match. Any thread may ask. */
#pragma once
#include "rule_path.h"

struct text_check;
struct body_check;

struct matcher {
    struct bytes *methods; /* none: any */
    size_t method_count;
    bool has_path;
    struct rule_path path;
    struct text_check *query, *fields; /* each with a name */
    size_t query_count, field_count;
    bool is_query_exact; /* the query has no parameters but those of `query` */
    struct body_check *bodies;
    size_t body_count;
};

/* Reads the mapping `node`, called `what`; borrows from it. False with a report, or no_memory in the
 * reader. matcher_fini in either case. */
bool matcher_read(struct rules_reader *reader, yaml_node_t *node, const char *what,
                  struct matcher *matcher);
void matcher_fini(struct matcher *matcher);

/* Whether the request is meant; `values` may be null. */
bool matcher_holds(const struct matcher *matcher, struct request_view *view, struct path_values *values);
