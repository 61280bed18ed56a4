/* split.c — keys sorted by their slots, a part for each slot, and the parts' replies put together.
 *
 *   (1) keys of one slot stay in the order in which they were given, so that of two values for one key in
 *       MSET the later wins;
 *   (2) at most SPLIT_PARTS_AT_ONCE parts are under way, and a part that has ended lets the next one begin;
 *   (3) the split is freed right after its owner has been told, or when it is given up. */
#include "client/valkey/split.h"
#include "base/compiler.h"
#include <stdlib.h>

enum kind { KIND_LIST, KIND_SUM, KIND_STATUS };

static const struct row {
    struct bytes name;
    enum kind kind;
    uint32_t step; /* arguments for each key */
} rows[] = {
    {BYTES_INIT("MGET"), KIND_LIST, 1},  {BYTES_INIT("DEL"), KIND_SUM, 1},
    {BYTES_INIT("UNLINK"), KIND_SUM, 1}, {BYTES_INIT("EXISTS"), KIND_SUM, 1},
    {BYTES_INIT("TOUCH"), KIND_SUM, 1},  {BYTES_INIT("MSET"), KIND_STATUS, 2},
};

static const struct row *find_row(struct bytes name)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (bytes_equal_nocase(name, rows[i].name))
            return &rows[i];
    return NULL;
}

bool split_is_possible(struct bytes name) { return find_row(name) != NULL; }

/* A key's argument, and its slot. */
struct place {
    uint16_t slot;
    uint32_t argument;
};

struct part {
    struct valkey_call call;
    struct split_call *split;
    uint32_t first, count; /* of split->places */
    bool is_under_way;
};

struct split_call {
    struct valkey *valkey;
    const struct row *row;
    unsigned flags;
    int64_t deadline_ms;
    void (*done)(void *owner, const struct valkey_answer *answer);
    void *owner;
    struct bytes *arguments; /* copies, in `bytes` */
    char *bytes;
    struct bytes *one_part; /* room for the arguments of any part */
    struct place *places;   /* by slot */
    uint32_t key_count;
    struct part *parts;
    uint32_t part_count, begun_count, ended_count;
    /* what came */
    int64_t sum;
    struct resp_node *nodes; /* of KIND_LIST: the array, and a value for each key, as they were given */
    char **kept;             /* what their bytes are in, one for each part */
    enum err err;            /* the first that was met */
    bool has_error_reply, may_have_run;
    char text[256];
    size_t text_bytes;
};

static int by_slot(const void *a, const void *b)
{
    const struct place *one = a, *other = b;

    if (one->slot != other->slot)
        return one->slot < other->slot ? -1 : 1;
    return one->argument < other->argument ? -1 : one->argument > other->argument;
}

static void split_free(struct split_call *split)
{
    for (uint32_t i = 0; split->kept != NULL && i < split->part_count; i++)
        free(split->kept[i]);
    free(split->kept);
    free(split->nodes);
    free(split->one_part);
    free(split->parts);
    free(split->places);
    free(split->bytes);
    free(split->arguments);
    free(split);
}

/* ---- what came ----------------------------------------------------------------------------------------
 */

static void note_error(struct split_call *split, enum err err, struct bytes text)
{
    if (split->err != OK || split->has_error_reply)
        return;
    split->err = err;
    split->has_error_reply = err == OK;
    split->text_bytes = text.size < sizeof split->text ? text.size : sizeof split->text;
    if (split->text_bytes > 0)
        memcpy(split->text, text.data, split->text_bytes);
}

/* An error in the place of each of the part's keys. */
static void fill_with_error(struct split_call *split, const struct part *part, struct bytes text)
{
    char *kept = malloc(text.size > 0 ? text.size : 1);

    if (kept == NULL)
        text = BYTES("OOM no memory for what the tier has said");
    else if (text.size > 0)
        memcpy(kept, text.data, text.size);
    split->kept[part - split->parts] = kept;
    for (uint32_t i = 0; i < part->count; i++)
        split->nodes[split->places[part->first + i].argument] = (struct resp_node){
            .type = RESP_ERROR, .span = 1, .bytes = bytes_of(kept != NULL ? kept : text.data, text.size)};
}

/* What MGET may say of a key. */
static bool is_value(const struct resp_node *node)
{
    return node->type == RESP_BULK || node->type == RESP_NULL || node->type == RESP_ERROR;
}

