#include "engine/kv/kv_notify_flags.h"
#include "server/option_read.h"
#include "server/options.h"
#include <assert.h>
#include <string.h>

static const struct {
    enum option_type type;
    const char *word;
    int value;
} choices[] = {
#define CHOICE(type, word, value) {OPTION_TYPE_##type, word, value},
#include "tables/options.def"
#undef CHOICE
};
static_assert(sizeof(enum loop_kind) == sizeof(int) && sizeof(enum log_level) == sizeof(int) &&
                  sizeof(enum tls_client_auth) == sizeof(int) && sizeof(enum answer) == sizeof(int) &&
                  sizeof(enum route_host) == sizeof(int) && sizeof(enum openapi_checks) == sizeof(int) &&
                  sizeof(enum access_format) == sizeof(int) && sizeof(enum valkey_resp) == sizeof(int) &&
                  sizeof(enum compat) == sizeof(int),
              "choices are written as int");

void option_choice_append(struct buffer *out, enum option_type type, int64_t value)
{
    for (size_t i = 0; i < COUNT_OF(choices); i++)
        if (choices[i].type == type && choices[i].value == value)
            buffer_append(out, bytes_of_text(choices[i].word));
}

void option_choices_append(struct buffer *out, enum option_type type)
{
    const char *between = "";

    for (size_t i = 0; i < COUNT_OF(choices); i++) {
        if (choices[i].type != type)
            continue;
        buffer_append_format(out, "%s%s", between, choices[i].word);
        between = "|";
    }
}

enum err option_read_choice(const struct option_text *from, void *field)
{
    for (size_t i = 0; i < COUNT_OF(choices); i++) {
        if (choices[i].type != from->row->type || !bytes_equal(bytes_of_text(choices[i].word), from->text))
            continue;
        memcpy(field, &choices[i].value, sizeof choices[i].value);
        return OK;
    }
    buffer_append_format(from->why, "\"%s\" is not one of the choices; write ",
                         shown_text(from->text).text);
    option_choices_append(from->why, from->row->type);
    return ERR_SYNTAX;
}

enum err option_read_events(const struct option_text *from, void *field)
{
    if (kv_notify_parse(from->text, field))
        return OK;
    buffer_append_format(from->why,
                         "\"%s\" names no events; write letters of \"A" KV_NOTIFY_LETTERS
                         "\", such as KEA, or none",
                         shown_text(from->text).text);
    return ERR_SYNTAX;
}

enum err option_read_flag(const struct option_text *from, void *field)
{
    (void)from;
    *(bool *)field = true;
    return OK;
}
