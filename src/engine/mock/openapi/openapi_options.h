/* openapi_options.h — how a mock of an OpenAPI document behaves. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum openapi_checks {
    OPENAPI_CHECKS_REFUSE, /* a request that is not as the document says is refused */
    OPENAPI_CHECKS_REPORT, /* it is answered, with what is wrong in the field Nuthatch-Violations */
    OPENAPI_CHECKS_OFF,
};

struct buffer;

struct openapi_options {
    const char *path; /* of the document; for its folder, where the files lie that it refers to */
    uint64_t seed;    /* of what is made */
    enum openapi_checks checks;
    bool is_dynamic;      /* as if every request preferred that */
    bool is_stateful;     /* collections keep what is put into them */
    struct buffer *files; /* gets the paths of the files that the document refers to, each with a byte of 0
                           * behind it, while it is loaded; null: nobody asks */
};
