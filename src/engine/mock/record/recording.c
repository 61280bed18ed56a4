#include "base/compiler.h"
#include "base/hash.h"
#include "base/thread.h"
#include "recorded_rule.h"
#include "recording_state.h"
#include "slash_redirect.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    WAITING_BYTES_MAX = 256 << 20, /* of exchanges that are yet to be written */
    BODIES_BYTES_MAX = 1 << 30,    /* of one run */
    REST_MS = 200,                 /* from one writing of the file to the next */
};

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
    } else if (!recording_put(recording, noted)) {
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
            recording_write(recording);
        pthread_mutex_lock(&recording->lock);
        rest(recording);
    }
    pthread_mutex_unlock(&recording->lock);
    return NULL;
}

/* ---- from outside -------------------------------------------------------------------------------- */

enum err recording_open(const struct recording_options *options, struct recording **recording,
                        struct buffer *message)
{
    struct recording *made = calloc(1, sizeof *made);
    size_t size = strlen(options->path);
    enum err err = ERR_NO_MEMORY;

    if (made == NULL)
        return ERR_NO_MEMORY;
    while (size > 1 && options->path[size - 1] == '/')
        size--;
    made->folder_fd = -1;
    made->hash_seed = hash_seed_random();
    made->secret = options->secret;
    made->origin = recording_origin(options->origin);
    made->log = options->log;
    list_init(&made->waiting);
    pthread_mutex_init(&made->lock, NULL);
    thread_condition_init(&made->news);
    made->path = strndup(options->path, size);
    if (made->path != NULL && asprintf(&made->file_path, "%s/" RECORDING_FILE, made->path) < 0)
        made->file_path = NULL;
    if (made->path != NULL && made->file_path != NULL)
        err = recording_read_folder(made, message);
    if (err == OK) {
        made->has_thread = thread_start(&made->thread, run, made);
        err = made->has_thread ? OK : ERR_SYSTEM;
    }
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
    recording_rules_fini(recording);
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
