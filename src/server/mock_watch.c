#include "server/mock_watch.h"
#include "engine/mock/storage/watcher.h"
#include "server/mock_plan.h"

void mock_files_fini(struct mock_files *files)
{
    buffer_fini(&files->of_rules);
    buffer_fini(&files->of_document);
}

static enum err reload_rules(void *mock, const void *source, struct buffer *paths, struct buffer *message)
{
    struct rules rules = {0};
    enum err err = mock_plan_read_rules(source, &rules, paths, message);

    if (err == OK)
        err = mock_replace_rules(mock, &rules);
    rules_fini(&rules); /* empty, if the mock has taken them over */
    return err;
}

static enum err reload_document(void *mock, const void *source, struct buffer *paths,
                                struct buffer *message)
{
    const struct role_options *role = source;
    struct buffer text = {0}, why = {0};
    enum err err = mock_plan_read_document(role, &text, paths, message);

    if (err == OK) {
        err = mock_replace_document(mock, buffer_bytes(&text), paths, &why);
        if (err != OK)
            mock_plan_report(message, role->data_path, buffer_bytes(&why), buffer_bytes(&text));
    }
    buffer_fini(&text);
    buffer_fini(&why);
    return err;
}

enum err mock_watch_begin(const struct role_options *role, struct mock *mock,
                          const struct mock_files *files, struct log *log)
{
    struct watcher_options options = {.log = log, .source = role};
    enum err err = OK;

    if (role->is_watching != ANSWER_YES)
        return OK;
    if (files->of_rules.size > 0) {
        options.what = files->of_rules.data;
        options.paths = buffer_bytes(&files->of_rules);
        options.reload = reload_rules;
        err = mock_watch(mock, &options);
    }
    if (err == OK && mock_is_of_document(mock)) {
        options.what = role->data_path;
        options.paths = buffer_bytes(&files->of_document);
        options.reload = reload_document;
        err = mock_watch(mock, &options);
    }
    return err;
}
