/* links: nuthatch-mock nuthatch-net nuthatch-message nuthatch-base */
/* A rules file, and behind a byte of 0 a request ("METHOD target", a line, then a body): what is read is
 * either refused with a line or answers, and what stands in its JSON answers' strings is JSON. */
#undef NDEBUG /* the assertions are the test */
#include "engine/mock/rules/rules_state.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct asked {
    struct rules_state *state;
    int rule;
};

static uint64_t count(void *owner, size_t counter)
{
    struct asked *asked = owner;
    return rules_state_count(asked->state, asked->rule, counter);
}

static struct bytes cut(struct bytes *rest, char end)
{
    const char *at = rest->size > 0 ? memchr(rest->data, end, rest->size) : NULL;
    struct bytes piece = at != NULL ? bytes_first(*rest, (size_t)(at - rest->data)) : *rest;

    *rest = at != NULL ? bytes_after(*rest, piece.size + 1) : (struct bytes){0};
    return piece;
}

static void check(const struct rule_answer *answer, struct bytes lines, struct bytes body)
{
    for (size_t i = 0; i < lines.size; i++)
        assert(lines.data[i] != '\n' || (i > 0 && lines.data[i - 1] == '\r'));
    if (bytes_equal(answer->type, BYTES("application/json")) && answer->file.size == 0 && body.size > 0) {
        json_error_t error;
        json_t *value = json_loadb(body.data, body.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        assert(value != NULL || json_error_code(&error) == json_error_numeric_overflow ||
               json_error_code(&error) == json_error_stack_overflow);
        json_decref(value);
    }
}

static void ask(struct rules *rules, struct bytes rest)
{
    struct bytes line = cut(&rest, '\n');
    struct http_request request = {.method_name = cut(&line, ' ')};
    struct request_view view = {.request = &request, .body = rest};
    struct path_values values = {0};
    struct asked asked = {rules_state_create(rules, 1), -1};

    request.method = http_method_find(request.method_name);
    request.path = cut(&line, '?');
    request.query = line;
    request.has_query = line.data != NULL;
    asked.rule = rules_state_decide(asked.state, &view, &values);
    if (asked.rule >= 0 && rules->rules[asked.rule].answer_count > 0) {
        struct random_source random = rules_state_random(asked.state, asked.rule);
        const struct rule_answer *answer = rules_state_answer(asked.state, asked.rule);
        struct template_facts facts = {
            .view = &view, .path_values = &values, .random = &random, .count = count, .owner = &asked};
        struct buffer lines = {0}, body = {0};
        if (rule_answer_render(answer, &facts, &lines, &body))
            check(answer, buffer_bytes(&lines), buffer_bytes(&body));
        buffer_fini(&lines);
        buffer_fini(&body);
    }
    request_view_fini(&view);
    path_values_fini(&values);
    rules_state_destroy(asked.state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size), text = cut(&rest, '\0');
    struct buffer message = {0};
    struct rules rules = {0};
    enum err err;

    if (memmem(text.data, text.size, "file", 4) != NULL) /* it reads no files of the machine */
        return 0;
    err = rules_read(&rules, "r.yaml", text, &message);
    assert(err == OK || err == ERR_SYNTAX);
    assert((err == OK) == (message.size == 0));
    if (err == OK)
        ask(&rules, rest);
    rules_fini(&rules);
    buffer_fini(&message);
    return 0;
}
