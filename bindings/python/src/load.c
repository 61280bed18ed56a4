/* load.c — reading through: of all who miss a key, or find it stale, one computes it.
 *
 *     nh_fetch ──► a value ──────────────────────────────────► returned
 *        │ ├─────► a lease ──► the loader ──► nh_fill ───────► returned
 *        │ └ a wait              └─ raises ──► nh_give_up ───► raised
 *        └───┘ */
#include "arguments.h"
#include "read.h"
#include "waiting.h"
#include <string.h>
#include <time.h>

static const int64_t LEASE_MS = 10000;

/* A loader that runs. Not on the stack of its thread: greenlets move those. */
struct load {
    struct load *next;
    unsigned long thread;
    size_t key_bytes;
    char key[];
};

struct request {
    nh_key key;
    PyObject *loader;
    struct put put;
    nh_fetch_options fetch;
    int64_t negative_ttl_ms; /* 0: that there is nothing is not remembered */
    bool is_stale_if_error;
    int64_t deadline_ms; /* of the system's clock, which is what a thread waits by */
};

static int64_t system_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- whose loader runs ---- */

static struct load *load_begin(struct cache *cache, nh_key key)
{
    struct load *load = PyMem_Malloc(sizeof *load + key.size);

    if (load == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    load->next = cache->loads;
    load->thread = PyThread_get_thread_ident();
    load->key_bytes = key.size;
    memcpy(load->key, key.data, key.size);
    cache->loads = load;
    return load;
}

static void load_end(struct cache *cache, struct load *load)
{
    struct load **link = &cache->loads;

    while (*link != load)
        link = &(*link)->next;
    *link = load->next;
    PyMem_Free(load);
}

void loads_end_after_fork(struct cache *cache)
{
    struct load **link = &cache->loads;

    nh_end_leases(cache->store);
    while (*link != NULL) {
        struct load *load = *link;
        if (load->thread == fork_thread()) { /* it goes on here as well, and its fill will be refused */
            link = &load->next;
        } else {
            *link = load->next;
            PyMem_Free(load);
        }
    }
}

/* Would this thread wait for itself? */
static bool is_loading_here(const struct cache *cache, nh_key key)
{
    unsigned long thread = PyThread_get_thread_ident();

    for (const struct load *load = cache->loads; load != NULL; load = load->next)
        if (load->thread == thread && load->key_bytes == key.size &&
            memcmp(load->key, key.data, key.size) == 0)
            return true;
    return false;
}

/* ---- a lease and what becomes of it ---- */

static void give_up(struct cache *cache, nh_key key, uint64_t lease)
{
    if (cache->is_closed)
        return;
    nh_give_up(cache->store, key, lease);
    waiting_tell(cache, key);
}

/* NH_OK; NH_CHANGED: the lease is over; other results: it is given up. Negative with an exception set. */
static nh_result fill(struct cache *cache, nh_key key, uint64_t lease, const Py_buffer *value,
                      const nh_put_options *options)
{
    nh_bytes bytes = {value->len > 0 ? value->buf : "", (size_t)value->len};
    nh_result result;
    int64_t now_ms;

    if (!cache_enter(cache, &now_ms)) {
        give_up(cache, key, lease);
        return -1;
    }
    if (bytes.size > COPY_BYTES_WITH_GIL) {
        PyThreadState *thread = cache_unlock(cache);
        result = nh_fill(cache->store, now_ms, key, lease, bytes, options, NULL);
        cache_lock(cache, thread);
    } else {
        result = nh_fill(cache->store, now_ms, key, lease, bytes, options, NULL);
    }
    if (result != NH_OK && result != NH_CHANGED)
        give_up(cache, key, lease);
    else
        waiting_tell(cache, key);
    return result;
}

/* What the loader returned goes into the cache, if it can, and to the caller in any case. */
static PyObject *keep(struct cache *cache, struct request *request, uint64_t lease, PyObject *loaded)
{
    nh_put_options options = request->put.options;
    PyObject *returned;
    Py_buffer value;

    if (loaded == Py_None) {
        Py_buffer nothing = {.len = 0};
        if (request->negative_ttl_ms == 0) {
            give_up(cache, request->key, lease);
            Py_RETURN_NONE;
        }
        options.ttl_ms = request->negative_ttl_ms;
        options.soft_ttl_ms = 0;
        options.negative = 1;
        if (!cache->is_closed && fill(cache, request->key, lease, &nothing, &options) < 0)
            return NULL;
        Py_RETURN_NONE;
    }
    if (!value_take(loaded, &value)) {
        give_up(cache, request->key, lease);
        return NULL;
    }
    if (PyBytes_CheckExact(loaded)) {
        Py_INCREF(loaded);
        returned = loaded;
    } else {
        returned = PyBytes_FromStringAndSize(value.buf, value.len);
    }
    /* A cache that was closed while the loader ran, or has no room, is no reason to lose what it returned.
     */
    if (returned == NULL)
        give_up(cache, request->key, lease);
    else if (!cache->is_closed && fill(cache, request->key, lease, &value, &options) < 0)
        Py_CLEAR(returned);
    PyBuffer_Release(&value);
    return returned;
}

/* `old`, owned, is what to return if the loader fails; null: then that is raised. */
static PyObject *load(struct cache *cache, struct request *request, uint64_t lease, int64_t now_ms,
                      PyObject *old)
{
    struct load *running = load_begin(cache, request->key);
    PyObject *loaded, *returned = NULL;
    int64_t then_ms;

    if (running == NULL) {
        give_up(cache, request->key, lease);
        Py_XDECREF(old);
        return NULL;
    }
    loaded = PyObject_CallObject(request->loader, NULL);
    load_end(cache, running);
    if (loaded == NULL) {
        give_up(cache, request->key, lease);
        if (old != NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
            PyErr_Clear();
            return old;
        }
    } else if (cache->is_closed) {
        returned = keep(cache, request, lease, loaded);
    } else if (!cache_enter(cache, &then_ms)) {
        give_up(cache, request->key, lease);
    } else {
        int64_t cost_ms = then_ms - now_ms;
        request->put.options.cost_ms = cost_ms < UINT32_MAX ? (uint32_t)cost_ms : UINT32_MAX;
        returned = keep(cache, request, lease, loaded);
    }
    Py_XDECREF(loaded);
    Py_XDECREF(old);
    return returned;
}

/* ---- get_or_set ---- */

static bool lease_take(PyObject *lease, PyObject *early, nh_fetch_options *options)
{
    int64_t lease_ms = LEASE_MS;
    double beta = 0;

    if (lease != NULL && !seconds_take(lease, &lease_ms))
        return false;
    if (lease_ms <= 0) {
        PyErr_SetString(PyExc_ValueError, "lease is how many seconds a loader may take: more than 0");
        return false;
    }
    if (early != NULL)
        beta = PyFloat_AsDouble(early);
    if (beta == -1 && PyErr_Occurred())
        return false;
    if (!(beta >= 0 && beta <= 1000)) {
        PyErr_SetString(PyExc_ValueError, "early is 0 to 1000: 0 never refreshes early, 1 is the usual");
        return false;
    }
    *options = (nh_fetch_options){
        .size = sizeof *options, .lease_ms = lease_ms, .early_percent = (uint32_t)(beta * 100 + 0.5)};
    return true;
}

static bool timeout_take(PyObject *timeout, int64_t *deadline_ms)
{
    int64_t timeout_ms;

    *deadline_ms = INT64_MAX;
    if (timeout == NULL || timeout == Py_None)
        return true;
    if (!seconds_take(timeout, &timeout_ms))
        return false;
    *deadline_ms = system_now_ms() + (timeout_ms > 0 ? timeout_ms : 0);
    return true;
}

/* Waits a moment for somebody else. False with an exception: enough of it. */
static bool wait_on(struct cache *cache, const struct request *request, struct waiting *waiting,
                    uint64_t seen)
{
    if (is_loading_here(cache, request->key)) {
        PyErr_SetString(PyExc_RuntimeError, "a loader asks for the key that it is to load");
        return false;
    }
    if (system_now_ms() >= request->deadline_ms) {
        PyErr_SetString(PyExc_TimeoutError, "the value was not there in time");
        return false;
    }
    waiting_wait(cache, waiting, seen);
    return PyErr_CheckSignals() == 0;
}

/* Asks once. NULL without an exception: ask again. */
static PyObject *attempt(struct cache *cache, struct request *request)
{
    struct waiting *waiting = waiting_of(cache, request->key);
    PyObject *old = NULL;
    nh_fetch_state state;
    uint64_t lease = 0, seen;
    int64_t now_ms;
    nh_result result;
    nh_value value;

    if (!cache_enter(cache, &now_ms))
        return NULL;
    seen = waiting->change_count;
    result = nh_fetch(cache->store, now_ms, request->key, &request->fetch, &state, &lease, &value);
    if (result == NH_FULL) { /* too much is pinned to lend it: a peek is no loan */
        result = nh_peek(cache->store, now_ms, request->key, &value);
        state = NH_FETCH_HIT;
    }
    if (result != NH_OK)
        return raise_result(cache->module, result == NH_MISSING ? NH_FULL : result);
    switch (state) {
    case NH_FETCH_HIT:
    case NH_FETCH_STALE:
        if (value.traits & NH_VALUE_NEGATIVE) {
            nh_release(cache->store, &value);
            Py_RETURN_NONE;
        }
        return value_to_bytes(cache, &value);
    case NH_FETCH_HIT_LEASE:
    case NH_FETCH_STALE_LEASE:
        if (!request->is_stale_if_error || (value.traits & NH_VALUE_NEGATIVE)) {
            nh_release(cache->store, &value);
        } else {
            old = value_to_bytes(cache, &value);
            if (old == NULL) {
                give_up(cache, request->key, lease);
                return NULL;
            }
        }
        return load(cache, request, lease, now_ms, old);
    case NH_FETCH_MISS_LEASE: return load(cache, request, lease, now_ms, NULL);
    case NH_FETCH_MISS_WAIT: wait_on(cache, request, waiting, seen); return NULL;
    }
    Py_UNREACHABLE();
}

PyObject *cache_get_or_set(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    enum { PUT = 2, NEGATIVE_TTL = PUT + PUT_ARGUMENTS, LEASE, EARLY, STALE_IF_ERROR, TIMEOUT, ARGUMENTS };
    struct argument arguments[ARGUMENTS] = {{"key", NULL},
                                            {"loader", NULL},
                                            PUT_NAMES,
                                            {"negative_ttl", NULL},
                                            {"lease", NULL},
                                            {"early", NULL},
                                            {"stale_if_error", NULL},
                                            {"timeout", NULL}};
    struct cache *cache = (struct cache *)self;
    PyObject *returned = NULL;
    struct request request;
    int is_stale_if_error = 0;

    if (!arguments_take("get_or_set", arguments, ARGUMENTS, 2, 2, given, given_count, names) ||
        !key_take(arguments[0].value, &request.key) ||
        !ttl_take(arguments[NEGATIVE_TTL].value, &request.negative_ttl_ms) ||
        !lease_take(arguments[LEASE].value, arguments[EARLY].value, &request.fetch) ||
        !timeout_take(arguments[TIMEOUT].value, &request.deadline_ms))
        return NULL;
    request.loader = arguments[1].value;
    if (!PyCallable_Check(request.loader)) {
        PyErr_SetString(PyExc_TypeError,
                        "the loader is a function without arguments that returns the value");
        return NULL;
    }
    if (arguments[STALE_IF_ERROR].value != NULL)
        is_stale_if_error = PyObject_IsTrue(arguments[STALE_IF_ERROR].value);
    request.is_stale_if_error = is_stale_if_error > 0;
    if (is_stale_if_error < 0 || !put_take(arguments + PUT, &request.put))
        return NULL;
    while (returned == NULL && !PyErr_Occurred())
        returned = attempt(cache, &request);
    put_release(&request.put);
    return returned;
}

/* ---- the same in steps ---- */

static PyObject *fetched(struct cache *cache, const char *state, PyObject *value, uint64_t lease)
{
    PyObject *fields[] = {PyUnicode_InternFromString(state), value, NULL}, *answer;

    if (lease != 0) {
        fields[2] = PyLong_FromUnsignedLongLong(lease);
    } else {
        Py_INCREF(Py_None);
        fields[2] = Py_None;
    }
    answer = PyStructSequence_New(cache->module->fetched_type);
    for (Py_ssize_t i = 0; i < 3; i++)
        if (answer != NULL)
            PyStructSequence_SET_ITEM(answer, i, fields[i]);
        else
            Py_XDECREF(fields[i]);
    if (answer != NULL && (fields[0] == NULL || fields[2] == NULL))
        Py_CLEAR(answer);
    return answer;
}

static PyStructSequence_Field fetched_fields[] = {
    {"state", "'hit', 'stale', 'miss', or 'negative' where it is remembered that there is nothing"},
    {"value", "bytes, or None"},
    {"lease",
     "a number for fill() or give_up() if you are to compute the value, else None: if the state is 'miss', "
     "somebody else is at it"},
    {NULL, NULL},
};
PyStructSequence_Desc fetched_description = {
    .name = "nuthatch.Fetched",
    .doc = "What fetch() found.",
    .fields = fetched_fields,
    .n_in_sequence = 3,
};

PyObject *cache_fetch(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    struct argument arguments[] = {{"key", NULL}, {"lease", NULL}, {"early", NULL}};
    struct cache *cache = (struct cache *)self;
    nh_fetch_options options;
    nh_fetch_state state;
    uint64_t lease = 0;
    PyObject *bytes;
    int64_t now_ms;
    nh_result result;
    nh_value value;
    bool is_stale;
    nh_key key;

    if (!arguments_take("fetch", arguments, 3, 1, 1, given, given_count, names) ||
        !key_take(arguments[0].value, &key) ||
        !lease_take(arguments[1].value, arguments[2].value, &options) || !cache_enter(cache, &now_ms))
        return NULL;
    result = nh_fetch(cache->store, now_ms, key, &options, &state, &lease, &value);
    if (result != NH_OK)
        return raise_result(cache->module, result);
    if (state == NH_FETCH_MISS_WAIT || state == NH_FETCH_MISS_LEASE) {
        Py_INCREF(Py_None);
        return fetched(cache, "miss", Py_None, lease);
    }
    if (value.traits & NH_VALUE_NEGATIVE) {
        nh_release(cache->store, &value);
        Py_INCREF(Py_None);
        return fetched(cache, "negative", Py_None, lease);
    }
    is_stale = state == NH_FETCH_STALE || state == NH_FETCH_STALE_LEASE;
    bytes = value_to_bytes(cache, &value);
    if (bytes == NULL) {
        if (lease != 0)
            give_up(cache, key, lease);
        return NULL;
    }
    return fetched(cache, is_stale ? "stale" : "hit", bytes, lease);
}

PyObject *cache_fill(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    struct argument arguments[] = {{"key", NULL}, {"lease", NULL}, {"value", NULL}, PUT_NAMES};
    struct cache *cache = (struct cache *)self;
    Py_buffer value = {.len = 0};
    nh_result result = -1;
    uint64_t lease;
    struct put put;
    nh_key key;

    if (!arguments_take("fill", arguments, 3 + PUT_ARGUMENTS, 3, 3, given, given_count, names) ||
        !key_take(arguments[0].value, &key) ||
        !whole_take(arguments[1].value, "lease", 1, UINT64_MAX, &lease) || !put_take(arguments + 3, &put))
        return NULL;
    if (arguments[2].value == Py_None)
        put.options.negative = 1;
    if (put.options.negative || value_take(arguments[2].value, &value)) {
        result = fill(cache, key, lease, &value, &put.options);
        PyBuffer_Release(&value); /* of none: nothing */
    }
    put_release(&put);
    if (result > NH_OK && result != NH_CHANGED)
        return raise_result(cache->module, result);
    return result < 0 ? NULL : PyBool_FromLong(result == NH_OK);
}

PyObject *cache_give_up(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    struct argument arguments[] = {{"key", NULL}, {"lease", NULL}};
    struct cache *cache = (struct cache *)self;
    nh_result result;
    uint64_t lease;
    nh_key key;

    if (!arguments_take("give_up", arguments, 2, 2, 2, given, given_count, names) ||
        !key_take(arguments[0].value, &key) ||
        !whole_take(arguments[1].value, "lease", 1, UINT64_MAX, &lease) || !cache_check(cache))
        return NULL;
    result = nh_give_up(cache->store, key, lease);
    waiting_tell(cache, key);
    if (result != NH_OK && result != NH_CHANGED)
        return raise_result(cache->module, result);
    return PyBool_FromLong(result == NH_OK);
}
