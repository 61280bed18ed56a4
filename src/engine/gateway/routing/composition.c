#include "composition.h"
#include "engine/gateway/policy/upstream_fields.h"
#include <stdlib.h>
#include <string.h>

/* ---- specs --------------------------------------------------------------------------------------- */

static char *copied(const char *text, bool *is_good)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    *is_good &= (text == NULL) == (copy == NULL);
    return copy;
}

static bool copy_part(struct part_spec *copy, const struct part_spec *part)
{
    bool is_good = true;

    *copy = (struct part_spec){.name = copied(part->name, &is_good),
                               .target = copied(part->target, &is_good),
                               .pointer = copied(part->pointer, &is_good),
                               .optional = copied(part->optional, &is_good),
                               .timeout_ms = part->timeout_ms,
                               .selected = calloc(part->selected_count + 1, sizeof *copy->selected)};
    if (copy->selected == NULL)
        return false;
    copy->selected_count = part->selected_count;
    for (size_t i = 0; i < part->selected_count; i++)
        copy->selected[i] = (struct field_spec){.name = copied(part->selected[i].name, &is_good),
                                                .value = copied(part->selected[i].value, &is_good)};
    return is_good;
}

bool composition_spec_copy(struct composition_spec *copy, const struct composition_spec *spec)
{
    bool is_good = true;

    *copy = (struct composition_spec){.path = copied(spec->path, &is_good),
                                      .on_failure = copied(spec->on_failure, &is_good),
                                      .timeout_ms = spec->timeout_ms,
                                      .body_bytes_max = spec->body_bytes_max,
                                      .parts = calloc(spec->part_count + 1, sizeof *copy->parts),
                                      .passed = calloc(spec->passed_count + 1, sizeof(char *))};
    if (copy->parts == NULL || copy->passed == NULL)
        return false;
    copy->part_count = spec->part_count;
    for (size_t i = 0; i < spec->part_count; i++)
        is_good &= copy_part(&copy->parts[i], &spec->parts[i]);
    copy->passed_count = spec->passed_count;
    for (size_t i = 0; i < spec->passed_count; i++)
        copy->passed[i] = copied(spec->passed[i], &is_good);
    return is_good;
}

static void fini_part(struct part_spec *part)
{
    free(part->name);
    free(part->target);
    free(part->pointer);
    free(part->optional);
    for (size_t i = 0; i < part->selected_count; i++) {
        free(part->selected[i].name);
        free(part->selected[i].value);
    }
    free(part->selected);
}

void composition_spec_fini(struct composition_spec *spec)
{
    free(spec->path);
    free(spec->on_failure);
    for (size_t i = 0; i < spec->part_count; i++)
        fini_part(&spec->parts[i]);
    free(spec->parts);
    for (size_t i = 0; i < spec->passed_count; i++)
        free(spec->passed[i]);
    free(spec->passed);
    spec->path = spec->on_failure = NULL;
    spec->parts = NULL;
    spec->passed = NULL;
    spec->part_count = spec->passed_count = 0;
}

/* ---- what may be asked for ----------------------------------------------------------------------- */

const char *member_name_is_wrong(struct bytes name)
{
    bool is_good = name.size > 0 && name.size <= 64;

    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i], lower = byte_to_lower(c);
        is_good &=
            (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    }
    return is_good ? NULL : "is no name here; write 1 to 64 letters, digits, _, - and .";
}

const char *part_name_is_wrong(struct bytes name)
{
    return bytes_equal(name, BYTES("errors")) ? "is where failures are told; call the part something else"
                                              : member_name_is_wrong(name);
}

const char *passed_field_is_wrong(struct bytes name)
{
    enum http_header header = http_header_find(name);

    if (!http_is_token(name))
        return "is no field's name";
    if (!upstream_takes(header))
        return "is a field that no origin is sent";
    if (is_precondition(header))
        return "is about the composed answer: it is not passed on";
    if (header == HTTP_HEADER_ACCEPT_ENCODING)
        return "is about the composed answer: parts are asked for as they are";
    return NULL;
}

/* ---- compositions -------------------------------------------------------------------------------- */

enum err composition_init(struct composition *composition, const struct composition_spec *spec)
{
    *composition = (struct composition){.route = {.upstream = NULL}};
    if (!route_policy_copy(&composition->route.policy, &spec->policy) ||
        !composition_spec_copy(&composition->own, spec))
        return ERR_NO_MEMORY;
    if (composition->own.path == NULL || spec->part_count == 0 || spec->part_count > COMPOSED_PARTS_MAX ||
        path_pattern_parse(&composition->path, bytes_of_text(composition->own.path)) != NULL)
        return ERR_SYNTAX;
    for (size_t i = 0; i < spec->part_count; i++)
        if (part_target_is_wrong(bytes_of_text(spec->parts[i].target), &composition->path) != NULL)
            return ERR_SYNTAX;
    return OK;
}

void composition_fini(struct composition *composition)
{
    route_fini(&composition->route);
    composition_spec_fini(&composition->own);
}

bool part_is_required(const struct composition_spec *spec, const struct part_spec *part)
{
    if (part->optional != NULL)
        return strcmp(part->optional, "no") == 0;
    return spec->on_failure != NULL && strcmp(spec->on_failure, "fail") == 0;
}
