/* script.h — a line of cases.txt, taken apart (README.md has the form). */
#pragma once
#include <nuthatch.h>
#include <stdbool.h>
#include <stddef.h>

#define ARGUMENTS_MAX 8
#define OPTIONS_MAX   8

/* Bytes of the step's own, with a NUL behind them. */
struct text {
    char *data;
    size_t size;
    bool is_word; /* a plain word, and no string */
};

struct option {
    char *name;  /* within `value` */
    char *value; /* "" for a word without one; the step's own */
};

struct step {
    char *verb;
    struct text arguments[ARGUMENTS_MAX]; /* strings and plain words */
    size_t argument_count;
    struct option options[OPTIONS_MAX]; /* name=value */
    size_t option_count;
    char *wanted; /* the outcome; null if the line has none */
};

/* Takes `line`, which has no line feed, apart. False if it is not of the form; then `step` is empty.
 * Whatever is in `step` afterwards, step_fini frees it. */
bool step_parse(const char *line, struct step *step);
void step_fini(struct step *step);

/* The value of an option, or `otherwise`. */
const char *option_text(const struct step *step, const char *name, const char *otherwise);
long long option_number(const struct step *step, const char *name, long long otherwise);
/* Whether the last argument is the plain word `word`. */
bool has_word(const struct step *step, const char *word);

/* A value as outcomes have it: the caller's, to be freed. Null without memory. */
char *text_written(nh_bytes bytes);
