/* pin.c — see pin.h. A pin is what a memoryview is a view of: it ends when the last view of it is released.
 */
#include "pin.h"

struct pin {
    PyObject_HEAD struct cache *cache; /* null once released */
    nh_value value;
    Py_ssize_t views;
};

static void release(struct pin *pin)
{
    struct cache *cache = pin->cache;

    if (cache == NULL)
        return;
    pin->cache = NULL;
    nh_release(cache->store, &pin->value);
    cache_let_go(cache);
}

PyObject *pin_view(struct cache *cache, nh_value *value)
{
    PyTypeObject *type = cache->module->pin_type;
    struct pin *pin;
    PyObject *view;

    cache_hold(cache); /* first: to allocate may be to collect, which runs anybody's code */
    pin = (struct pin *)type->tp_alloc(type, 0);
    if (pin == NULL) {
        nh_release(cache->store, value);
        cache_let_go(cache);
        return NULL;
    }
    pin->cache = cache;
    pin->value = *value;
    view = PyMemoryView_FromObject((PyObject *)pin);
    Py_DECREF(pin);
    return view;
}

static int get_buffer(PyObject *self, Py_buffer *buffer, int wants)
{
    struct pin *pin = (struct pin *)self;
    void *data = pin->value.bytes.size > 0 ? (void *)(uintptr_t)pin->value.bytes.data : (void *)pin;

    if (pin->cache == NULL) {
        buffer->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "the value was released");
        return -1;
    }
    if (PyBuffer_FillInfo(buffer, self, data, (Py_ssize_t)pin->value.bytes.size, 1, wants) != 0)
        return -1;
    pin->views++;
    return 0;
}

static void release_buffer(PyObject *self, Py_buffer *Py_UNUSED(buffer))
{
    struct pin *pin = (struct pin *)self;

    if (--pin->views == 0)
        release(pin);
}

static int traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((struct pin *)self)->cache);
    return 0;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    release((struct pin *)self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)"A value that is lent to memoryviews."},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_bf_getbuffer, (void *)get_buffer},
    {Py_bf_releasebuffer, (void *)release_buffer},
    {0, NULL},
};

PyType_Spec pin_spec = {
    .name = "nuthatch._Pin",
    .basicsize = sizeof(struct pin),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};