/* The values of the part's keys, copied. False if there are none in `reply`. */
static bool take_values(struct split_call *split, const struct part *part, const struct resp_reply *reply)
{
    const struct resp_node *value = resp_first_member(reply->nodes);
    size_t size = 0, offset = 0;
    bool is_answer = reply->nodes->type == RESP_ARRAY && reply->nodes->integer == part->count &&
                     reply->node_count == part->count + 1;
    char *kept;

    for (uint32_t i = 0; is_answer && i < part->count; i++)
        is_answer = is_value(&value[i]);
    if (!is_answer) {
        fill_with_error(split, part, BYTES("ERR the tier's answer to MGET is none"));
        return false;
    }
    for (uint32_t i = 0; i < part->count; i++)
        size += value[i].bytes.size;
    kept = malloc(size > 0 ? size : 1);
    if (kept == NULL) {
        fill_with_error(split, part, BYTES("OOM no memory for what the tier has said"));
        return true;
    }
    split->kept[part - split->parts] = kept;
    for (uint32_t i = 0; i < part->count; i++) {
        struct resp_node *place = &split->nodes[split->places[part->first + i].argument];
        *place = value[i];
        if (value[i].bytes.size > 0)
            memcpy(kept + offset, value[i].bytes.data, value[i].bytes.size);
        place->bytes.data = kept + offset;
        offset += value[i].bytes.size;
    }
    return true;
}

/* False if no server says such a thing. */
static bool take(struct split_call *split, const struct part *part, const struct valkey_answer *answer)
{
    const struct resp_node *node = answer->err == OK ? answer->replies[0].nodes : NULL;

    if (node == NULL || node->type == RESP_ERROR) {
        struct bytes text = node != NULL ? node->bytes : answer->text;
        if (split->row->kind == KIND_LIST)
            fill_with_error(split, part, text);
        note_error(split, answer->err, text);
        split->may_have_run |= answer->err != OK && answer->may_have_run;
        return true;
    }
    if (split->row->kind == KIND_LIST)
        return take_values(split, part, &answer->replies[0]);
    split->may_have_run = true; /* this part has */
    if (split->row->kind == KIND_STATUS && node->type == RESP_SIMPLE)
        return true;
    if (split->row->kind == KIND_SUM && node->type == RESP_INTEGER && node->integer >= 0 &&
        node->integer <= part->count) {
        split->sum += node->integer;
        return true;
    }
    note_error(split, ERR_SYNTAX, BYTES("what a server of the tier has said is no answer"));
    return false;
}

/* Tells what came of all parts, and frees the split. */
static void finish(struct split_call *split)
{
    struct valkey_answer answer = {.err = OK};
    struct resp_reply reply = {.node_count = 1};
    struct resp_node one;

    if (split->row->kind == KIND_LIST) {
        split->nodes[0] = (struct resp_node){
            .type = RESP_ARRAY, .span = split->key_count + 1, .integer = split->key_count};
        reply.node_count = split->key_count + 1;
        reply.nodes = split->nodes;
    } else {
        if (split->has_error_reply)
            one = (struct resp_node){
                .type = RESP_ERROR, .span = 1, .bytes = bytes_of(split->text, split->text_bytes)};
        else if (split->row->kind == KIND_SUM)
            one = (struct resp_node){.type = RESP_INTEGER, .span = 1, .integer = split->sum};
        else
            one = (struct resp_node){.type = RESP_SIMPLE, .span = 1, .bytes = BYTES("OK")};
        reply.nodes = &one;
        answer.err = split->err;
        answer.may_have_run = split->err != OK && split->may_have_run;
        answer.text = bytes_of(split->text, split->text_bytes);
    }
    answer.replies = answer.err == OK ? &reply : NULL;
    split->done(split->owner, &answer);
    split_free(split);
}

/* ---- asking -------------------------------------------------------------------------------------------
 */

static void begin_parts(struct split_call *split);

static void part_done(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct part *part = CONTAINER_OF(call, struct part, call);
    struct split_call *split = part->split;
    bool makes_no_sense;

    part->is_under_way = false;
    makes_no_sense = !take(split, part, answer);
    split->ended_count++;
    if (split->ended_count == split->part_count)
        finish(split);
    else
        begin_parts(split);
    if (makes_no_sense && answer->speaker != NULL)
        source_reconnect(answer->speaker);
}

