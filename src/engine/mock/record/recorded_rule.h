/* recorded_rule.h — an exchange as a rule of a rules file: which requests it is about, and what it answers.
 * Pure; the text is YAML, two spaces deep in the list of rules.
 *
 *   - name: "GET /birds?page=2"
 *     match: {method: GET, path: "/birds", query: {"page": "2"}, exact_query: yes,
 *             body: {present: false}}
 *     answer:
 *       - status: 200
 *         headers:
 *           Content-Type: "application/json"
 *         file: bodies/0001.json
 *         template: false */
#pragma once
#include "redact.h"

enum recorded_error {
    RECORDED_OK,
    RECORDED_METHOD,     /* it is not of capital letters */
    RECORDED_PATH,       /* what a rule's path cannot say */
    RECORDED_PARAMETERS, /* more than a rule can demand, with too long a name, or no UTF-8 */
    RECORDED_ADMIN,      /* a path that a mock has for itself */
    RECORDED_STATUS,     /* no status that a rule can answer */
    RECORDED_SLASH,      /* a redirect to the same path, for a rule */
    RECORDED_SECRETS,    /* more than SECRETS_MAX */
    RECORDED_CODING,     /* secrets cannot be looked for in the body */
    RECORDED_BODY,       /* without secrets it is larger than a body may be */
    RECORDED_RULE,       /* the lines cannot be read again */
    RECORDED_NO_MEMORY,
};

/* A sentence for people. Static. */
const char *recorded_error_text(enum recorded_error error);

/* Appends the line of the rule's name, which is the same for requests that are the same but for secrets,
 * and the lines of its match. `body` is the request's, whole. */
enum recorded_error recorded_rule_head(const struct secret_words *words, const struct http_request *request,
                                       struct bytes body, struct buffer *name_line,
                                       struct buffer *match_lines);

/* Appends the lines of an answer up to its body, if it has one: a body without a type is to have none
 * again. Fields that belong to the connection or the moment are left out, as are those that YAML cannot say
 * and those beyond 50: `*left_out` counts these two kinds. */
enum recorded_error recorded_rule_answer(const struct secrets *secrets, const struct secret_words *words,
                                         int status, const struct http_fields *fields, bool has_body,
                                         struct buffer *lines, size_t *left_out);

/* Whether a rules file with these lines can be read: one that cannot would take all others with it. */
bool recorded_rule_is_readable(struct bytes name_line, struct bytes match_lines, struct bytes answer_lines);

/* The end of a body's file by its media type: ".json"; ".bin" if that says nothing. Static. */
const char *recorded_body_ending(const struct http_fields *fields);
