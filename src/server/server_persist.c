#include "engine/gateway/gateway.h"
#include "engine/kv/kv_database.h"
#include "server/file.h"
#include "server/server_state.h"
#include <errno.h>
#include <string.h>

enum err server_check_persist(const struct options *options, struct buffer *message)
{
    struct buffer why = {0};
    enum err err;

    if (options->persist_path == NULL)
        return OK;
    err = file_check_place(options->persist_path, &why);
    if (why.size > 0)
        buffer_append_format(message, "persist: %.*s", BYTES_PRINTF(buffer_bytes(&why)));
    buffer_fini(&why);
    return err;
}

static const char *reason_text(nh_result result)
{
    return result == NH_IO ? strerror(errno) : nh_result_text(result);
}

void server_restore(struct server *server)
{
    const char *path = server->options->persist_path;
    struct now now = clock_read(server->clock);
    nh_result result;

    if (path == NULL)
        return;
    if (server->store == NULL) {
        log_write(server->log, LOG_WARNING,
                  "persist: there are no values to keep in %s without a cache or gateway", path);
        return;
    }
    result = nh_restore(server->store, path, now.mono_ms, now.wall_ms, NULL);
    if (result == NH_MISSING) {
        log_write(server->log, LOG_INFO, "no values to restore: there is no %s yet", path);
        return;
    }
    if (result != NH_OK) {
        log_write(
            server->log, LOG_WARNING,
            "cannot restore values from %s: %s; starting empty. The file stays as it is until the next "
            "clean stop overwrites it: move it away if you want it, or remove it",
            path, reason_text(result));
        return;
    }
    kv_databases_take_over(server->hub, server->store, now);
    for (size_t i = 0; i < server->options->role_count; i++)
        if (server->roles[i].gateway != NULL)
            gateway_take_over(server->roles[i].gateway, now);
    log_write(server->log, LOG_INFO, "restored %llu values from %s, %lld ms",
              (unsigned long long)nh_count(server->store, NH_SPACE_ALL), path,
              (long long)(clock_read(server->clock).mono_ms - now.mono_ms));
}

bool server_save(struct server *server)
{
    const char *path = server->options->persist_path;
    struct now now = clock_read(server->clock);
    unsigned long long count;
    nh_result result;

    if (path == NULL || server->store == NULL)
        return true;
    server_end_workers(server); /* which may have borrowed from the store */
    /* What has expired and was not freed yet is counted, though not saved. */
    count = nh_count(server->store, NH_SPACE_ALL);
    kv_databases_hand_over(server->hub, server->store, now);
    for (size_t i = 0; i < server->options->role_count; i++)
        if (server->roles[i].gateway != NULL)
            gateway_hand_over(server->roles[i].gateway, now);
    result = nh_save(server->store, path, now.mono_ms, now.wall_ms);
    if (result == NH_OK)
        log_write(server->log, LOG_INFO, "saved %llu values to %s, %lld ms", count, path,
                  (long long)(clock_read(server->clock).mono_ms - now.mono_ms));
    else
        log_write(server->log, LOG_ERROR, "cannot save %llu values to %s: %s; the next start will be cold",
                  count, path, reason_text(result));
    return result == NH_OK;
}
