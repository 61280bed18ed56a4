#include "recording.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "base/list.h"
#include "engine/mock/json/json_text.h"
#include "engine/mock/storage/whole_file.h"
#include "recorded_rule.h"
#include "slash_redirect.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    WAITING_BYTES_MAX = 256 << 20, /* of exchanges that are yet to be written */
    BODIES_BYTES_MAX = 1 << 30,    /* of one run */
    FILE_BYTES_MAX = 4 << 20,      /* what a mock reads */
    REST_MS = 200,                 /* from one writing of the file to the next */
    NAME_BYTES_MAX = 32,           /* of "bodies/0001.json" */
    FILE_PERMISSIONS = 0600,       /* there may be secrets that nobody knows as such */
};

/* An exchange on its way to the thread, as lines. */
struct noted {
    struct list in_list;
    struct buffer name_line, match_lines, answer_lines, body;
    int status;
    const char *ending;
};

/* One answer of a rule of this run. */
struct answer {
    char *lines;
    char file[NAME_BYTES_MAX]; /* empty: it has no body */
    int status;
    uint64_t body_hash; /* to tell another answer from the same again */
    size_t body_bytes;
};

/* A rule. One that was there before is kept as it stands, and a person may have edited it. */
struct block {
    char *name_line, *lines; /* `lines`: what is behind the name; of a rule of this run, its match */
    struct answer *answers;
    size_t answer_count; /* 0: it was there before */
};

struct recording {
    char *path, *file_path;
    struct bytes origin;
    struct secret_words secret;
    struct log *log;
    uint64_t hash_seed;
    int folder_fd; /* locked */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* of the next four */
    pthread_cond_t news;
    struct list waiting;
    size_t waiting_bytes;
    bool is_ending;
    /* the thread's */
    char *before, *behind; /* what the file says before and behind its rules */
    struct block *blocks;
    size_t block_count, text_bytes;
    unsigned body_number;
    uint64_t bodies_bytes;
    char **old_files; /* which no rule names any more, once the file is written */
    size_t old_file_count;
    bool is_dirty, has_failed, was_full;
};

/* ---- what is there ------------------------------------------------------------------------------- */

static bool read_file(const char *path, struct buffer *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = -1;
    char *end;

    if (fd < 0)
        return false;
    errno = EFBIG;
    while (text->size <= FILE_BYTES_MAX && (end = buffer_reserve(text, 65536)) != NULL &&
           (size = read(fd, end, 65536)) > 0)
        buffer_commit(text, (size_t)size);
    close(fd);
    return size == 0;
}

bool recording_is_one(const char *path)
{
    static const struct bytes mark = BYTES_INIT(RECORDING_MARK);
    char begin[sizeof RECORDING_MARK - 1], *file = NULL;
    int fd;
    bool is_one;

    if (asprintf(&file, "%s/" RECORDING_FILE, path) < 0)
        return false;
    fd = open(file, O_RDONLY | O_CLOEXEC);
    free(file);
    if (fd < 0)
        return false;
    is_one =
        read(fd, begin, sizeof begin) == (ssize_t)sizeof begin && memcmp(begin, mark.data, mark.size) == 0;
    close(fd);
    return is_one;
}

static char *copy(struct bytes text) { return strndup(text.size > 0 ? text.data : "", text.size); }

static struct bytes line_of(struct bytes text)
{
    const char *end = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;
    return end != NULL ? bytes_first(text, (size_t)(end - text.data) + 1) : text;
}

static struct bytes without_slashes(struct bytes url)
{
    while (url.size > 0 && url.data[url.size - 1] == '/')
        url.size--;
    return url;
}

/* Whether the first line says that the recording is of this API. */
static bool is_of_origin(const struct recording *recording, struct bytes line)
{
    static const struct bytes lead = BYTES_INIT(RECORDING_MARK " of ");

    while (line.size > 0 && strchr("\r\n \t", line.data[line.size - 1]) != NULL)
        line.size--;
    return bytes_start_with(line, lead) &&
           bytes_equal(without_slashes(bytes_after(line, lead.size)), recording->origin);
}

