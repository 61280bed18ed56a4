#include "engine/kv/kv_absent.h"

enum absence {
#define ABSENCE(id, text) ABSENCE_##id,
#define ABSENT(absence, name)
#include "tables/absent_commands.def"
#undef ABSENCE
#undef ABSENT
};

static const char *const texts[] = {
#define ABSENCE(id, text) [ABSENCE_##id] = text,
#define ABSENT(absence, name)
#include "tables/absent_commands.def"
#undef ABSENCE
#undef ABSENT
};

static const struct {
    const char *name; /* upper case */
    enum absence absence;
} absent[] = {
#define ABSENCE(id, text)
#define ABSENT(absence, name) {name, ABSENCE_##absence},
#include "tables/absent_commands.def"
#undef ABSENCE
#undef ABSENT
};

bool kv_say_absent(const struct kv_call *call)
{
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        if (kv_argument_is(call, 0, bytes_of_text(absent[i].name))) {
            kv_error(call, "ERR '%s' is not a command of this server: %s", absent[i].name,
                     texts[absent[i].absence]);
            return true;
        }
    return false;
}
