#include "server/roles.h"
#include "base/compiler.h"
#include <string.h>

static const struct verb_row verbs[] = {
#define VERB(id, name, operand, summary, example, example_help)                                            \
    {name, operand, summary, example, example_help},
#include "tables/roles.def"
#undef VERB
};

static const struct role_row roles[] = {
#define ROLE(id, name, listen, summary) {name, listen, summary},
#include "tables/roles.def"
#undef ROLE
};

static const struct scheme schemes[] = {
#define SCHEME(name, protocol, transport, roles) {name, LISTEN_##protocol, LISTEN_##transport, roles},
#include "tables/roles.def"
#undef SCHEME
};

const struct verb_row *verb_row(enum verb verb) { return &verbs[verb]; }

void verb_examples(enum verb verb, void (*each)(void *context, const char *example, const char *help),
                   void *context)
{
#define VERB_EXAMPLE(id, example, help)                                                                    \
    if (verb == VERB_##id)                                                                                 \
        each(context, example, help);
#include "tables/roles.def"
#undef VERB_EXAMPLE
}

void verb_statuses(enum verb verb, void (*each)(void *context, const char *status, const char *help),
                   void *context)
{
#define VERB_STATUS(id, status, help)                                                                      \
    if (verb == VERB_##id)                                                                                 \
        each(context, #status, help);
#include "tables/roles.def"
#undef VERB_STATUS
}

const struct role_row *role_row(enum role role) { return &roles[role]; }

const struct scheme *scheme_find(struct bytes name)
{
    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (bytes_equal(bytes_of_text(schemes[i].name), name))
            return &schemes[i];
    return NULL;
}

void schemes_append(struct buffer *out, unsigned takers)
{
    const char *between = "";
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        if ((schemes[i].roles & takers) == 0)
            continue;
        buffer_append_format(out, "%s%s", between, schemes[i].name);
        between = ", ";
    }
}

const char *listen_scheme(enum listen_protocol protocol, enum listen_transport transport)
{
    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (schemes[i].protocol == protocol && schemes[i].transport == transport)
            return schemes[i].name;
    UNREACHABLE();
}