static bool begins_rule(struct bytes line) { return bytes_start_with(line, BYTES("  - ")); }

static bool ends_rules(struct bytes line)
{
    return line.size > 0 && line.data[0] != ' ' && line.data[0] != '#' && line.data[0] != '\n';
}

static struct block *add_block(struct recording *recording)
{
    struct block *grown = realloc(recording->blocks, (recording->block_count + 1) * sizeof *grown);

    if (grown == NULL)
        return NULL;
    recording->blocks = grown;
    grown[recording->block_count] = (struct block){0};
    return &grown[recording->block_count++];
}

/* Takes one rule off the front of `*rest`. */
static enum err take_block(struct recording *recording, struct bytes *rest)
{
    struct bytes name_line = line_of(*rest), lines = bytes_after(*rest, name_line.size);
    struct block *block;
    size_t size = 0;

    if (!bytes_start_with(name_line, BYTES("  - name: ")))
        return ERR_SYNTAX;
    while (size < lines.size) {
        struct bytes line = line_of(bytes_after(lines, size));
        if (begins_rule(line) || ends_rules(line))
            break;
        size += line.size;
    }
    *rest = bytes_after(lines, size);
    block = add_block(recording);
    if (block == NULL)
        return ERR_NO_MEMORY;
    block->name_line = copy(name_line);
    block->lines = copy(bytes_first(lines, size));
    return block->name_line != NULL && block->lines != NULL ? OK : ERR_NO_MEMORY;
}

/* Whether the list of rules begins right behind these lines. */
static bool leads_to_rules(struct bytes before)
{
    bool is_led = false;

    while (before.size > 0) {
        struct bytes line = line_of(before);
        size_t spaces = 0;
        while (spaces < line.size && line.data[spaces] == ' ')
            spaces++;
        if (bytes_equal(line, BYTES("rules:\n")))
            is_led = true;
        else if (spaces < line.size && line.data[spaces] != '#' && line.data[spaces] != '\n')
            is_led = false;
        before = bytes_after(before, line.size);
    }
    return is_led;
}

/* Takes the file apart: lines, its rules, lines. */
static enum err take_apart(struct recording *recording, struct bytes text)
{
    size_t before_bytes = 0;
    enum err err = OK;

    recording->text_bytes = text.size;
    while (before_bytes < text.size && !begins_rule(line_of(bytes_after(text, before_bytes))))
        before_bytes += line_of(bytes_after(text, before_bytes)).size;
    recording->before = copy(bytes_first(text, before_bytes));
    text = bytes_after(text, before_bytes);
    while (err == OK && text.size > 0 && begins_rule(line_of(text)))
        err = take_block(recording, &text);
    recording->behind = copy(text);
    if (err == OK && (recording->before == NULL || recording->behind == NULL))
        err = ERR_NO_MEMORY;
    if (err == OK && (!leads_to_rules(bytes_of_text(recording->before)) ||
                      (text.size > 0 && memmem(text.data, text.size, "\n  - ", 5) != NULL)))
        err = ERR_SYNTAX;
    return err;
}

/* The greatest number that a body's file has. */
static unsigned last_body_number(const struct recording *recording)
{
    unsigned last = 0, number;
    char *path = NULL;
    DIR *folder;
    const struct dirent *entry;

    if (asprintf(&path, "%s/bodies", recording->path) < 0)
        return 0;
    folder = opendir(path);
    free(path);
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (sscanf(entry->d_name, "%u.", &number) == 1 && number > last)
            last = number;
    if (folder != NULL)
        closedir(folder);
    return last;
}

static bool is_empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    bool is_empty = folder != NULL;

    while (folder != NULL && (entry = readdir(folder)) != NULL)
        is_empty = is_empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    if (folder != NULL)
        closedir(folder);
    return is_empty;
}

