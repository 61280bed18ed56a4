/* watcher.h — looks whether somebody changes files that something was made of, and has it made anew. A
 * thread of its own looks, ten times a second. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "base/log.h"

struct watcher; /* opaque: watcher.c */

struct watcher_options {
    const char *what;   /* for the log: the file that leads to the others; copied */
    struct bytes paths; /* of the files, each behind the other with a byte of 0 at its end; copied */
    struct log *log;
    /* Makes `subject` anew of what the files say by now; if they are no good, what was there stays, and
     * `message` says why. Either way `paths` gets the files to look at from here on. On the watcher's
     * thread. */
    enum err (*reload)(void *subject, const void *source, struct buffer *paths, struct buffer *message);
    void *subject;
    const void *source;
};

/* ERR_NO_MEMORY; ERR_SYSTEM if there is no thread to be had. */
enum err watcher_create(const struct watcher_options *options, struct watcher **watcher);

/* `reload` is not called any more. May be given null. */
void watcher_destroy(struct watcher *watcher);
