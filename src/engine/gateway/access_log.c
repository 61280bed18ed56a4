#include "access_log.h"
#include "net/listen.h"

static void write_line(struct exchange *x, bool is_whole)
{
    struct gateway_worker *worker = x->observer;
    const struct gateway *gateway = worker->gateway;
    struct buffer line = {0};
    char client[ADDRESS_TEXT_BYTES];

    address_of_peer(x->client_fd, client);
    access_line_render(
        &line, gateway->access_format,
        &(struct access_record){.request = x->request,
                                .client = bytes_of_text(client),
                                .request_id = request_id_bytes(&x->id),
                                .cache = x->note,
                                .began_wall_ms = x->now.wall_ms,
                                .duration_ms = loop_now(worker->loop).mono_ms - x->now.mono_ms,
                                .status = x->status,
                                .body_bytes = x->sent_bytes,
                                .is_whole = is_whole});
    if (line.failed || !line_sink_append(gateway->access_log, buffer_bytes(&line)))
        counters_add(worker->counters, METRIC_access_log_lost, 1);
    buffer_fini(&line);
}

void access_log_begin(struct gateway_worker *worker, const struct route *route, struct exchange *x)
{
    int64_t sample = route->policy.access_log_sample;

    if (worker->gateway->access_log == NULL || sample == 0 || worker->seen_count++ % (uint64_t)sample != 0)
        return;
    x->observer = worker;
    x->over = write_line;
}
