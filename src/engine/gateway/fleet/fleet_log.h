/* fleet_log.h — the purges of the fleet, numbered, as all its nodes read them: one value on the tier. Pure.
 *
 *   magic | number | forgotten | left | 1024 numbers of tags | records
 *
 * `number` is that of the last purge. The newest records are here as they are; of those that had to leave,
 * a tag's number stays in its place of the table, where others may share it, and a prefix's number becomes
 * `forgotten`: an answer of a lower birth may have been touched by what nobody knows any more, and is
 * refused. `left` is the number of the last record that left, or what the log began with. A purge by URL
 * takes its answer out of the tier itself; its record is for nodes to do the same.
 *
 * Numbers are microseconds of the tier's own clock, or one more than the last: so they go on even where the
 * log was lost, and a log that begins anew forgets all before it. The value is made by a script alone
 * (fleet_scripts.h); it is in the order of Lua's struct.pack, "<". */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stdint.h>

enum { FLEET_LOG_TAGS = 1024, FLEET_LOG_RECORDS_MAX = 256, FLEET_LOG_TEXT_BYTES_MAX = 8192 };

struct fleet_log {
    uint64_t number, forgotten, left;
    struct bytes tags, records;
};

enum fleet_rule {
    FLEET_URL = 'u',    /* text: the whole primary key */
    FLEET_TAG = 't',    /* text: the tag */
    FLEET_PREFIX = 'p', /* text: as of purge_rules.h; empty: all */
};

struct fleet_record {
    uint64_t number;
    uint64_t node; /* random, of the node that asked */
    enum fleet_rule rule;
    bool is_soft;
    struct bytes text;
};

/* The tier's key of it. */
#define FLEET_LOG_KEY BYTES("nh:{purges}:log")

/* False if it is none, or broken. Points into `value`. */
bool fleet_log_read(struct fleet_log *log, struct bytes value);

/* Takes the next record off; false at the end. They are in the order of their numbers. */
bool fleet_log_next(struct fleet_log *log, struct fleet_record *record);

/* Whether `number` is one of the log's, and all purges after it are still among the records. A log that was
 * lost, or of which a failover has lost the end, may go on with numbers on either side of those of before.
 */
bool fleet_log_goes_back_to(const struct fleet_log *log, uint64_t number);

/* The place of a tag in the table. */
uint32_t fleet_tag_place(struct bytes tag);

/* The number of the last purge of a tag in that place whose record has left. */
uint64_t fleet_log_tag_number(const struct fleet_log *log, uint32_t place);
