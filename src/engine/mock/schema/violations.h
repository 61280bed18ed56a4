/* violations.h — what a request does that it may not: as JSON, bounded in number. */
#pragma once
#include "base/buffer.h"

enum { VIOLATIONS_MAX = 32 };

/* A zeroed struct is none. */
struct violations {
    struct buffer json; /* objects with "in", "pointer" and "detail", with commas between */
    size_t count;       /* all of them; beyond VIOLATIONS_MAX they are only counted */
};

/* `in` is where: "body", "query", … `pointer` is RFC 6901's within that, `detail` valid UTF-8. */
void violations_add(struct violations *violations, const char *in, struct bytes pointer,
                    struct bytes detail);
void violations_fini(struct violations *violations);
