/* cache.c — a cache from its creation to its end. */
#include "arguments.h"
#include "waiting.h"
#include <structmember.h>
#include <time.h>

#define CACHE_TEXT                                                                                         \
    "Cache(memory_bytes=67108864, *, value_bytes_max=None, clock=None, wall_clock=None, insight=False, "   \
    "huge_pages=False)\n--\n\n"                                                                            \
    "A cache of bytes by bytes inside this process, which any thread may use. It takes memory_bytes at "   \
    "most, all "                                                                                           \
    "included; values that nobody asks for make room. Times are seconds."

/* ---- who is inside ---- */

static void destroy_if_last(struct cache *cache)
{
    if (cache->is_closed && cache->users == 0 && cache->store != NULL) {
        nh_store *store = cache->store;
        cache->store = NULL;
        nh_destroy(store);
    }
}

void cache_hold(struct cache *cache)
{
    Py_INCREF(cache);
    cache->users++;
}

void cache_let_go(struct cache *cache)
{
    cache->users--;
    destroy_if_last(cache);
    Py_DECREF(cache);
}

PyThreadState *cache_unlock(struct cache *cache)
{
    cache_hold(cache);
    cache->unlocked++;
    return PyEval_SaveThread();
}

void cache_lock(struct cache *cache, PyThreadState *thread)
{
    PyEval_RestoreThread(thread);
    cache->unlocked--;
    cache_let_go(cache);
}

/* In the child of a fork. */
static bool check_fork(struct cache *cache)
{
    if (cache->unlocked > 0) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "this process was forked while another thread was inside the cache: make a new one here, or "
            "fork before threads use it");
        return false;
    }
    cache->fork_count = fork_count();
    loads_end_after_fork(cache);
    return true;
}

bool cache_check(struct cache *cache)
{
    if (cache->is_closed) {
        PyErr_SetString(PyExc_ValueError, "the cache is closed");
        return false;
    }
    if (cache->is_restoring) {
        PyErr_SetString(PyExc_ValueError, "the cache is being restored");
        return false;
    }
    return cache->fork_count == fork_count() || check_fork(cache);
}

static int64_t system_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool ask(PyObject *clock, int64_t *ms)
{
    PyObject *seconds = PyObject_CallObject(clock, NULL);
    bool is_ok = seconds != NULL && seconds_take(seconds, ms);

    Py_XDECREF(seconds);
    return is_ok;
}

static bool enter(struct cache *cache, int64_t *now_ms)
{
    int64_t ms;

    if (cache->clock == NULL)
        ms = system_ms(CLOCK_MONOTONIC);
    else if (!ask(cache->clock, &ms))
        return false;
    if (!cache_check(cache))
        return false;
    if (cache->now_ms < ms)
        cache->now_ms = ms;
    *now_ms = cache->now_ms;
    return true;
}

bool cache_enter(struct cache *cache, int64_t *now_ms)
{
    if (!enter(cache, now_ms))
        return false;
    cache->is_used = true;
    return true;
}

static bool wall_time(struct cache *cache, int64_t *ms)
{
    if (cache->wall_clock != NULL)
        return ask(cache->wall_clock, ms);
    *ms = system_ms(CLOCK_REALTIME);
    return true;
}

/* ---- begin and end ---- */

static PyObject *given_or_null(PyObject *object)
{
    if (object == NULL || object == Py_None)
        return NULL;
    Py_INCREF(object);
    return object;
}

static bool clock_is_good(PyObject *clock, const char *name)
{
    if (clock == NULL || clock == Py_None || PyCallable_Check(clock))
        return true;
    PyErr_Format(PyExc_TypeError, "%s is a function that gives seconds, such as time.monotonic", name);
    return false;
}

