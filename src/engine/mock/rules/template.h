/* template.h — text with {{words}} that stand for parts of the request, counts, the time and made-up data.
 *
 * The words are the rows of tables/template_words.def; a filter may follow each, as in
 * {{request.query.page | default 1 | number}}:
 *   default TEXT   stands in where the request has nothing
 *   number         as a JSON number; null if it is none
 *   text           as text, where a number would do
 * All is checked when the template is made. How a value is written depends on where it stands: inside a
 * JSON string it is escaped, alone in one it becomes a JSON value of its own kind, in a header field
 * control bytes become spaces. */
#pragma once
#include "base/now.h"
#include "base/random_source.h"
#include "request_view.h"
#include "rule_path.h"

enum template_place {
    TEMPLATE_TEXT,
    TEMPLATE_FIELD,
    TEMPLATE_JSON_TEXT,   /* JSON as somebody wrote it: between its quotes, and outside of them */
    TEMPLATE_JSON_STRING, /* what is said in a JSON string, which has its quotes already */
    TEMPLATE_JSON_VALUE,  /* where a JSON value stands */
};

struct template_piece; /* template.c */

struct template
{
    struct template_piece *pieces;
    size_t count, capacity;
    struct buffer text; /* of the pieces that never change */
    bool in_string;     /* a JSON text is between its quotes, in which it … */
    bool after_slash;   /* … is behind a backslash */
    bool no_memory;
};

/* Names of counters, each with its place; shared by the templates of one set of rules. The first is that of
 * the rule in hand and has no name. */
struct counter_names {
    struct bytes *names; /* borrowed */
    size_t count;
};

/* What a template of a rule may refer to. */
struct template_scope {
    const struct rule_path *path;   /* the rule's, or null */
    struct counter_names *counters; /* new ones are added */
    bool has_message;               /* there is one that is replied to */
};

/* What stands for the words this time. */
struct template_facts {
    struct request_view *view;
    struct request_view
        *message; /* the same request with a message as its body; null where scopes have none */
    const struct path_values *path_values;
    struct now now;
    struct random_source *random;
    /* Moves a counter on and returns it; 0 is the rule's own. */
    uint64_t (*count)(void *owner, size_t counter);
    void *owner;
};

enum { TEMPLATE_OUTPUT_BYTES_MAX = 16 << 20 };

/* Adds `text` as it is; or with its {{words}}, escaped as `place` wants it. False with what is wrong
 * appended to `why`, or with no_memory set. What stands in {{…}} must live as long as the template. */
void template_add_literal(struct template *template, struct bytes text);
bool template_add(struct template *template, const struct template_scope *scope, struct bytes text,
                  enum template_place place, struct buffer *why);

/* Whether all of `text` is one {{…}}. */
bool template_is_alone(struct bytes text);

/* Whether it says the same each time: then that is its `text`. */
bool template_is_constant(const struct template *template);

/* Appends what the template says now. False without memory or beyond TEMPLATE_OUTPUT_BYTES_MAX. */
bool template_render(const struct template *template, const struct template_facts *facts,
                     struct buffer *out);

void template_fini(struct template *template);

/* Appends `text` as the inside of a JSON string; what is no UTF-8 becomes U+FFFD. */
void template_append_json_text(struct buffer *out, struct bytes text);
