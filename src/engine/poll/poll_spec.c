#include "poll_spec.h"
#include "message/http_syntax.h"
#include "message/plain_target.h"

/* The place in `url`, with its braces; false if it has none, or more than one. */
static bool find_place(struct bytes url, struct bytes *place)
{
    const char *open = url.size > 0 ? memchr(url.data, '{', url.size) : NULL;
    struct bytes from = open != NULL ? bytes_after(url, (size_t)(open - url.data)) : (struct bytes){0};
    const char *close = open != NULL ? memchr(from.data, '}', from.size) : NULL;
    struct bytes rest;

    if (close == NULL)
        return false;
    *place = bytes_first(from, (size_t)(close - open) + 1);
    rest = bytes_after(from, place->size);
    return place->size > 2 && (rest.size == 0 || (memchr(rest.data, '{', rest.size) == NULL &&
                                                  memchr(rest.data, '}', rest.size) == NULL));
}

size_t poll_spec_count(const struct poll_spec *spec) { return spec->over_count > 0 ? spec->over_count : 1; }

static size_t scheme_size(struct bytes url)
{
    return bytes_start_with(url, BYTES("http://"))    ? strlen("http://")
           : bytes_start_with(url, BYTES("https://")) ? strlen("https://")
                                                      : 0;
}

/* As far as it could be one that clients name: no user, and nothing that ends it elsewhere. */
static bool is_authority(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!http_byte_is(text.data[i], HTTP_BYTE_HOST) && memchr(":[]", text.data[i], 3) == NULL)
            return false;
    return true;
}

static void append_url(struct buffer *text, const struct poll_spec *spec, size_t index)
{
    struct bytes url = bytes_of_text(spec->url), place;
    size_t before;

    if (spec->over_count == 0 || !find_place(url, &place)) {
        buffer_append(text, bytes_after(url, scheme_size(url)));
        return;
    }
    before = (size_t)(place.data - url.data);
    buffer_append(text, bytes_after(bytes_first(url, before), scheme_size(url)));
    buffer_append(text, bytes_of_text(spec->over[index]));
    buffer_append(text, bytes_after(url, before + place.size));
}

bool poll_target_init(struct poll_target *target, const struct poll_spec *spec, size_t index)
{
    bool has_authority = scheme_size(bytes_of_text(spec->url)) > 0;
    struct bytes rest;
    const char *found;
    size_t size;

    *target = (struct poll_target){0};
    append_url(&target->text, spec, index);
    if (target->text.failed || target->text.size == 0)
        return false;
    rest = buffer_bytes(&target->text);
    found = memchr(rest.data, '/', rest.size);
    size = found != NULL ? (size_t)(found - rest.data) : rest.size;
    if ((size > 0) != has_authority || size == rest.size)
        return false;
    target->authority = bytes_first(rest, size);
    rest = bytes_after(rest, size);
    found = memchr(rest.data, '?', rest.size);
    target->has_query = found != NULL;
    target->path = bytes_first(rest, found != NULL ? (size_t)(found - rest.data) : rest.size);
    if (found != NULL)
        target->query = bytes_after(rest, target->path.size + 1);
    return is_authority(target->authority) && target_is_plain(target->path, target->query);
}

void poll_target_fini(struct poll_target *target) { buffer_fini(&target->text); }

static bool is_good(const struct poll_spec *spec, size_t index)
{
    struct poll_target target;
    bool is_good = poll_target_init(&target, spec, index) || target.text.failed;

    poll_target_fini(&target);
    return is_good;
}

const char *poll_spec_is_wrong(const struct poll_spec *spec, size_t *item)
{
    struct bytes url = bytes_of_text(spec->url), place;
    bool has_place = find_place(url, &place);

    *item = spec->over_count;
    if (spec->over_count > 0 && !has_place)
        return "has `over`, and no one place for what is in it: write {id} where that belongs";
    if (spec->over_count == 0 && url.size > 0 && memchr(url.data, '{', url.size) != NULL)
        return "has a place in it, and there is no `over`: write what goes there, such as over: [1, 2]";
    if (spec->over_count > POLL_RESOURCES_MAX)
        return "is of more than 10000 resources";
    for (size_t i = 0; i < poll_spec_count(spec); i++) {
        if (is_good(spec, i))
            continue;
        *item = i < spec->over_count ? i : spec->over_count;
        return "is no path that a client could ask for, such as /users?page=1";
    }
    return NULL;
}
