/* template_word.h — one {{word}} of a template: read once, evaluated for each answer. */
#pragma once
#include "template.h"

enum template_word {
#define TEMPLATE_WORD(id, name, least, most, help) TEMPLATE_WORD_##id,
#include "tables/template_words.def"
#undef TEMPLATE_WORD
    TEMPLATE_WORD_COUNT
};

enum { TEMPLATE_ARGUMENTS_MAX = 32 };

struct template_call {
    enum template_word word;
    struct bytes name; /* behind the dot of "request.query." and its like */
    struct bytes arguments[TEMPLATE_ARGUMENTS_MAX];
    size_t argument_count;
    int64_t numbers[2]; /* what the arguments mean, or the place of a path's name or of a counter */
    struct bytes fallback;
    bool has_fallback, as_number, as_text;
};

/* What a word stood for. */
enum template_kind { TEMPLATE_VALUE_MISSING, TEMPLATE_VALUE_TEXT, TEMPLATE_VALUE_JSON };

/* Reads what stands between {{ and }}. False with what is wrong appended to `why`. Borrows from `text`. */
bool template_call_read(struct bytes text, const struct template_scope *scope, struct template_call *call,
                        struct buffer *why);

/* Appends the value to `out`: text as it is, or JSON. */
enum template_kind template_call_evaluate(const struct template_call *call,
                                          const struct template_facts *facts, struct buffer *out);
