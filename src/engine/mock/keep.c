#include "keep.h"
#include "engine/mock/collections/documents.h"
#include "engine/mock/json/json_text.h"
#include "engine/mock/storage/keeper.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct keep {
    struct documents *documents;
    struct documents_observer observer;
    struct keeper *keeper;
    struct log *log;
    char *path;
    enum err (*read)(void *context, struct buffer *json, struct buffer *message);
    void *context;
    void (*was_reread)(void *mock);
    void *mock;
    bool writes;
};

/* ---- for the keeper's thread -------------------------------------------------------------------- */

static enum err render(void *context, struct keeper_text *text)
{
    struct keep *keep = context;
    struct text *all;
    uint64_t number;
    enum err err = documents_read_all(keep->documents, &all, &number);

    if (err == OK)
        *text = (struct keeper_text){.json = text_bytes(all), .held = all};
    return err;
}

static void release(void *context, struct keeper_text *text)
{
    (void)context;
    text_release(text->held);
}

static bool reload(void *context)
{
    struct keep *keep = context;
    struct buffer json = {0}, message = {0};
    enum err err = keep->read(keep->context, &json, &message);

    if (err == OK && (err = documents_reload(keep->documents, buffer_bytes(&json), &message)) != OK &&
        message.size == 0)
        buffer_append(&message, bytes_of_text(err_text(err)));
    while (message.size > 0 && message.data[message.size - 1] == '\n')
        message.size--;
    if (err == OK) {
        log_write(keep->log, LOG_INFO, "%s has changed and was read again", keep->path);
        if (keep->was_reread != NULL)
            keep->was_reread(keep->mock);
    } else {
        log_write(keep->log, LOG_ERROR, "%s has changed, but the last good data stay: %.*s", keep->path,
                  BYTES_PRINTF(buffer_bytes(&message)));
    }
    buffer_fini(&json);
    buffer_fini(&message);
    return err == OK;
}

/* ---- changes ------------------------------------------------------------------------------------ */

static void on_changed(struct documents_observer *observer, const struct documents_change *change)
{
    struct keep *keep = CONTAINER_OF(observer, struct keep, observer);
    struct journal_change noted = {.name = change->name};

    if (!keep->writes)
        return;
    if (change->id.size > 0)
        noted.id = change->id;
    switch (change->kind) {
    case CHANGE_INSERT:
    case CHANGE_REPLACE:
        noted.kind = JOURNAL_PUT;
        noted.json = text_bytes(change->text);
        break;
    case CHANGE_REMOVE: noted.kind = JOURNAL_REMOVE; break;
    case CHANGE_RELOAD: keeper_note_reload(keep->keeper); return;
    }
    keeper_note(keep->keeper, &noted);
}

/* Makes one change of a journal again, whatever is there. */
static enum err make_again(void *context, const struct journal_change *change)
{
    static const struct query nothing_asked; /* what was removed along with it has lines of its own */
    struct documents *documents = context;
    struct locator locator = {.name = change->name, .id = change->id, .has_id = change->id.data != NULL};
    struct text *current = NULL, *text = NULL;
    enum err err = documents_read(documents, &locator, &current);

    if (err != OK && err != ERR_MISSING)
        return err;
    if (change->kind == JOURNAL_REMOVE) {
        err = current != NULL ? documents_remove(documents, &locator, current, &nothing_asked) : OK;
    } else {
        struct item_id id = {.text = change->id, .is_number = change->id_is_number};
        text = text_create(change->json);
        if (text == NULL)
            err = ERR_NO_MEMORY;
        else if (current != NULL)
            err = documents_swap(documents, &locator, current, text);
        else
            err = documents_insert(documents, change->name, id, text);
    }
    text_release(current);
    text_release(text);
    return err == ERR_MISSING ? OK : err; /* of a collection that is no more */
}

/* False if it cannot be read whole; then `errno` says why. */
static bool read_journal(int fd, struct buffer *journal)
{
    enum { PIECE_BYTES = 64 * 1024 };
    ssize_t size = -1;
    char *end;

    errno = ENOMEM;
    while ((end = buffer_reserve(journal, PIECE_BYTES)) != NULL && (size = read(fd, end, PIECE_BYTES)) > 0)
        buffer_commit(journal, (size_t)size);
    return end != NULL && size == 0;
}

/* Puts a journal that cannot be gone on with out of the way of the next. */
static void set_aside(const struct keep_options *options, const char *journal_path)
{
    struct buffer lost = {0};

    buffer_append_format(&lost, "%s.lost", journal_path);
    buffer_append_byte(&lost, '\0');
    if (lost.failed || rename(journal_path, lost.data) != 0)
        log_write(options->log, LOG_ERROR, "%s cannot be moved: %s", journal_path, strerror(errno));
    buffer_fini(&lost);
}

