/* read.c — values out of the cache: as bytes, as views, with what is kept of them, many at once. */
#include "read.h"
#include "arguments.h"
#include "pin.h"
#include <string.h>

/* ---- values ---- */

void value_copy(nh_store *store, const nh_value *value, char *to)
{
    uint64_t done = 0;
    nh_bytes piece;

    if (value->bytes.size == value->size) {
        memcpy(to, value->bytes.data, value->bytes.size);
        return;
    }
    while (done < value->size && nh_value_piece(store, value, done, &piece) == NH_OK) {
        size_t size = piece.size < value->size - done ? piece.size : (size_t)(value->size - done);
        memcpy(to + done, piece.data, size);
        done += size;
    }
}

PyObject *value_to_bytes(struct cache *cache, nh_value *value)
{
    nh_store *store = cache->store;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)value->size); /* runs nobody's code */

    if (bytes != NULL && value->size > COPY_BYTES_WITH_GIL) {
        PyThreadState *thread = cache_unlock(cache);
        value_copy(store, value, PyBytes_AS_STRING(bytes));
        nh_release(store, value); /* a peek must not wait for the GIL */
        cache_lock(cache, thread);
        return bytes;
    }
    if (bytes != NULL && value->size > 0)
        value_copy(store, value, PyBytes_AS_STRING(bytes));
    nh_release(store, value);
    return bytes;
}

PyObject *seconds_until(int64_t at_ms, int64_t now_ms)
{
    if (at_ms == 0)
        Py_RETURN_NONE;
    return PyFloat_FromDouble((double)(at_ms - now_ms) / 1000);
}

/* ---- one key ---- */

/* What nh_peek says; a negative number with an exception set. */
static nh_result peek(struct cache *cache, PyObject *key_object, nh_value *value)
{
    int64_t now_ms;
    nh_result result;
    nh_key key;

    if (!key_take(key_object, &key) || !cache_enter(cache, &now_ms))
        return -1;
    result = nh_peek(cache->store, now_ms, key, value);
    if (result == NH_OK || result == NH_MISSING)
        return result;
    raise_result(cache->module, result);
    return -1;
}

PyObject *cache_get(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    struct argument arguments[] = {{"key", NULL}, {"default", NULL}};
    struct cache *cache = (struct cache *)self;
    PyObject *fallback;
    nh_value value;

    if (!arguments_take("get", arguments, 2, 2, 1, given, given_count, names))
        return NULL;
    switch (peek(cache, arguments[0].value, &value)) {
    case NH_OK: return value_to_bytes(cache, &value);
    case NH_MISSING: break;
    default: return NULL;
    }
    fallback = arguments[1].value != NULL ? arguments[1].value : Py_None;
    Py_INCREF(fallback);
    return fallback;
}

PyObject *cache_subscript(PyObject *self, PyObject *key)
{
    struct cache *cache = (struct cache *)self;
    nh_value value;

    switch (peek(cache, key, &value)) {
    case NH_OK: return value_to_bytes(cache, &value);
    case NH_MISSING: PyErr_SetObject(PyExc_KeyError, key); return NULL;
    default: return NULL;
    }
}

int cache_contains(PyObject *self, PyObject *key)
{
    struct cache *cache = (struct cache *)self;
    nh_value value;

    switch (peek(cache, key, &value)) {
    case NH_OK: nh_release(cache->store, &value); return 1;
    case NH_MISSING: return 0;
    default: return -1;
    }
}

PyObject *cache_entry(PyObject *self, PyObject *key_object)
{
    struct cache *cache = (struct cache *)self;
    PyObject *entry, *fields[6];
    bool is_whole = true;
    int64_t now_ms;
    nh_result result;
    nh_value value;
    nh_key key;

    if (!key_take(key_object, &key) || !cache_enter(cache, &now_ms))
        return NULL;
    result = nh_borrow(cache->store, now_ms, key, &value);
    if (result == NH_MISSING)
        Py_RETURN_NONE;
    if (result != NH_OK)
        return raise_result(cache->module, result);
    fields[1] = PyLong_FromUnsignedLongLong(value.version);
    fields[2] = PyLong_FromUnsignedLong(value.flags);
    fields[3] = seconds_until(value.expires_at_ms, now_ms);
    fields[4] = seconds_until(value.stale_at_ms, now_ms);
    fields[5] = PyBool_FromLong((value.traits & NH_VALUE_STALE) != 0);
    fields[0] = value_to_bytes(cache, &value);
    entry = PyStructSequence_New(cache->module->entry_type);
    for (Py_ssize_t i = 0; i < 6; i++) {
        is_whole = is_whole && fields[i] != NULL;
        if (entry != NULL)
            PyStructSequence_SET_ITEM(entry, i, fields[i]); /* it has them now */
        else
            Py_XDECREF(fields[i]);
    }
    if (!is_whole)
        Py_CLEAR(entry);
    return entry;
}

static PyStructSequence_Field entry_fields[] = {
    {"value", "bytes"},
    {"version", "changes with every write of the key; for cas()"},
    {"flags", "as they were set"},
    {"ttl", "seconds until it expires; None: never"},
    {"soft_ttl", "seconds until it is stale, negative if it is; None: never"},
    {"is_stale", "whether its soft time to live is over, or a tag of it was purged softly"},
    {NULL, NULL},
};
PyStructSequence_Desc entry_description = {
    .name = "nuthatch.Entry",
    .doc = "A value and what is kept with it.",
    .fields = entry_fields,
    .n_in_sequence = 6,
};

