#include "field_edit.h"
#include "engine/gateway/policy/stored_response.h"
#include <stdlib.h>

/* ---- making -------------------------------------------------------------------------------------- */

static bool copy_set(struct field_edit *edit, const struct field_edit_spec *spec)
{
    for (size_t i = 0; i < spec->set_count; i++) {
        struct field_spec *own = &edit->own.set[edit->own.set_count++];
        own->name = strdup(spec->set[i].name);
        own->value = strdup(spec->set[i].value);
        if (own->name == NULL || own->value == NULL)
            return false;
        edit->set[i] = (struct http_field){http_header_find(bytes_of_text(own->name)),
                                           bytes_of_text(own->name), bytes_of_text(own->value)};
    }
    return true;
}

static bool copy_removed(struct field_edit *edit, const struct field_edit_spec *spec)
{
    for (size_t i = 0; i < spec->removed_count; i++) {
        char **own = &edit->own.removed[edit->own.removed_count++];
        *own = strdup(spec->removed[i]);
        if (*own == NULL)
            return false;
    }
    return true;
}

bool field_edit_init(struct field_edit *edit, const struct field_edit_spec *spec)
{
    *edit = (struct field_edit){.set = calloc(spec->set_count + 1, sizeof *edit->set)};
    edit->own.set = calloc(spec->set_count + 1, sizeof *edit->own.set);
    edit->own.removed = calloc(spec->removed_count + 1, sizeof *edit->own.removed);
    return edit->set != NULL && edit->own.set != NULL && edit->own.removed != NULL &&
           copy_set(edit, spec) && copy_removed(edit, spec);
}

void field_edit_fini(struct field_edit *edit)
{
    field_edit_spec_fini(&edit->own);
    free(edit->set);
    *edit = (struct field_edit){0};
}

/* ---- editing ------------------------------------------------------------------------------------- */

bool field_edit_drops(const struct field_edit *edit, struct bytes name)
{
    for (size_t i = 0; i < edit->own.set_count; i++)
        if (bytes_equal_nocase(edit->set[i].name, name))
            return true;
    for (size_t i = 0; i < edit->own.removed_count; i++)
        if (bytes_equal_nocase(bytes_of_text(edit->own.removed[i]), name))
            return true;
    return false;
}

void field_edit_rendered(const struct field_edit *edit, struct bytes rendered, struct buffer *out)
{
    struct http_field field;

    while (rendered_next(&rendered, &field))
        if (!field_edit_drops(edit, field.name))
            rendered_append(out, field.name, field.value);
    for (size_t i = 0; i < edit->own.set_count; i++)
        rendered_append(out, edit->set[i].name, edit->set[i].value);
}