/* What a run that was cut short left: tells the keeper of the changes that have been made again, and of the
 * journal if it goes on. */
static void recover(struct documents *documents, const struct keep_options *options,
                    const char *journal_path, struct keeper_options *keeper)
{
    struct buffer journal = {0};
    int fd = open(journal_path, O_RDONLY | O_CLOEXEC);
    size_t change_count = 0, begin = 0, good_bytes = 0;
    enum err err;

    if (fd < 0)
        return;
    if (!read_journal(fd, &journal)) {
        log_write(
            options->log, LOG_ERROR,
            "%s: the changes of a run that was cut short cannot be read: %s; they are kept in %s.lost",
            journal_path, strerror(errno), journal_path);
        set_aside(options, journal_path);
    } else if (!journal_is_about(buffer_bytes(&journal), &options->identity, &begin)) {
        log_write(
            options->log, LOG_WARNING,
            "%s: the changes of a run that was cut short are not about this %s, which has changed since; "
            "they are kept in %s.lost",
            journal_path, options->path, journal_path);
        set_aside(options, journal_path);
    } else {
        err = journal_replay(bytes_after(buffer_bytes(&journal), begin), documents_id_name(documents),
                             make_again, documents, &change_count, &good_bytes);
        good_bytes += begin;
        keeper->has_changes = good_bytes > 0; /* a journal of none goes with the file as well */
        if (err == OK && good_bytes > 0) {
            keeper->journal_bytes = good_bytes;
            log_write(options->log, LOG_INFO,
                      "%s: %zu changes of a run that was cut short are made again%s", journal_path,
                      change_count,
                      good_bytes < journal.size ? "; the last one was torn and is dropped" : "");
        } else {
            log_write(options->log, LOG_ERROR,
                      "%s: %zu changes of a run that was cut short are made again, but not the one after "
                      "them: %s; all are kept in %s.lost",
                      journal_path, change_count, err != OK ? err_text(err) : "it is torn", journal_path);
            set_aside(options, journal_path);
        }
    }
    close(fd);
    buffer_fini(&journal);
}

/* ---- from outside ------------------------------------------------------------------------------- */

/* Whether the file, and beside it, can be written. */
static bool may_write(const struct keep_options *options, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    bool may = folder != NULL && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0 &&
               faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0;

    if (!may)
        log_write(options->log, LOG_WARNING,
                  "%s, or the folder it is in, cannot be written: %s; changes are kept in memory alone",
                  options->path, strerror(errno));
    free(folder);
    return may;
}

static enum err start(struct keep *keep, const struct keep_options *options)
{
    char *real_path = realpath(options->path, NULL); /* what a link leads to is written, not the link */
    const char *path = real_path != NULL ? real_path : options->path;
    struct keeper_options keeper = {.path = path,
                                    .identity = options->identity,
                                    .log = options->log,
                                    .writes = options->writes && may_write(options, path),
                                    .watches = options->watches,
                                    .context = keep,
                                    .render = render,
                                    .release = release,
                                    .reload = reload};
    char *journal_path = keeper_journal_path(path);
    enum err err = OK;

    if (options->is_others)
        log_write(options->log, LOG_INFO,
                  "%s: changes are kept in memory alone; they go back to a JSON file only", options->path);
    keep->path = strdup(options->path);
    keep->writes = keeper.writes;
    if (journal_path == NULL || keep->path == NULL)
        err = ERR_NO_MEMORY;
    else if (keeper.writes)
        recover(keep->documents, options, journal_path, &keeper);
    if (err == OK && (keeper.writes || keeper.watches))
        err = keeper_create(&keeper, &keep->keeper);
    if (err == OK && keep->keeper != NULL) {
        keep->observer.changed = on_changed;
        documents_subscribe(keep->documents, &keep->observer);
    }
    free(journal_path);
    free(real_path);
    return err;
}

enum err keep_begin(struct documents *documents, const struct keep_options *options, struct keep **keep)
{
    struct keep *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->documents = documents;
    made->log = options->log;
    made->read = options->read;
    made->context = options->context;
    made->was_reread = options->was_reread;
    made->mock = options->mock;
    err = start(made, options);
    if (err != OK || made->keeper == NULL) {
        free(made->path);
        free(made);
        made = NULL;
    }
    if (err == OK)
        *keep = made;
    return err;
}

void keep_end(struct keep *keep)
{
    if (keep == NULL)
        return;
    documents_unsubscribe(keep->documents, &keep->observer);
    keeper_destroy(keep->keeper);
    free(keep->path);
    free(keep);
}