static PyObject *cache_new(PyTypeObject *type, PyObject *positional, PyObject *named)
{
    static char *names[] = {"memory_bytes", "value_bytes_max", "clock", "wall_clock",
                            "insight",      "huge_pages",      NULL};
    PyObject *memory = NULL, *value_max = NULL, *clock = NULL, *wall_clock = NULL;
    nh_options options = {.size = sizeof options};
    int has_insight = 0, has_huge_pages = 0;
    struct cache *cache;
    nh_result result;

    if (!PyArg_ParseTupleAndKeywords(positional, named, "|O$OOOpp:Cache", names, &memory, &value_max,
                                     &clock, &wall_clock, &has_insight, &has_huge_pages) ||
        (memory != NULL && !whole_take(memory, "memory_bytes", 1, UINT64_MAX, &options.memory_bytes)) ||
        (value_max != NULL && value_max != Py_None &&
         !whole_take(value_max, "value_bytes_max", 1, UINT64_MAX, &options.value_bytes_max)) ||
        !clock_is_good(clock, "clock") || !clock_is_good(wall_clock, "wall_clock"))
        return NULL;
    options.insight_spaces = (uint32_t)has_insight;
    options.huge_pages = (uint32_t)has_huge_pages;
    cache = (struct cache *)type->tp_alloc(type, 0);
    if (cache == NULL)
        return NULL;
    cache->module = module_state_of(type);
    cache->is_closed = true;
    cache->now_ms = INT64_MIN;
    cache->fork_count = fork_count();
    if (cache->module == NULL || !waiting_init(cache)) {
        cache->module = NULL; /* nothing to end */
        Py_DECREF(cache);
        return NULL;
    }
    cache->has_insight = has_insight;
    cache->clock = given_or_null(clock);
    cache->wall_clock = given_or_null(wall_clock);
    result = nh_create(&options, &cache->store);
    if (result == NH_RANGE) {
        PyErr_SetString(PyExc_ValueError,
                        "memory_bytes is 1 MiB to 16 TiB, and 4 MiB at least with insight");
        Py_CLEAR(cache);
    } else if (result != NH_OK) {
        raise_result(cache->module, result);
        Py_CLEAR(cache);
    } else {
        cache->is_closed = false;
    }
    return (PyObject *)cache;
}

static int cache_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct cache *cache = (struct cache *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(cache->clock);
    Py_VISIT(cache->wall_clock);
    return 0;
}

static int drop_references(PyObject *self)
{
    struct cache *cache = (struct cache *)self;

    Py_CLEAR(cache->clock);
    Py_CLEAR(cache->wall_clock);
    return 0;
}

static void cache_dealloc(PyObject *self)
{
    struct cache *cache = (struct cache *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (cache->weak_references != NULL)
        PyObject_ClearWeakRefs(self);
    drop_references(self);
    cache->is_closed = true;
    destroy_if_last(cache);
    if (cache->module != NULL)
        waiting_fini(cache);
    type->tp_free(self);
    Py_DECREF(type);
}

static void shut(struct cache *cache)
{
    cache->is_closed = true;
    if (cache->fork_count == fork_count())
        waiting_tell_all(cache);
}

PyObject *cache_close(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    struct cache *cache = (struct cache *)self;

    if (!cache->is_closed) {
        shut(cache);
        destroy_if_last(cache);
    }
    Py_RETURN_NONE;
}

PyObject *cache___enter__(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    if (!cache_check((struct cache *)self))
        return NULL;
    Py_INCREF(self);
    return self;
}

PyObject *cache___exit__(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    (void)given, (void)given_count, (void)names; /* an exception is the caller's */
    return cache_close(self, NULL);
}

static PyObject *cache_repr(PyObject *self)
{
    struct cache *cache = (struct cache *)self;
    nh_stats stats = {.size = sizeof stats};

    if (cache->is_closed || nh_stats_read(cache->store, &stats) != NH_OK)
        return PyUnicode_FromString("<nuthatch.Cache, closed>");
    return PyUnicode_FromFormat("<nuthatch.Cache of %llu bytes with %llu values>",
                                (unsigned long long)stats.memory_bytes_max,
                                (unsigned long long)stats.items);
}

static PyObject *is_closed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((struct cache *)self)->is_closed);
}

/* ---- warm restarts ---- */

