/* snapshots.h — the documents of a mock as they once were, each under a name, to be put back. In memory,
 * bounded in number and bytes. Any thread may call any function. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"

enum {
    SNAPSHOTS_MAX = 100,
    SNAPSHOTS_BYTES_MAX = 256 << 20,     /* of JSON, all together */
    SNAPSHOT_START_BYTES_MAX = 64 << 20, /* of the data at the start; larger ones are not kept twice */
    SNAPSHOT_NAME_BYTES_MAX = 64,
};

struct documents;
struct snapshots; /* opaque: snapshots.c */

/* The name of the documents as they were at the start. No other may have it. */
#define SNAPSHOT_START "start"

/* Of `documents`, which outlive them. Null without memory. */
struct snapshots *snapshots_create(struct documents *documents);
void snapshots_destroy(struct snapshots *snapshots); /* may be given null */

/* Letters, digits, '-', '_' and '.', at most SNAPSHOT_NAME_BYTES_MAX, and not the start's. */
bool snapshot_name_is_good(struct bytes name);

/* Keeps the documents as they are now: as the start's if they are no larger than those may be, or under
 * `name`, which is good; one that has the name already is replaced, which `*was_there` tells. Returns OK;
 * ERR_FULL beyond either bound: then nothing has changed; ERR_NO_MEMORY. */
enum err snapshots_take_start(struct snapshots *snapshots, int64_t wall_ms);
enum err snapshots_take(struct snapshots *snapshots, struct bytes name, int64_t wall_ms, bool *was_there);

/* Puts the documents back, as a reload that observers are told of. Returns OK; ERR_MISSING; ERR_NO_MEMORY.
 */
enum err snapshots_restore(struct snapshots *snapshots, struct bytes name);

/* Forgets one, but not the start's. Returns OK or ERR_MISSING. */
enum err snapshots_drop(struct snapshots *snapshots, struct bytes name);

/* Appends a JSON array of them, in the order in which they were taken: name, at, bytes. */
void snapshots_list(struct snapshots *snapshots, struct buffer *json);
