#include "cache_tags.h"
#include "message/structured_field.h"

static bool has(const struct cache_tags *tags, struct bytes name)
{
    uint32_t start = 0;

    for (uint32_t i = 0; i < tags->count; i++) {
        if (bytes_equal(bytes_of(tags->text.data + start, tags->ends[i] - start), name))
            return true;
        start = tags->ends[i];
    }
    return false;
}

void cache_tags_add(struct cache_tags *tags, struct bytes name)
{
    if (name.size == 0 || has(tags, name))
        return;
    if (tags->count == NH_TAGS_MAX) {
        tags->are_too_many = true;
        return;
    }
    buffer_append(&tags->text, name);
    if (!tags->text.failed)
        tags->ends[tags->count++] = (uint32_t)tags->text.size;
}

static void add_words(struct cache_tags *tags, struct bytes value, const char *separators)
{
    size_t start = 0;

    for (size_t at = 0; at <= value.size; at++) {
        if (at < value.size && strchr(separators, value.data[at]) == NULL)
            continue;
        cache_tags_add(tags, bytes_trim(bytes_of(value.data + start, at - start)));
        start = at + 1;
    }
}

void cache_group_tag(struct buffer *tag, struct bytes origin, struct bytes group)
{
    buffer_append(tag, origin);
    buffer_append_byte(tag, '\n'); /* which is in no word of a field: a group is nobody else's tag */
    structured_append_string(tag, group);
}

static void add_group(void *context, struct bytes tag) { cache_tags_add(context, tag); }

/* RFC 9651 §1.1: a field that is not of its type is ignored as a whole. */
static bool is_list_of_strings(struct bytes list)
{
    struct structured_member member;

    if (!structured_is_list(list))
        return false;
    while (structured_list_next(&list, &member))
        if (member.value.type != STRUCTURED_STRING)
            return false;
    return true;
}

/* Calls `take` with the tag of each string of the list that the fields called `name` are. */
static void each_group(const struct http_fields *fields, struct bytes name, struct bytes origin,
                       void (*take)(void *context, struct bytes tag), void *context)
{
    struct buffer text = {0}, tag = {0};
    struct structured_member member;
    struct bytes rest;

    structured_join(&text, fields, name);
    rest = buffer_bytes(&text);
    if (!text.failed && is_list_of_strings(rest))
        while (structured_list_next(&rest, &member)) {
            buffer_clear(&tag);
            cache_group_tag(&tag, origin, member.value.text);
            if (!tag.failed)
                take(context, buffer_bytes(&tag));
        }
    buffer_fini(&text);
    buffer_fini(&tag);
}

void cache_tags_read(struct cache_tags *tags, const struct http_fields *fields, struct bytes origin)
{
    bool has_groups = false;

    for (size_t i = 0; i < fields->count; i++) {
        struct bytes value = fields->list[i].value;
        switch (fields->list[i].header) { /* the default: others name nothing */
        case HTTP_HEADER_SURROGATE_KEY: add_words(tags, value, " \t"); break;
        case HTTP_HEADER_CACHE_TAG: add_words(tags, value, ","); break;
        case HTTP_HEADER_XKEY: add_words(tags, value, " \t,"); break;
        case HTTP_HEADER_CACHE_GROUPS: has_groups = true; break;
        default: break;
        }
    }
    if (has_groups)
        each_group(fields, BYTES("Cache-Groups"), origin, add_group, tags);
}

void cache_tags_fini(struct cache_tags *tags)
{
    buffer_fini(&tags->text);
    *tags = (struct cache_tags){0};
}

size_t cache_tags_list(const struct cache_tags *tags, nh_bytes list[NH_TAGS_MAX])
{
    uint32_t start = 0;

    for (uint32_t i = 0; i < tags->count; i++) {
        list[i] = (nh_bytes){tags->text.data + start, tags->ends[i] - start};
        start = tags->ends[i];
    }
    return tags->count;
}

void cache_groups_invalidated(const struct http_fields *fields, struct bytes origin,
                              void (*drop)(void *context, struct bytes tag), void *context)
{
    if (http_fields_find(fields, HTTP_HEADER_CACHE_GROUP_INVALIDATION) != NULL)
        each_group(fields, BYTES("Cache-Group-Invalidation"), origin, drop, context);
}

bool is_for_caches(enum http_header header)
{
    return header == HTTP_HEADER_SURROGATE_KEY || header == HTTP_HEADER_CACHE_TAG ||
           header == HTTP_HEADER_XKEY;
}

struct bytes origin_of_url(struct bytes url)
{
    const char *slashes = url.size > 0 ? memmem(url.data, url.size, "://", 3) : NULL;
    size_t before = slashes == NULL ? 0 : (size_t)(slashes + 3 - url.data);
    const char *path = url.size > before ? memchr(url.data + before, '/', url.size - before) : NULL;

    return path == NULL ? url : bytes_first(url, (size_t)(path - url.data));
}