static void begin_part(struct split_call *split, struct part *part)
{
    uint32_t step = split->row->step;
    struct bytes *arguments = split->one_part;
    struct valkey_command command = {arguments, 1 + part->count * step};

    arguments[0] = split->arguments[0];
    for (uint32_t i = 0; i < part->count; i++)
        memcpy(&arguments[1 + i * step], &split->arguments[split->places[part->first + i].argument],
               step * sizeof *arguments);
    part->is_under_way = true;
    part->call.done = part_done;
    valkey_ask(split->valkey, &part->call,
               &(struct valkey_order){.commands = &command,
                                      .command_count = 1,
                                      .target = VALKEY_SLOT,
                                      .slot = split->places[part->first].slot,
                                      .flags = split->flags,
                                      .deadline_ms = split->deadline_ms});
}

static void begin_parts(struct split_call *split)
{
    while (split->begun_count < split->part_count &&
           split->begun_count - split->ended_count < SPLIT_PARTS_AT_ONCE)
        begin_part(split, &split->parts[split->begun_count++]);
}

/* Copies the arguments, so that parts may begin later. */
static bool copy_arguments(struct split_call *split, const struct bytes *arguments, uint32_t argument_count)
{
    size_t size = 0;

    for (uint32_t i = 0; i < argument_count; i++)
        size += arguments[i].size;
    split->arguments = calloc((size_t)argument_count + 1, sizeof *split->arguments);
    split->one_part = calloc((size_t)argument_count + 1, sizeof *split->one_part);
    split->bytes = malloc(size > 0 ? size : 1);
    if (split->arguments == NULL || split->one_part == NULL || split->bytes == NULL)
        return false;
    size = 0;
    for (uint32_t i = 0; i < argument_count; i++) {
        split->arguments[i] = bytes_of(split->bytes + size, arguments[i].size);
        if (arguments[i].size > 0)
            memcpy(split->bytes + size, arguments[i].data, arguments[i].size);
        size += arguments[i].size;
    }
    return true;
}

/* Sorts the keys by slot and makes the parts. */
static bool make_parts(struct split_call *split)
{
    split->places = calloc((size_t)split->key_count + 1, sizeof *split->places);
    if (split->places == NULL)
        return false;
    for (uint32_t i = 0; i < split->key_count; i++) {
        uint32_t argument = 1 + i * split->row->step;
        split->places[i] = (struct place){valkey_slot(split->arguments[argument]), argument};
    }
    qsort(split->places, split->key_count, sizeof *split->places, by_slot);
    split->part_count = 1;
    for (uint32_t i = 1; i < split->key_count; i++)
        split->part_count += split->places[i].slot != split->places[i - 1].slot;
    split->parts = calloc(split->part_count, sizeof *split->parts);
    split->kept = calloc(split->part_count, sizeof *split->kept);
    if (split->row->kind == KIND_LIST)
        split->nodes = calloc((size_t)split->key_count + 1, sizeof *split->nodes);
    if (split->parts == NULL || split->kept == NULL ||
        (split->row->kind == KIND_LIST && split->nodes == NULL))
        return false;
    for (uint32_t i = 0, part = 0; i < split->key_count; i++) {
        if (i > 0 && split->places[i].slot != split->places[i - 1].slot)
            part++;
        if (split->parts[part].count++ == 0)
            split->parts[part].first = i;
        split->parts[part].split = split;
    }
    return true;
}

enum err split_ask(struct valkey *valkey, const struct bytes *arguments, uint32_t argument_count,
                   unsigned flags, int64_t deadline_ms,
                   void (*done)(void *owner, const struct valkey_answer *answer), void *owner,
                   struct split_call **result)
{
    const struct row *row = find_row(arguments[0]);
    struct split_call *split;

    if (row == NULL || argument_count < 1 + row->step || (argument_count - 1) % row->step != 0)
        return ERR_SYNTAX;
    split = calloc(1, sizeof *split);
    if (split == NULL)
        return ERR_NO_MEMORY;
    split->valkey = valkey;
    split->row = row;
    split->flags = flags;
    split->deadline_ms = deadline_ms;
    split->done = done;
    split->owner = owner;
    split->key_count = (argument_count - 1) / row->step;
    if (!copy_arguments(split, arguments, argument_count) || !make_parts(split)) {
        split_free(split);
        return ERR_NO_MEMORY;
    }
    *result = split;
    begin_parts(split);
    return OK;
}

void split_give_up(struct split_call *split)
{
    for (uint32_t i = 0; i < split->begun_count; i++)
        if (split->parts[i].is_under_way)
            valkey_give_up(split->valkey, &split->parts[i].call);
    split_free(split);
}
