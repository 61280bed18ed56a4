#include "stored_response.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "route_policy.h"

enum {
    MAGIC_RESPONSE = 0x6e750001,
    MAGIC_VARIANTS = 0x6e750002,
    MAGIC_NOTE = 0x6e750003,
    MAGIC_VALIDATORS = 0x6e750004
};

/* How long a response with a validator is kept after its freshness ended; room is made earlier if needed.
 */
#define KEEP_FOR_VALIDATION_MS (INT64_C(24) * 3600 * 1000)

/* In the machine's own byte order: a store never leaves its machine. A change of these is a change of
 * LAYOUT in handover.c. */
struct response_head {
    uint64_t seal;
    uint32_t magic;
    uint16_t status, flags;
    int64_t received_mono_ms, initial_age_ms, lifetime_ms;
    int64_t stale_if_error_ms, stale_while_revalidate_ms;
    uint64_t body_number;
    uint32_t fields_bytes;
    uint32_t etag_at, etag_bytes;
    uint32_t modified_at, modified_bytes;
    uint32_t hidden_bytes;
    uint32_t reason_bytes;
    uint32_t shared_bytes; /* those of struct stored_shared, or none */
    uint64_t birth;
    uint32_t fetch_ms, page_set;
    uint64_t asker;
};
struct variants_head {
    uint64_t seal;
    uint32_t magic, names_bytes;
    uint64_t generation;
    uint64_t stale_before;
    uint64_t count;
    uint64_t is_shared;
};
struct note_head {
    uint64_t seal;
    uint32_t magic;
    uint16_t kind, status;
};
struct validators_head {
    uint64_t seal;
    uint32_t magic, etag_bytes;
};
enum { SEAL_BYTES = sizeof(uint64_t) };

/* Seals what was appended to `value` since `start`. */
static void seal(struct buffer *value, size_t start, uint64_t seed)
{
    uint64_t hash;
    if (value->failed)
        return;
    hash = hash_bytes(bytes_after(buffer_bytes(value), start + SEAL_BYTES), seed);
    memcpy(value->data + start, &hash, sizeof hash);
}

static bool is_sealed(struct bytes sealed, uint64_t seed)
{
    uint64_t wanted;
    memcpy(&wanted, sealed.data, sizeof wanted);
    return hash_bytes(bytes_after(sealed, SEAL_BYTES), seed) == wanted;
}

struct stored_response stored_response_of(const struct response_facts *facts, struct now received,
                                          struct bytes fields_rendered)
{
    const struct cache_directives *directives = &facts->directives;
    struct stored_response response = {
        .status = facts->status,
        .flags = (directives_bind(directives, DIRECTIVE_NO_CACHE) ? STORED_NO_CACHE : 0u) |
                 (permits_authorized(directives) ? STORED_PERMITS_AUTHORIZED : 0u) |
                 (forbids_stale(directives) ? STORED_FORBIDS_STALE : 0u) |
                 (directives_have(directives, DIRECTIVE_IMMUTABLE) ? STORED_IMMUTABLE : 0u),
        .received_mono_ms = received.mono_ms,
        .initial_age_ms = facts->freshness.initial_age_ms,
        .lifetime_ms = facts->freshness.lifetime_ms,
        .stale_if_error_ms = stale_if_error_ms_of(directives),
        .stale_while_revalidate_ms = stale_while_revalidate_ms_of(directives),
        .fields = fields_rendered,
    };
    struct bytes rest = fields_rendered;
    struct http_field field;

    while (rendered_next(&rest, &field)) {
        if (field.header == HTTP_HEADER_ETAG && response.etag.size == 0)
            response.etag = field.value;
        if (field.header == HTTP_HEADER_LAST_MODIFIED && response.last_modified.size == 0)
            response.last_modified = field.value;
        if (field.header == HTTP_HEADER_CACHE_STATUS)
            response.flags |= STORED_NAMES_CACHES;
    }
    return response;
}

static int64_t larger(int64_t one, int64_t other) { return one > other ? one : other; }

int64_t stored_stale_if_error_ms(const struct stored_response *response, const struct route_policy *policy)
{
    return response->stale_if_error_ms < 0 ? policy->stale_if_error_ms : response->stale_if_error_ms;
}

int64_t stored_stale_if_unreachable_ms(const struct stored_response *response,
                                       const struct route_policy *policy)
{
    return response->stale_if_error_ms < 0
               ? larger(policy->stale_if_error_ms, policy->stale_if_unreachable_ms)
               : response->stale_if_error_ms;
}