static enum err begin_new(struct recording *recording)
{
    if (asprintf(
            &recording->before,
            RECORDING_MARK
            " of %.*s\n"
            "# nuthatch mock %s answers from this file. What may stand here is in docs/mock-rules.md. When "
            "more is\n# recorded, rules are found by their names, and new ones are added at the end.\n"
            "rules:\n",
            BYTES_PRINTF(recording->origin), recording->path) < 0) {
        recording->before = NULL;
        return ERR_NO_MEMORY;
    }
    recording->behind = strdup("");
    recording->text_bytes = strlen(recording->before);
    return recording->behind != NULL ? OK : ERR_NO_MEMORY;
}

static enum err read_folder(struct recording *recording, struct buffer *message)
{
    struct buffer text = {0};
    enum err err;

    if (mkdir(recording->path, 0777) != 0 && errno != EEXIST) {
        buffer_append_format(message, "cannot make the folder %s: %s\n", recording->path, strerror(errno));
        return err_from_errno(errno);
    }
    recording->folder_fd = open(recording->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (recording->folder_fd < 0) {
        buffer_append_format(message, "cannot record into %s: %s\n", recording->path, strerror(errno));
        return err_from_errno(errno);
    }
    if (flock(recording->folder_fd, LOCK_EX | LOCK_NB) != 0) {
        buffer_append_format(message, "somebody else is recording into %s\n", recording->path);
        return ERR_EXISTS;
    }
    if (is_empty_folder(recording->path))
        return begin_new(recording);
    if (!recording_is_one(recording->path)) {
        buffer_append_format(
            message, "%s is not empty and no recording; record into a folder that is empty or not there\n",
            recording->path);
        return ERR_EXISTS;
    }
    if (!read_file(recording->file_path, &text)) {
        buffer_append_format(message, "cannot read %s: %s\n", recording->file_path, strerror(errno));
        err = err_from_errno(errno);
    } else if (!is_of_origin(recording, line_of(buffer_bytes(&text)))) {
        buffer_append_format(
            message,
            "%s is of another API, says its first line; record into another folder, or, if it has "
            "moved, write there: " RECORDING_MARK " of %.*s\n",
            recording->file_path, BYTES_PRINTF(recording->origin));
        err = ERR_EXISTS;
    } else {
        err = take_apart(recording, buffer_bytes(&text));
        if (err == ERR_SYNTAX)
            buffer_append_format(
                message,
                "%s is no longer laid out so that more can be added: below `rules:` each rule "
                "begins with two spaces and `- name:`; record into another folder\n",
                recording->file_path);
        recording->body_number = last_body_number(recording);
    }
    buffer_fini(&text);
    return err;
}

/* ---- the thread: rules --------------------------------------------------------------------------- */

static void forget_later(struct recording *recording, struct bytes file)
{
    char **grown = realloc(recording->old_files, (recording->old_file_count + 1) * sizeof *grown);
    char *name = copy(file);

    if (grown != NULL)
        recording->old_files = grown;
    if (grown != NULL && name != NULL)
        grown[recording->old_file_count++] = name;
    else
        free(name); /* the file stays, and nobody names it */
}

/* Notes the bodies of a rule that was there before: those in lines of their own, "file: bodies/0001.json".
 * What looks like one in the value of a header field is none. */
static void forget_files_of(struct recording *recording, const char *lines)
{
    static const struct bytes key = BYTES_INIT("file: bodies/");

    for (struct bytes rest = bytes_of_text(lines), line; rest.size > 0;
         rest = bytes_after(rest, line.size)) {
        struct bytes text = line = line_of(rest);
        size_t digits = 0;
        while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '-'))
            text = bytes_after(text, 1);
        if (!bytes_start_with(text, key))
            continue;
        text = bytes_after(text, strlen("file: "));
        for (size_t i = strlen("bodies/"); i < text.size && text.data[i] >= '0' && text.data[i] <= '9'; i++)
            digits++;
        text.size = strcspn(text.data, " \t\r\n#");
        if (digits > 0 && memchr(text.data + strlen("bodies/"), '/', text.size - strlen("bodies/")) == NULL)
            forget_later(recording, text);
    }
}

