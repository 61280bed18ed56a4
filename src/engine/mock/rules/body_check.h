/* body_check.h — one demand on a body, or on a message: a text that all of it must be, or
 *
 *   {contains: a}                  equals, contains, matches (a PCRE2 pattern), present (true, false),
 * sha256 {pointer: /age, equals: 7}     of what a JSON pointer finds in it; equals is then any JSON value
 *
 * Any thread may ask. */
#pragma once
#include "request_view.h"
#include "text_check.h"

struct body_check {
    bool has_pointer;
    struct bytes pointer;
    json_t *equals; /* or null */
    struct text_check text;
};

/* Reads the demand `node`, called `what`, into a zeroed struct; borrows from it. False with a report.
 * body_check_fini in either case. */
bool body_check_read(struct rules_reader *reader, yaml_node_t *node, const char *what,
                     struct body_check *check);
void body_check_fini(struct body_check *check);

/* Whether the view's body is as demanded. */
bool body_check_holds(const struct body_check *check, struct request_view *view);
