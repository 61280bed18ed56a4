#include "base/hash.h"
#include "engine/mock/storage/whole_file.h"
#include "recording_state.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_PERMISSIONS = 0600 }; /* there may be secrets that nobody knows as such */

static void forget_later(struct recording *recording, struct bytes file)
{
    char **grown = realloc(recording->old_files, (recording->old_file_count + 1) * sizeof *grown);
    char *name = recording_copy(file);

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
        struct bytes text = line = recording_line(rest);
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

bool recording_put(struct recording *recording, const struct noted *noted)
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
        block = recording_add_block(recording);
        if (block == NULL || (block->name_line = recording_copy(buffer_bytes(&noted->name_line))) == NULL ||
            (block->lines = recording_copy(buffer_bytes(&noted->match_lines))) == NULL) {
            if (block != NULL)
                block_fini(&recording->blocks[--recording->block_count]);
            free(answer.lines);
            return false;
        }
    } else if (block->answer_count == 0) {
        char *lines = recording_copy(buffer_bytes(&noted->match_lines));
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
        if (rules.data == NULL || memmem(rules.data, rules.size, file, strlen(file)) == NULL)
            unlinkat(recording->folder_fd, file, 0);
        free(recording->old_files[i]);
    }
    recording->old_file_count = 0;
}

void recording_write(struct recording *recording)
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

void recording_rules_fini(struct recording *recording)
{
    for (size_t i = 0; i < recording->block_count; i++)
        block_fini(&recording->blocks[i]);
    for (size_t i = 0; i < recording->old_file_count; i++)
        free(recording->old_files[i]);
    free(recording->blocks);
    free(recording->old_files);
    free(recording->before);
    free(recording->behind);
}
