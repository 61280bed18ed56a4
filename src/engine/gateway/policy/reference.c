#include "reference.h"
#include "message/plain_target.h"

/* "http://authority/rest", taken apart; the rest may be empty. */
struct url {
    bool is_https;
    struct bytes authority, rest;
};

static size_t find_any(struct bytes text, const char *ends)
{
    size_t at = 0;

    while (at < text.size && strchr(ends, text.data[at]) == NULL)
        at++;
    return at;
}

/* What follows "scheme:"; false if it is none of ours. */
static bool split_authority(struct bytes after_scheme, struct url *url)
{
    size_t end;

    if (!bytes_start_with(after_scheme, BYTES("//")))
        return false;
    after_scheme = bytes_after(after_scheme, 2);
    end = find_any(after_scheme, "/?");
    url->authority = bytes_first(after_scheme, end);
    url->rest = bytes_after(after_scheme, end);
    return true;
}

static bool split_url(struct bytes text, struct url *url)
{
    size_t colon = find_any(text, ":");
    struct bytes scheme = bytes_first(text, colon);

    url->is_https = bytes_equal_nocase(scheme, BYTES("https"));
    return colon < text.size && (url->is_https || bytes_equal_nocase(scheme, BYTES("http"))) &&
           split_authority(bytes_after(text, colon + 1), url);
}

static struct bytes without_default_port(struct bytes authority, bool is_https)
{
    struct bytes port = is_https ? BYTES(":443") : BYTES(":80");

    if (authority.size > port.size && bytes_end_with(authority, port))
        return bytes_first(authority, authority.size - port.size);
    return authority;
}

static bool is_same_origin(const struct url *one, const struct url *other)
{
    return one->is_https == other->is_https &&
           bytes_equal_nocase(without_default_port(one->authority, one->is_https),
                              without_default_port(other->authority, other->is_https));
}

/* RFC 3986 §5.2.4, of a path that begins with '/'; in place. */
static size_t remove_dot_segments(char *path, size_t size)
{
    size_t from = 0, to = 0;

    while (from < size) { /* at a '/' */
        struct bytes rest = bytes_of(path + from + 1, size - from - 1);
        struct bytes segment = bytes_first(rest, find_any(rest, "/"));
        bool is_last = segment.size == rest.size;
        bool is_up = bytes_equal(segment, BYTES(".."));

        if (is_up || bytes_equal(segment, BYTES("."))) {
            while (is_up && to > 0 && path[--to] != '/')
                ;
            if (is_last)
                path[to++] = '/';
        } else {
            memmove(path + to, path + from, segment.size + 1);
            to += segment.size + 1;
        }
        from += segment.size + 1;
    }
    return to;
}

/* Whether what there is before the first of "/?" has a colon in it: "scheme:", or nothing that is a path.
 */
static bool has_scheme(struct bytes text)
{
    struct bytes first = bytes_first(text, find_any(text, "/?"));
    return find_any(first, ":") < first.size;
}

/* Appends the path of `text`, still with its dot segments, as one that begins with '/'. */
static bool append_path(struct buffer *whole, const struct url *base, struct bytes base_path,
                        struct bytes text, struct bytes *query, bool *has_query)
{
    struct url url = {.is_https = base->is_https};
    size_t end;
    bool is_absolute = true;

    text = bytes_first(text, find_any(text, "#"));
    if (has_scheme(text)) {
        if (!split_url(text, &url) || !is_same_origin(&url, base))
            return false;
        text = url.rest;
    } else if (split_authority(text, &url)) {
        if (!is_same_origin(&url, base))
            return false;
        text = url.rest;
    } else {
        is_absolute = text.size > 0 && text.data[0] == '/';
    }
    end = find_any(text, "?");
    *has_query = end < text.size;
    if (*has_query)
        *query = bytes_after(text, end + 1);
    text = bytes_first(text, end);
    if (!is_absolute) {
        /* The resource's own path, up to its last segment, or all of it if only the query is another. */
        size_t kept = base_path.size;
        while (text.size > 0 && kept > 0 && base_path.data[kept - 1] != '/')
            kept--;
        buffer_append(whole, base->rest);
        buffer_append(whole, bytes_first(base_path, kept));
    } else if (text.size == 0) {
        buffer_append_byte(whole, '/');
    }
    buffer_append(whole, text);
    return !whole->failed && whole->size > 0 && whole->data[0] == '/';
}

bool reference_resolve(struct reference *reference, struct bytes base_url, struct bytes path,
                       struct bytes text)
{
    struct url base;
    struct bytes query = {0};
    size_t size;

    *reference = (struct reference){0};
    if (!split_url(base_url, &base) ||
        !append_path(&reference->text, &base, path, text, &query, &reference->has_query))
        return false;
    size = remove_dot_segments(reference->text.data, reference->text.size);
    reference->text.size = size;
    buffer_append(&reference->text, query);
    if (reference->text.failed || !bytes_start_with(bytes_of(reference->text.data, size), base.rest))
        return false;
    reference->path = bytes_of(reference->text.data + base.rest.size, size - base.rest.size);
    reference->query = bytes_of(reference->text.data + size, query.size);
    return reference->path.size > 0 && reference->path.data[0] == '/' &&
           target_is_plain(reference->path, reference->query);
}

void reference_fini(struct reference *reference) { buffer_fini(&reference->text); }
