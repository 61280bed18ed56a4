/* glue.h — nuthatch_http.h with fields as Go passes them: names and values one behind the other, and their
 * sizes. Nothing keeps a pointer into Go's memory, and nothing that comes back points into it. */
#pragma once
#include <nuthatch_http.h>

typedef struct nhgo_asked {
    nh_http_ask ask;
    int32_t result;
} nhgo_asked;
nhgo_asked nhgo_read_request(nh_http_rules rules, const char *method, uint64_t method_size,
                             int64_t body_bytes, const char *text, const uint32_t *sizes, uint32_t count);

typedef struct nhgo_kept {
    nh_http_kept kept;
    int32_t result;
} nhgo_kept;
nhgo_kept nhgo_read_response(nh_http_rules rules, nh_http_ask ask, int32_t status, const char *text,
                             const uint32_t *sizes, uint32_t count, nh_http_moment requested,
                             nh_http_moment received);

typedef struct nhgo_size {
    uint64_t size;
    int32_t result;
} nhgo_size;

/* Sets is_kept[i] of each field that is kept to 1. */
int32_t nhgo_keep_fields(nh_http_rules rules, const char *text, const uint32_t *sizes, uint32_t count,
                         uint8_t *is_kept);
nhgo_size nhgo_vary(const char *text, const uint32_t *sizes, uint32_t count, char *names,
                    uint64_t capacity);
nhgo_size nhgo_variant(nh_http_rules rules, const char *names, uint64_t names_size, const char *text,
                       const uint32_t *sizes, uint32_t count, char *variant, uint64_t capacity);

int32_t nhgo_use(nh_http_rules rules, nh_http_ask ask, nh_http_kept kept, int64_t now_ms);
int32_t nhgo_may_stand_in(nh_http_rules rules, nh_http_ask ask, nh_http_kept kept, int32_t is_unreachable,
                          int64_t now_ms);
int64_t nhgo_fresh_ms(nh_http_kept kept, int64_t now_ms);
int64_t nhgo_age_ms(nh_http_kept kept, int64_t now_ms);

int32_t nhgo_has(const char *asked_text, const uint32_t *asked_sizes, uint32_t asked_count,
                 const char *text, const uint32_t *sizes, uint32_t count, int64_t now_wall_ms);
int32_t nhgo_is_in_304(const char *name, uint64_t size);

/* The parts that are wanted, where `result` is NH_OK; else see nh_http_parts. */
typedef struct nhgo_parts {
    nh_http_part list[NH_HTTP_PARTS_MAX];
    uint64_t count;
    int32_t result;
} nhgo_parts;
nhgo_parts nhgo_parts_of(const char *asked_text, const uint32_t *asked_sizes, uint32_t asked_count,
                         const char *text, const uint32_t *sizes, uint32_t count, uint64_t body_bytes,
                         int64_t now_wall_ms);

/* Which field's value asks by If-None-Match and which by If-Modified-Since: their places, or -1. */
typedef struct nhgo_conditions {
    int32_t etag, modified;
} nhgo_conditions;
nhgo_conditions nhgo_conditions_of(const char *text, const uint32_t *sizes, uint32_t count);

/* Which fields the freshened response has, in order, at `places`, for which there is room for all of both:
 * below `count` those that are kept, from there on those of the 304. */
nhgo_size nhgo_freshen(const char *text, const uint32_t *sizes, uint32_t count, const char *news_text,
                       const uint32_t *news_sizes, uint32_t news_count, uint32_t *places);

int32_t nhgo_invalidates(const char *method, uint64_t size, int32_t status);
nhgo_size nhgo_resolve(const char *origin, uint64_t origin_size, const char *path, uint64_t path_size,
                       const char *reference, uint64_t reference_size, char *text, uint64_t capacity);
