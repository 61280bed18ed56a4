#include "keeper.h"
#include "base/thread.h"
#include "engine/mock/json/json_pretty.h"
#include "whole_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COALESCE_MS = 20, /* changes that come within this go to the disk together */
    QUIET_MS = 300,   /* after the last change, before the file is written */
    BUSY_MS = 30000,  /* the file is written after this, quiet or not */
    RETRY_MS = 5000,  /* after what has failed */
    LOOK_MS = 100,    /* from one look at the file to the next */
    REST_FACTOR = 10, /* so many times as long as the last writing took passes before the next */
    WAITING_BYTES_MAX =
        64 << 20, /* of changes that the disk has not taken; beyond, the whole file is written */
    JOURNAL_BYTES_MAX = 256 << 20, /* beyond, the file is written, quiet or not */
    PIECE_BYTES = 1 << 20,
};

struct keeper {
    struct keeper_options options;
    char *path, *journal_path, *new_path, *unsaved_path;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t news;
    /* guarded by `mutex` */
    struct buffer waiting; /* lines for the journal */
    int64_t waiting_since_ms;
    bool is_behind;    /* the journal does not have it all */
    bool is_replaced;  /* all is different: what comes now may not be made to what the journal is about */
    bool is_reloading; /* the documents are being replaced by what the file says */
    bool is_ending;
    /* the thread's */
    struct file_identity known;          /* of the file as we read or wrote it */
    struct file_identity seen;           /* of the file as we last looked at it */
    int journal_fd;                      /* -1: there is none */
    uint64_t journal_bytes;              /* that are good */
    bool is_torn;                        /* there may be others behind them */
    bool is_dirty;                       /* the file lacks changes */
    int64_t dirty_since_ms, changed_ms;  /* since when; and when there was the last change */
    int64_t not_before_ms, next_look_ms; /* of writing the file; of looking at it */
    bool is_conflicting, has_failed;     /* which has been logged */
};

static int64_t now_ms(void) { return clock_read(&clock_system).mono_ms; }

static char *path_with(const char *path, const char *ending)
{
    size_t size = strlen(path) + strlen(ending) + 1;
    char *made = malloc(size);

    if (made != NULL) {
        memcpy(made, path, strlen(path));
        memcpy(made + strlen(path), ending, strlen(ending) + 1);
    }
    return made;
}

char *keeper_journal_path(const char *path) { return path_with(path, ".journal"); }

/* Logs the first of failures that come one after the other. */
static void note_failure(struct keeper *keeper, const char *what, const char *path, int errno_value)
{
    if (!keeper->has_failed)
        log_write(keeper->options.log, LOG_ERROR,
                  "cannot %s %s: %s; changes are kept in memory and it is tried again", what, path,
                  strerror(errno_value));
    keeper->has_failed = true;
    keeper->not_before_ms = now_ms() + RETRY_MS;
}

/* ---- files -------------------------------------------------------------------------------------- */

static mode_t mode_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_mode & 0777 : 0644;
}

static void drop_journal(struct keeper *keeper)
{
    if (keeper->journal_fd < 0)
        return;
    unlink(keeper->journal_path);
    close(keeper->journal_fd);
    keeper->journal_fd = -1;
    keeper->journal_bytes = 0;
    keeper->is_torn = false;
}

/* A new journal: one that is there is another process's, which keeps the same file. */
static bool open_journal(struct keeper *keeper)
{
    struct buffer head = {0};
    bool is_written;
    int fd = open(keeper->journal_path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
                  mode_of(keeper->path));

    if (fd < 0)
        return false;
    journal_append_base(&head, &keeper->known);
    is_written = !head.failed && whole_file_write_all(fd, buffer_bytes(&head));
    keeper->journal_fd = fd;
    keeper->journal_bytes = head.size;
    if (!is_written)
        drop_journal(keeper);
    buffer_fini(&head);
    whole_file_sync_folder(keeper->journal_path);
    return is_written;
}

/* What is torn goes first: a line behind it would be one with it, and end the journal there. */
static bool append_to_journal(struct keeper *keeper, struct bytes lines)
{
    if (keeper->journal_fd < 0 && !open_journal(keeper))
        return false;
    if (keeper->is_torn && ftruncate(keeper->journal_fd, (off_t)keeper->journal_bytes) != 0)
        return false;
    keeper->is_torn =
        !whole_file_write_all(keeper->journal_fd, lines) || fdatasync(keeper->journal_fd) != 0;
    if (keeper->is_torn)
        return false;
    keeper->journal_bytes += lines.size;
    return true;
}

