#include "server/reread.h"

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

static bool is_same(const struct option_row *row, const void *a, const void *b)
{
    return option_is_same(row, field_of(row, a), field_of(row, b));
}

/* ---- roles --------------------------------------------------------------------------------------- */

static bool is_partner(const struct role_options *a, const struct role_options *b)
{
    return a->role == b->role && listen_list_equal(&a->listens, &b->listens);
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
