#include "field_edit.h"
#include "stored_response.h"
#include <stdlib.h>

/* ---- making -------------------------------------------------------------------------------------- */

static bool copy_spec(struct field_edit_spec *own, const struct field_edit_spec *spec)
{
    own->set = calloc(spec->set_count + 1, sizeof *own->set);
    own->removed = calloc(spec->removed_count + 1, sizeof *own->removed);
    if (own->set == NULL || own->removed == NULL)
        return false;
    while (own->set_count < spec->set_count) {
        struct field_spec *to = &own->set[own->set_count];
        const struct field_spec *from = &spec->set[own->set_count++];
        to->name = strdup(from->name);
        to->value = strdup(from->value);
        if (to->name == NULL || to->value == NULL)
            return false;
    }
    while (own->removed_count < spec->removed_count) {
        char **to = &own->removed[own->removed_count];
        *to = strdup(spec->removed[own->removed_count++]);
        if (*to == NULL)
            return false;
    }
    return true;
}

bool field_edit_init(struct field_edit *edit, const struct field_edit_spec *spec)
{
    *edit = (struct field_edit){.set = calloc(spec->set_count + 1, sizeof *edit->set)};
    if (edit->set == NULL || !copy_spec(&edit->own, spec))
        return false;
    for (size_t i = 0; i < edit->own.set_count; i++) {
        struct bytes name = bytes_of_text(edit->own.set[i].name);
        edit->set[i] =
            (struct http_field){http_header_find(name), name, bytes_of_text(edit->own.set[i].value)};
    }
    return true;
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
