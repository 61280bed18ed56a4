#include "server/status_page.h"
#include "base/compiler.h"
#include "server/shown_text.h"
#include <inttypes.h>

#define BOLD  "\033[1m"
#define CYAN  "\033[36m"
#define PLAIN "\033[0m"

struct page {
    struct buffer *out;
    bool in_colour;
};

/* ---- values --------------------------------------------------------------------------------------- */

static uint64_t number(const json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));

    return value > 0 ? (uint64_t)value : 0;
}

/* A cell's text. */
struct cell {
    char text[96];
};

/* With commas between thousands. */
static struct cell count(uint64_t value)
{
    char digits[24];
    struct cell cell;
    int size = snprintf(digits, sizeof digits, "%" PRIu64, value), to = 0;

    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            cell.text[to++] = ',';
        cell.text[to++] = digits[i];
    }
    cell.text[to] = '\0';
    return cell;
}

static const char *plural(uint64_t value) { return value == 1 ? "" : "s"; }

static struct cell size(uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;
    struct cell cell;

    while (value >= 1024 && unit + 1 < COUNT_OF(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(cell.text, sizeof cell.text, "%.1f %s", value, units[unit]);
    return cell;
}

/* The two largest units. */
static struct cell time_span(uint64_t ms)
{
    uint64_t s = ms / 1000;
    struct cell cell;

    if (s < 60)
        snprintf(cell.text, sizeof cell.text, "%" PRIu64 "s", s);
    else if (s < 3600)
        snprintf(cell.text, sizeof cell.text, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(cell.text, sizeof cell.text, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(cell.text, sizeof cell.text, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
    return cell;
}

/* Where it may be well below a second. */
static struct cell short_span(uint64_t ms)
{
    struct cell cell;

    if (ms >= 60000)
        return time_span(ms);
    if (ms < 1000)
        snprintf(cell.text, sizeof cell.text, "%" PRIu64 "ms", ms);
    else
        snprintf(cell.text, sizeof cell.text, "%.1fs", (double)ms / 1000);
    return cell;
}

static struct cell ratio(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    struct cell cell = {"-"};

    if (json_is_number(value))
        snprintf(cell.text, sizeof cell.text, "%.1f %%", json_number_value(value) * 100);
    return cell;
}

/* What the other side wrote, without control bytes. */
static struct cell text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    struct cell cell = {"-"};

    if (value != NULL)
        snprintf(cell.text, sizeof cell.text, "%s", shown_text(bytes_of_text(value)).text);
    return cell;
}

/* ---- lines ---------------------------------------------------------------------------------------- */

/* The beginning of a line about one thing. */
static void append_name(struct page *page, const char *name)
{
    buffer_append_format(page->out, page->in_colour ? CYAN "%-12s" PLAIN : "%-12s", name);
}

static void append_head(struct page *page, const json_t *status, const char *api)
{
    size_t threads = json_array_size(json_object_get(status, "workers"));

    buffer_append_format(page->out, page->in_colour ? BOLD "nuthatch %s" PLAIN : "nuthatch %s",
                         text(status, "version").text);
    buffer_append_format(page->out, " at %s: up %s, %zu thread%s, %s\n\n", api,
                         time_span(number(status, "uptime_ms")).text, threads, threads == 1 ? "" : "s",
                         text(status, "loop").text);
}

static void append_memory(struct page *page, const json_t *memory)
{
    append_name(page, "memory");
    buffer_append_format(page->out, "%s resident", size(number(memory, "resident_bytes")).text);
    if (json_object_get(memory, "store_bytes") != NULL)
        buffer_append_format(page->out, "; the store: %s of %s, %s value%s, %s evicted",
                             size(number(memory, "store_bytes")).text,
                             size(number(memory, "store_bytes_max")).text,
                             count(number(memory, "values")).text, plural(number(memory, "values")),
                             count(number(memory, "evicted")).text);
    buffer_append_byte(page->out, '\n');
}

static void append_connections(struct page *page, const json_t *connections)
{
    append_name(page, "connections");
    buffer_append_format(page->out, "%s now, of %s at most; %s accepted, %s refused, %s too slow\n",
                         count(number(connections, "now")).text, count(number(connections, "max")).text,
                         count(number(connections, "accepted")).text,
                         count(number(connections, "refused")).text,
                         count(number(connections, "too_slow")).text);
}

static void append_cache(struct page *page, const json_t *cache)
{
    append_name(page, "cache");
    buffer_append_format(page->out, "%s command%s; %s of %s reads found a value\n",
                         count(number(cache, "commands")).text, plural(number(cache, "commands")),
                         ratio(cache, "hit_ratio").text,
                         count(number(cache, "hits") + number(cache, "misses")).text);
}

static void append_gateway(struct page *page, const json_t *gateway)
{
    append_name(page, "gateway");
    buffer_append_format(
        page->out,
        "%s answered without a fetch of their own: %s hits, %s stale, %s waited for another; "
        "%s fetches, %s failed, %s waited for their turn, %s not sent; %s purges",
        ratio(gateway, "hit_ratio").text, count(number(gateway, "hits")).text,
        count(number(gateway, "stale")).text, count(number(gateway, "collapsed")).text,
        count(number(gateway, "fetches")).text, count(number(gateway, "origin_errors")).text,
        count(number(gateway, "limit_waits")).text, count(number(gateway, "limited")).text,
        count(number(gateway, "purges")).text);
    if (number(gateway, "composed") > 0)
        buffer_append_format(page->out, "; %s composed, %s of their parts failed",
                             count(number(gateway, "composed")).text,
                             count(number(gateway, "parts_failed")).text);
    if (number(gateway, "changes") > 0)
        buffer_append_format(page->out, "; %s watch, told of %s changes",
                             count(number(gateway, "watchers")).text,
                             count(number(gateway, "changes")).text);
    buffer_append_byte(page->out, '\n');
}

static void append_mock(struct page *page, const json_t *mock)
{
    append_name(page, "mock");
    buffer_append_format(page->out, "%s request%s\n", count(number(mock, "requests")).text,
                         plural(number(mock, "requests")));
}

/* The counts that `names` names, each with its words, a space between them. */
static void append_counts(struct page *page, const json_t *counts, const char *title, const char *prefix,
                          const char *names)
{
    const char *between = "";

    append_name(page, title);
    for (const char *name = names, *end; *name != '\0'; name = *end == ' ' ? end + 1 : end) {
        char key[64];

        end = name + strcspn(name, " ");
        snprintf(key, sizeof key, "%s%.*s", prefix, (int)(end - name), name);
        buffer_append_format(page->out, "%s%s %.*s", between, count(number(counts, key)).text,
                             (int)(end - name), name);
        between = ", ";
    }
    buffer_append_byte(page->out, '\n');
}

static void append_tier(struct page *page, const json_t *tier)
{
    const json_t *counts = json_object_get(tier, "counts"), *servers = json_object_get(tier, "servers");
    uint64_t hits = number(counts, "near_hits") + number(counts, "near_nothing");
    uint64_t misses = number(counts, "near_misses") + number(counts, "near_doubted");
    const json_t *server;
    size_t open_count = 0, i;

    json_array_foreach(servers, i, server) open_count += strcmp(text(server, "state").text, "open") == 0;
    append_name(page, "tier");
    buffer_append_format(
        page->out, "%zu of %zu servers open; what is near is given for %s ms at most after a change\n",
        open_count, json_array_size(servers), count(number(tier, "max_staleness_ms")).text);
    append_name(page, "near");
    buffer_append_format(page->out, "%s of %s reads; kept %s\n", ratio(tier, "near_hit_ratio").text,
                         count(hits + misses).text, count(number(counts, "kept")).text);
    append_counts(page, json_object_get(tier, "fleet"), "fleet", "",
                  "hits confirmed leases waits published refused purges_sent purges_heard away");
    append_counts(page, counts, "not kept", "unkept_", "poisoned own_write moved asked hot short no_room");
    append_counts(page, counts, "told", "invalidations_", "useful useless");
    append_counts(page, counts, "flushed", "flushes_", "asked lost role");
    append_counts(page, counts, "redirected", "", "moved ask tryagain clusterdown loading demoted");
    append_counts(page, counts, "calls", "", "calls lost timeouts unreachable refused");
    append_counts(page, counts, "channels", "", "subscribed messages subscribers_lost subscriptions_lost");
}

/* ---- tables --------------------------------------------------------------------------------------- */

enum { COLUMNS_MAX = 10 };

/* A column as wide as what is in it; the first is aligned to the left. */
struct table {
    const char *const *names;
    size_t column_count;
    int widths[COLUMNS_MAX];
};

static void begin_table(struct table *table, const char *const *names, size_t column_count)
{
    *table = (struct table){.names = names, .column_count = column_count};
    for (size_t i = 0; i < column_count; i++)
        table->widths[i] = (int)strlen(names[i]);
}

/* Of UTF-8, whose continuing bytes take none. */
static int columns_of(const char *words)
{
    int columns = 0;

    for (; *words != '\0'; words++)
        columns += ((unsigned char)*words & 0xc0) != 0x80;
    return columns;
}

static void measure(struct table *table, const struct cell *cells)
{
    for (size_t i = 0; i < table->column_count; i++) {
        int width = columns_of(cells[i].text);
        if (width > table->widths[i])
            table->widths[i] = width;
    }
}

static void append_cells(struct page *page, const struct table *table, const struct cell *cells)
{
    for (size_t i = 0; i < table->column_count; i++) {
        /* printf pads by bytes. */
        int width = table->widths[i] + (int)strlen(cells[i].text) - columns_of(cells[i].text);
        buffer_append_format(page->out, "%s%*s", i > 0 ? "  " : "", i > 0 ? width : -width, cells[i].text);
    }
    buffer_append_byte(page->out, '\n');
}

static void append_names(struct page *page, const struct table *table)
{
    struct cell cells[COLUMNS_MAX];

    for (size_t i = 0; i < table->column_count; i++)
        snprintf(cells[i].text, sizeof cells[i].text, "%s", table->names[i]);
    buffer_append(page->out, bytes_of_text(page->in_colour ? "\n" BOLD : "\n"));
    append_cells(page, table, cells);
    if (page->in_colour)
        buffer_append(page->out, bytes_of_text(PLAIN));
}

/* A table of `rows`, each of which `fill` makes cells of. */
static void append_table(struct page *page, const json_t *rows, const char *const *names,
                         size_t column_count,
                         void (*fill)(const json_t *row, size_t index, struct cell *cells))
{
    struct cell cells[COLUMNS_MAX];
    struct table table;
    const json_t *row;
    size_t i;

    if (json_array_size(rows) == 0)
        return;
    begin_table(&table, names, column_count);
    json_array_foreach(rows, i, row)
    {
        fill(row, i, cells);
        measure(&table, cells);
    }
    append_names(page, &table);
    json_array_foreach(rows, i, row)
    {
        fill(row, i, cells);
        append_cells(page, &table, cells);
    }
}

static void fill_worker(const json_t *worker, size_t index, struct cell *cells)
{
    cells[0] = count(index);
    cells[1] = count(number(worker, "connections"));
    cells[2] = count(number(worker, "commands"));
    cells[3] = count(number(worker, "http_requests"));
}

/* "3 of 5"; "-" where there is no limit. */
static struct cell share(const json_t *object, const char *name, const char *of)
{
    struct cell cell = {"-"};

    if (json_is_integer(json_object_get(object, of)))
        snprintf(cell.text, sizeof cell.text, "%.32s of %.32s", count(number(object, name)).text,
                 count(number(object, of)).text);
    else if (json_is_integer(json_object_get(object, name)))
        cell = count(number(object, name));
    return cell;
}

static struct cell wait_of(const json_t *object, const char *name)
{
    return number(object, name) == 0 ? (struct cell){"-"} : time_span(number(object, name) + 999);
}

static void fill_upstream(const json_t *upstream, size_t index, struct cell *cells)
{
    (void)index;
    cells[0] = text(upstream, json_is_string(json_object_get(upstream, "name")) ? "name" : "origin");
    cells[1] = share(upstream, "under_way", "concurrency_limit");
    cells[2] = count(number(upstream, "waiting"));
    cells[3] = share(upstream, "tokens", "tokens_max");
    cells[4] = share(upstream, "said_left", "said_limit");
    cells[5] = wait_of(upstream, "said_reset_ms");
    cells[6] = wait_of(upstream, "limited_for_ms");
    cells[7] = text(upstream, "breaker");
}

static void fill_poll(const json_t *poll, size_t index, struct cell *cells)
{
    (void)index;
    cells[0] = text(poll, "url");
    cells[1] = count(number(poll, "polls"));
    cells[2] = count(number(poll, "changes"));
    cells[3] = count(number(poll, "failures"));
    cells[4] = count(number(poll, "unkept"));
    cells[5] = count(number(poll, "seen"));
    cells[6] = short_span(number(poll, "interval_ms"));
    cells[7] = short_span(number(poll, "due_in_ms"));
}

static void fill_route(const json_t *route, size_t index, struct cell *cells)
{
    (void)index;
    cells[0] = (struct cell){"-"};
    if (json_is_string(json_object_get(route, "path")))
        cells[0] = text(route, "path");
    cells[1] = (struct cell){"-"};
    if (json_is_string(json_object_get(route, "host")))
        cells[1] = text(route, "host");
    cells[2] = (struct cell){"-"};
    if (json_is_string(json_object_get(route, "upstream")))
        cells[2] = text(route, "upstream");
    cells[3] = count(number(route, "revalidations"));
    cells[4] = count(number(route, "not_modified"));
    cells[5] = (struct cell){"-"};
    if (number(route, "revalidations") > 0)
        snprintf(cells[5].text, sizeof cells[5].text, "%.1f %%",
                 100 * json_number_value(json_object_get(route, "not_modified_ratio")));
}

/* As a person reads it: µs, or ms from one on. */
static struct cell round_trip(const json_t *object, const char *name)
{
    uint64_t us = number(object, name);
    struct cell cell = {"-"};

    if (number(object, "round_trips") == 0)
        return cell;
    if (us < 1000)
        snprintf(cell.text, sizeof cell.text, "%" PRIu64 " µs", us);
    else
        snprintf(cell.text, sizeof cell.text, "%.1f ms", (double)us / 1000);
    return cell;
}

static void fill_server(const json_t *server, size_t index, struct cell *cells)
{
    (void)index;
    cells[0] = text(server, "address");
    cells[1] = text(server, "role");
    cells[2] = text(server, "state");
    cells[3] = text(server, "slots");
    cells[4] = (struct cell){"unknown"};
    if (json_is_integer(json_object_get(server, "coherence_age_ms")))
        snprintf(cells[4].text, sizeof cells[4].text, "%.32s ms",
                 count(number(server, "coherence_age_ms")).text);
    cells[5] = count(number(server, "in_flight"));
    cells[6] = round_trip(server, "p50_us");
    cells[7] = round_trip(server, "p99_us");
    cells[8] = round_trip(server, "max_us");
}

/* ---- the whole ------------------------------------------------------------------------------------ */

void status_page_append(struct buffer *out, const json_t *status, const char *api, bool in_colour)
{
    static const char *const of_worker[] = {"thread", "connections", "commands", "HTTP requests"};
    static const char *const of_upstream[] = {"upstream", "under way", "waiting",     "may be sent",
                                              "it says",  "reset in",  "limited for", "breaker"};
    static const char *const of_poll[] = {"polled",   "polls",          "changes", "failures",
                                          "not kept", "done by others", "every",   "next in"};
    static const char *const of_route[] = {"route",       "host",      "upstream",
                                           "asked again", "unchanged", "of all"};
    static const char *const of_server[] = {"server of the tier", "role", "state", "slots", "unsure for",
                                            "in flight",          "p50",  "p99",   "max"};
    static const struct {
        const char *name;
        void (*append)(struct page *page, const json_t *part);
    } parts[] = {
        {"memory", append_memory}, {"connections", append_connections},
        {"cache", append_cache},   {"gateway", append_gateway},
        {"mock", append_mock},     {"tier", append_tier},
    };
    struct page page = {out, in_colour};

    append_head(&page, status, api);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (json_object_get(status, parts[i].name) != NULL)
            parts[i].append(&page, json_object_get(status, parts[i].name));
    append_table(&page, json_object_get(status, "workers"), of_worker, COUNT_OF(of_worker), fill_worker);
    append_table(&page, json_object_get(json_object_get(status, "gateway"), "upstreams"), of_upstream,
                 COUNT_OF(of_upstream), fill_upstream);
    append_table(&page, json_object_get(json_object_get(status, "gateway"), "polls"), of_poll,
                 COUNT_OF(of_poll), fill_poll);
    append_table(&page, json_object_get(json_object_get(status, "gateway"), "routes"), of_route,
                 COUNT_OF(of_route), fill_route);
    append_table(&page, json_object_get(json_object_get(status, "tier"), "servers"), of_server,
                 COUNT_OF(of_server), fill_server);
}
