#include "server/option_value.h"
#include "server/option_read.h"
#include "server/option_units.h"
#include "server/options.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* How values lie in their fields. Choices are enums, each of the size of int. */
enum option_kept { KEPT_number, KEPT_choice, KEPT_bits, KEPT_flag, KEPT_text, KEPT_texts, KEPT_listens };

enum { OPTION_IS_PATH = 1, OPTION_IS_LIST = 2 };

static const struct option_type_row {
    enum option_kept kept;
    const char *help; /* null: the words of its choices */
    enum err (*read)(const struct option_text *from, void *field);
    unsigned traits;
} types[] = {
#define OPTION_TYPE(type, kept, help, read, shown, traits) {KEPT_##kept, help, option_read_##read, traits},
#include "tables/option_types.def"
#undef OPTION_TYPE
};

static const struct option_type_row *type_of(const struct option_row *row) { return &types[row->type]; }

bool option_has_range(const struct option_row *row) { return type_of(row)->kept == KEPT_number; }

bool option_has_default(const struct option_row *row)
{
    return type_of(row)->kept == KEPT_number || type_of(row)->kept == KEPT_choice;
}

bool option_is_path(const struct option_row *row) { return (type_of(row)->traits & OPTION_IS_PATH) != 0; }

bool option_is_list(const struct option_row *row) { return (type_of(row)->traits & OPTION_IS_LIST) != 0; }

/* ---- from text --------------------------------------------------------------------------------- */

enum err option_set(const struct option_row *row, void *base, struct bytes text, struct place where,
                    struct buffer *why)
{
    const struct role_options *role = row->roles != 0 ? base : NULL;

    return type_of(row)->read(&(struct option_text){row, role, text, where, why}, option_field(row, base));
}

enum err option_set_policy(const struct option_row *row, void *policy, struct bytes text,
                           struct place where, struct buffer *why)
{
    return type_of(row)->read(&(struct option_text){row, NULL, text, where, why},
                              (char *)policy + row->offset);
}

void option_set_default(const struct option_row *row, void *field)
{
    int choice = (int)row->fallback;

    if (type_of(row)->kept == KEPT_choice)
        memcpy(field, &choice, sizeof choice);
    else if (type_of(row)->kept == KEPT_number)
        memcpy(field, &row->fallback, sizeof row->fallback);
}

int64_t option_number(const struct option_row *row, const void *field)
{
    int choice;

    if (type_of(row)->kept == KEPT_number)
        return *(const int64_t *)field;
    assert(type_of(row)->kept == KEPT_choice);
    memcpy(&choice, field, sizeof choice);
    return choice;
}

/* ---- as text ----------------------------------------------------------------------------------- */

void option_append_value(struct buffer *out, const struct option_row *row, int64_t value)
{
    if (type_of(row)->kept == KEPT_number)
        option_units_append(out, row->type, value);
    else if (type_of(row)->kept == KEPT_choice)
        option_choice_append(out, row->type, value);
}

void option_append_placeholder(struct buffer *out, const struct option_row *row)
{
    if (type_of(row)->help != NULL)
        buffer_append(out, bytes_of_text(type_of(row)->help));
    else
        option_choices_append(out, row->type);
}

/* ---- from field to field ----------------------------------------------------------------------- */

static enum err copy_text(const void *from, void *to)
{
    const char *text = *(char *const *)from;

    return text != NULL ? text_set(to, bytes_of_text(text)) : OK;
}

static bool is_same_text(const void *a, const void *b)
{
    const char *one = *(char *const *)a, *other = *(char *const *)b;

    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

static void release_text(void *field) { free(*(char **)field); }

static enum err copy_texts(const void *from, void *to) { return text_list_append_all(to, from); }

static bool is_same_texts(const void *a, const void *b) { return text_list_equal(a, b); }

static void release_texts(void *field) { text_list_fini(field); }

/* A role's own: never taken from elsewhere. */
static enum err copy_listens(const void *from, void *to)
{
    (void)from, (void)to;
    return OK;
}

static bool is_same_listens(const void *a, const void *b) { return listen_list_equal(a, b); }

static void release_listens(void *field) { listen_list_fini(field); }

static const struct {
    size_t plain_bytes; /* 0: not plain, but with functions of its own */
    enum err (*copy)(const void *from, void *to);
    bool (*is_same)(const void *a, const void *b);
    void (*release)(void *field);
} kinds[] = {
    [KEPT_number] = {.plain_bytes = sizeof(int64_t)},
    [KEPT_choice] = {.plain_bytes = sizeof(int)},
    [KEPT_bits] = {.plain_bytes = sizeof(uint32_t)},
    [KEPT_flag] = {.plain_bytes = sizeof(bool)},
    [KEPT_text] = {.copy = copy_text, .is_same = is_same_text, .release = release_text},
    [KEPT_texts] = {.copy = copy_texts, .is_same = is_same_texts, .release = release_texts},
    [KEPT_listens] = {.copy = copy_listens, .is_same = is_same_listens, .release = release_listens},
};

enum err option_copy(const struct option_row *row, const void *from, void *to)
{
    enum option_kept kept = type_of(row)->kept;

    if (kinds[kept].plain_bytes == 0)
        return kinds[kept].copy(from, to);
    memcpy(to, from, kinds[kept].plain_bytes);
    return OK;
}

bool option_is_same(const struct option_row *row, const void *a, const void *b)
{
    enum option_kept kept = type_of(row)->kept;

    return kinds[kept].plain_bytes != 0 ? memcmp(a, b, kinds[kept].plain_bytes) == 0
                                        : kinds[kept].is_same(a, b);
}

void option_release(const struct option_row *row, void *field)
{
    if (kinds[type_of(row)->kept].release != NULL)
        kinds[type_of(row)->kept].release(field);
}