static void block_fini(struct block *block)
{
    for (size_t i = 0; i < block->answer_count; i++)
        free(block->answers[i].lines);
    free(block->answers);
    free(block->name_line);
    free(block->lines);
}

static struct block *find_block(struct recording *recording, struct bytes name_line)
{
    for (size_t i = 0; i < recording->block_count; i++)
        if (bytes_equal(bytes_of_text(recording->blocks[i].name_line), name_line))
            return &recording->blocks[i];
    return NULL;
}

/* Writes the body into a file of its own, and its name to `file`. */
static bool write_body(struct recording *recording, const struct noted *noted,
                       char file[static NAME_BYTES_MAX])
{
    char *path = NULL;
    enum err err;

    file[0] = '\0';
    if (noted->body.size == 0)
        return true;
    snprintf(file, NAME_BYTES_MAX, "bodies/%04u%s", ++recording->body_number, noted->ending);
    if (mkdirat(recording->folder_fd, "bodies", 0777) != 0 && errno != EEXIST)
        return false;
    if (asprintf(&path, "%s/%s", recording->path, file) < 0)
        return false;
    err = whole_file_write(path, buffer_bytes(&noted->body), WHOLE_FILE_NEW, FILE_PERMISSIONS);
    free(path);
    recording->bodies_bytes += noted->body.size;
    return err == OK;
}

/* Makes the answer, with its body in a file. */
static bool make_answer(struct recording *recording, const struct noted *noted, struct answer *answer)
{
    struct bytes lines = buffer_bytes(&noted->answer_lines);

    *answer = (struct answer){.status = noted->status,
                              .body_hash = hash_bytes(buffer_bytes(&noted->body), recording->hash_seed),
                              .body_bytes = noted->body.size};
    if (!write_body(recording, noted, answer->file))
        return false;
    if (asprintf(&answer->lines,
                 answer->file[0] != '\0' ? "%.*s        file: %s\n        template: false\n"
                                         : "%.*s        template: false\n",
                 BYTES_PRINTF(lines), answer->file) < 0) {
        answer->lines = NULL;
        return false;
    }
    return true;
}

static bool is_same_again(const struct recording *recording, const struct answer *answer,
                          const struct noted *noted)
{
    return answer->status == noted->status && answer->body_bytes == noted->body.size &&
           answer->body_hash == hash_bytes(buffer_bytes(&noted->body), recording->hash_seed);
}

/* Puts the exchange in the place of what an earlier run had recorded of that request, behind what this one
 * has, or at the end. False, with `errno`, if it cannot be. */
static bool put(struct recording *recording, const struct noted *noted)
{
    struct block *block = find_block(recording, buffer_bytes(&noted->name_line));
    struct answer answer, *grown;

    if (block != NULL && block->answer_count > 0) {
        const struct answer *last = &block->answers[block->answer_count - 1];
        if (is_same_again(recording, last, noted))
            return true;
        if (block->answer_count == RECORDING_ANSWERS_MAX) {
            log_write(recording->log, LOG_WARNING, "not recorded: a %dth answer to one request",
                      RECORDING_ANSWERS_MAX + 1);
            return true;
        }
    }
    errno = ENOMEM;
    if (!make_answer(recording, noted, &answer))
        return false;
    if (block == NULL) {
        block = add_block(recording);
        if (block == NULL || (block->name_line = copy(buffer_bytes(&noted->name_line))) == NULL ||
            (block->lines = copy(buffer_bytes(&noted->match_lines))) == NULL) {
            if (block != NULL)
                block_fini(&recording->blocks[--recording->block_count]);
            free(answer.lines);
            return false;
        }
    } else if (block->answer_count == 0) {
        char *lines = copy(buffer_bytes(&noted->match_lines));
        if (lines == NULL) {
            free(answer.lines);
            return false;
        }
        forget_files_of(recording, block->lines);
        recording->text_bytes -= strlen(block->lines);
        free(block->lines);
        block->lines = lines;
    }
    grown = realloc(block->answers, (block->answer_count + 1) * sizeof *grown);
    if (grown == NULL) {
        free(answer.lines);
        return false;
    }
    recording->text_bytes += noted->name_line.size + noted->match_lines.size + strlen(answer.lines) + 16;
    block->answers = grown;
    grown[block->answer_count++] = answer;
    recording->is_dirty = true;
    return true;
}

