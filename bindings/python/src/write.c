/* write.c — values into the cache, and out of it for good. */
#include "arguments.h"
#include "waiting.h"

/* ---- whole values ---- */

enum how { HOW_SET, HOW_ADD, HOW_REPLACE, HOW_CAS };

static nh_result put_as(enum how how, nh_store *store, int64_t now_ms, nh_key key, const Py_buffer *value,
                        const nh_put_options *options, uint64_t version)
{
    nh_bytes bytes = {value->len > 0 ? value->buf : "", (size_t)value->len};

    switch (how) {
    case HOW_SET: return nh_put(store, now_ms, key, bytes, options, NULL);
    case HOW_ADD: return nh_add(store, now_ms, key, bytes, options, NULL);
    case HOW_REPLACE: return nh_replace(store, now_ms, key, bytes, options, NULL);
    case HOW_CAS: return nh_cas(store, now_ms, key, bytes, options, version, NULL);
    }
    Py_UNREACHABLE();
}

/* The result; negative with an exception set. */
static nh_result put_value(struct cache *cache, enum how how, PyObject *key_object, PyObject *value_object,
                           const nh_put_options *options, uint64_t version)
{
    nh_result result = -1;
    Py_buffer value;
    int64_t now_ms;
    nh_key key;

    if (!key_take(key_object, &key) || !value_take(value_object, &value))
        return -1;
    if (cache_enter(cache, &now_ms)) {
        if ((size_t)value.len > COPY_BYTES_WITH_GIL) {
            PyThreadState *thread = cache_unlock(cache);
            result = put_as(how, cache->store, now_ms, key, &value, options, version);
            cache_lock(cache, thread);
        } else {
            result = put_as(how, cache->store, now_ms, key, &value, options, version);
        }
        waiting_tell(cache, key);
    }
    PyBuffer_Release(&value);
    return result;
}

/* A result as whether it was done: what the key is may be no reason to raise. */
static PyObject *was_done(struct cache *cache, nh_result result)
{
    switch (result) {
    case NH_OK: Py_RETURN_TRUE;
    case NH_MISSING:
    case NH_EXISTS:
    case NH_CHANGED: Py_RETURN_FALSE;
    default: return result < 0 ? NULL : raise_result(cache->module, result);
    }
}

static PyObject *put_call(PyObject *self, const char *name, enum how how, struct argument *arguments,
                          size_t count, size_t positional_count, PyObject *const *given,
                          Py_ssize_t given_count, PyObject *names)
{
    struct cache *cache = (struct cache *)self;
    uint64_t version = 0;
    nh_result result;
    struct put put;

    if (!arguments_take(name, arguments, count, positional_count, positional_count, given, given_count,
                        names) ||
        (how == HOW_CAS && !whole_take(arguments[2].value, "version", 0, UINT64_MAX, &version)) ||
        !put_take(arguments + positional_count, &put))
        return NULL;
    result = put_value(cache, how, arguments[0].value, arguments[1].value, &put.options, version);
    put_release(&put);
    if (how == HOW_CAS && result == NH_MISSING) {
        PyErr_SetObject(PyExc_KeyError, arguments[0].value);
        return NULL;
    }
    if (how == HOW_SET && result == NH_OK)
        Py_RETURN_NONE;
    return was_done(cache, result);
}

#define PUT_CALL(name, how, ...)                                                                           \
    PyObject *cache_##name(PyObject *self, PyObject *const *given, Py_ssize_t given_count,                 \
                           PyObject *names)                                                                \
    {                                                                                                      \
        struct argument arguments[] = {__VA_ARGS__, PUT_NAMES};                                            \
        size_t count = sizeof arguments / sizeof arguments[0];                                             \
        return put_call(self, #name, how, arguments, count, count - PUT_ARGUMENTS, given, given_count,     \
                        names);                                                                            \
    }
PUT_CALL(set, HOW_SET, {"key", NULL}, {"value", NULL})
PUT_CALL(add, HOW_ADD, {"key", NULL}, {"value", NULL})
PUT_CALL(replace, HOW_REPLACE, {"key", NULL}, {"value", NULL})
PUT_CALL(cas, HOW_CAS, {"key", NULL}, {"value", NULL}, {"version", NULL})

/* ---- changes ---- */

typedef nh_result extend(nh_store *store, int64_t now_ms, nh_key key, nh_bytes more, uint64_t *version);

static PyObject *extend_call(PyObject *self, const char *name, extend *extend, PyObject *const *given,
                             Py_ssize_t given_count, PyObject *names)
{
    struct argument arguments[] = {{"key", NULL}, {"more", NULL}};
    struct cache *cache = (struct cache *)self;
    nh_result result = -1;
    Py_buffer more;
    int64_t now_ms;
    nh_key key;

    if (!arguments_take(name, arguments, 2, 2, 2, given, given_count, names) ||
        !key_take(arguments[0].value, &key) || !value_take(arguments[1].value, &more))
        return NULL;
    if (cache_enter(cache, &now_ms)) {
        nh_bytes bytes = {more.len > 0 ? more.buf : "", (size_t)more.len};
        if (bytes.size > COPY_BYTES_WITH_GIL) {
            PyThreadState *thread = cache_unlock(cache);
            result = extend(cache->store, now_ms, key, bytes, NULL);
            cache_lock(cache, thread);
        } else {
            result = extend(cache->store, now_ms, key, bytes, NULL);
        }
        waiting_tell(cache, key);
    }
    PyBuffer_Release(&more);
    return was_done(cache, result);
}

