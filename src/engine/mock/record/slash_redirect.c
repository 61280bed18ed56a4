#include "slash_redirect.h"
#include "engine/mock/rules/request_view.h"

/* "//host:port" off the front of `*url`, without the slashes; empty if there is none. */
static struct bytes take_authority(struct bytes *url)
{
    size_t size = 2;

    if (!bytes_start_with(*url, BYTES("//")))
        return (struct bytes){0};
    while (size < url->size && url->data[size] != '/' && url->data[size] != '?' && url->data[size] != '#')
        size++;
    struct bytes authority = bytes_of(url->data + 2, size - 2);
    *url = bytes_after(*url, size);
    return authority;
}

static void skip_scheme(struct bytes *url)
{
    if (bytes_start_with(*url, BYTES("http:")))
        *url = bytes_after(*url, 5);
    else if (bytes_start_with(*url, BYTES("https:")))
        *url = bytes_after(*url, 6);
}

static struct bytes without_slash(struct bytes path)
{
    return path.size > 0 && path.data[path.size - 1] == '/' ? bytes_first(path, path.size - 1) : path;
}

static struct bytes without_query(struct bytes url)
{
    size_t size = 0;

    while (size < url.size && url.data[size] != '?' && url.data[size] != '#')
        size++;
    return bytes_first(url, size);
}

/* The path that `location` means, decoded; `path` is where it was said. */
static void append_target(struct bytes location, struct bytes path, struct buffer *out)
{
    size_t folder = path.size;

    while (folder > 0 && path.data[folder - 1] != '/')
        folder--;
    if (location.size > 0 && location.data[0] != '/')
        request_decode(out, bytes_first(path, folder), false);
    request_decode(out, location, false);
}

bool is_slash_redirect(struct bytes api, const struct http_request *request, int status,
                       const struct http_fields *fields)
{
    const struct http_field *field = http_fields_find_name(fields, BYTES("Location"));
    struct buffer asked = {0}, path = {0}, target = {0};
    struct bytes location, host, wanted;
    bool is_same;

    if (status < 300 || status > 399 || field == NULL)
        return false;
    location = field->value;
    skip_scheme(&api);
    skip_scheme(&location);
    host = take_authority(&api);
    wanted = take_authority(&location);
    if (wanted.size > 0 && !bytes_equal_nocase(host, wanted))
        return false;
    buffer_append(&asked, without_slash(api));
    buffer_append(&asked, request->path);
    request_decode(&path, buffer_bytes(&asked), false);
    append_target(without_query(location), buffer_bytes(&asked), &target);
    is_same = path.size != target.size &&
              bytes_equal(without_slash(buffer_bytes(&path)), without_slash(buffer_bytes(&target))) &&
              !asked.failed && !path.failed && !target.failed;
    buffer_fini(&asked);
    buffer_fini(&path);
    buffer_fini(&target);
    return is_same;
}