static void render(const struct recording *recording, struct buffer *text)
{
    buffer_append(text, bytes_of_text(recording->before));
    for (size_t i = 0; i < recording->block_count; i++) {
        const struct block *block = &recording->blocks[i];
        buffer_append(text, bytes_of_text(block->name_line));
        buffer_append(text, bytes_of_text(block->lines));
        if (block->answer_count > 0)
            buffer_append_literal(text, "    answer:\n");
        for (size_t j = 0; j < block->answer_count; j++)
            buffer_append(text, bytes_of_text(block->answers[j].lines));
    }
    buffer_append(text, bytes_of_text(recording->behind));
}

/* Those that `rules`, as they are on the disk now, name nowhere: a person may have had two rules share one.
 */
static void unlink_old_files(struct recording *recording, struct bytes rules)
{
    for (size_t i = 0; i < recording->old_file_count; i++) {
        const char *file = recording->old_files[i];
        if (memmem(rules.data, rules.size, file, strlen(file)) == NULL)
            unlinkat(recording->folder_fd, file, 0);
        free(recording->old_files[i]);
    }
    recording->old_file_count = 0;
}

static void write_rules(struct recording *recording)
{
    struct buffer text = {0};
    enum err err;

    render(recording, &text);
    err = text.failed ? ERR_NO_MEMORY
                      : whole_file_write(recording->file_path, buffer_bytes(&text), WHOLE_FILE_REPLACE,
                                         FILE_PERMISSIONS);
    if (err == OK)
        unlink_old_files(recording, buffer_bytes(&text));
    buffer_fini(&text);
    if (err != OK) {
        if (!recording->has_failed)
            log_write(recording->log, LOG_ERROR, "cannot write %s: %s; it is tried again",
                      recording->file_path, err == ERR_NO_MEMORY ? err_text(err) : strerror(errno));
        recording->has_failed = true;
        return;
    }
    recording->is_dirty = recording->has_failed = false;
}

/* ---- the thread ---------------------------------------------------------------------------------- */

static void noted_destroy(struct noted *noted)
{
    buffer_fini(&noted->name_line);
    buffer_fini(&noted->match_lines);
    buffer_fini(&noted->answer_lines);
    buffer_fini(&noted->body);
    free(noted);
}

static size_t noted_bytes(const struct noted *noted)
{
    return sizeof *noted + noted->name_line.size + noted->match_lines.size + noted->answer_lines.size +
           noted->body.size;
}

static void take(struct recording *recording, const struct noted *noted)
{
    size_t text_bytes = noted->name_line.size + noted->match_lines.size + noted->answer_lines.size + 128;

    if (recording->text_bytes + text_bytes > FILE_BYTES_MAX ||
        recording->block_count >= RECORDING_RULES_MAX ||
        recording->bodies_bytes + noted->body.size > BODIES_BYTES_MAX) {
        if (!recording->was_full)
            log_write(recording->log, LOG_WARNING,
                      "%s is full; what comes from here on is passed on and not recorded", recording->path);
        recording->was_full = true;
    } else if (!recorded_rule_is_readable(buffer_bytes(&noted->name_line),
                                          buffer_bytes(&noted->match_lines),
                                          buffer_bytes(&noted->answer_lines))) {
        struct bytes name = bytes_after(bytes_trim(buffer_bytes(&noted->name_line)), strlen("- name: "));
        log_write_limited(recording->log, LOG_WARNING, LOG_KIND_CAP, "%.*s is not recorded: %s",
                          BYTES_PRINTF(name), recorded_error_text(RECORDED_RULE));
    } else if (!put(recording, noted)) {
        log_write(recording->log, LOG_ERROR, "an exchange cannot be recorded in %s: %s", recording->path,
                  strerror(errno));
    }
}

