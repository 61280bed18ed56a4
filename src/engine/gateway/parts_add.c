#include "parts_add.h"
#include "engine/gateway/policy/validate.h"
#include <stdlib.h>

/* Appends the bytes from `start` up to `end`, all of which are in `known`. */
static bool append_known(const struct gateway *gateway, struct buffer *value, const nh_value *known_value,
                         const struct parts *known, uint64_t start, uint64_t end)
{
    struct http_range wanted = {start, end};
    uint64_t offset;

    if (!parts_find(known, &wanted, &offset))
        return false;
    while (start < end) {
        struct bytes piece = value_body_piece(gateway, known_value, &known->response, offset);
        if (piece.size > end - start)
            piece.size = end - start;
        buffer_append(value, piece);
        start += piece.size;
        offset += piece.size;
    }
    return true;
}

/* Appends all of `joined`: `body` is the `range` of it that has come. What is known may lie on both sides
 * of that, in parts of its own. */
static bool append_joined(const struct gateway *gateway, struct buffer *value, const struct parts *joined,
                          struct http_range range, struct bytes body, const nh_value *known_value,
                          const struct parts *known)
{
    for (size_t i = 0; i < joined->count; i++) {
        const struct http_range *part = &joined->list[i];
        bool has_range = part->start <= range.start && range.end <= part->end;

        if (!has_range) {
            if (!append_known(gateway, value, known_value, known, part->start, part->end))
                return false;
            continue;
        }
        if (part->start < range.start &&
            !append_known(gateway, value, known_value, known, part->start, range.start))
            return false;
        buffer_append(value, body);
        for (size_t j = 0; j < known->count; j++) {
            struct http_range other = known->list[j];
            other.start = other.start < range.end ? range.end : other.start;
            if (other.start < other.end && other.end <= part->end &&
                !append_known(gateway, value, known_value, known, other.start, other.end))
                return false;
        }
    }
    return true;
}

/* Of a part that answers If-Range some names, those of Cache-Groups, stand with the others only. False
 * without memory. */
static bool read_tags(struct purge_watch *watch, const struct stored_response *response,
                      struct bytes origin)
{
    struct http_fields all = freshened_fields(response->fields, response->hidden, &(struct http_fields){0});

    if (all.list == NULL)
        return false;
    purge_watch_read(watch, &all, origin);
    free(all.list);
    return true;
}

enum parts_added parts_add(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
                           const struct arrived_part *arrived, struct purge_watch *watch,
                           struct buffer *value, int64_t *keep_ms)
{
    struct parts known = {0},
                 made = {.vary_names = arrived->vary_names, .vary_values = arrived->vary_values};
    struct response_facts facts = *arrived->facts;
    struct buffer fields = {0};
    struct http_range range;
    nh_value known_value;
    bool has_known, is_combined, is_good = false;

    if (!part_of(arrived->fields, &range, &made.size) || arrived->body.size != range.end - range.start)
        return PARTS_UNUSABLE;
    has_known = nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(key)),
                          &known_value) == NH_OK;
    made.response = stored_response_of(&facts, arrived->received, arrived->fields);
    made.response.hidden = arrived->hidden;
    is_combined = has_known && value_parts(gateway, cache_key_bytes(key), &known_value, &known) &&
                  may_combine(&known, &made) && parts_join(&known, range, &made) &&
                  parts_bytes(&made) <= (uint64_t)arrived->policy->object_bytes_max;
    if (!is_combined) {
        made.count = 1;
        made.list[0] = range;
        known = (struct parts){0};
    }
    parts_fields_render(&fields, known.response.fields, arrived->fields);
    facts.status = parts_are_whole(&made) ? 200 : 206;
    made.response = stored_response_of(&facts, arrived->received, buffer_bytes(&fields));
    made.response.hidden = arrived->hidden;
    made.response.asker = arrived->asker;
    *keep_ms = stored_keep_ms(&made.response, arrived->policy);
    made.response.received_mono_ms += gateway->stored_clock_offset_ms;
    made.response.body_number = atomic_fetch_add(&gateway->generation, 1) + 1;
    made.response.birth = watch->birth; /* what is known was looked at since */
    /* Once, at its size, as growing by doubling would copy it several times over. */
    if (!fields.failed && (is_combined || !arrived->is_bare) &&
        (!is_combined || read_tags(watch, &made.response, arrived->origin)) &&
        buffer_reserve(value, parts_bytes(&made) + fields.size + arrived->hidden.size + 4096) != NULL) {
        if (facts.status == 200)
            stored_response_encode(value, gateway->seed, &made.response);
        else
            parts_encode(value, gateway->seed, &made);
        is_good = append_joined(gateway, value, &made, range, arrived->body, &known_value, &known) &&
                  !value->failed;
    }
    if (has_known)
        nh_release(gateway->store, &known_value);
    buffer_fini(&fields);
    return !is_good ? PARTS_UNUSABLE : facts.status == 200 ? PARTS_WHOLE : PARTS_KEPT;
}
