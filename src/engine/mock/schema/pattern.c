#define PCRE2_CODE_UNIT_WIDTH 8
#include "pattern.h"
#include <pcre2.h>
#include <stdlib.h>

/* Most matches end within the first bound. Those that do not are tried again with the second, and cost. */
enum { CHEAP_MATCH_LIMIT = 2000, MATCH_LIMIT = 100000, HEAP_LIMIT_KIB = 8192, EXPENSIVE_STEPS = 20000 };

struct pattern {
    pcre2_code *code;
    pcre2_match_context *cheap, *patient;
    char *text;
};

static pcre2_match_context *create_context(uint32_t match_limit)
{
    pcre2_match_context *context = pcre2_match_context_create(NULL);

    if (context != NULL) {
        pcre2_set_match_limit(context, match_limit);
        pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
    }
    return context;
}

enum err pattern_compile(const char *text, struct pattern **pattern, struct buffer *message)
{
    struct pattern *made = calloc(1, sizeof *made);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    unsigned char why[128];
    int error_number = 0;
    PCRE2_SIZE at;

    if (made != NULL && context != NULL) {
        pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALT_BSUX);
        made->text = strdup(text);
        made->cheap = create_context(CHEAP_MATCH_LIMIT);
        made->patient = create_context(MATCH_LIMIT);
        made->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS |
                                       PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C,
                                   &error_number, &at, context);
    }
    pcre2_compile_context_free(context);
    if (made != NULL && made->code != NULL && made->text != NULL && made->cheap != NULL &&
        made->patient != NULL) {
        *pattern = made;
        return OK;
    }
    pattern_destroy(made);
    if (error_number <= 0 || error_number == PCRE2_ERROR_HEAP_FAILED)
        return ERR_NO_MEMORY;
    pcre2_get_error_message(error_number, why, sizeof why);
    buffer_append_format(message, "%s, at character %zu", (const char *)why, (size_t)at);
    return ERR_SYNTAX;
}

void pattern_destroy(struct pattern *pattern)
{
    if (pattern == NULL)
        return;
    pcre2_code_free(pattern->code);
    pcre2_match_context_free(pattern->cheap);
    pcre2_match_context_free(pattern->patient);
    free(pattern->text);
    free(pattern);
}

enum pattern_result pattern_match(const struct pattern *pattern, struct bytes subject, uint32_t *steps)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    PCRE2_SPTR text = (PCRE2_SPTR)(subject.size > 0 ? subject.data : "");
    int result;

    if (data == NULL)
        return PATTERN_GIVEN_UP;
    *steps += 1 + (uint32_t)(subject.size / 64);
    result = pcre2_match(pattern->code, text, subject.size, 0, PCRE2_NO_UTF_CHECK, data, pattern->cheap);
    if (result < PCRE2_ERROR_NOMATCH) {
        *steps += EXPENSIVE_STEPS;
        result =
            pcre2_match(pattern->code, text, subject.size, 0, PCRE2_NO_UTF_CHECK, data, pattern->patient);
    }
    pcre2_match_data_free(data);
    if (result >= 0)
        return PATTERN_MATCHES;
    return result == PCRE2_ERROR_NOMATCH ? PATTERN_DIFFERS : PATTERN_GIVEN_UP;
}

const char *pattern_text(const struct pattern *pattern) { return pattern->text; }