/* With the lock held, which is let go meanwhile. */
static void take_all(struct recording *recording)
{
    while (!list_is_empty(&recording->waiting)) {
        struct noted *noted = CONTAINER_OF(recording->waiting.next, struct noted, in_list);
        list_remove(&noted->in_list);
        recording->waiting_bytes -= noted_bytes(noted);
        pthread_mutex_unlock(&recording->lock);
        take(recording, noted);
        noted_destroy(noted);
        pthread_mutex_lock(&recording->lock);
    }
}

static void rest(struct recording *recording)
{
    struct timespec due;

    clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_nsec += REST_MS * 1000000L;
    due.tv_sec += due.tv_nsec / 1000000000L;
    due.tv_nsec %= 1000000000L;
    while (!recording->is_ending &&
           pthread_cond_timedwait(&recording->news, &recording->lock, &due) != ETIMEDOUT)
        continue;
}

static void *run(void *context)
{
    struct recording *recording = context;
    bool is_ending = false;

    pthread_mutex_lock(&recording->lock);
    while (!is_ending) {
        while (list_is_empty(&recording->waiting) && !recording->is_ending && !recording->is_dirty)
            pthread_cond_wait(&recording->news, &recording->lock);
        is_ending = recording->is_ending;
        take_all(recording);
        pthread_mutex_unlock(&recording->lock);
        if (recording->is_dirty)
            write_rules(recording);
        pthread_mutex_lock(&recording->lock);
        rest(recording);
    }
    pthread_mutex_unlock(&recording->lock);
    return NULL;
}

/* ---- from outside -------------------------------------------------------------------------------- */

static enum err start_thread(struct recording *recording)
{
    sigset_t all, before;
    int result;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&recording->thread, NULL, run, recording);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    recording->has_thread = result == 0;
    return result == 0 ? OK : ERR_SYSTEM;
}

enum err recording_open(const struct recording_options *options, struct recording **recording,
                        struct buffer *message)
{
    struct recording *made = calloc(1, sizeof *made);
    pthread_condattr_t monotonic;
    size_t size = strlen(options->path);
    enum err err = ERR_NO_MEMORY;

    if (made == NULL)
        return ERR_NO_MEMORY;
    while (size > 1 && options->path[size - 1] == '/')
        size--;
    made->folder_fd = -1;
    made->hash_seed = hash_seed_random();
    made->secret = options->secret;
    made->origin = without_slashes(options->origin);
    made->log = options->log;
    list_init(&made->waiting);
    pthread_mutex_init(&made->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&made->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    made->path = strndup(options->path, size);
    if (made->path != NULL && asprintf(&made->file_path, "%s/" RECORDING_FILE, made->path) < 0)
        made->file_path = NULL;
    if (made->path != NULL && made->file_path != NULL)
        err = read_folder(made, message);
    if (err == OK)
        err = start_thread(made);
    if (err != OK) {
        recording_close(made);
        return err;
    }
    *recording = made;
    return OK;
}

void recording_close(struct recording *recording)
{
    if (recording == NULL)
        return;
    if (recording->has_thread) {
        pthread_mutex_lock(&recording->lock);
        recording->is_ending = true;
        pthread_mutex_unlock(&recording->lock);
        pthread_cond_signal(&recording->news);
        pthread_join(recording->thread, NULL);
    }
    if (recording->folder_fd >= 0)
        close(recording->folder_fd);
    for (size_t i = 0; i < recording->block_count; i++)
        block_fini(&recording->blocks[i]);
    for (size_t i = 0; i < recording->old_file_count; i++)
        free(recording->old_files[i]);
    free(recording->blocks);
    free(recording->old_files);
    free(recording->before);
    free(recording->behind);
    free(recording->path);
    free(recording->file_path);
    pthread_cond_destroy(&recording->news);
    pthread_mutex_destroy(&recording->lock);
    free(recording);
}

/* Whether the body is in a content coding, which was not asked for. */
static bool is_coded(const struct http_fields *fields)
{
    const struct http_field *field = http_fields_find_name(fields, BYTES("Content-Encoding"));
    return field != NULL && !bytes_equal_nocase(bytes_trim(field->value), BYTES("identity"));
}

static enum recorded_error describe(const struct recording *recording, const struct http_request *request,
                                    struct bytes request_body, int status, const struct http_fields *fields,
                                    struct buffer *body, struct noted *noted)
{
    struct secrets secrets = {0};
    struct buffer shown = {0};
    size_t left_out = 0;
    enum recorded_error error = RECORDED_OK;

