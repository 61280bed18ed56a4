/* upkeep.c — what is dead makes room; counts, and what they tell. */
#include "arguments.h"

Py_ssize_t cache_length(PyObject *self)
{
    struct cache *cache = (struct cache *)self;

    if (!cache_check(cache))
        return -1;
    return (Py_ssize_t)nh_count(cache->store, NH_SPACE_ALL);
}

PyObject *cache_sweep(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    struct argument arguments[] = {{"budget", NULL}};
    struct cache *cache = (struct cache *)self;
    PyThreadState *thread;
    uint64_t budget = 1000;
    int64_t now_ms;
    size_t count;

    if (!arguments_take("sweep", arguments, 1, 1, 0, given, given_count, names) ||
        (arguments[0].value != NULL && !whole_take(arguments[0].value, "budget", 1, SIZE_MAX, &budget)) ||
        !cache_enter(cache, &now_ms))
        return NULL;
    thread = cache_unlock(cache);
    count = nh_sweep(cache->store, now_ms, (size_t)budget);
    cache_lock(cache, thread);
    return PyLong_FromSize_t(count);
}

/* ---- counts ---- */

#define COUNTS(X)                                                                                          \
    X(items, "values, expired ones that are not freed yet included")                                       \
    X(item_bytes, "of keys and values, with what is kept of each")                                         \
    X(memory_bytes, "in use")                                                                              \
    X(memory_bytes_max, "the limit")                                                                       \
    X(hits, "reads that found a value")                                                                    \
    X(misses, "reads that did not")                                                                        \
    X(puts, "writes")                                                                                      \
    X(deletes, "deletes of what was there")                                                                \
    X(expired, "values freed because their time had come")                                                 \
    X(evicted, "values freed to make room")                                                                \
    X(purged, "values freed because of a tag")                                                             \
    X(rejected, "writes refused for want of room, or for their size")                                      \
    X(stale_served, "hits that were stale")                                                                \
    X(leases, "loaders that were to run")                                                                  \
    X(lease_waits, "times that a caller was to wait for another's, or was served what is stale")           \
    X(fills_refused, "loaded values that came too late")                                                   \
    X(pinned_bytes, "in segments that cannot be reused because of views")                                  \
    X(borrowed_copied_bytes, "copied for views beyond the bound")                                          \
    X(moved, "values copied to another segment to survive")                                                \
    X(index_bytes, "of memory_bytes, for the index")                                                       \
    X(segment_bytes, "what memory is given out in")                                                        \
    X(key_bytes_max, "how long a key may be")

static PyStructSequence_Field stats_fields[] = {
#define X(name, text) {#name, text},
    COUNTS(X)
#undef X
        {NULL, NULL},
};
PyStructSequence_Desc stats_description = {
    .name = "nuthatch.Stats",
    .doc = "Counts since the cache was made, and sizes; a moment old.",
    .fields = stats_fields,
    .n_in_sequence = sizeof stats_fields / sizeof stats_fields[0] - 1,
};

PyObject *cache_stats(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    struct cache *cache = (struct cache *)self;
    nh_stats stats = {.size = sizeof stats};
    Py_ssize_t field = 0;
    nh_result result;
    PyObject *answer;

    if (!cache_check(cache))
        return NULL;
    result = nh_stats_read(cache->store, &stats);
    if (result != NH_OK)
        return raise_result(cache->module, result);
    answer = PyStructSequence_New(cache->module->stats_type);
    if (answer == NULL)
        return NULL;
#define X(name, text) PyStructSequence_SET_ITEM(answer, field++, PyLong_FromUnsignedLongLong(stats.name));
    COUNTS(X)
#undef X
    if (PyErr_Occurred())
        Py_CLEAR(answer);
    return answer;
}

/* ---- insight ---- */

static PyObject *no_insight(void)
{
    PyErr_SetString(PyExc_ValueError, "the cache keeps none: make it with insight=True");
    return NULL;
}

PyObject *cache_hot_keys(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    struct argument arguments[] = {{"count", NULL}};
    struct cache *cache = (struct cache *)self;
    uint64_t wanted = 10;
    nh_hot_key *keys;
    nh_result result;
    PyObject *list;
    size_t count;

    if (!arguments_take("hot_keys", arguments, 1, 1, 0, given, given_count, names) ||
        (arguments[0].value != NULL && !whole_take(arguments[0].value, "count", 1, 10000, &wanted)) ||
        !cache_check(cache))
        return NULL;
    count = (size_t)wanted;
    keys = PyMem_Malloc(count * sizeof *keys);
    if (keys == NULL)
        return PyErr_NoMemory();
    result = nh_hot_keys_read(cache->store, keys, &count);
    if (result != NH_OK) {
        PyMem_Free(keys);
        return result == NH_MISSING ? no_insight() : raise_result(cache->module, result);
    }
    list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++) {
        uint32_t size = keys[i].key_bytes < NH_HOT_KEY_BYTES_MAX ? keys[i].key_bytes : NH_HOT_KEY_BYTES_MAX;
        PyObject *pair = Py_BuildValue("(y#K)", (const char *)keys[i].key, (Py_ssize_t)size,
                                       (unsigned long long)keys[i].reads);
        if (pair == NULL || PyList_Append(list, pair) != 0)
            Py_CLEAR(list);
        Py_XDECREF(pair);
    }
    PyMem_Free(keys);
    return list;
}

enum { CURVE_POINTS_MAX = 256 };

PyObject *cache_miss_ratio_curve(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    struct cache *cache = (struct cache *)self;
    nh_curve_point points[CURVE_POINTS_MAX];
    size_t count = CURVE_POINTS_MAX;
    nh_result result;
    PyObject *list;

    if (!cache_check(cache))
        return NULL;
    result = nh_curve_read(cache->store, 0, points, &count);
    if (result != NH_OK) /* none is kept before the first read */
        count = 0;
    if (result == NH_MISSING && !cache->has_insight)
        return no_insight();
    if (result != NH_OK && result != NH_MISSING)
        return raise_result(cache->module, result);
    list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *pair =
            Py_BuildValue("(Kd)", (unsigned long long)points[i].memory_bytes, points[i].miss_ratio);
        if (pair == NULL || PyList_Append(list, pair) != 0)
            Py_CLEAR(list);
        Py_XDECREF(pair);
    }
    return list;
}
