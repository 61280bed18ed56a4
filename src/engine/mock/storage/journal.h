/* journal.h — the changes since a data file was written, as lines of JSON beside it. Pure.
 *
 *   ["base",17,2048,1700000000000000000]     the file that the changes behind it are to be made to
 *   ["put","posts","1",{…}]
 *   ["put","profile",null,{…}]               a single object
 *   ["remove","posts","1"]
 *
 * Another base may follow, of a file that has all the changes before it: it takes the place of the first
 * one, or never came to do so, in which case what is behind it is to be made to the first one as well.
 *
 * To make changes again in their order leads to the same documents. A line that is torn, as the last one
 * may be after a crash, ends the journal. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "file_identity.h"

enum journal_kind { JOURNAL_PUT, JOURNAL_REMOVE };

struct journal_change {
    enum journal_kind kind;
    struct bytes name, id; /* an id of null: the single object `name` */
    struct bytes json;     /* what is put, on one line; else empty */
    bool id_is_number;     /* in the JSON of an item that is put */
};

void journal_append_base(struct buffer *journal, const struct file_identity *base);
/* `json` may have line breaks between its values. */
void journal_append_change(struct buffer *journal, const struct journal_change *change);

/* Whether the changes of the journal are about this file; then those from the byte `*begin` on are not in
 * it.
 */
bool journal_is_about(struct bytes journal, const struct file_identity *base, size_t *begin);

/* Calls `make` for each change in order; what an item's id is, the member `id_name` says. Stops at an error
 * of `make`, which is then returned; else OK. Either way `*change_count` have been made, which with the
 * other lines between them are the first `*good_bytes` of the journal: less than all if something behind is
 * torn. */
enum err journal_replay(struct bytes journal, struct bytes id_name,
                        enum err (*make)(void *context, const struct journal_change *change), void *context,
                        size_t *change_count, size_t *good_bytes);