    secrets_find(&secrets, &recording->secret, request);
    if (secrets.are_too_many)
        error = RECORDED_SECRETS;
    else if (secrets.count > 0 && body->size > 0 && is_coded(fields))
        error = RECORDED_CODING;
    else if (is_slash_redirect(recording->origin, request, status, fields))
        error = RECORDED_SLASH;
    if (error != RECORDED_OK) {
        secrets_fini(&secrets);
        return error;
    }
    error = recorded_rule_head(&recording->secret, request, request_body, &noted->name_line,
                               &noted->match_lines);
    if (error == RECORDED_OK)
        error = recorded_rule_answer(&secrets, &recording->secret, status, fields, body->size > 0,
                                     &noted->answer_lines, &left_out);
    if (left_out > 0)
        log_write_limited(
            recording->log, LOG_WARNING, LOG_KIND_CAP,
            "%zu fields of an answer are not recorded: there are more than 50, or they are not UTF-8",
            left_out);
    if (secrets_redact(&secrets, buffer_bytes(body), &shown)) {
        noted->body = shown;
    } else {
        noted->body = *body;
        *body = (struct buffer){0};
        buffer_fini(&shown);
    }
    if (error == RECORDED_OK && (noted->body.failed || secrets.text.failed))
        error = RECORDED_NO_MEMORY;
    if (error == RECORDED_OK && noted->body.size > RECORDING_BODY_BYTES_MAX)
        error = RECORDED_BODY; /* the placeholder is longer than some secrets */
    noted->status = status;
    noted->ending = recorded_body_ending(fields);
    secrets_fini(&secrets);
    return error;
}

void recording_add(struct recording *recording, const struct http_request *request,
                   struct bytes request_body, int status, const struct http_fields *fields,
                   struct buffer *body)
{
    struct noted *noted = calloc(1, sizeof *noted);
    enum recorded_error error = RECORDED_NO_MEMORY;
    bool is_too_much = false;

    if (noted != NULL)
        error = describe(recording, request, request_body, status, fields, body, noted);
    if (error == RECORDED_OK) {
        pthread_mutex_lock(&recording->lock);
        is_too_much = recording->waiting_bytes + noted_bytes(noted) > WAITING_BYTES_MAX;
        if (!is_too_much) {
            list_append(&recording->waiting, &noted->in_list);
            recording->waiting_bytes += noted_bytes(noted);
        }
        pthread_mutex_unlock(&recording->lock);
        pthread_cond_signal(&recording->news);
    }
    if (error != RECORDED_OK || is_too_much) {
        log_write_limited(recording->log, LOG_WARNING, LOG_KIND_CAP, "%.*s %.*s is not recorded: %s",
                          BYTES_PRINTF(request->method_name), BYTES_PRINTF(request->path),
                          is_too_much ? "the disk is too slow" : recorded_error_text(error));
        if (noted != NULL)
            noted_destroy(noted);
    }
    buffer_fini(body);
}