/* Writes the document indented, so that people and their tools may look at it. */
static bool write_document(int fd, struct bytes json)
{
    struct json_pretty pretty = {0};
    struct buffer out = {0};
    bool is_good = true;

    while (json.size > 0 && is_good) {
        struct bytes piece = bytes_first(json, json.size < PIECE_BYTES ? json.size : PIECE_BYTES);
        json = bytes_after(json, piece.size);
        json_pretty_append(&pretty, piece, &out);
        if (json.size == 0)
            buffer_append_byte(&out, '\n');
        is_good = !out.failed && whole_file_write_all(fd, buffer_bytes(&out));
        buffer_clear(&out);
    }
    buffer_fini(&out);
    return is_good && fsync(fd) == 0;
}

/* Writes all documents to a new file at `path`, with its identity in `*identity`. */
static bool write_new(struct keeper *keeper, const char *path, struct file_identity *identity)
{
    struct keeper_text text;
    bool is_good = false;
    int fd;

    if (keeper->options.render(keeper->options.context, &text) != OK) {
        errno = ENOMEM;
        return false;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        is_good = fchmod(fd, mode_of(keeper->path)) == 0 && write_document(fd, text.json) &&
                  file_identity_of_fd(fd, identity) == OK;
        close(fd);
        if (!is_good) {
            int errno_value = errno;
            unlink(path);
            errno = errno_value;
        }
    }
    keeper->options.release(keeper->options.context, &text);
    return is_good;
}

/* ---- the file ----------------------------------------------------------------------------------- */

/* Whether the file is as we left it. One that is gone may be written again. */
static bool file_is_known(struct keeper *keeper)
{
    struct file_identity identity;
    enum err err = file_identity_of(keeper->path, &identity);

    return err == ERR_MISSING || (err == OK && file_identity_equal(&identity, &keeper->known));
}

/* Somebody else has changed the file: what we have goes beside it. */
static bool write_unsaved(struct keeper *keeper)
{
    struct file_identity ignored;
    bool is_written = write_new(keeper, keeper->unsaved_path, &ignored);

    if (is_written) {
        log_write(keeper->options.log, LOG_WARNING,
                  "%s was changed by somebody else: what the API had changed is in %s", keeper->path,
                  keeper->unsaved_path);
        drop_journal(keeper);
    } else {
        log_write(keeper->options.log, LOG_ERROR, "cannot write %s: %s; the changes are in %s",
                  keeper->unsaved_path, strerror(errno), keeper->journal_path);
        keeper->has_failed = true;
    }
    return is_written;
}

/* What the journal cannot tell goes beside the file, which is then true. */
static bool leave_file_alone(struct keeper *keeper, bool journal_is_useless)
{
    if (!keeper->is_conflicting)
        log_write(keeper->options.log, LOG_ERROR,
                  "%s was changed by somebody else and is not overwritten; the API's changes go to %s "
                  "until the end",
                  keeper->path, keeper->journal_path);
    keeper->is_conflicting = true;
    keeper->not_before_ms = now_ms() + RETRY_MS;
    return journal_is_useless && write_unsaved(keeper);
}

/* Puts a new file in the place of the old one. Before that, the journal says that it is about the new one
 * as well, which has all that the journal has so far: whenever the power fails, the journal is about the
 * file that is there. True if the documents are on the disk as a whole, in the file or beside it. */
static bool write_file(struct keeper *keeper, bool journal_is_useless)
{
    int64_t began_ms = now_ms();
    struct file_identity written;
    struct buffer line = {0};
    bool is_on_disk = false;

    if (!file_is_known(keeper))
        return leave_file_alone(keeper, journal_is_useless);
    if (!write_new(keeper, keeper->new_path, &written)) {
        note_failure(keeper, "write", keeper->new_path, errno);
        return false;
    }
    journal_append_base(&line, &written);
    if (line.failed || (keeper->journal_fd >= 0 && !append_to_journal(keeper, buffer_bytes(&line)))) {
        note_failure(keeper, "replace", keeper->path, errno);
        unlink(keeper->new_path);
    } else if (!file_is_known(keeper)) { /* a large one took long to write */
        unlink(keeper->new_path);
        is_on_disk = leave_file_alone(keeper, journal_is_useless);
    } else if (rename(keeper->new_path, keeper->path) != 0) {
        note_failure(keeper, "replace", keeper->path, errno);
        unlink(keeper->new_path);
    } else {
        whole_file_sync_folder(keeper->path);
        keeper->known = keeper->seen = written;
        keeper->is_dirty = keeper->is_conflicting = keeper->has_failed = false;
        keeper->not_before_ms = now_ms() + (now_ms() - began_ms) * REST_FACTOR;
        drop_journal(keeper); /* changes that came meanwhile still wait for the next one */
        is_on_disk = true;
    }
    buffer_fini(&line);
    return is_on_disk;
}

/* ---- the thread --------------------------------------------------------------------------------- */

