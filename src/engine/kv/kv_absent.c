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

/* Its row, or COUNT_OF(absent). */
static size_t find(struct bytes name)
{
    size_t i = 0;

    while (i < COUNT_OF(absent) && !bytes_equal_nocase(name, bytes_of_text(absent[i].name)))
        i++;
    return i;
}

bool kv_is_absent(struct bytes name) { return find(name) < COUNT_OF(absent); }

bool kv_say_absent(const struct kv_call *call)
{
    size_t i = find(call->arguments[0]);

    if (i == COUNT_OF(absent))
        return false;
    kv_error(call, "ERR '%s' is not a command of this server: %s", absent[i].name,
             texts[absent[i].absence]);
    return true;
}