PyObject *cache_view(PyObject *self, PyObject *key_object)
{
    struct cache *cache = (struct cache *)self;
    PyObject *bytes, *view;
    int64_t now_ms;
    nh_result result;
    nh_value value;
    nh_key key;

    if (!key_take(key_object, &key) || !cache_enter(cache, &now_ms))
        return NULL;
    result = nh_borrow(cache->store, now_ms, key, &value);
    if (result == NH_OK && value.bytes.size == value.size)
        return pin_view(cache, &value);
    if (result == NH_FULL) /* too much is pinned already */
        result = nh_peek(cache->store, now_ms, key, &value);
    if (result == NH_MISSING)
        Py_RETURN_NONE;
    if (result != NH_OK)
        return raise_result(cache->module, result);
    bytes = value_to_bytes(cache, &value); /* a view is of memory in one piece, and this is in several */
    if (bytes == NULL)
        return NULL;
    view = PyMemoryView_FromObject(bytes);
    Py_DECREF(bytes);
    return view;
}

/* ---- many keys ---- */

enum { BATCH = 1024, BATCH_WITH_GIL = 256, PREFETCH = 64 };

struct batch {
    nh_key keys[BATCH];
    nh_value values[BATCH];
    nh_result results[BATCH];
    size_t count;
};

static void borrow_batch(nh_store *store, int64_t now_ms, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (i % PREFETCH == 0)
            nh_prefetch(store, batch->keys + i, batch->count - i < PREFETCH ? batch->count - i : PREFETCH);
        batch->results[i] = nh_borrow(store, now_ms, batch->keys[i], &batch->values[i]);
        if (batch->results[i] != NH_OK)
            batch->values[i] = (nh_value){.pin = NULL};
    }
}

/* Puts what was borrowed into the dict. */
static bool give_batch(struct cache *cache, struct batch *batch, PyObject *const *keys, PyObject *found)
{
    for (size_t i = 0; i < batch->count; i++) {
        PyObject *bytes;
        int failed;
        if (batch->results[i] == NH_FULL ||
            batch->results[i] == NH_NO_MEMORY) /* too much is pinned: a peek is not */
            batch->results[i] = nh_peek(cache->store, cache->now_ms, batch->keys[i], &batch->values[i]);
        if (batch->results[i] == NH_MISSING)
            continue;
        if (batch->results[i] != NH_OK) {
            raise_result(cache->module, batch->results[i]);
            return false;
        }
        bytes = value_to_bytes(cache, &batch->values[i]);
        if (bytes == NULL)
            return false;
        failed = PyDict_SetItem(found, keys[i], bytes);
        Py_DECREF(bytes);
        if (failed)
            return false;
    }
    return true;
}

static bool get_batch(struct cache *cache, struct batch *batch, PyObject *const *keys, size_t count,
                      PyObject *found)
{
    int64_t now_ms;
    bool is_whole;

    batch->count = count;
    for (size_t i = 0; i < count; i++)
        if (!key_take(keys[i], &batch->keys[i]))
            return false;
    if (!cache_enter(cache, &now_ms))
        return false;
    cache_hold(cache); /* beyond the moments without the GIL: what is borrowed is released in the end */
    if (count > BATCH_WITH_GIL) {
        PyThreadState *thread = cache_unlock(cache);
        borrow_batch(cache->store, now_ms, batch);
        cache_lock(cache, thread);
    } else {
        borrow_batch(cache->store, now_ms, batch);
    }
    is_whole = give_batch(cache, batch, keys, found);
    for (size_t i = 0; !is_whole && i < count; i++)
        nh_release(cache->store, &batch->values[i]); /* those that were not given */
    cache_let_go(cache);
    return is_whole;
}

PyObject *cache_get_many(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    struct argument arguments[] = {{"keys", NULL}};
    struct cache *cache = (struct cache *)self;
    PyObject *keys, *found;
    struct batch *batch;
    size_t count;

    if (!arguments_take("get_many", arguments, 1, 1, 1, given, given_count, names))
        return NULL;
    if (PyBytes_Check(arguments[0].value) || PyUnicode_Check(arguments[0].value)) {
        PyErr_SetString(PyExc_TypeError, "get_many() takes several keys, not one");
        return NULL;
    }
    keys = PySequence_Tuple(arguments[0].value); /* nobody can change it */
    if (keys == NULL)
        return NULL;
    count = (size_t)PyTuple_GET_SIZE(keys);
    found = PyDict_New();
    batch = PyMem_Malloc(sizeof *batch);
    if (batch == NULL && found != NULL) {
        PyErr_NoMemory();
        Py_CLEAR(found);
    }
    if (found != NULL && !cache_check(cache))
        Py_CLEAR(found);
    for (size_t done = 0; found != NULL && done < count; done += BATCH)
        if (!get_batch(cache, batch, &PyTuple_GET_ITEM(keys, (Py_ssize_t)done),
                       count - done < BATCH ? count - done : BATCH, found))
            Py_CLEAR(found);
    PyMem_Free(batch);
    Py_DECREF(keys);
    return found;
}
