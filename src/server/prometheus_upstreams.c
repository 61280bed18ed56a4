#include "server/prometheus_upstreams.h"
#include "base/compiler.h"
#include <inttypes.h>

/* ---- labels --------------------------------------------------------------------------------------- */

static void append_label(struct buffer *labels, const char *name, struct bytes value)
{
    buffer_append_format(labels, "%s%s=\"", labels->size > 0 ? "," : "", name);
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] == '"' || value.data[i] == '\\')
            buffer_append_byte(labels, '\\');
        buffer_append_byte(labels, value.data[i] == '\n' ? ' ' : value.data[i]);
    }
    buffer_append_byte(labels, '"');
}

static struct bytes text_of(const char *text)
{
    return text != NULL ? bytes_of_text(text) : (struct bytes){0};
}

/* One who has that name already is another gateway's: a series cannot be there twice. */
static bool is_noted(const struct prometheus_upstreams *noted, struct bytes labels)
{
    for (size_t i = 0; i < noted->upstream_count; i++)
        if (bytes_equal(buffer_bytes(&noted->upstreams[i].labels), labels))
            return true;
    return false;
}

void prometheus_note_upstream(void *context, const struct upstream_report *report)
{
    struct prometheus_upstreams *noted = context;
    struct buffer labels = {0};

    append_label(&labels, "upstream", report->name != NULL ? text_of(report->name) : report->authority);
    if (noted->upstream_count == PROMETHEUS_UPSTREAMS_MAX || is_noted(noted, buffer_bytes(&labels))) {
        buffer_fini(&labels);
        return;
    }
    noted->upstreams[noted->upstream_count++] = (struct prometheus_upstream){labels, report->facts};
}

void prometheus_note_route(void *context, const struct route_report *report)
{
    struct prometheus_upstreams *noted = context;
    struct prometheus_route *route = &noted->routes[noted->route_count];
    char number[24];

    if (noted->route_count == PROMETHEUS_UPSTREAMS_MAX)
        return;
    noted->route_count++;
    *route = (struct prometheus_route){.revalidations = report->revalidations,
                                       .not_modified = report->not_modified};
    snprintf(number, sizeof number, "%zu", noted->route_count); /* others may take the same host and path */
    append_label(&route->labels, "route", bytes_of_text(number));
    append_label(&route->labels, "host", text_of(report->host));
    append_label(&route->labels, "path", text_of(report->path));
    append_label(&route->labels, "upstream", text_of(report->upstream));
}

void prometheus_upstreams_fini(struct prometheus_upstreams *noted)
{
    for (size_t i = 0; i < noted->upstream_count; i++)
        buffer_fini(&noted->upstreams[i].labels);
    for (size_t i = 0; i < noted->route_count; i++)
        buffer_fini(&noted->routes[i].labels);
}

/* ---- series --------------------------------------------------------------------------------------- */

static int64_t under_way(const struct quota_facts *facts) { return facts->under_way; }
static int64_t concurrency_limit_of(const struct quota_facts *facts) { return facts->concurrency_limit; }
static int64_t waiting(const struct quota_facts *facts) { return facts->waiting; }
static int64_t tokens(const struct quota_facts *facts) { return facts->tokens; }
static int64_t said_left(const struct quota_facts *facts) { return facts->left; }
static int64_t said_reset_ms(const struct quota_facts *facts)
{
    return facts->left >= 0 ? facts->reset_ms : -1;
}
static int64_t limited_ms(const struct quota_facts *facts) { return facts->told_ms; }
static int64_t is_open(const struct quota_facts *facts) { return facts->breaker == BREAKER_OPEN; }
static int64_t is_half_open(const struct quota_facts *facts) { return facts->breaker == BREAKER_HALF_OPEN; }

/* What is -1 has no series. */
static const struct {
    const char *name, *help;
    int64_t (*read)(const struct quota_facts *facts);
    bool is_ms; /* shown in seconds */
} gauges[] = {
    {"under_way", "requests to the upstream that are under way", under_way, false},
    {"concurrency_limit", "how many may be, if concurrency-max is set", concurrency_limit_of, false},
    {"waiting", "requests that wait for their turn", waiting, false},
    {"tokens", "requests that rate-limit permits at once, of the credential that has least", tokens, false},
    {"said_left", "requests that the upstream has said are left, of the credential that has least",
     said_left, false},
    {"said_reset_seconds", "when it said that there will be more", said_reset_ms, true},
    {"limited_seconds", "for how long nobody may ask, as the upstream has said; 0: one may", limited_ms,
     true},
    {"breaker_open", "1: the upstream is left alone because it fails", is_open, false},
    {"breaker_half_open", "1: one request finds out whether it works again", is_half_open, false},
};

static void begin(struct buffer *out, const char *name, const char *help, const char *type)
{
    buffer_append_format(out, "# HELP nuthatch_%s %s\n# TYPE nuthatch_%s %s\n", name, help, name, type);
}

static void append_value(struct buffer *out, const char *name, const struct buffer *labels, int64_t value,
                         bool is_ms)
{
    buffer_append_format(out, "nuthatch_%s{", name);
    buffer_append(out, buffer_bytes(labels));
    if (is_ms)
        buffer_append_format(out, "} %.3f\n", (double)value / 1e3);
    else
        buffer_append_format(out, "} %" PRId64 "\n", value);
    out->failed |= labels->failed;
}

void prometheus_append_upstreams(struct buffer *out, const struct prometheus_upstreams *noted)
{
    static const char *const of_routes[] = {"route_revalidations_total", "route_not_modified_total"};

    for (size_t i = 0; i < COUNT_OF(gauges) && noted->upstream_count > 0; i++) {
        char name[64];
        snprintf(name, sizeof name, "upstream_%s", gauges[i].name);
        begin(out, name, gauges[i].help, "gauge");
        for (size_t j = 0; j < noted->upstream_count; j++) {
            int64_t value = gauges[i].read(&noted->upstreams[j].facts);
            if (value >= 0)
                append_value(out, name, &noted->upstreams[j].labels, value, gauges[i].is_ms);
        }
    }
    if (noted->route_count == 0)
        return;
    begin(out, of_routes[0], "conditional requests that the gateway sent for a route", "counter");
    for (size_t i = 0; i < noted->route_count; i++)
        append_value(out, of_routes[0], &noted->routes[i].labels, (int64_t)noted->routes[i].revalidations,
                     false);
    begin(out, of_routes[1], "of those, answered that what was stored is still good (304)", "counter");
    for (size_t i = 0; i < noted->route_count; i++)
        append_value(out, of_routes[1], &noted->routes[i].labels, (int64_t)noted->routes[i].not_modified,
                     false);
}
