// go:build cgo

#include "glue.h"
#include <stdlib.h>

enum { INLINE_FIELDS = 64 };

/* Fields in the library's form. */
struct lines {
    nh_http_fields fields;
    nh_http_field few[INLINE_FIELDS], *list;
};

static nh_result lines_init(struct lines *lines, const char *text, const uint32_t *sizes, uint32_t count)
{
    lines->list = lines->few;
    lines->fields = (nh_http_fields){.list = NULL, .count = 0};
    if (count > NH_HTTP_FIELDS_MAX)
        return NH_TOO_LARGE;
    if (count > INLINE_FIELDS)
        lines->list = malloc(count * sizeof *lines->list);
    if (lines->list == NULL)
        return NH_NO_MEMORY;
    if (text == NULL)
        text = "";
    for (uint32_t i = 0; i < count; i++) {
        lines->list[i].name = (nh_bytes){text, sizes[2 * i]};
        text += sizes[2 * i];
        lines->list[i].value = (nh_bytes){text, sizes[2 * i + 1]};
        text += sizes[2 * i + 1];
    }
    lines->fields = (nh_http_fields){.list = lines->list, .count = count};
    return NH_OK;
}

static void lines_fini(struct lines *lines)
{
    if (lines->list != lines->few)
        free(lines->list);
}

static nh_bytes bytes_of(const char *data, uint64_t size)
{
    return (nh_bytes){data != NULL ? data : "", size};
}

/* Which of the lines has its name here, from `from` on; count if none has. */
static uint32_t place_of(const struct lines *lines, const nh_http_field *field, uint32_t from)
{
    uint32_t i = from;

    while (i < lines->fields.count && lines->list[i].name.data != field->name.data)
        i++;
    return i;
}

nhgo_asked nhgo_read_request(nh_http_rules rules, const char *method, uint64_t method_size,
                             int64_t body_bytes, const char *text, const uint32_t *sizes, uint32_t count)
{
    nhgo_asked asked = {.ask = {.size = sizeof asked.ask}};
    struct lines lines;

    asked.result = lines_init(&lines, text, sizes, count);
    if (asked.result == NH_OK)
        asked.result = nh_http_read_request(&rules, bytes_of(method, method_size), body_bytes,
                                            &lines.fields, &asked.ask);
    lines_fini(&lines);
    return asked;
}

nhgo_kept nhgo_read_response(nh_http_rules rules, nh_http_ask ask, int32_t status, const char *text,
                             const uint32_t *sizes, uint32_t count, nh_http_moment requested,
                             nh_http_moment received)
{
    nhgo_kept kept = {.kept = {.size = sizeof kept.kept}};
    struct lines lines;

    kept.result = lines_init(&lines, text, sizes, count);
    if (kept.result == NH_OK)
        kept.result =
            nh_http_read_response(&rules, &ask, status, &lines.fields, requested, received, &kept.kept);
    lines_fini(&lines);
    return kept;
}

int32_t nhgo_keep_fields(nh_http_rules rules, const char *text, const uint32_t *sizes, uint32_t count,
                         uint8_t *is_kept)
{
    size_t kept_count = count;
    nh_http_field *kept = malloc((count + 1) * sizeof *kept);
    struct lines lines;
    nh_result result = lines_init(&lines, text, sizes, count);

    if (kept == NULL)
        result = NH_NO_MEMORY;
    if (result == NH_OK)
        result = nh_http_keep_fields(&rules, &lines.fields, kept, &kept_count);
    for (uint32_t i = 0, place = 0; result == NH_OK && i < kept_count; i++) {
        place = place_of(&lines, &kept[i], place);
        is_kept[place] = 1;
    }
    lines_fini(&lines);
    free(kept);
    return result;
}

nhgo_size nhgo_vary(const char *text, const uint32_t *sizes, uint32_t count, char *names, uint64_t capacity)
{
    nhgo_size said = {.size = 0};
    size_t size = 0;
    struct lines lines;

    said.result = lines_init(&lines, text, sizes, count);
    if (said.result == NH_OK)
        said.result = nh_http_vary(&lines.fields, names, capacity, &size);
    said.size = size;
    lines_fini(&lines);
    return said;
}

nhgo_size nhgo_variant(nh_http_rules rules, const char *names, uint64_t names_size, const char *text,
                       const uint32_t *sizes, uint32_t count, char *variant, uint64_t capacity)
{
    nhgo_size said = {.size = 0};
    size_t size = 0;
    struct lines lines;

    said.result = lines_init(&lines, text, sizes, count);
    if (said.result == NH_OK)
        said.result =
            nh_http_variant(&rules, bytes_of(names, names_size), &lines.fields, variant, capacity, &size);
    said.size = size;
    lines_fini(&lines);
    return said;
}

int32_t nhgo_use(nh_http_rules rules, nh_http_ask ask, nh_http_kept kept, int64_t now_ms)
{
    return nh_http_use(&rules, &ask, &kept, now_ms);
}

