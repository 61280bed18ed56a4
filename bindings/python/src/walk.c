/* walk.c — iterators. Nothing is lent between two steps of one: it takes in what a few places of the index
 * have, as Python's objects, and gives that. */
#include "read.h"
#include "waiting.h"

enum shows { SHOWS_KEYS, SHOWS_VALUES, SHOWS_ITEMS };
enum { STEP = 16 }; /* positions */

struct walk {
    PyObject_HEAD struct cache *cache; /* null once over */
    nh_cursor *cursor;
    uint64_t end;
    enum shows shows;
    bool is_busy;    /* in next(), where other code may run: a clock's, a collected object's */
    PyObject *found; /* a list */
    Py_ssize_t next; /* in it */
};

static PyObject *begin(struct cache *cache, enum shows shows)
{
    PyTypeObject *type;
    struct walk *walk;
    nh_result result;

    if (!cache_check(cache))
        return NULL;
    cache->is_used = true;
    type = cache->module->walk_type;
    walk = (struct walk *)type->tp_alloc(type, 0);
    if (walk == NULL)
        return NULL;
    walk->shows = shows;
    walk->found = PyList_New(0);
    if (walk->found == NULL || !cache_check(cache)) { /* again: to allocate may be to collect */
        Py_DECREF(walk);
        return NULL;
    }
    result = nh_cursor_create(cache->store, 0, &walk->cursor);
    if (result != NH_OK) {
        Py_DECREF(walk);
        return raise_result(cache->module, result);
    }
    cache_hold(cache);
    walk->cache = cache;
    return (PyObject *)walk;
}

PyObject *cache_iterate(PyObject *self) { return begin((struct cache *)self, SHOWS_KEYS); }
PyObject *cache_keys(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return begin((struct cache *)self, SHOWS_KEYS);
}
PyObject *cache_values(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return begin((struct cache *)self, SHOWS_VALUES);
}
PyObject *cache_items(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return begin((struct cache *)self, SHOWS_ITEMS);
}

static void end(struct walk *walk)
{
    struct cache *cache = walk->cache;

    if (cache == NULL)
        return;
    walk->cache = NULL;
    nh_cursor_destroy(walk->cursor);
    cache_let_go(cache);
}

/* The cursor's value as bytes, which it goes on lending. */
static PyObject *copy_value(nh_store *store, const nh_value *value)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)value->size);

    if (bytes != NULL)
        value_copy(store, value, PyBytes_AS_STRING(bytes));
    return bytes;
}

static PyObject *show(struct walk *walk, nh_key key, const nh_value *value)
{
    PyObject *name = NULL, *bytes = NULL, *pair;

    if (walk->shows != SHOWS_VALUES) {
        name = PyBytes_FromStringAndSize(key.data, (Py_ssize_t)key.size);
        if (name == NULL || walk->shows == SHOWS_KEYS)
            return name;
    }
    bytes = copy_value(walk->cache->store, value);
    if (bytes == NULL || walk->shows == SHOWS_VALUES) {
        Py_XDECREF(name);
        return bytes;
    }
    pair = PyTuple_Pack(2, name, bytes);
    Py_DECREF(name);
    Py_DECREF(bytes);
    return pair;
}

/* Takes in the next places, until there is something. True with nothing found at the end. */
static bool take_in(struct walk *walk, int64_t now_ms)
{
    nh_result result = NH_MISSING;
    nh_value value;
    nh_key key;

    do {
        walk->end += STEP;
        nh_cursor_narrow(walk->cursor, NH_SPACE_ALL, walk->end);
        while ((result = nh_cursor_next(walk->cursor, now_ms, &key, &value)) == NH_OK) {
            PyObject *shown;
            int failed;
            if (value.traits & NH_VALUE_NEGATIVE)
                continue;
            shown = show(walk, key, &value);
            failed = shown == NULL ? -1 : PyList_Append(walk->found, shown);
            Py_XDECREF(shown);
            if (failed)
                return false;
        }
        if (result != NH_MISSING) {
            raise_result(walk->cache->module, result);
            return false;
        }
    } while (PyList_GET_SIZE(walk->found) == 0 && nh_cursor_position(walk->cursor) != 0);
    return true;
}

static PyObject *next(PyObject *self)
{
    struct walk *walk = (struct walk *)self;
    PyObject *item;
    int64_t now_ms;

    if (walk->cache == NULL)
        return NULL; /* over, and says so again */
    if (walk->is_busy) {
        PyErr_SetString(PyExc_ValueError, "the iterator is at work already");
        return NULL;
    }
    if (walk->next == PyList_GET_SIZE(walk->found)) {
        bool is_whole;
        walk->next = 0;
        walk->is_busy = true;
        is_whole = PyList_SetSlice(walk->found, 0, PyList_GET_SIZE(walk->found), NULL) == 0 &&
                   cache_enter(walk->cache, &now_ms) && take_in(walk, now_ms);
        walk->is_busy = false;
        if (!is_whole || PyList_GET_SIZE(walk->found) == 0) {
            end(walk);
            return NULL;
        }
    }
    item = PyList_GET_ITEM(walk->found, walk->next++);
    Py_INCREF(item);
    return item;
}

static PyObject *itself(PyObject *self)
{
    Py_INCREF(self);
    return self;
}

static int traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((struct walk *)self)->cache);
    return 0;
}

static void dealloc(PyObject *self)
{
    struct walk *walk = (struct walk *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    end(walk);
    Py_XDECREF(walk->found);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_doc,
     (void *)"An iterator over a cache, in no order. What is there from beginning to end is seen."},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_iter, (void *)itself},
    {Py_tp_iternext, (void *)next},
    {0, NULL},
};

PyType_Spec walk_spec = {
    .name = "nuthatch._Walk",
    .basicsize = sizeof(struct walk),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};