static PyObject *raise_io(struct cache *cache, nh_result result, int system_error, PyObject *path)
{
    if (result == NH_IO || result == NH_MISSING) {
        errno = result == NH_MISSING ? ENOENT : system_error;
        return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    }
    return raise_result(cache->module, result);
}

/* What save() and restore() begin with: the path, the times, and whether nobody is inside. */
struct file_call {
    PyObject *name; /* owned */
    int64_t now_ms, wall_ms;
};

static bool file_call_begin(struct cache *cache, PyObject *path, struct file_call *call)
{
    call->name = NULL;
    if (!PyUnicode_FSConverter(path, &call->name))
        return false;
    if (wall_time(cache, &call->wall_ms) && enter(cache, &call->now_ms))
        return true;
    Py_CLEAR(call->name);
    return false;
}

/* Raises instead of going on. */
static PyObject *file_call_refuse(struct file_call *call, PyObject *error, const char *text)
{
    Py_DECREF(call->name);
    PyErr_SetString(error, text);
    return NULL;
}

PyObject *cache_save(PyObject *self, PyObject *path)
{
    struct cache *cache = (struct cache *)self;
    struct file_call call;
    PyThreadState *thread;
    nh_result result;
    int system_error;

    if (!file_call_begin(cache, path, &call))
        return NULL;
    cache->is_used = true;
    if (cache->users > 0)
        return file_call_refuse(&call, PyExc_BufferError,
                                "the cache cannot be saved while it is in use: release views, drop "
                                "iterators, and let other threads end their calls");
    shut(cache); /* nobody comes in from here on, and a saved store can only be destroyed */
    thread = cache_unlock(cache);
    result = nh_save(cache->store, PyBytes_AS_STRING(call.name), call.now_ms, call.wall_ms);
    system_error = errno;
    cache_lock(cache, thread);
    Py_DECREF(call.name);
    if (result != NH_OK)
        return raise_io(cache, result, system_error, path);
    Py_RETURN_NONE;
}

PyObject *cache_restore(PyObject *self, PyObject *path)
{
    struct cache *cache = (struct cache *)self;
    struct file_call call;
    PyThreadState *thread;
    uint64_t count = 0;
    nh_result result;
    int system_error;

    if (!file_call_begin(cache, path, &call))
        return NULL;
    if (cache->is_used) /* by a clock, perhaps, which may do anything */
        return file_call_refuse(&call, PyExc_ValueError, "restore() is a new cache's first call");
    cache->is_used = true;
    cache->is_restoring = true;
    thread = cache_unlock(cache);
    result = nh_restore(cache->store, PyBytes_AS_STRING(call.name), call.now_ms, call.wall_ms, &count);
    system_error = errno;
    cache_lock(cache, thread);
    cache->is_restoring = false;
    Py_DECREF(call.name);
    if (result != NH_OK)
        return raise_io(cache, result, system_error, path);
    return PyLong_FromUnsignedLongLong(count);
}

/* ---- the type ---- */

#define FAST(name, text)                                                                                   \
    {#name, (PyCFunction)(void (*)(void))cache_##name, METH_FASTCALL | METH_KEYWORDS, text},
#define ONE(name, text)  {#name, cache_##name, METH_O, text},
#define NONE(name, text) {#name, cache_##name, METH_NOARGS, text},
static PyMethodDef methods[] = {
#include "methods.def"
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct cache, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"closed", is_closed, NULL, "Whether it was closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)CACHE_TEXT},
    {Py_tp_new, (void *)cache_new},
    {Py_tp_dealloc, (void *)cache_dealloc},
    {Py_tp_traverse, (void *)cache_traverse},
    {Py_tp_clear, (void *)drop_references},
    {Py_tp_repr, (void *)cache_repr},
    {Py_tp_iter, (void *)cache_iterate},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, properties},
    {Py_mp_length, (void *)cache_length},
    {Py_mp_subscript, (void *)cache_subscript},
    {Py_mp_ass_subscript, (void *)cache_assign},
    {Py_sq_contains, (void *)cache_contains},
    {0, NULL},
};

PyType_Spec cache_spec = {
    .name = "nuthatch.Cache",
    .basicsize = sizeof(struct cache),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};
