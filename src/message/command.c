/* command.c — the rows of tables/commands.def and the way from a name to its row.
 *
 * A name becomes one 64-bit number: its first eight bytes, mixed with its last eight if it is longer. The
 * chain of comparisons with constants below is a switch that the compiler turns into a binary search. The
 * row found is compared with the name once, so a collision can make a command unfindable (a test looks
 * every row up) but never find the wrong one. */
#include "message/command.h"
#include "base/compiler.h"
#include <assert.h>

const struct command_row *command_row(enum command_id id)
{
    static const struct command_row rows[COMMAND_COUNT] = {
#define COMMAND(dialect_, id_, name_, arity_, flags_, first_, last_, step_, group_, since_, summary_)      \
    [COMMAND_##id_] = {.dialect = DIALECT_##dialect_,                                                      \
                       .name = name_,                                                                      \
                       .name_bytes = sizeof(name_) - 1,                                                    \
                       .arity = arity_,                                                                    \
                       .flags = flags_,                                                                    \
                       .first_key = first_,                                                                \
                       .last_key = last_,                                                                  \
                       .key_step = step_,                                                                  \
                       .group = group_,                                                                    \
                       .since = since_,                                                                    \
                       .summary = summary_},
#include "tables/commands.def"
#undef COMMAND
    };
    assert(id > COMMAND_UNKNOWN && id < COMMAND_COUNT);
    return &rows[id];
}

enum { NAME_BYTES_MIN = 2, NAME_BYTES_MAX = 32 };

/* Spreads the second half, so that two halves cannot cancel out by accident. */
#define MIX UINT64_C(0x9e3779b97f4a7c15)

/* The number of a literal, byte by byte as read_8 and read_up_to_8 see it on a little-endian machine. */
#define BYTE_AT(name, i, shift)                                                                            \
    ((uint64_t)((i) < sizeof(name) - 1 ? (unsigned char)(name)[(i) < sizeof(name) ? (i) : 0] : 0)          \
     << (shift))
#define EIGHT_AT(name, i)                                                                                  \
    (BYTE_AT(name, (i), 0) | BYTE_AT(name, (i) + 1, 8) | BYTE_AT(name, (i) + 2, 16) |                      \
     BYTE_AT(name, (i) + 3, 24) | BYTE_AT(name, (i) + 4, 32) | BYTE_AT(name, (i) + 5, 40) |                \
     BYTE_AT(name, (i) + 6, 48) | BYTE_AT(name, (i) + 7, 56))
#define NUMBER_OF(name)                                                                                    \
    (EIGHT_AT(name, 0) + (sizeof(name) - 1 > 8 ? MIX * EIGHT_AT(name, sizeof(name) - 1 - 8) : 0))

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "EIGHT_AT and read_8 agree only then");

static inline uint64_t read_8(const char *data)
{
    uint64_t number;
    memcpy(&number, data, sizeof number);
    return number;
}

static inline uint64_t read_up_to_8(const char *data, size_t size)
{
    uint32_t low, high;
    uint16_t pair;

    if (size >= 8)
        return read_8(data);
    if (size >= 4) {
        memcpy(&low, data, 4);
        memcpy(&high, data + size - 4, 4);
        return low | (uint64_t)high << (8 * (size - 4));
    }
    memcpy(&pair, data, 2);
    return pair | (uint64_t)(unsigned char)data[size - 1] << (8 * (size - 1));
}

/* The eight bytes with 'A' to 'Z' made small, each byte on its own. */
static inline uint64_t to_lower_8(uint64_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t seven = bytes & (0x7f * ones);
    uint64_t from_a = seven + (0x80 - 'A') * ones; /* the top bit of a byte says: at least 'A' */
    uint64_t past_z = seven + (0x7f - 'Z') * ones; /* more than 'Z' */
    uint64_t is_upper = from_a & ~past_z & ~bytes & (0x80 * ones);
    return bytes | is_upper >> 2;
}

enum command_id command_find(enum dialect dialect, struct bytes name)
{
    enum command_id id = COMMAND_UNKNOWN;
    const struct command_row *row;
    uint64_t number;

    if (UNLIKELY(name.size < NAME_BYTES_MIN || name.size > NAME_BYTES_MAX))
        return COMMAND_UNKNOWN;
    number = to_lower_8(read_up_to_8(name.data, name.size));
    if (name.size > 8)
        number += MIX * to_lower_8(read_8(name.data + name.size - 8));

    if (dialect == DIALECT_resp) {
#define COMMAND(dialect_, id_, name_, arity_, flags_, first_, last_, step_, group_, since_, summary_)      \
    if (DIALECT_##dialect_ == DIALECT_resp && number == NUMBER_OF(name_))                                  \
        id = COMMAND_##id_;                                                                                \
    else
#include "tables/commands.def"
        return COMMAND_UNKNOWN;
    } else {
#undef COMMAND
#define COMMAND(dialect_, id_, name_, arity_, flags_, first_, last_, step_, group_, since_, summary_)      \
    if (DIALECT_##dialect_ == DIALECT_memcached && number == NUMBER_OF(name_))                             \
        id = COMMAND_##id_;                                                                                \
    else
#include "tables/commands.def"
#undef COMMAND
        return COMMAND_UNKNOWN;
    }
    row = command_row(id);
    if (row->name_bytes != name.size)
        return COMMAND_UNKNOWN;
    if (name.size > 8 && !bytes_equal_nocase(bytes_of(row->name, row->name_bytes), name))
        return COMMAND_UNKNOWN;
    return id;
}
