#include "request_view.h"
#include "engine/mock/json/json_text.h"
#include "message/percent.h"

void request_view_fini(struct request_view *view) { json_decref(view->json); }

json_t *request_view_json(struct request_view *view)
{
    struct buffer message = {0};

    if (view->json_was_read)
        return view->json;
    view->json_was_read = true;
    if (view->body.size > 0 && json_text_parse(view->body, &view->json, &message) != OK)
        view->json = NULL;
    buffer_fini(&message);
    return view->json;
}

void request_decode(struct buffer *out, struct bytes text, bool plus_is_space)
{
    for (size_t at = 0; at < text.size;) {
        char byte;
        if (!percent_take(text, &at, &byte)) {
            byte = text.data[at++];
        } else if (plus_is_space && text.data[at - 1] == '+' && byte == '+') {
            byte = ' '; /* "%2B" ends with a B */
        }
        buffer_append_byte(out, byte);
    }
}

bool request_next_parameter(struct bytes *rest, struct buffer *name, struct buffer *value)
{
    while (rest->size > 0) {
        const char *end = memchr(rest->data, '&', rest->size);
        struct bytes pair = end != NULL ? bytes_first(*rest, (size_t)(end - rest->data)) : *rest;
        const char *equals = pair.size > 0 ? memchr(pair.data, '=', pair.size) : NULL;
        size_t name_size = equals != NULL ? (size_t)(equals - pair.data) : pair.size;

        *rest = bytes_after(*rest, end != NULL ? pair.size + 1 : pair.size);
        if (pair.size == 0)
            continue;
        buffer_clear(name);
        buffer_clear(value);
        request_decode(name, bytes_first(pair, name_size), true);
        if (equals != NULL)
            request_decode(value, bytes_after(pair, name_size + 1), true);
        return true;
    }
    return false;
}

bool request_parameter(const struct http_request *request, struct bytes name, struct buffer *value)
{
    struct buffer read_name = {0}, read_value = {0};
    struct bytes rest = request->query;
    bool is_there = false;

    while (!is_there && request_next_parameter(&rest, &read_name, &read_value))
        is_there = read_name.data != NULL && bytes_equal(buffer_bytes(&read_name), name);
    if (is_there && read_value.data != NULL)
        buffer_append(value, buffer_bytes(&read_value));
    buffer_fini(&read_name);
    buffer_fini(&read_value);
    return is_there;
}
