#include "server/mock_save.h"
#include "engine/mock/answer/text.h"
#include "engine/mock/json/json_pretty.h"
#include "engine/mock/storage/whole_file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Appends the path of a file for the moment: the data's name without its ending, and when. */
static void append_path(const struct role_options *role, int64_t wall_ms, struct buffer *path)
{
    static const char *const endings[] = {".json", ".yaml", ".yml"};
    struct bytes data = bytes_of_text(role->data_path != NULL ? role->data_path : "db");
    struct bytes name, folder = {0};
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    const char *slash;

    while (data.size > 1 && data.data[data.size - 1] == '/')
        data.size--;
    slash = memrchr(data.data, '/', data.size);
    name = slash != NULL ? bytes_after(data, (size_t)(slash - data.data) + 1) : data;
    if (slash != NULL)
        folder = bytes_first(data, (size_t)(slash - data.data) + 1);
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        struct bytes ending = bytes_of_text(endings[i]);
        if (name.size > ending.size && bytes_equal(bytes_after(name, name.size - ending.size), ending))
            name.size -= ending.size;
    }
    if (name.size == 0 || bytes_equal(name, BYTES(".")) || bytes_equal(name, BYTES("..")))
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

void mock_save(const struct role_options *role, struct mock *mock, int64_t wall_ms, struct log *log)
{
    struct buffer path = {0}, json = {0};
    struct json_pretty pretty = {0};
    struct text *text = NULL;
    enum err err = mock_read_data(mock, &text);

    if (err == OK) {
        append_path(role, wall_ms, &path);
        json_pretty_append(&pretty, text_bytes(text), &json);
        buffer_append_byte(&json, '\n');
        err = path.failed || json.failed ? ERR_NO_MEMORY
                                         : whole_file_write(path.data, buffer_bytes(&json), WHOLE_FILE_NEW);
    }
    if (err == OK)
        log_write(log, LOG_INFO, "the data as they are now are in %s", path.data);
    else if (err == ERR_MISSING && text == NULL)
        log_write(log, LOG_WARNING, "there are no data to save: the mock keeps none");
    else if (err == ERR_NO_MEMORY)
        log_write(log, LOG_ERROR, "cannot save the data: %s", err_text(err));
    else
        log_write(log, LOG_ERROR, "cannot save the data in %s: %s", path.data, strerror(errno));
    text_release(text);
    buffer_fini(&path);
    buffer_fini(&json);
}
