/* kv_edit.h — a value that a command reads, changes and puts back, in one step as others see it: what it
 * puts is refused if somebody has written the key meanwhile, and the command begins again.
 *
 *     do {
 *         result = kv_edit_begin(call, key, …, &edit);
 *         if (result == NH_OK) {
 *             … change edit.data …
 *             result = kv_edit_end(call, key, &edit);
 *         }
 *     } while (result == NH_CHANGED);
 *
 * The key's expiry, memcached flags and tags stay. Small values are copied to the edit itself, others to
 * memory of its own. */
#pragma once
#include "engine/kv/kv_call.h"

enum { KV_EDIT_SMALL_BYTES = 256 };

struct kv_edit {
    char *data; /* the value, `size` bytes; those beyond `size_before` are zero at first */
    size_t size, size_before;
    bool is_there; /* or the key is missing, and its value counts as empty */
    uint64_t version;
    char small[KV_EDIT_SMALL_BYTES];
};

/* Copies the key's value, longer by `more_bytes`, and by as much as it takes to have `bytes_min`. NH_OK; an
 * error of nh_borrow other than NH_MISSING; NH_TOO_LARGE if it would be longer than any string of Redis. On
 * an error there is nothing to end. */
nh_result kv_edit_begin(const struct kv_call *call, nh_key key, uint64_t bytes_min, uint64_t more_bytes,
                        struct kv_edit *edit);

/* Makes it another value, whatever its size. NH_OK; NH_NO_MEMORY, and it is as it was. */
nh_result kv_edit_set(struct kv_edit *edit, struct bytes value);

/* Puts it back and frees it. As nh_put; NH_CHANGED: begin again. */
nh_result kv_edit_end(const struct kv_call *call, nh_key key, struct kv_edit *edit);

/* Frees it and changes nothing. */
void kv_edit_drop(struct kv_edit *edit);

/* Says why an edit was refused. */
void kv_edit_refused(const struct kv_call *call, nh_result result);

/* Redis's proto-max-bulk-len: no string is longer. */
#define KV_STRING_BYTES_MAX ((uint64_t)512 << 20)
