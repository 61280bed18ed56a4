/* keep.h — a mock's documents and the file they came from: changes go back to it, and others' changes of it
 * come in. */
#pragma once
#include "base/buffer.h"
#include "base/log.h"
#include "engine/mock/storage/file_identity.h"

struct documents;
struct keep;

struct keep_options {
    const char *path;              /* of the data file or folder */
    struct file_identity identity; /* of it before it was read */
    bool writes;                   /* changes go back to the file */
    bool is_others;                /* it would be, but the file is people's own: the log says so */
    bool watches;                  /* the file is read again when it has changed */
    struct log *log;
    /* Appends what the file says by now, as JSON text, to `json`, or to `message` what is wrong with it. */
    enum err (*read)(void *context, struct buffer *json, struct buffer *message);
    void *context;
    /* The documents are what the file says by now; on the keeper's thread. Null: nobody asks. */
    void (*was_reread)(void *mock);
    void *mock;
};

/* Begins to keep `documents`, which have just been read. What a journal of a run that was cut short says is
 * made again first. A file that cannot be written is not kept, and the log says so. On OK `*keep` may be
 * null: there is nothing to do. ERR_NO_MEMORY, ERR_SYSTEM. */
enum err keep_begin(struct documents *documents, const struct keep_options *options, struct keep **keep);

/* Writes what is not written. No change of the documents may come after. May be given null. */
void keep_end(struct keep *keep);
