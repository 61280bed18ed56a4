#include "script.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_BYTES_MIN 65 /* a run of the same byte is written as such from here on */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of a string that begins at `*at`; moves on. False at what is none. */
static bool parse_character(const char **at, char *character)
{
    const char *c = *at;

    if (*c == '\0' || *c == '"')
        return false;
    if (*c != '\\') {
        *character = *c;
        *at = c + 1;
        return true;
    }
    if (c[1] == 'x' && hex_digit(c[2]) >= 0 && hex_digit(c[3]) >= 0) {
        *character = (char)(hex_digit(c[2]) * 16 + hex_digit(c[3]));
        *at = c + 4;
        return true;
    }
    if (c[1] != '\\' && c[1] != '"')
        return false;
    *character = c[1];
    *at = c + 2;
    return true;
}

static bool repeat(struct text *text, size_t times)
{
    char *longer = malloc(text->size * times + 1);

    if (longer == NULL)
        return false;
    for (size_t i = 0; i < times; i++)
        memcpy(longer + i * text->size, text->data, text->size);
    free(text->data);
    text->data = longer;
    text->size *= times;
    text->data[text->size] = '\0';
    return true;
}

/* A string whose opening quote is at `*at`. */
static bool parse_string(const char **at, struct text *text)
{
    text->data = malloc(strlen(*at) + 1);
    text->size = 0;
    if (text->data == NULL)
        return false;
    ++*at;
    while (parse_character(at, &text->data[text->size]))
        text->size++;
    text->data[text->size] = '\0';
    if (**at != '"')
        return false;
    ++*at;
    if (**at == '*') {
        char *end;
        unsigned long times = strtoul(*at + 1, &end, 10);
        *at = end;
        return times > 0 && repeat(text, times);
    }
    return true;
}

static bool parse_word(const char **at, struct step *step)
{
    size_t length = strcspn(*at, " ");
    char *word = strndup(*at, length), *equals;

    *at += length;
    if (word == NULL || length == 0) {
        free(word);
        return false;
    }
    equals = strchr(word, '=');
    if (equals != NULL && step->option_count < OPTIONS_MAX) {
        *equals = '\0';
        step->options[step->option_count++] = (struct option){word, equals + 1};
        return true;
    }
    if (equals == NULL && step->argument_count < ARGUMENTS_MAX) {
        step->arguments[step->argument_count++] = (struct text){word, length, .is_word = true};
        return true;
    }
    free(word);
    return false;
}

static bool parse_line(const char *line, struct step *step)
{
    size_t verb_length = strcspn(line, " ");
    const char *at = line + verb_length;

    step->verb = strndup(line, verb_length);
    if (step->verb == NULL || verb_length == 0)
        return false;
    while (*at != '\0') {
        if (strncmp(at, " -> ", 4) == 0) {
            step->wanted = strdup(at + 4);
            return step->wanted != NULL;
        }
        if (*at++ != ' ')
            return false;
        if (*at != '"') {
            if (!parse_word(&at, step))
                return false;
        } else {
            if (step->argument_count == ARGUMENTS_MAX ||
                !parse_string(&at, &step->arguments[step->argument_count++]))
                return false;
        }
    }
    return true;
}

bool step_parse(const char *line, struct step *step)
{
    *step = (struct step){0};
    if (parse_line(line, step))
        return true;
    step_fini(step);
    return false;
}

void step_fini(struct step *step)
{
    free(step->verb);
    free(step->wanted);
    for (size_t i = 0; i < step->argument_count; i++)
        free(step->arguments[i].data);
    for (size_t i = 0; i < step->option_count; i++)
        free(step->options[i].name);
    *step = (struct step){0};
}

const char *option_text(const struct step *step, const char *name, const char *otherwise)
{
    for (size_t i = 0; i < step->option_count; i++)
        if (strcmp(step->options[i].name, name) == 0)
            return step->options[i].value;
    return otherwise;
}

long long option_number(const struct step *step, const char *name, long long otherwise)
{
    const char *text = option_text(step, name, NULL);

    return text != NULL ? strtoll(text, NULL, 10) : otherwise;
}

bool has_word(const struct step *step, const char *word)
{
    const struct text *last = &step->arguments[step->argument_count - 1];

    return step->argument_count > 0 && last->is_word && strcmp(last->data, word) == 0;
}

static bool is_run(const unsigned char *data, size_t size)
{
    for (size_t i = 1; i < size; i++)
        if (data[i] != data[0])
            return false;
    return true;
}

char *text_written(nh_bytes bytes)
{
    const unsigned char *data = bytes.data;
    bool run = bytes.size >= RUN_BYTES_MIN && is_run(data, bytes.size);
    size_t written_count = run ? 1 : bytes.size;
    char *text = malloc(written_count * 4 + 32), *end = text;

    if (text == NULL)
        return NULL;
    *end++ = '"';
    for (size_t i = 0; i < written_count; i++) {
        if (data[i] == '"' || data[i] == '\\')
            *end++ = '\\';
        if (data[i] >= 0x20 && data[i] <= 0x7e)
            *end++ = (char)data[i];
        else
            end += sprintf(end, "\\x%02x", data[i]);
    }
    *end++ = '"';
    if (run)
        end += sprintf(end, "*%zu", bytes.size);
    *end = '\0';
    return text;
}
