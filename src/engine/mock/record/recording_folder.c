#include "recording_state.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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

struct bytes recording_origin(struct bytes url)
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
           bytes_equal(recording_origin(bytes_after(line, lead.size)), recording->origin);
}

static bool begins_rule(struct bytes line) { return bytes_start_with(line, BYTES("  - ")); }

static bool ends_rules(struct bytes line)
{
    return line.size > 0 && line.data[0] != ' ' && line.data[0] != '#' && line.data[0] != '\n';
}

struct block *recording_add_block(struct recording *recording)
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
    struct bytes name_line = recording_line(*rest), lines = bytes_after(*rest, name_line.size);
    struct block *block;
    size_t size = 0;

    if (!bytes_start_with(name_line, BYTES("  - name: ")))
        return ERR_SYNTAX;
    while (size < lines.size) {
        struct bytes line = recording_line(bytes_after(lines, size));
        if (begins_rule(line) || ends_rules(line))
            break;
        size += line.size;
    }
    *rest = bytes_after(lines, size);
    block = recording_add_block(recording);
    if (block == NULL)
        return ERR_NO_MEMORY;
    block->name_line = recording_copy(name_line);
    block->lines = recording_copy(bytes_first(lines, size));
    return block->name_line != NULL && block->lines != NULL ? OK : ERR_NO_MEMORY;
}

/* Whether the list of rules begins right behind these lines. */
static bool leads_to_rules(struct bytes before)
{
    bool is_led = false;

    while (before.size > 0) {
        struct bytes line = recording_line(before);
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
    while (before_bytes < text.size && !begins_rule(recording_line(bytes_after(text, before_bytes))))
        before_bytes += recording_line(bytes_after(text, before_bytes)).size;
    recording->before = recording_copy(bytes_first(text, before_bytes));
    text = bytes_after(text, before_bytes);
    while (err == OK && text.size > 0 && begins_rule(recording_line(text)))
        err = take_block(recording, &text);
    recording->behind = recording_copy(text);
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

enum err recording_read_folder(struct recording *recording, struct buffer *message)
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
    } else if (!is_of_origin(recording, recording_line(buffer_bytes(&text)))) {
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