static void note_dirty(struct keeper *keeper)
{
    keeper->changed_ms = now_ms();
    if (!keeper->is_dirty)
        keeper->dirty_since_ms = keeper->changed_ms;
    keeper->is_dirty = true;
}

/* Takes what waits to the journal. With the mutex held, which is let go meanwhile. */
static void take_waiting(struct keeper *keeper)
{
    struct buffer taken = keeper->waiting;
    bool is_good;

    keeper->waiting = (struct buffer){0};
    pthread_mutex_unlock(&keeper->mutex);
    note_dirty(keeper);
    is_good = !taken.failed && (taken.size == 0 || append_to_journal(keeper, buffer_bytes(&taken)));
    if (!is_good)
        note_failure(keeper, "write", keeper->journal_path, errno);
    buffer_fini(&taken);
    pthread_mutex_lock(&keeper->mutex);
    if (!is_good)
        keeper->is_behind = true;
}

/* When the file is to be written, if nothing else happens. What waits is a change as well: on a slow disk
 * the last that was taken may be long ago. */
static int64_t write_due_ms(const struct keeper *keeper)
{
    int64_t due_ms = keeper->waiting.size > 0 ? INT64_MAX : keeper->changed_ms + QUIET_MS;

    if (due_ms > keeper->dirty_since_ms + BUSY_MS)
        due_ms = keeper->dirty_since_ms + BUSY_MS;
    if (keeper->is_behind || keeper->is_replaced || keeper->journal_bytes > JOURNAL_BYTES_MAX)
        due_ms = 0;
    if (keeper->is_replaced && !keeper->has_failed) /* however short a rest the last writing had */
        return 0;
    return due_ms > keeper->not_before_ms ? due_ms : keeper->not_before_ms;
}

/* With the mutex held, which is let go meanwhile. */
static void write_file_now(struct keeper *keeper)
{
    bool was_behind = keeper->is_behind, was_replaced = keeper->is_replaced, is_on_disk;
    bool journal_is_useless = keeper->is_ending || was_replaced;

    keeper->is_behind = keeper->is_replaced = false; /* what comes from here on may not be in the file */
    if (was_replaced)
        buffer_fini(&keeper->waiting); /* which is in the documents that are written now */
    pthread_mutex_unlock(&keeper->mutex);
    is_on_disk = write_file(keeper, journal_is_useless);
    pthread_mutex_lock(&keeper->mutex);
    keeper->is_behind |= keeper->is_dirty && was_behind;
    keeper->is_replaced |= was_replaced && !is_on_disk;
}

/* Looks whether somebody else has changed the file. One that is not the same at two looks is still being
 * written. With the mutex held, which is let go meanwhile. */
static void look(struct keeper *keeper)
{
    struct file_identity before, identity;
    struct timespec pause = {0, LOOK_MS / 2 * 1000000};
    bool is_taken;

    keeper->next_look_ms = now_ms() + LOOK_MS;
    pthread_mutex_unlock(&keeper->mutex);
    if (file_identity_of(keeper->path, &before) == OK && !file_identity_equal(&before, &keeper->seen)) {
        nanosleep(&pause, NULL);
        if (file_identity_of(keeper->path, &identity) == OK && file_identity_equal(&before, &identity)) {
            keeper->seen = identity;
            if (keeper->options.writes && keeper->is_dirty)
                write_unsaved(keeper);
            pthread_mutex_lock(&keeper->mutex);
            keeper->is_reloading = true;
            pthread_mutex_unlock(&keeper->mutex);
            is_taken = keeper->options.reload(keeper->options.context);
            pthread_mutex_lock(&keeper->mutex);
            keeper->is_reloading = false;
            if (is_taken) {
                keeper->known = identity;
                keeper->is_dirty = keeper->is_conflicting = false;
                drop_journal(keeper);
            }
            return;
        }
    }
    pthread_mutex_lock(&keeper->mutex);
}

static void wait_until(struct keeper *keeper, int64_t due_ms)
{
    struct timespec due = {due_ms / 1000, due_ms % 1000 * 1000000};

    if (due_ms == INT64_MAX)
        pthread_cond_wait(&keeper->news, &keeper->mutex);
    else
        pthread_cond_timedwait(&keeper->news, &keeper->mutex, &due);
}

/* Whether `at_ms` has come; else it is when something is next to do, unless that is sooner. */
static bool is_due(int64_t at_ms, int64_t now, int64_t *due_ms)
{
    if (*due_ms > at_ms)
        *due_ms = at_ms;
    return now >= at_ms;
}

/* Does all that is due, for under steady changes something always waits, and returns when something will
 * be: at once after anything for which the mutex was let go. False at the end. With the mutex held. */