PyObject *cache_append(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    return extend_call(self, "append", nh_append, given, given_count, names);
}

PyObject *cache_prepend(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    return extend_call(self, "prepend", nh_prepend, given, given_count, names);
}

PyObject *cache_incr(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    struct argument arguments[] = {{"key", NULL}, {"delta", NULL}};
    struct cache *cache = (struct cache *)self;
    uint64_t delta = 1;
    int64_t now_ms, sum;
    nh_result result;
    nh_key key;

    if (!arguments_take("incr", arguments, 2, 2, 1, given, given_count, names) ||
        (arguments[1].value != NULL &&
         !whole_take(arguments[1].value, "delta", INT64_MIN, INT64_MAX, &delta)) ||
        !key_take(arguments[0].value, &key) || !cache_enter(cache, &now_ms))
        return NULL;
    result = nh_increment(cache->store, now_ms, key, (int64_t)delta, NH_INCREMENT_SIGNED, &sum);
    waiting_tell(cache, key);
    if (result != NH_OK)
        return raise_result(cache->module, result);
    return PyLong_FromLongLong(sum);
}

PyObject *cache_touch(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    struct argument arguments[] = {{"key", NULL}, {"ttl", NULL}};
    struct cache *cache = (struct cache *)self;
    int64_t now_ms, ttl_ms;
    nh_result result;
    nh_key key;

    if (!arguments_take("touch", arguments, 2, 2, 2, given, given_count, names) ||
        !ttl_take(arguments[1].value, &ttl_ms) || !key_take(arguments[0].value, &key) ||
        !cache_enter(cache, &now_ms))
        return NULL;
    result = nh_touch(cache->store, now_ms, key, ttl_ms);
    waiting_tell(cache, key);
    return was_done(cache, result);
}

PyObject *cache_make_stale(PyObject *self, PyObject *key_object)
{
    struct cache *cache = (struct cache *)self;
    nh_result result;
    int64_t now_ms;
    nh_key key;

    if (!key_take(key_object, &key) || !cache_enter(cache, &now_ms))
        return NULL;
    result = nh_make_stale(cache->store, now_ms, key);
    waiting_tell(cache, key);
    return was_done(cache, result);
}

/* ---- out of it ---- */

static nh_result drop(struct cache *cache, PyObject *key_object)
{
    nh_result result;
    int64_t now_ms;
    nh_key key;

    if (!key_take(key_object, &key) || !cache_enter(cache, &now_ms))
        return -1;
    result = nh_delete(cache->store, now_ms, key);
    waiting_tell(cache, key);
    return result;
}

PyObject *cache_delete(PyObject *self, PyObject *key)
{
    struct cache *cache = (struct cache *)self;

    return was_done(cache, drop(cache, key));
}

int cache_assign(PyObject *self, PyObject *key, PyObject *value)
{
    struct cache *cache = (struct cache *)self;
    nh_result result = value == NULL ? drop(cache, key) : put_value(cache, HOW_SET, key, value, NULL, 0);

    if (result == NH_OK)
        return 0;
    if (result == NH_MISSING)
        PyErr_SetObject(PyExc_KeyError, key);
    else if (result > 0)
        raise_result(cache->module, result);
    return -1;
}

PyObject *cache_purge_tag(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    struct argument arguments[] = {{"tag", NULL}, {"soft", NULL}};
    struct cache *cache = (struct cache *)self;
    int64_t now_ms;
    nh_result result;
    nh_bytes tag;
    int is_soft;

    if (!arguments_take("purge_tag", arguments, 2, 2, 1, given, given_count, names))
        return NULL;
    is_soft = arguments[1].value != NULL ? PyObject_IsTrue(arguments[1].value) : 0;
    if (is_soft < 0 || !tag_take(arguments[0].value, &tag) || !cache_enter(cache, &now_ms))
        return NULL;
    result = nh_purge_tag(cache->store, tag, is_soft ? NH_PURGE_SOFT : NH_PURGE_DROP);
    waiting_tell_all(cache);
    if (result != NH_OK)
        return raise_result(cache->module, result);
    Py_RETURN_NONE;
}

PyObject *cache_clear(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    struct cache *cache = (struct cache *)self;
    int64_t now_ms;

    if (!cache_enter(cache, &now_ms))
        return NULL;
    nh_clear(cache->store, NH_SPACE_ALL);
    waiting_tell_all(cache);
    Py_RETURN_NONE;
}
