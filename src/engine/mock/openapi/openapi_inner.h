/* openapi_inner.h — what the files of openapi share. */
#pragma once
#include "api.h"
#include "openapi.h"
#include "preference.h"

struct openapi {
    _Atomic uint32_t holders;
    struct api *api;
    enum openapi_checks checks;
    bool is_dynamic;
    _Atomic uint64_t made_count; /* of values for items that clients put in */
};

/* The text that is made from the schema of `media` once, and kept; null if there is none. Not held. */
struct text *openapi_made_text(const struct openapi *openapi, struct api_media *media);
