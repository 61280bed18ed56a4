#include "engine/kv/kv_edit.h"
#include <stdlib.h>

/* The bytes of a lent value, piece by piece. */
static void copy_value(const struct kv_call *call, const nh_value *value, char *to)
{
    nh_bytes piece;

    for (uint64_t at = 0; at < value->size && nh_value_piece(call->kv->store, value, at, &piece) == NH_OK;
         at += piece.size)
        memcpy(to + at, piece.data, piece.size);
}

static nh_result make_room(struct kv_edit *edit)
{
    if (edit->size <= sizeof edit->small) {
        edit->data = edit->small;
        memset(edit->small, 0, edit->size);
        return NH_OK;
    }
    edit->data = calloc(1, edit->size);
    return edit->data != NULL ? NH_OK : NH_NO_MEMORY;
}

nh_result kv_edit_begin(const struct kv_call *call, nh_key key, uint64_t bytes_min, uint64_t more_bytes,
                        struct kv_edit *edit)
{
    nh_value value = {.size = 0};
    nh_result result = nh_borrow(call->kv->store, call->now.mono_ms, key, &value);
    uint64_t bytes;

    if (result != NH_OK && result != NH_MISSING)
        return result;
    edit->is_there = result == NH_OK;
    edit->version = value.version;
    edit->size_before = value.size;
    bytes = value.size + more_bytes > bytes_min ? value.size + more_bytes : bytes_min;
    if (bytes > KV_STRING_BYTES_MAX) {
        result = NH_TOO_LARGE;
    } else {
        edit->size = bytes;
        result = make_room(edit);
    }
    if (edit->is_there) {
        if (result == NH_OK)
            copy_value(call, &value, edit->data);
        nh_release(call->kv->store, &value);
    }
    return result;
}

nh_result kv_edit_set(struct kv_edit *edit, struct bytes value)
{
    char *data_before = edit->data;
    size_t bytes_before = edit->size;

    edit->size = value.size;
    if (make_room(edit) != NH_OK) {
        edit->data = data_before;
        edit->size = bytes_before;
        return NH_NO_MEMORY;
    }
    if (data_before != edit->small)
        free(data_before);
    if (value.size > 0)
        memcpy(edit->data, value.data, value.size);
    return NH_OK;
}

nh_result kv_edit_end(const struct kv_call *call, nh_key key, struct kv_edit *edit)
{
    nh_bytes value = {edit->data, edit->size};
    nh_result result;

    if (edit->is_there) {
        result = nh_cas_value(call->kv->store, call->now.mono_ms, key, value, edit->version, NULL);
        if (result == NH_MISSING)
            result = NH_CHANGED;
    } else {
        result = nh_add(call->kv->store, call->now.mono_ms, key, value, NULL, NULL);
        if (result == NH_EXISTS)
            result = NH_CHANGED;
    }
    kv_edit_drop(edit);
    return result;
}

void kv_edit_drop(struct kv_edit *edit)
{
    if (edit->data != edit->small)
        free(edit->data);
    edit->data = NULL;
}

void kv_edit_refused(const struct kv_call *call, nh_result result)
{
    if (result == NH_TOO_LARGE)
        kv_error(call, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    else
        kv_refused(call, result);
}