static bool step(struct keeper *keeper, int64_t *due_ms)
{
    int64_t now = now_ms();

    *due_ms = INT64_MAX;
    if (keeper->options.writes && keeper->waiting.size > 0 && !keeper->is_replaced &&
        (is_due(keeper->waiting_since_ms + COALESCE_MS, now, due_ms) || keeper->is_ending))
        take_waiting(keeper);
    if ((keeper->is_behind || keeper->is_replaced) && !keeper->is_dirty)
        note_dirty(keeper);
    if (keeper->options.writes && keeper->is_dirty &&
        (is_due(write_due_ms(keeper), now, due_ms) || keeper->is_ending))
        write_file_now(keeper);
    if (keeper->is_ending)
        return keeper->waiting.size > 0 && !keeper->is_replaced;
    if (keeper->options.watches && is_due(keeper->next_look_ms, now, due_ms))
        look(keeper);
    return true;
}

static void *run(void *argument)
{
    struct keeper *keeper = argument;
    int64_t due_ms;

    pthread_mutex_lock(&keeper->mutex);
    while (step(keeper, &due_ms))
        if (now_ms() < due_ms && !keeper->is_ending)
            wait_until(keeper, due_ms);
    pthread_mutex_unlock(&keeper->mutex);
    return NULL;
}

/* ---- from outside ------------------------------------------------------------------------------- */

/* Whether the lines that wait are more than may; then they go, and the whole file is to be written. */
static void check_bound(struct keeper *keeper)
{
    if (keeper->waiting.size <= WAITING_BYTES_MAX && !keeper->waiting.failed)
        return;
    buffer_fini(&keeper->waiting);
    keeper->is_behind = true;
}

void keeper_note(struct keeper *keeper, const struct journal_change *change)
{
    bool is_first;

    pthread_mutex_lock(&keeper->mutex);
    is_first = keeper->waiting.size == 0;
    if (is_first)
        keeper->waiting_since_ms = now_ms();
    journal_append_change(&keeper->waiting, change);
    check_bound(keeper);
    pthread_mutex_unlock(&keeper->mutex);
    if (is_first)
        pthread_cond_signal(&keeper->news);
}

void keeper_note_reload(struct keeper *keeper)
{
    pthread_mutex_lock(&keeper->mutex);
    buffer_fini(&keeper->waiting); /* changes of what is no more */
    keeper->is_behind = false;
    keeper->is_replaced = !keeper->is_reloading || !pthread_equal(pthread_self(), keeper->thread);
    pthread_mutex_unlock(&keeper->mutex);
    pthread_cond_signal(&keeper->news);
}

static enum err start_thread(struct keeper *keeper)
{
    pthread_mutex_init(&keeper->mutex, NULL);
    thread_condition_init(&keeper->news);
    return thread_start(&keeper->thread, run, keeper) ? OK : ERR_SYSTEM;
}

static void free_all(struct keeper *keeper)
{
    if (keeper->journal_fd >= 0)
        close(keeper->journal_fd);
    buffer_fini(&keeper->waiting);
    free(keeper->path);
    free(keeper->journal_path);
    free(keeper->new_path);
    free(keeper->unsaved_path);
    free(keeper);
}

enum err keeper_create(const struct keeper_options *options, struct keeper **keeper)
{
    struct keeper *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->options = *options;
    made->journal_fd = -1;
    made->known = made->seen = options->identity;
    made->path = strdup(options->path);
    made->journal_path = keeper_journal_path(options->path);
    made->new_path = path_with(options->path, ".new");
    made->unsaved_path = path_with(options->path, ".unsaved");
    made->options.path = made->path;
    if (made->path == NULL || made->journal_path == NULL || made->new_path == NULL ||
        made->unsaved_path == NULL) {
        free_all(made);
        return ERR_NO_MEMORY;
    }
    if (options->journal_bytes > 0)
        made->journal_fd = open(made->journal_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (made->journal_fd >= 0) {
        made->journal_bytes = options->journal_bytes;
        made->is_torn = true;
    }
    if (options->has_changes) {
        note_dirty(made);
        made->is_behind = made->journal_fd < 0;
    }
    err = start_thread(made);
    if (err != OK) {
        free_all(made);
        return err;
    }
    *keeper = made;
    return OK;
}

void keeper_destroy(struct keeper *keeper)
{
    if (keeper == NULL)
        return;
    pthread_mutex_lock(&keeper->mutex);
    keeper->is_ending = true;
    pthread_mutex_unlock(&keeper->mutex);
    pthread_cond_signal(&keeper->news);
    pthread_join(keeper->thread, NULL);
    pthread_mutex_destroy(&keeper->mutex);
    pthread_cond_destroy(&keeper->news);
    free_all(keeper);
}
