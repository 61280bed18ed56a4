/* field_edit.h — which fields of a message are set to what, and which are removed. Pure. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"
#include "route_match.h"

/* What is asked for. */
struct field_edit_spec {
    struct field_spec *set;
    size_t set_count;
    char **removed;
    size_t removed_count;
};

void field_edit_spec_fini(struct field_edit_spec *spec);

struct field_edit {
    struct field_edit_spec own; /* in memory of its own */
    struct http_field *set;     /* of own.set */
};

/* False if there is no memory; fini is due in any case. */
bool field_edit_init(struct field_edit *edit, const struct field_edit_spec *spec);
void field_edit_fini(struct field_edit *edit);

static inline bool field_edit_is_none(const struct field_edit *edit)
{
    return edit->own.set_count == 0 && edit->own.removed_count == 0;
}

/* Whether a field of that name is left out, or replaced by what is set. */
bool field_edit_drops(const struct field_edit *edit, struct bytes name);

/* Appends rendered field lines as they are edited. */
void field_edit_rendered(const struct field_edit *edit, struct bytes rendered, struct buffer *out);

/* What is wrong with the name of a field that a request is to have set, or removed, or injected as a
 * credential, or that a response is to have set or removed; null if nothing is. */
const char *request_set_is_wrong(struct bytes name);
const char *request_removal_is_wrong(struct bytes name);
const char *credential_name_is_wrong(struct bytes name);
const char *response_edit_is_wrong(struct bytes name);
const char *field_value_is_wrong(struct bytes value);
