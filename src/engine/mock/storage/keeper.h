/* keeper.h — keeps a data file as its documents are: every change is in a journal beside the file within a
 * tenth of a second, on the disk and not only in the kernel; and once it has been quiet for a while, or at
 * the end, the file is written anew beside itself and put in its place. Also looks whether somebody else
 * has changed the file, which is then not overwritten.
 *
 * It has a thread of its own, which alone touches the disk. */
#pragma once
#include "base/log.h"
#include "journal.h"

struct keeper;

/* All documents as one JSON text. */
struct keeper_text {
    struct bytes json;
    void *held; /* the renderer's */
};

struct keeper_options {
    const char *path;              /* of the data file, or of the folder; copied */
    struct file_identity identity; /* of the file when it was read */
    struct log *log;
    bool writes;            /* else it only watches */
    bool watches;           /* calls `reload` when somebody else has changed the file */
    bool has_changes;       /* the documents have changes already which the file lacks */
    uint64_t journal_bytes; /* of a journal that is there and has them: what is behind is torn; 0: there is
                               no journal */
    void *context;          /* of the callbacks, which the keeper's thread calls */
    enum err (*render)(void *context, struct keeper_text *text);
    void (*release)(void *context, struct keeper_text *text);
    /* Reads the file again; false if it is no good and all stays as it was, which the callee logs. */
    bool (*reload)(void *context);
};

/* ERR_NO_MEMORY; ERR_SYSTEM if there is no thread to be had. */
enum err keeper_create(const struct keeper_options *options, struct keeper **keeper);

/* Notes a change down; after each, in their order. Any thread; quick. */
void keeper_note(struct keeper *keeper, const struct journal_change *change);

/* All the documents have been replaced by others: the file is written at once, and until it is, changes
 * that come behind are not on the disk, for the journal is about what was before. Any thread. */
void keeper_note_reload(struct keeper *keeper);

/* Writes what is not written and ends. No change may come after. May be given null. */
void keeper_destroy(struct keeper *keeper);

/* Where the journal of the data file `path` is: the caller's to free; null without memory. */
char *keeper_journal_path(const char *path);
