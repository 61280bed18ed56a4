#include "server/reread.h"
#include "base/compiler.h"
#include <stdlib.h>
#include <string.h>

/* Both are only read. */
static const void *field_of(const struct option_row *row, const void *base)
{
    return option_field(row, (void *)(uintptr_t)base);
}

enum err options_reread(const struct options *running, struct options *fresh, struct buffer *message)
{
    enum err err = OK;

    options_init(fresh);
    fresh->verb = running->verb;
    for (size_t i = 0; i < option_row_count() && err == OK; i++) {
        const struct option_row *row = option_row(i);
        if (row->scope != OPTION_OF_SERVER || running->set_at[i].line >= 0)
            continue;
        fresh->set_at[i] = running->set_at[i]; /* so that the file does not set it */
        err = option_copy(row, field_of(row, running), option_field(row, fresh));
    }
    return err == OK ? options_load_yaml(fresh, running->file, message) : err;
}

/* ---- what is the same ---------------------------------------------------------------------------- */

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool has_same_listens(const struct listen_list *a, const struct listen_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->items[i].protocol != b->items[i].protocol ||
            a->items[i].transport != b->items[i].transport || a->items[i].mode != b->items[i].mode ||
            strcmp(a->items[i].address, b->items[i].address) != 0)
            return false;
    return true;
}

static bool has_same_texts(const struct text_list *a, const struct text_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static bool is_same(const struct option_row *row, const void *a, const void *b)
{
    a = field_of(row, a);
    b = field_of(row, b);
    switch (row->type) {
    case OPTION_TYPE_integer:
    case OPTION_TYPE_size:
    case OPTION_TYPE_duration: return memcmp(a, b, sizeof(int64_t)) == 0;
    case OPTION_TYPE_loop:
    case OPTION_TYPE_auth:
    case OPTION_TYPE_answer:
    case OPTION_TYPE_host:
    case OPTION_TYPE_checks:
    case OPTION_TYPE_format:
    case OPTION_TYPE_compat:
    case OPTION_TYPE_level: return memcmp(a, b, sizeof(int)) == 0;
    case OPTION_TYPE_events: return memcmp(a, b, sizeof(uint32_t)) == 0;
    case OPTION_TYPE_flag: return memcmp(a, b, sizeof(bool)) == 0;
    case OPTION_TYPE_url:
    case OPTION_TYPE_path:
    case OPTION_TYPE_source:
    case OPTION_TYPE_folder:
    case OPTION_TYPE_text:
    case OPTION_TYPE_secret:
    case OPTION_TYPE_list: return is_same_text(*(char *const *)a, *(char *const *)b);
    case OPTION_TYPE_paths:
    case OPTION_TYPE_texts: return has_same_texts(a, b);
    case OPTION_TYPE_listens: return has_same_listens(a, b);
    }
    UNREACHABLE();
}

/* ---- roles --------------------------------------------------------------------------------------- */

static bool is_partner(const struct role_options *a, const struct role_options *b)
{
    return a->role == b->role && has_same_listens(&a->listens, &b->listens);
}

static const struct role_options *partner_of(const struct role_options *role, const struct options *among)
{
    for (size_t i = 0; i < among->role_count; i++)
        if (is_partner(role, &among->roles[i]))
            return &among->roles[i];
    return NULL;
}

const struct role_options *options_successor(const struct options *running, const struct options *fresh,
                                             size_t index)
{
    const struct role_options *role = &running->roles[index], *partner = partner_of(role, fresh);
    size_t place = 0;

    if (partner != NULL)
        return partner;
    for (size_t i = 0; i < index; i++)
        place += running->roles[i].role == role->role && partner_of(&running->roles[i], fresh) == NULL;
    for (size_t i = 0; i < fresh->role_count; i++)
        if (fresh->roles[i].role == role->role && partner_of(&fresh->roles[i], running) == NULL &&
            place-- == 0)
            return &fresh->roles[i];
    return NULL;
}

static void report(const struct options *fresh, struct place where, struct buffer *message,
                   const char *what)
{
    options_report(fresh, where, message, "%s is another than runs: that needs a restart", what);
}

static void report_roles(const struct options *running, const struct options *fresh, struct buffer *message)
{
    size_t succeeded = 0;

    for (size_t i = 0; i < running->role_count; i++) {
        const struct role_options *role = &running->roles[i], *next = options_successor(running, fresh, i);
        if (next == NULL) {
            options_report(fresh, (struct place){0}, message,
                           "a %s that runs is not in the file: that needs a restart",
                           role_row(role->role)->name);
            continue;
        }
        succeeded++;
        for (size_t j = 0; j < option_row_count(); j++) {
            const struct option_row *row = option_row(j);
            if (row->scope == OPTION_OF_ROLE && (row->roles & 1u << role->role) != 0 &&
                !is_same(row, role, next))
                report(fresh, next->where, message, row->name);
        }
    }
    if (succeeded < fresh->role_count)
        options_report(fresh, (struct place){0}, message,
                       "there are more roles in the file than run: that needs a restart");
}

void options_report_restarts(const struct options *running, const struct options *fresh,
                             struct buffer *message)
{
    for (size_t i = 0; i < option_row_count(); i++) {
        const struct option_row *row = option_row(i);
        /* What neither says follows from the rest. */
        bool is_said = running->set_at[i].line != 0 || fresh->set_at[i].line != 0;
        if (row->scope == OPTION_OF_SERVER && is_said && !is_same(row, running, fresh))
            report(fresh, fresh->set_at[i], message, row->name);
    }
    report_roles(running, fresh, message);
}
