#include "server/mock_plan.h"
#include "engine/mock/json/json_text.h"
#include "engine/mock/json/yaml_json.h"
#include "engine/mock/keep.h"
#include "engine/mock/record/recording.h"
#include "server/file.h"
#include "server/load_progress.h"
#include "server/mock_watch.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FOLDER_FILES_MAX = 1000 };

/* ---- what is wrong, and where ------------------------------------------------------------------- */

/* Adds the line that a sentence which begins with "line 3, column 7: " is about, with a pointer below. */
static void append_line_of(struct buffer *message, struct bytes sentence, struct bytes text)
{
    enum { SHOWN_BYTES = 72 };
    char copy[64] = {0};
    unsigned line, column;
    const char *end;
    size_t start = 0;

    memcpy(copy, sentence.data, sentence.size < sizeof copy ? sentence.size : sizeof copy - 1);
    if (sscanf(copy, "line %u, column %u:", &line, &column) != 2 || column == 0)
        return;
    for (; line > 1; line--) {
        end = start < text.size ? memchr(text.data + start, '\n', text.size - start) : NULL;
        if (end == NULL)
            return;
        start = (size_t)(end - text.data) + 1;
    }
    text = bytes_after(text, start);
    end = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;
    if (end != NULL)
        text.size = (size_t)(end - text.data);
    if (column > SHOWN_BYTES && column <= text.size) { /* of a long line, what is around the place */
        text = bytes_after(text, column - SHOWN_BYTES / 2);
        column = SHOWN_BYTES / 2;
    }
    if (text.size > SHOWN_BYTES)
        text.size = SHOWN_BYTES;
    if (column > text.size + 1)
        return;
    buffer_append_literal(message, "    ");
    for (size_t i = 0; i < text.size; i++) /* the pointer has to be below its byte */
        buffer_append_byte(message, text.data[i] >= ' ' && text.data[i] <= '~' ? text.data[i] : ' ');
    buffer_append_format(message, "\n    %*s\n", (int)column, "^");
}

void mock_plan_report(struct buffer *message, const char *path, struct bytes sentence, struct bytes text)
{
    buffer_append_format(message, "%s: %.*s\n", path, BYTES_PRINTF(sentence));
    if (memchr(sentence.data, '\n', sentence.size) == NULL)
        append_line_of(message, sentence, text);
}

/* ---- files -------------------------------------------------------------------------------------- */

/* Reads the file at `path`, JSON or by its name YAML, as JSON text. What is wrong goes to `message`. */
static enum err read_json(const char *path, struct buffer *json, struct buffer *message)
{
    struct buffer yaml = {0}, why = {0};
    bool is_yaml = yaml_json_is_named(bytes_of_text(path));
    enum err err = file_read(path, is_yaml ? &yaml : json);

    if (err != OK)
        buffer_append_format(message, "cannot read %s: %s\n", path, err_text(err));
    else if (is_yaml && (err = yaml_json_convert(buffer_bytes(&yaml), json, &why)) == ERR_SYNTAX)
        mock_plan_report(message, path, buffer_bytes(&why), buffer_bytes(&yaml));
    buffer_fini(&yaml);
    buffer_fini(&why);
    return err;
}

/* The name of the resource that a file of a folder is: what is before .json, .yaml or .yml; empty for
 * others. */
static struct bytes resource_of(struct bytes name)
{
    static const char *const endings[] = {".json", ".yaml", ".yml"};

    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        struct bytes ending = bytes_of_text(endings[i]);
        if (name.size > ending.size && name.data[0] != '.' && bytes_end_with(name, ending))
            return bytes_first(name, name.size - ending.size);
    }
    return (struct bytes){0};
}

static int is_resource(const struct dirent *entry)
{
    return resource_of(bytes_of_text(entry->d_name)).size > 0;
}

/* Appends one file of the folder as a member. It is parsed here, so that what is wrong is said of the file.
 */
static enum err add_resource(const char *folder, const char *name, struct buffer *json,
                             struct buffer *message)
{
    struct buffer path = {0}, text = {0}, why = {0};
    json_t *value = NULL;
    enum err err = ERR_NO_MEMORY;

    buffer_append_format(&path, "%s/%s", folder, name);
    buffer_append_byte(&path, '\0');
    if (!path.failed)
        err = read_json(path.data, &text, message);
    if (err == OK && (err = json_text_parse(buffer_bytes(&text), &value, &why)) == ERR_SYNTAX)
        mock_plan_report(message, path.data, buffer_bytes(&why), buffer_bytes(&text));
    if (err == OK) {
        if (json->size > 1)
            buffer_append_literal(json, ",\n");
        json_text_append_string(json, resource_of(bytes_of_text(name)));
        buffer_append_byte(json, ':');
        buffer_append(json, buffer_bytes(&text));
    }
    json_decref(value);
    buffer_fini(&path);
    buffer_fini(&text);
    buffer_fini(&why);
    return err;
}