int64_t stored_stale_while_revalidate_ms(const struct stored_response *response,
                                         const struct route_policy *policy)
{
    return response->stale_while_revalidate_ms < 0 ? policy->stale_while_revalidate_ms
                                                   : response->stale_while_revalidate_ms;
}

int64_t stored_keep_ms(const struct stored_response *response, const struct route_policy *policy)
{
    int64_t fresh_ms = response->lifetime_ms - response->initial_age_ms;
    int64_t stale_ms = larger(stored_stale_if_unreachable_ms(response, policy),
                              stored_stale_while_revalidate_ms(response, policy));

    if (response->etag.size > 0 || response->last_modified.size > 0)
        stale_ms = larger(stale_ms, KEEP_FOR_VALIDATION_MS);
    return larger(fresh_ms, 0) + stale_ms;
}

static size_t shared_bytes(const struct stored_response *response)
{
    return response->shared.number != 0 ? sizeof response->shared : 0;
}

size_t stored_response_bytes(const struct stored_response *response)
{
    return sizeof(struct response_head) + response->fields.size + response->hidden.size +
           response->reason.size + shared_bytes(response);
}

void stored_response_encode(struct buffer *value, uint64_t seed, const struct stored_response *response)
{
    size_t start = value->size;
    struct response_head head = {
        .magic = MAGIC_RESPONSE,
        .status = (uint16_t)response->status,
        .flags = (uint16_t)(response->flags | (response->reason.data != NULL ? STORED_HAS_REASON : 0u)),
        .received_mono_ms = response->received_mono_ms,
        .initial_age_ms = response->initial_age_ms,
        .lifetime_ms = response->lifetime_ms,
        .stale_if_error_ms = response->stale_if_error_ms,
        .stale_while_revalidate_ms = response->stale_while_revalidate_ms,
        .body_number = response->body_number,
        .fields_bytes = (uint32_t)response->fields.size,
        .hidden_bytes = (uint32_t)response->hidden.size,
        .reason_bytes = (uint32_t)response->reason.size,
        .shared_bytes = (uint32_t)shared_bytes(response),
        .birth = response->birth,
        .fetch_ms = response->fetch_ms,
        .page_set = response->page_set,
        .asker = response->asker,
    };

    if (response->etag.size > 0) {
        head.etag_at = (uint32_t)(response->etag.data - response->fields.data);
        head.etag_bytes = (uint32_t)response->etag.size;
    }
    if (response->last_modified.size > 0) {
        head.modified_at = (uint32_t)(response->last_modified.data - response->fields.data);
        head.modified_bytes = (uint32_t)response->last_modified.size;
    }
    buffer_append(value, bytes_of(&head, sizeof head));
    buffer_append(value, response->fields);
    buffer_append(value, response->hidden);
    buffer_append(value, response->reason);
    buffer_append(value, bytes_of(&response->shared, shared_bytes(response)));
    seal(value, start, seed);
}

static bool is_within(uint32_t at, uint32_t size, uint32_t whole)
{
    return at <= whole && size <= whole - at;
}

bool stored_response_decode(struct bytes value, uint64_t value_bytes, uint64_t seed,
                            struct stored_response *response)
{
    struct response_head head;
    struct bytes fields;
    uint64_t head_bytes; /* all before the body */

    if (value.size < sizeof head)
        return false;
    memcpy(&head, value.data, sizeof head);
    head_bytes = sizeof head + (uint64_t)head.fields_bytes + head.hidden_bytes + head.reason_bytes +
                 head.shared_bytes;
    if (head.magic != MAGIC_RESPONSE || head_bytes > value.size ||
        (head.shared_bytes != 0 && head.shared_bytes != sizeof response->shared) ||
        !is_within(head.etag_at, head.etag_bytes, head.fields_bytes) ||
        !is_within(head.modified_at, head.modified_bytes, head.fields_bytes) ||
        !is_sealed(bytes_first(value, head_bytes), seed))
        return false;
    fields = bytes_of(value.data + sizeof head, head.fields_bytes);
    *response = (struct stored_response){
        .status = head.status,
        .flags = head.flags,
        .received_mono_ms = head.received_mono_ms,
        .initial_age_ms = head.initial_age_ms,
        .lifetime_ms = head.lifetime_ms,
        .stale_if_error_ms = head.stale_if_error_ms,
        .stale_while_revalidate_ms = head.stale_while_revalidate_ms,
        .etag = bytes_of(fields.data + head.etag_at, head.etag_bytes),
        .last_modified = bytes_of(fields.data + head.modified_at, head.modified_bytes),
        .fields = fields,
        .hidden = bytes_of(fields.data + fields.size, head.hidden_bytes),
        .reason = head.flags & STORED_HAS_REASON
                      ? bytes_of(fields.data + fields.size + head.hidden_bytes, head.reason_bytes)
                      : (struct bytes){0},
        .body = bytes_after(value, head_bytes),
        .body_bytes = value_bytes - head_bytes,
        .body_number = head.body_number,
        .birth = head.birth,
        .fetch_ms = head.fetch_ms,
        .page_set = head.page_set,
        .asker = head.asker,
    };
    if (head.shared_bytes != 0)
        memcpy(&response->shared, value.data + head_bytes - head.shared_bytes, sizeof response->shared);
    return true;
}

