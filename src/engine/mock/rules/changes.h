/* changes.h — the writes of a mock's data on their way to those who listen to them, whichever worker they
 * are at.
 *
 * A write is noted once and put into the inbox of each worker that has listeners; the worker sends it in
 * its next turn. A listener that does not read, or an inbox that is full, ends the stream: the client comes
 * back and reads the data anew. */
#pragma once
#include "base/buffer.h"
#include "base/list.h"
#include "net/loop.h"
#include <pthread.h>

enum { CHANGES_INBOX_MAX = 1000, CHANGES_INBOX_BYTES_MAX = 8 << 20 };

struct change_note; /* immutable: one write */

/* One worker's. Zeroed but for what changes_inbox_init sets. */
struct changes_inbox {
    struct loop *loop;
    struct task task;
    struct list listeners;           /* the owner's; its own thread only */
    _Atomic uint32_t listener_count; /* as others may see it */
    pthread_mutex_t lock;            /* of the rest */
    struct change_note *notes[CHANGES_INBOX_MAX];
    size_t count, bytes;
    bool is_posted, is_full;
};

/* `arrived` runs on the loop's thread when there is something to take. */
void changes_inbox_init(struct changes_inbox *inbox, struct loop *loop, void (*arrived)(struct task *task));
void changes_inbox_fini(struct changes_inbox *inbox);

/* One write: `kind` is a static word, `item` JSON or empty. Makes a note with one holder; null without
 * memory. */
struct change_note *change_note_create(const char *kind, uint64_t number, struct bytes name,
                                       struct bytes id, struct bytes item);
void change_note_release(struct change_note *note);

/* Appends it as {"event": kind, "number": …, "name": …, "id": …, "item": …}. */
void change_note_append_json(const struct change_note *note, struct buffer *out);

/* The event's text; whether it is about the collection or object `name` ("*": any). */
struct bytes change_note_text(const struct change_note *note);
bool change_note_is_about(const struct change_note *note, struct bytes name);

/* Any thread. Holds `note` itself. */
void changes_inbox_put(struct changes_inbox *inbox, struct change_note *note);

/* Takes what is there into `notes`, which the caller releases. False if something was left out. */
bool changes_inbox_take(struct changes_inbox *inbox, struct change_note *notes[static CHANGES_INBOX_MAX],
                        size_t *count);