/* A folder is an object: each of its files a member, in the order of their names. */
static enum err read_folder(const char *path, struct buffer *json, struct buffer *message)
{
    struct dirent **entries;
    int count = scandir(path, &entries, is_resource, alphasort);
    enum err err = OK;

    if (count < 0) {
        buffer_append_format(message, "cannot read %s: %s\n", path, strerror(errno));
        return err_from_errno(errno);
    }
    if (count == 0 || count > FOLDER_FILES_MAX) {
        buffer_append_format(message,
                             "%s has %d files that end with .json, .yaml or .yml; it needs 1 to %d\n", path,
                             count, FOLDER_FILES_MAX);
        err = ERR_MISSING;
    }
    buffer_append_byte(json, '{');
    for (int i = 0; i < count; i++) {
        if (err == OK)
            err = add_resource(path, entries[i]->d_name, json, message);
        free(entries[i]);
    }
    buffer_append_byte(json, '}');
    free(entries);
    return json->failed ? ERR_NO_MEMORY : err;
}

static enum err read_data(const char *path, struct buffer *json, struct buffer *message)
{
    struct stat status;

    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return read_folder(path, json, message);
    return read_json(path, json, message);
}

/* What mock_create said, of whichever file it is about. */
static void report_mock(struct buffer *message, const struct role_options *role, enum err err,
                        struct bytes why, const struct mock_options *options)
{
    static const struct bytes of_routes = BYTES_INIT("routes: "), of_static = BYTES_INIT("static: ");

    if (err == ERR_NO_MEMORY)
        buffer_append_format(message, "cannot make the mock: %s\n", err_text(err));
    else if (bytes_start_with(why, of_static))
        buffer_append_format(message, "%.*s\n", BYTES_PRINTF(why));
    else if (bytes_start_with(why, of_routes))
        mock_plan_report(message, role->rewrite_path, bytes_after(why, of_routes.size), options->rewrite);
    else
        mock_plan_report(message, role->data_path != NULL ? role->data_path : "the sample", why,
                         options->document);
}

static enum err read_again(void *context, struct buffer *json, struct buffer *message)
{
    const struct role_options *role = context;
    return read_data(role->data_path, json, message);
}

/* What is to become of changes: they go back to a JSON file. Others are people's own, comments and all. */
static void plan_keep(const struct role_options *role, struct log *log, struct keep_options *keep)
{
    struct stat status;
    bool changes = role->is_ephemeral == ANSWER_NO && role->is_read_only == ANSWER_NO;
    bool is_json = !yaml_json_is_named(bytes_of_text(role->data_path)) &&
                   stat(role->data_path, &status) == 0 && S_ISREG(status.st_mode);

    *keep = (struct keep_options){.path = role->data_path,
                                  .writes = changes && is_json,
                                  .is_others = changes && !is_json,
                                  .watches = role->is_watching == ANSWER_YES,
                                  .log = log,
                                  .read = read_again,
                                  .context = (void *)(uintptr_t)role};
    file_identity_of(role->data_path, &keep->identity); /* if it is not there, reading it will say so */
}

static void append_path(struct buffer *paths, const char *path)
{
    buffer_append(paths, bytes_of_text(path));
    buffer_append_byte(paths, '\0');
}

static bool is_recording(const struct role_options *role)
{
    return role->data_path != NULL && recording_is_one(role->data_path);
}

/* `path` must live as long as the rules. */
static enum err read_rules_file(const char *path, struct rules *rules, struct buffer *message)
{
    struct buffer text = {0};
    enum err err = file_read(path, &text);

    if (err != OK)
        buffer_append_format(message, "cannot read %s: %s\n", path, err_text(err));
    else
        err = rules_read(rules, path, buffer_bytes(&text), message);
    buffer_fini(&text);
    return err;
}

enum err mock_plan_read_rules(const struct role_options *role, struct rules *rules, struct buffer *paths,
                              struct buffer *message)
{
    const struct text_list *said = &role->rules_paths;
    char *recorded = NULL;
    enum err err = OK;

    for (size_t i = 0; i < said->count; i++)
        append_path(paths, said->items[i]);
    for (size_t i = 0; i < said->count && err == OK; i++)
        err = read_rules_file(said->items[i], rules, message);
    if (err == OK && is_recording(role)) {
        if (asprintf(&recorded, "%s/" RECORDING_FILE, role->data_path) < 0 || !rules_own(rules, recorded))
            return ERR_NO_MEMORY;
        append_path(paths, recorded);
        err = read_rules_file(recorded, rules, message);
    }
    rules_list_files(rules, paths);
    return err;
}

enum err mock_plan_read_document(const struct role_options *role, struct buffer *json, struct buffer *paths,
                                 struct buffer *message)
{
    append_path(paths, role->data_path);
    return read_data(role->data_path, json, message);
}

/* Writes the path of the folder public/ beside the data, or in them if they are a folder, into `path`.
 * False if there is none. json-server serves that one unasked. */
