/* command_keys.c — which of a command's arguments are keys, by what the server says of it.
 *
 * As Redis goes by key specifications, with two differences: a keyword that is not there, and a number of
 * keys that is 0, mean no keys, where Redis would go on to ask code of the command's own. */
#include "base/compiler.h"
#include "base/number.h"
#include "client/valkey/server_commands_state.h"

/* Where the keys go that are found. */
struct keys {
    uint32_t *indexes;
    size_t capacity;
    int count;
};

struct arguments {
    const struct bytes *at;
    int64_t count;
};

/* The keys at first, first + step … last. False if they are not all there. */
static bool add_keys(struct keys *keys, const struct arguments *arguments, int64_t first, int64_t last,
                     int64_t step)
{
    if (first < 1 || last < first || last >= arguments->count)
        return false;
    for (int64_t i = first; i <= last; i += step) {
        if ((size_t)keys->count < keys->capacity)
            keys->indexes[keys->count] = (uint32_t)i;
        keys->count++;
    }
    return true;
}

/* The argument behind the first that is `keyword`, from `from` on, or backwards from so many before the
 * end; 0 if there is none. */
static int64_t behind_keyword(const struct arguments *arguments, struct bytes keyword, int64_t from)
{
    int64_t step = from > 0 ? 1 : -1;

    for (int64_t i = from > 0 ? from : arguments->count + from; i >= 1 && i < arguments->count; i += step)
        if (bytes_equal_nocase(arguments->at[i], keyword))
            return i + 1;
    return 0;
}

static bool add_range(struct keys *keys, const struct arguments *arguments, const struct key_spec *spec,
                      int64_t first)
{
    int64_t last;

    if (spec->last >= 0)
        last = first + spec->last;
    else if (spec->limit <= 1)
        last = arguments->count + spec->last;
    else /* keys, and as many of each of other things behind them */
        last = first + (arguments->count - first) / spec->limit + spec->last;
    return add_keys(keys, arguments, first, last, spec->step);
}

static bool add_numbered(struct keys *keys, const struct arguments *arguments, const struct key_spec *spec,
                         int64_t begin)
{
    int64_t number_at = begin + spec->number_at, first = begin + spec->first_key, number;

    if (number_at >= arguments->count || !int64_parse(arguments->at[number_at], &number) || number < 0 ||
        number > arguments->count)
        return false;
    return number == 0 || add_keys(keys, arguments, first, first + (number - 1) * spec->step, spec->step);
}

/* False if it does not say where they are. */
static bool add_by_spec(struct keys *keys, const struct arguments *arguments,
                        const struct server_commands *commands, const struct key_spec *spec)
{
    struct bytes keyword;
    int64_t begin = 0;

    if (spec->is_no_key)
        return true;
    if (spec->is_incomplete)
        return false;
    switch (spec->begin) {
    case BEGIN_UNKNOWN: return false;
    case BEGIN_INDEX: begin = spec->begin_at; break;
    case BEGIN_KEYWORD:
        keyword = bytes_of(commands->texts.data + spec->keyword, spec->keyword_size);
        begin = behind_keyword(arguments, keyword, spec->begin_at);
        if (begin == 0)
            return true;
        break;
    }
    switch (spec->find) {
    case FIND_UNKNOWN: return false;
    case FIND_RANGE: return add_range(keys, arguments, spec, begin);
    case FIND_NUMBER: return add_numbered(keys, arguments, spec, begin);
    }
    UNREACHABLE();
}

/* As servers said before Redis 7. */
static bool add_by_positions(struct keys *keys, const struct arguments *arguments,
                             const struct server_command *command)
{
    int64_t last = command->last_key;

    if (command->flags & SERVER_COMMAND_MOVABLE_KEYS)
        return false;
    if (command->first_key == 0)
        return true;
    if (command->key_step <= 0)
        return false;
    if (last < 0)
        last += arguments->count;
    return add_keys(keys, arguments, command->first_key, last, command->key_step);
}

int server_command_keys(const struct server_commands *commands, const struct server_command *command,
                        const struct bytes *arguments, uint32_t argument_count, uint32_t *indexes,
                        size_t capacity)
{
    const struct entry *entry = CONTAINER_OF(command, struct entry, command);
    const struct arguments all = {arguments, argument_count};
    struct keys keys = {.indexes = indexes, .capacity = capacity};

    if (entry->spec_count == 0)
        return add_by_positions(&keys, &all, command) ? keys.count : -1;
    for (uint32_t i = 0; i < entry->spec_count; i++)
        if (!add_by_spec(&keys, &all, commands, &commands->specs[entry->first_spec + i]))
            return -1;
    return keys.count;
}
