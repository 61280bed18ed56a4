/* valkey_overtaken.c — who has overtaken whom: of calls of one slot a later one has run while an earlier
 * one may have to be asked again. Those that share a key must not change places, so the earlier one is
 * marked.
 *
 * The arguments of the one that has run are put into a table once, and those of all earlier ones are looked
 * up there: while a slot moves many calls of many keys may wait. */
#include "base/hash.h"
#include "client/valkey/valkey_parts.h"
#include <stdlib.h>

/* The next argument of rendered commands, which are arrays of bulk strings. False at the end. `*is_name`:
 * it begins a command. */
static bool next_argument(struct bytes *rendered, struct bytes *argument, bool *is_name)
{
    size_t size = 0;

    *is_name = false;
    while (rendered->size > 0 && rendered->data[0] == '*') {
        const char *end = memchr(rendered->data, '\n', rendered->size);
        *rendered = bytes_after(*rendered, (size_t)(end + 1 - rendered->data));
        *is_name = true;
    }
    if (rendered->size == 0)
        return false;
    *rendered = bytes_after(*rendered, 1); /* $ */
    for (; rendered->data[0] != '\r'; *rendered = bytes_after(*rendered, 1))
        size = 10 * size + (size_t)(rendered->data[0] - '0');
    *argument = bytes_of(rendered->data + 2, size);
    *rendered = bytes_after(*rendered, 2 + size + 2);
    return true;
}

/* ---- the arguments of the one that has run ----------------------------------------------------------- */

struct table {
    const struct call *of;
    struct bytes *places; /* null: not made yet, or there is no memory; without data: free */
    size_t place_count;   /* a power of two, at least twice the arguments */
    uint64_t seed;
    bool was_made;
};

static struct bytes rendered_of(const struct call *call) { return bytes_of(call->bytes, call_bytes(call)); }

/* Where `argument` is, or would be. */
static struct bytes *place_of(const struct table *table, struct bytes argument)
{
    size_t at = (size_t)hash_bytes(argument, table->seed) & (table->place_count - 1);

    for (;; at = (at + 1) & (table->place_count - 1)) {
        struct bytes *place = &table->places[at];
        table->of->valkey->compared_count++;
        if (place->data == NULL || bytes_equal(*place, argument))
            return place;
    }
}

/* Names of commands are no keys. */
static void make(struct table *table)
{
    struct bytes rest = rendered_of(table->of), argument;
    size_t count = 0;
    bool is_name;

    table->was_made = true;
    while (next_argument(&rest, &argument, &is_name))
        count++;
    table->place_count = 2;
    while (table->place_count < 2 * count)
        table->place_count *= 2;
    table->places = calloc(table->place_count, sizeof *table->places);
    table->seed = random_below(&table->of->valkey->dice, UINT64_MAX);
    rest = rendered_of(table->of);
    while (table->places != NULL && next_argument(&rest, &argument, &is_name))
        if (!is_name)
            *place_of(table, argument) = argument;
}

/* ---- comparing -----------------------------------------------------------------------------------------
 */

/* Whether `call`'s command of that number has an argument in common with the table that is a key of its
 * slot, as far as one can see. Without memory it is taken to have one. */
static bool shares_key(const struct call *call, uint32_t command, struct table *table)
{
    struct bytes rest = bytes_of(call->bytes + call->command_at[command],
                                 call->command_at[command + 1] - call->command_at[command]);
    struct bytes argument;
    bool is_name;

    if (!table->was_made)
        make(table);
    if (table->places == NULL)
        return true;
    while (next_argument(&rest, &argument, &is_name))
        if (!is_name && place_of(table, argument)->data != NULL && valkey_slot(argument) == call->slot)
            return true;
    return false;
}

/* Whether something of `call` that has not run yet shares a key with the table. */
static bool is_overtaken(const struct call *call, struct table *table)
{
    for (uint32_t i = 0; i < call->again_count; i++)
        if (shares_key(call, call->again[i], table))
            return true;
    if (call->place == CALL_UNDER_WAY)
        for (uint32_t i = call->heard_count; i < call->asked_count; i++)
            if (shares_key(call, call->asked[i], table))
                return true;
    return false;
}

static void mark_overtaken(struct list *list, struct table *table)
{
    for (struct list *node = list->next; node != list; node = node->next) {
        struct call *call = CONTAINER_OF(node, struct call, in_place);
        if (call->sequence < table->of->sequence &&
            (call->is_redirected || call->place == CALL_UNDER_WAY) && !call->is_overtaken)
            call->is_overtaken = is_overtaken(call, table);
    }
}

void gate_note_run(struct gate *gate, const struct call *call)
{
    struct table table = {.of = call};

    mark_overtaken(&gate->waiting, &table);
    mark_overtaken(&gate->flying, &table);
    free(table.places);
}