static bool find_public(const char *data_path, struct buffer *path)
{
    const char *slash = strrchr(data_path, '/');
    struct stat status;

    if (stat(data_path, &status) == 0 && S_ISDIR(status.st_mode))
        buffer_append_format(path, "%s/", data_path);
    else if (slash != NULL)
        buffer_append(path, bytes_of(data_path, (size_t)(slash - data_path) + 1));
    buffer_append(path, BYTES("public\0"));
    return !path->failed && stat(path->data, &status) == 0 && S_ISDIR(status.st_mode);
}

struct bytes *mock_plan_list_hosts(const struct listen_list *listens, size_t *count)
{
    struct bytes *hosts = calloc(listens->count + 1, sizeof *hosts);

    *count = 0;
    for (size_t i = 0; i < listens->count && hosts != NULL; i++)
        if (listens->items[i].transport != LISTEN_UNIX)
            hosts[(*count)++] = bytes_of_text(listens->items[i].address);
    return hosts;
}

static enum err plan(const struct role_options *role, const char *admin_token, bool is_local,
                     struct log *log, struct mock **mock, struct buffer *message)
{
    struct buffer document = {0}, rewrite = {0}, public_path = {0}, why = {0};
    struct rules rules = {0};
    bool has_rules = role->rules_paths.count > 0 || is_recording(role);
    bool has_data = role->data_path != NULL && !is_recording(role);
    struct mock_files files = {0};
    struct keep_options keep;
    struct mock_options options = {.compat = role->compat,
                                   .progress = load_progress_show,
                                   .watcher = role->data_path,
                                   .latency_ms = role->latency_ms,
                                   .max_age_s = role->max_age_ms / 1000,
                                   .static_path = role->static_path,
                                   .is_read_only = role->is_read_only == ANSWER_YES,
                                   .omits_cors = role->sends_cors == ANSWER_NO,
                                   .is_local = is_local,
                                   .codes = role->codes == ANSWER_YES,
                                   .openapi = {.path = role->data_path,
                                               .seed = (uint64_t)role->seed,
                                               .checks = role->openapi_checks,
                                               .is_dynamic = role->is_dynamic == ANSWER_YES,
                                               .is_stateful = role->is_stateful == ANSWER_YES},
                                   .rules = has_rules ? &rules : NULL,
                                   .seed = (uint64_t)role->seed,
                                   .journal_entries_max = (size_t)role->journal_entries_max,
                                   .journal_shows_secrets = role->journal_shows_secrets == ANSWER_YES,
                                   .admin_token = bytes_of_text(admin_token != NULL ? admin_token : "")};
    struct bytes *hosts = mock_plan_list_hosts(&role->listens, &options.host_count);
    enum err err =
        hosts != NULL ? mock_plan_read_rules(role, &rules, &files.of_rules, message) : ERR_NO_MEMORY;

    options.hosts = hosts;
    if (role->id_name != NULL)
        options.id_name = bytes_of_text(role->id_name);
    if (role->foreign_key_suffix != NULL)
        options.foreign_key_suffix = bytes_of_text(role->foreign_key_suffix);

    if (err == OK && has_data) {
        plan_keep(role, log, &keep);
        options.keep = &keep;
        err = mock_plan_read_document(role, &document, &files.of_document, message);
        options.openapi.files = &files.of_document;
    }
    if (err == OK && role->rewrite_path != NULL)
        err = read_json(role->rewrite_path, &rewrite, message);
    if (has_data)
        options.document = buffer_bytes(&document);
    else
        options.document = has_rules ? BYTES("{}") : mock_sample_document();
    options.rewrite = buffer_bytes(&rewrite);
    if (err == OK && options.static_path == NULL && role->data_path != NULL &&
        !mock_is_of_openapi(options.document) && find_public(role->data_path, &public_path)) {
        options.static_path = public_path.data;
        log_write(log, LOG_INFO, "the files of %s are served, too", public_path.data);
    }
    if (err == OK) {
        err = mock_create(&options, mock, &why);
        if (err != OK)
            report_mock(message, role, err, buffer_bytes(&why), &options);
    }
    if (err == OK && (err = mock_watch_begin(role, *mock, &files, log)) != OK) {
        buffer_append_format(message, "cannot watch the files: %s\n", err_text(err));
        mock_destroy(*mock);
    }
    mock_files_fini(&files);
    rules_fini(&rules); /* empty, if the mock has taken them over */
    free(hosts);
    buffer_fini(&document);
    buffer_fini(&rewrite);
    buffer_fini(&public_path);
    buffer_fini(&why);
    return err;
}

enum err mock_plan_create(const struct role_options *role, const char *admin_token, bool is_local,
                          struct log *log, struct mock **mock, struct buffer *message)
{
    if (role->record_secrets.count > 0 || role->record_authorities_path != NULL) {
        buffer_append_literal(message,
                              "record-secret and record-ca go with record, which says what is recorded\n");
        return ERR_SYNTAX;
    }
    return plan(role, admin_token, is_local, log, mock, message);
}