int32_t nhgo_may_stand_in(nh_http_rules rules, nh_http_ask ask, nh_http_kept kept, int32_t is_unreachable,
                          int64_t now_ms)
{
    return nh_http_may_stand_in(&rules, &ask, &kept, is_unreachable, now_ms);
}

int64_t nhgo_fresh_ms(nh_http_kept kept, int64_t now_ms) { return nh_http_fresh_ms(&kept, now_ms); }
int64_t nhgo_age_ms(nh_http_kept kept, int64_t now_ms) { return nh_http_age_ms(&kept, now_ms); }

int32_t nhgo_has(const char *asked_text, const uint32_t *asked_sizes, uint32_t asked_count,
                 const char *text, const uint32_t *sizes, uint32_t count, int64_t now_wall_ms)
{
    struct lines asked, lines;
    int32_t has = 0;
    nh_result asked_result = lines_init(&asked, asked_text, asked_sizes, asked_count);

    if (lines_init(&lines, text, sizes, count) == NH_OK && asked_result == NH_OK)
        has = nh_http_has(&asked.fields, &lines.fields, now_wall_ms);
    lines_fini(&lines);
    lines_fini(&asked);
    return has;
}

int32_t nhgo_is_in_304(const char *name, uint64_t size) { return nh_http_is_in_304(bytes_of(name, size)); }

nhgo_parts nhgo_parts_of(const char *asked_text, const uint32_t *asked_sizes, uint32_t asked_count,
                         const char *text, const uint32_t *sizes, uint32_t count, uint64_t body_bytes,
                         int64_t now_wall_ms)
{
    struct lines asked, lines;
    nhgo_parts parts = {.count = 0};
    size_t part_count = 0;
    nh_result asked_result = lines_init(&asked, asked_text, asked_sizes, asked_count);

    parts.result = lines_init(&lines, text, sizes, count);
    if (parts.result == NH_OK)
        parts.result = asked_result;
    if (parts.result == NH_OK)
        parts.result =
            nh_http_parts(&asked.fields, &lines.fields, body_bytes, now_wall_ms, parts.list, &part_count);
    parts.count = part_count;
    lines_fini(&lines);
    lines_fini(&asked);
    return parts;
}

nhgo_conditions nhgo_conditions_of(const char *text, const uint32_t *sizes, uint32_t count)
{
    nhgo_conditions conditions = {.etag = -1, .modified = -1};
    nh_http_field list[2];
    size_t list_count = 0;
    struct lines lines;

    if (lines_init(&lines, text, sizes, count) != NH_OK ||
        nh_http_conditions(&lines.fields, list, &list_count) != NH_OK)
        list_count = 0;
    for (size_t i = 0; i < list_count; i++)
        for (uint32_t j = 0; j < count; j++) {
            const char *value = lines.list[j].value.data;
            const char *said = list[i].value.data;
            if (said < value || said >= value + lines.list[j].value.size)
                continue;
            if (list[i].name.size == sizeof "If-None-Match" - 1)
                conditions.etag = (int32_t)j;
            else
                conditions.modified = (int32_t)j;
        }
    lines_fini(&lines);
    return conditions;
}

nhgo_size nhgo_freshen(const char *text, const uint32_t *sizes, uint32_t count, const char *news_text,
                       const uint32_t *news_sizes, uint32_t news_count, uint32_t *places)
{
    nhgo_size said = {.size = 0};
    size_t merged_count = (size_t)count + news_count;
    nh_http_field *merged = malloc((merged_count + 1) * sizeof *merged);
    struct lines lines, news;
    nh_result news_result = lines_init(&news, news_text, news_sizes, news_count);

    said.result = lines_init(&lines, text, sizes, count);
    if (said.result == NH_OK)
        said.result = merged == NULL ? NH_NO_MEMORY : news_result;
    if (said.result == NH_OK)
        said.result = nh_http_freshen(&lines.fields, &news.fields, merged, &merged_count);
    for (size_t i = 0; said.result == NH_OK && i < merged_count; i++) {
        uint32_t place = place_of(&lines, &merged[i], 0);
        places[said.size++] = place < count ? place : count + place_of(&news, &merged[i], 0);
    }
    lines_fini(&lines);
    lines_fini(&news);
    free(merged);
    return said;
}

int32_t nhgo_invalidates(const char *method, uint64_t size, int32_t status)
{
    return nh_http_invalidates(bytes_of(method, size), status);
}

nhgo_size nhgo_resolve(const char *origin, uint64_t origin_size, const char *path, uint64_t path_size,
                       const char *reference, uint64_t reference_size, char *text, uint64_t capacity)
{
    nhgo_size said;
    size_t size = 0;

    said.result = nh_http_resolve(bytes_of(origin, origin_size), bytes_of(path, path_size),
                                  bytes_of(reference, reference_size), text, capacity, &size);
    said.size = size;
    return said;
}
