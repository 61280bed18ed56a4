/* links: nuthatch-live nuthatch-gateway nuthatch-message nuthatch-base */
/* Any bytes as what a watcher says (Accept, Prefer, Last-Event-ID), and as two states, a line each: no
 * crash; an id that is one is read as it is written; an event ends where its blank line is, and nowhere
 * before; what WebSockets are told of it is JSON that says the same; a merge patch makes the second state
 * of the first. */
#include "base/utf8.h"
#include "engine/live/event.h"
#include "engine/live/frame.h"
#include "engine/live/json_change.h"
#include "engine/live/live_ask.h"
#include "engine/live/socket_ask.h"
#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_ask(struct bytes value)
{
    struct http_field fields[] = {{HTTP_HEADER_ACCEPT, BYTES("Accept"), value},
                                  {HTTP_HEADER_PREFER, BYTES("Prefer"), value},
                                  {HTTP_HEADER_LAST_EVENT_ID, BYTES("Last-Event-ID"), value},
                                  {HTTP_HEADER_IF_NONE_MATCH, BYTES("If-None-Match"), BYTES("*")}};
    struct http_request request = {.method = HTTP_METHOD_GET, .path = value, .fields = {fields, 4}};
    struct live_ask ask = live_ask_of(&request);
    char text[EVENT_ID_TEXT_BYTES];

    check(ask.prefix_size <= value.size && ask.wait_ms >= 0 && ask.wait_ms <= 300000);
    if (ask.has_last_id)
        check(bytes_equal(bytes_of(text, event_id_format(text, ask.last_id)), value));
}

/* What is told to WebSockets is JSON, and its data is the text: of JSON the value, else a string of as many
 * lines. */
static void check_frame(const struct event *event, struct bytes text)
{
    struct buffer said = {0};
    json_t *whole, *value;

    frame_append_event(&said, event, BYTES("/a\"b"));
    whole = json_loadb(said.data, said.size, JSON_ALLOW_NUL, NULL);
    if (whole == NULL && text.size > 2000) /* one level more may be one too many for who reads it here */
        goto done;
    check(json_is_object(whole));
    check(strcmp(json_string_value(json_object_get(whole, "path")), "/a\"b") == 0);
    value = event->is_json ? json_loadb(text.data != NULL ? text.data : "", text.size,
                                        JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL)
                           : NULL;
    check(event->is_json ? json_equal(value, json_object_get(whole, "data"))
                         : json_is_string(json_object_get(whole, "data")));
    json_decref(value);
done:
    json_decref(whole);
    buffer_fini(&said);
}

static void check_message(struct bytes message)
{
    struct socket_ask ask;
    struct event_id id;

    if (socket_ask_read(message, &ask) == NULL) {
        check(ask.subscribe != NULL || ask.unsubscribe != NULL);
        socket_ask_after(&ask, "/a", &id);
    }
    socket_ask_fini(&ask);
}

static void check_event(struct bytes text, bool is_json)
{
    struct event *event = event_create(EVENT_STATE, (struct event_id){1, 2}, text, is_json);
    struct bytes bytes = event_bytes(event);

    check(bytes_end_with(bytes, BYTES("\n\n")) && memmem(bytes.data, bytes.size - 1, "\n\n", 2) == NULL &&
          memchr(bytes.data, '\r', bytes.size) == NULL);
    if (is_json || utf8_is_whole(text))
        check_frame(event, text);
    event_release(event);
}

/* RFC 7386 §2. */
static json_t *apply(json_t *target, json_t *patch)
{
    json_t *result, *value;
    const char *name;

    if (!json_is_object(patch))
        return json_incref(patch);
    result = json_is_object(target) ? json_copy(target) : json_object();
    json_object_foreach(patch, name, value)
    {
        if (json_is_null(value))
            json_object_del(result, name);
        else
            json_object_set_new(result, name, apply(json_object_get(result, name), value));
    }
    return result;
}

static void check_patch(struct bytes before, struct bytes after)
{
    struct buffer text = {0};

    if (merge_patch(before, after, &text)) {
        json_t *old = json_loadb(before.data, before.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        json_t *new = json_loadb(after.data, after.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        json_t *patch = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        json_t *made = apply(old, patch);
        check(json_equal(made, new));
        json_decref(old);
        json_decref(new);
        json_decref(patch);
        json_decref(made);
    }
    buffer_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes before = bytes_of(data, size), after = {0};
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    unsigned char digest[STATE_DIGEST_BYTES];
    bool is_json;

    check_ask(before);
    check_message(before);
    if (end != NULL) {
        before.size = (size_t)(end - data);
        after = bytes_of(end + 1, size - before.size - 1);
        check_ask(before);
        check_patch(before, after);
    }
    check(state_digest(before, digest, &is_json));
    check_event(before, false);
    if (is_json)
        check_event(before, true);
    return 0;
}