void stored_variants_encode(struct buffer *value, uint64_t seed, const struct stored_variants *variants)
{
    size_t start = value->size;
    struct variants_head head = {.magic = MAGIC_VARIANTS,
                                 .names_bytes = (uint32_t)variants->names.size,
                                 .generation = variants->generation,
                                 .stale_before = variants->stale_before,
                                 .count = variants->count,
                                 .is_shared = variants->is_shared};

    buffer_append(value, bytes_of(&head, sizeof head));
    buffer_append(value, variants->names);
    seal(value, start, seed);
}

bool stored_variants_decode(struct bytes value, uint64_t seed, struct stored_variants *variants)
{
    struct variants_head head;

    if (value.size < sizeof head)
        return false;
    memcpy(&head, value.data, sizeof head);
    if (head.magic != MAGIC_VARIANTS || head.names_bytes != value.size - sizeof head ||
        !is_sealed(value, seed))
        return false;
    variants->generation = head.generation;
    variants->stale_before = head.stale_before;
    variants->count = head.count;
    variants->is_shared = head.is_shared != 0;
    variants->names = bytes_after(value, sizeof head);
    return true;
}

void stored_note_encode(struct buffer *value, uint64_t seed, const struct stored_note *note)
{
    size_t start = value->size;
    struct note_head head = {
        .magic = MAGIC_NOTE, .kind = (uint16_t)note->kind, .status = (uint16_t)note->status};

    buffer_append(value, bytes_of(&head, sizeof head));
    seal(value, start, seed);
}

bool stored_note_decode(struct bytes value, uint64_t seed, struct stored_note *note)
{
    struct note_head head;

    if (value.size != sizeof head)
        return false;
    memcpy(&head, value.data, sizeof head);
    if (head.magic != MAGIC_NOTE || head.kind < NOTE_NOT_SHAREABLE || head.kind > NOTE_FAILING ||
        !is_sealed(value, seed))
        return false;
    note->kind = (enum note_kind)head.kind;
    note->status = head.status;
    return true;
}

void stored_validators_encode(struct buffer *value, uint64_t seed,
                              const struct stored_validators *validators)
{
    size_t start = value->size;
    struct validators_head head = {.magic = MAGIC_VALIDATORS,
                                   .etag_bytes = (uint32_t)validators->etag.size};

    buffer_append(value, bytes_of(&head, sizeof head));
    buffer_append(value, validators->etag);
    buffer_append(value, validators->last_modified);
    seal(value, start, seed);
}

bool stored_validators_decode(struct bytes value, uint64_t seed, struct stored_validators *validators)
{
    struct validators_head head;
    struct bytes rest;

    if (value.size < sizeof head)
        return false;
    memcpy(&head, value.data, sizeof head);
    rest = bytes_after(value, sizeof head);
    if (head.magic != MAGIC_VALIDATORS || head.etag_bytes > rest.size || !is_sealed(value, seed))
        return false;
    validators->etag = bytes_first(rest, head.etag_bytes);
    validators->last_modified = bytes_after(rest, head.etag_bytes);
    return true;
}

bool rendered_next(struct bytes *rendered, struct http_field *field)
{
    const char *line_end = rendered->size == 0 ? NULL : memchr(rendered->data, '\n', rendered->size);
    const char *colon;
    size_t line_size;

    if (line_end == NULL)
        return false;
    line_size = (size_t)(line_end - rendered->data);
    colon = memchr(rendered->data, ':', line_size);
    if (colon == NULL || line_size == 0 || line_end[-1] != '\r')
        return false;
    field->name = bytes_of(rendered->data, (size_t)(colon - rendered->data));
    field->value = bytes_trim(bytes_of(colon + 1, (size_t)(line_end - 1 - (colon + 1))));
    field->header = http_header_find(field->name);
    *rendered = bytes_after(*rendered, line_size + 1);
    return true;
}

void rendered_append(struct buffer *rendered, struct bytes name, struct bytes value)
{
    buffer_append(rendered, name);
    buffer_append_literal(rendered, ": ");
    buffer_append(rendered, value);
    buffer_append_literal(rendered, "\r\n");
}
