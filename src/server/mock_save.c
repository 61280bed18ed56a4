#include "server/mock_save.h"
#include "engine/mock/answer/text.h"
#include "engine/mock/json/json_pretty.h"
#include "engine/mock/storage/whole_file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Appends the path of a file for the moment: the data's name without its ending, and when. */
static void append_path(const struct role_options *role, const char *data_path, int64_t wall_ms,
                        struct buffer *path)
{
    static const char *const endings[] = {".json", ".yaml", ".yml"};
    struct bytes data = bytes_of_text(data_path);
    struct bytes name, folder = {0};
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    const char *slash;

    slash = memrchr(data.data, '/', data.size);
    name = slash != NULL ? bytes_after(data, (size_t)(slash - data.data) + 1) : data;
    if (slash != NULL)
        folder = bytes_first(data, (size_t)(slash - data.data) + 1);
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        struct bytes ending = bytes_of_text(endings[i]);
        if (name.size > ending.size && bytes_end_with(name, ending))
            name.size -= ending.size;
    }
    if (name.size == 0)
        name = BYTES("db");
    if (role->snapshots_path != NULL)
        buffer_append_format(path, "%s/", role->snapshots_path);
    else
        buffer_append(path, folder);
    gmtime_r(&seconds, &parts);
    buffer_append_format(path, "%.*s-%04d%02d%02dT%02d%02d%02d.%03dZ.json", BYTES_PRINTF(name),
                         parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                         parts.tm_sec, (int)(wall_ms % 1000));
    buffer_append_byte(path, '\0');
}

/* Who may read the data's file may read this one; of a folder, whose files may differ, the operator alone.
 */
static enum err write_data(const struct role_options *role, int64_t wall_ms, struct bytes text,
                           struct buffer *path)
{
    const char *said_path = role->data_path != NULL ? role->data_path : "db";
    unsigned permissions = 0600;
    struct json_pretty pretty = {0};
    struct buffer json = {0};
    struct stat status;
    char *data_path;
    enum err err;

    if (role->data_path == NULL || stat(role->data_path, &status) != 0)
        status.st_mode = 0; /* they are somewhere in memory, but no more here */
    if (S_ISREG(status.st_mode))
        permissions = status.st_mode & 0777;
    /* What "." and ".." are: a file inside would be served by the next start. */
    data_path = S_ISDIR(status.st_mode) ? realpath(said_path, NULL) : strdup(said_path);
    if (data_path == NULL)
        return err_from_errno(errno);
    append_path(role, data_path, wall_ms, path);
    json_pretty_append(&pretty, text, &json);
    buffer_append_byte(&json, '\n');
    err = path->failed || json.failed
              ? ERR_NO_MEMORY
              : whole_file_write(path->data, buffer_bytes(&json), WHOLE_FILE_NEW, permissions);
    buffer_fini(&json);
    free(data_path);
    return err;
}

void mock_save(const struct role_options *role, struct mock *mock, int64_t wall_ms, struct log *log)
{
    struct buffer path = {0};
    struct text *text = NULL;
    enum err err = mock_read_data(mock, &text);
    bool has_data = err == OK;

    if (has_data)
        err = write_data(role, wall_ms, text_bytes(text), &path);
    if (err == OK)
        log_write(log, LOG_INFO, "the data as they are now are in %s", path.data);
    else if (err == ERR_MISSING && !has_data)
        log_write(log, LOG_WARNING, "there are no data to save: the mock keeps none");
    else if (err == ERR_NO_MEMORY)
        log_write(log, LOG_ERROR, "cannot save the data: %s", err_text(err));
    else
        log_write(log, LOG_ERROR, "cannot save the data in %s: %s", path.size > 0 ? path.data : "a file",
                  strerror(errno));
    text_release(text);
    buffer_fini(&path);
}
