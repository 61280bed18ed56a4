/* rule_answer.h — what a rule answers: a status, header fields and a body, with what templates make of
 * them.
 *
 *   status: 201
 *   headers: {Location: "/users/{{counter}}"}
 *   json: {id: "{{counter}}"}      or text: …   or file: body.json (beside the rules file, read at the
 * start) template: false                takes {{ as it is; a file's are, if nothing is said */
#pragma once
#include "template.h"

struct rule_field {
    struct bytes name;
    struct template value;
};

struct rule_answer {
    int status;
    struct rule_field *fields;
    size_t field_count;
    struct template body;
    struct buffer file; /* what `body` was made of */
    struct bytes type;  /* of the body; empty if `fields` have one, or there is no body */
};

#define RULE_ANSWER_KEY_NAMES                                                                              \
    {"status", NULL}, {"headers", NULL}, {"json", NULL}, {"text", NULL}, {"file", NULL},                   \
    {                                                                                                      \
        "template", NULL                                                                                   \
    }

/* Reads a mapping of those keys. False with a report. rule_answer_fini in either case. */
bool rule_answer_read(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                      struct rule_answer *answer);
void rule_answer_fini(struct rule_answer *answer);

/* Adds to `template` what a text of the file says, or a JSON value whose texts have templates. False with a
 * report. */
bool rule_template_add(struct rules_reader *reader, const yaml_node_t *node,
                       const struct template_scope *scope, struct bytes text, enum template_place place,
                       struct template *template);
bool rule_template_add_json(struct rules_reader *reader, yaml_node_t *node,
                            const struct template_scope *scope, struct template *template);

/* Appends the answer's field lines to `lines` and its body to `body`. False without memory, or if it
 * becomes too large. */
bool rule_answer_render(const struct rule_answer *answer, const struct template_facts *facts,
                        struct buffer *lines, struct buffer *body);

/* Whether the answer says the header field `name` itself. */
bool rule_answer_has_field(const struct rule_answer *answer, struct bytes name);
