#include "live_ask.h"
#include "base/number.h"

enum { WAIT_SECONDS_MAX = 300 };

static const struct bytes stream_prefix = BYTES_INIT("/_live/"), patch_prefix = BYTES_INIT("/_live-patch/"),
                          socket_path = BYTES_INIT("/_live");

/* Takes what stands before the next `separator` off the front of `rest`. */
static struct bytes take(struct bytes *rest, char separator)
{
    const char *end = rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
    struct bytes taken = end == NULL ? *rest : bytes_first(*rest, (size_t)(end - rest->data));

    *rest = bytes_after(*rest, taken.size + (end != NULL));
    return bytes_trim(taken);
}

/* An element of Accept: "text/event-stream;patch=merge;q=0.9". */
static void read_type(struct bytes element, struct live_ask *ask)
{
    bool wants_patches = false;

    if (!bytes_equal_nocase(take(&element, ';'), BYTES("text/event-stream")))
        return;
    while (element.size > 0) {
        struct bytes parameter = take(&element, ';');
        uint64_t quality;
        if (bytes_equal_nocase(parameter, BYTES("patch=merge")))
            wants_patches = true;
        if (parameter.size > 2 && bytes_equal_nocase(bytes_first(parameter, 2), BYTES("q=")) &&
            thousandths_parse(bytes_after(parameter, 2), 1000, &quality) && quality == 0)
            return;
    }
    ask->way = LIVE_STREAM;
    ask->wants_patches = wants_patches;
}

static void read_accept(struct bytes value, struct live_ask *ask)
{
    struct bytes element;

    while (ask->way == LIVE_NOT && http_list_next(&value, &element))
        read_type(element, ask);
}

/* RFC 7240 §2: preferences, each perhaps with parameters; the first of a name counts. */
static void read_prefer(struct bytes value, struct live_ask *ask)
{
    struct bytes element;

    while (ask->wait_ms == 0 && http_list_next(&value, &element)) {
        struct bytes preference = take(&element, ';');
        struct bytes name = take(&preference, '=');
        uint64_t seconds;
        if (!bytes_equal_nocase(name, BYTES("wait")))
            continue;
        preference = bytes_trim(preference);
        if (preference.size >= 2 && preference.data[0] == '"' &&
            preference.data[preference.size - 1] == '"')
            preference = bytes_of(preference.data + 1, preference.size - 2);
        if (digits_parse(preference, INT32_MAX, &seconds))
            ask->wait_ms = (int64_t)(seconds < WAIT_SECONDS_MAX ? seconds : WAIT_SECONDS_MAX) * 1000;
    }
}

struct live_ask live_ask_of(const struct http_request *request)
{
    struct live_ask ask = {.way = LIVE_NOT};
    bool has_condition = false;

    if (bytes_equal(request->path, socket_path) &&
        http_fields_find(&request->fields, HTTP_HEADER_UPGRADE) != NULL) {
        ask.way = LIVE_SOCKET;
        return ask;
    }
    if (request->method != HTTP_METHOD_GET || request->body_bytes != HTTP_BODY_NONE)
        return ask;
    for (size_t i = 0; i < request->fields.count; i++) {
        const struct http_field *field = &request->fields.list[i];
        switch (field->header) { /* the default: what others say is not for us */
        case HTTP_HEADER_ACCEPT: read_accept(field->value, &ask); break;
        case HTTP_HEADER_PREFER: read_prefer(field->value, &ask); break;
        case HTTP_HEADER_LAST_EVENT_ID: ask.has_last_id = event_id_parse(field->value, &ask.last_id); break;
        case HTTP_HEADER_IF_NONE_MATCH:
        case HTTP_HEADER_IF_MODIFIED_SINCE: has_condition = true; break;
        default: break;
        }
    }
    if (ask.way == LIVE_NOT && ask.wait_ms > 0 && has_condition)
        ask.way = LIVE_WAIT;
    if (bytes_start_with(request->path, stream_prefix)) {
        ask.way = LIVE_STREAM;
        ask.prefix_size = stream_prefix.size - 1;
    } else if (bytes_start_with(request->path, patch_prefix)) {
        ask.way = LIVE_STREAM;
        ask.wants_patches = true;
        ask.prefix_size = patch_prefix.size - 1;
    }
    return ask;
}
