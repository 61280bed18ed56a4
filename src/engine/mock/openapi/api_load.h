/* api_load.h — what the files that take an OpenAPI document apart share. They complain to the document. */
#pragma once
#include "api.h"

struct loader {
    struct api *api;
    struct document *document;
    struct schemas *schemas;
    bool is_3_1;
};

/* `count` zeroed structs of `size`; null after a note. */
void *loader_take(struct loader *loader, size_t count, size_t size);

/* The member `name`, with references followed, if it is of `kinds`; else without a node, after a complaint
 * if it is there. */
struct place loader_member(struct loader *loader, struct place parent, const char *name, unsigned kinds);

/* The text of the member; null, after a complaint, if it is something else; null if it is absent. */
const char *loader_text(struct loader *loader, struct place parent, const char *name);
bool loader_flag(struct loader *loader, struct place parent, const char *name, bool fallback);

/* The schema in the member `schema`; null if there is none. */
const struct schema *loader_schema(struct loader *loader, struct place parent);

/* Parameters of `place`'s `parameters`, put over those in `list`. */
void load_parameters(struct loader *loader, struct place place, struct parameter_list *list);

void load_security_schemes(struct loader *loader, struct place root);
/* From the `security` at `place`; nothing changes if there is none. */
void load_security(struct loader *loader, struct place place, struct security_choice **choices,
                   size_t *count);

void load_request_body(struct loader *loader, struct place operation_place, struct operation *operation);

/* The examples' texts need the schemas: call this when they are finished. */
void load_responses(struct loader *loader, struct place operation_place, struct operation *operation);
void load_examples(struct loader *loader, struct place operation_place, struct operation *operation);

/* `value` as the bytes of a body of `media`; null if it has no such form, or there is no memory. */
struct text *media_render(const struct api_media *media, const json_t *value);
