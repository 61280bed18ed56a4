/* arguments.c — see arguments.h */
#include "arguments.h"
#include <math.h>
#include <string.h>

static const double SECONDS_MAX = 1e12;

/* ---- methods ---- */

static bool take_named(const char *method, struct argument *arguments, size_t count, PyObject *name,
                       PyObject *value)
{
    for (size_t i = 0; i < count; i++) {
        if (PyUnicode_CompareWithASCIIString(name, arguments[i].name) != 0)
            continue;
        if (arguments[i].value != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got '%U' twice", method, name);
            return false;
        }
        arguments[i].value = value;
        return true;
    }
    PyErr_Format(PyExc_TypeError, "%s() has no argument called '%U'", method, name);
    return false;
}

bool arguments_take(const char *method, struct argument *arguments, size_t count, size_t positional_count,
                    size_t required_count, PyObject *const *given, Py_ssize_t given_count, PyObject *names)
{
    if ((size_t)given_count > positional_count) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zu positional arguments, and got %zd", method,
                     positional_count, given_count);
        return false;
    }
    for (Py_ssize_t i = 0; i < given_count; i++)
        arguments[i].value = given[i];
    for (Py_ssize_t i = 0; names != NULL && i < PyTuple_GET_SIZE(names); i++)
        if (!take_named(method, arguments, count, PyTuple_GET_ITEM(names, i), given[given_count + i]))
            return false;
    for (size_t i = 0; i < required_count; i++)
        if (arguments[i].value == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() wants '%s'", method, arguments[i].name);
            return false;
        }
    return true;
}

/* ---- keys and values ---- */

static bool text_take(PyObject *object, const char *what, nh_bytes *bytes)
{
    if (PyBytes_Check(object)) {
        *bytes = (nh_bytes){PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object)};
        return true;
    }
    if (PyUnicode_Check(object)) {
        Py_ssize_t size;
        const char *data = PyUnicode_AsUTF8AndSize(object, &size); /* kept with the object */
        *bytes = (nh_bytes){data, (size_t)size};
        return data != NULL;
    }
    PyErr_Format(PyExc_TypeError, "a %s is bytes or str, not %.100s", what, Py_TYPE(object)->tp_name);
    return false;
}

bool key_take(PyObject *object, nh_key *key)
{
    nh_bytes bytes;

    if (!text_take(object, "key", &bytes))
        return false;
    *key = (nh_key){.data = bytes.data, .size = bytes.size};
    return true;
}

bool tag_take(PyObject *object, nh_bytes *tag) { return text_take(object, "tag", tag); }

bool value_take(PyObject *object, Py_buffer *value)
{
    if (!PyObject_CheckBuffer(object)) {
        PyErr_Format(PyExc_TypeError, "a value is bytes or another buffer, not %.100s%s",
                     Py_TYPE(object)->tp_name, PyUnicode_Check(object) ? ": encode it" : "");
        return false;
    }
    return PyObject_GetBuffer(object, value, PyBUF_SIMPLE) == 0;
}

/* ---- numbers and times ---- */

/* What a timedelta is in seconds; NULL without an exception for what is none. */
static PyObject *total_seconds(PyObject *object)
{
    PyObject *name = PyUnicode_InternFromString("total_seconds"), *total = NULL;

    if (name != NULL && PyObject_HasAttr(object, name))
        total = PyObject_CallMethodNoArgs(object, name);
    Py_XDECREF(name);
    return total;
}

static bool number_of_seconds(PyObject *object, double *seconds)
{
    PyObject *total = NULL;

    if (!PyFloat_Check(object) && !PyLong_Check(object)) {
        total = total_seconds(object);
        if (total == NULL && PyErr_Occurred())
            return false;
        object = total != NULL ? total : object;
    }
    *seconds = PyFloat_AsDouble(object);
    Py_XDECREF(total);
    if (*seconds == -1 && PyErr_Occurred())
        return false;
    if (!(fabs(*seconds) <= SECONDS_MAX)) { /* or not a number */
        PyErr_SetString(PyExc_ValueError, "a time is a number of seconds, at most 1e12");
        return false;
    }
    return true;
}

bool seconds_take(PyObject *object, int64_t *ms)
{
    double seconds;

    if (!number_of_seconds(object, &seconds))
        return false;
    *ms = (int64_t)llround(seconds * 1000);
    return true;
}

bool ttl_take(PyObject *object, int64_t *ttl_ms)
{
    double seconds;

    if (object == NULL || object == Py_None) {
        *ttl_ms = 0;
        return true;
    }
    if (!number_of_seconds(object, &seconds))
        return false;
    *ttl_ms = (int64_t)llround(seconds * 1000);
    if (*ttl_ms == 0) /* a moment that is rounded away is no end of time; no time at all is over */
        *ttl_ms = seconds > 0 ? 1 : -1;
    return true;
}

bool whole_take(PyObject *object, const char *name, long long low, unsigned long long high,
                uint64_t *number)
{
    int overflow;
    long long small;
    PyObject *index = PyNumber_Index(object);
    unsigned long long large;

    if (index == NULL)
        return false;
    small = PyLong_AsLongLongAndOverflow(index, &overflow);
    large = (unsigned long long)small;
    if (overflow > 0) {
        large = PyLong_AsUnsignedLongLong(index);
        if (PyErr_Occurred())
            PyErr_Clear();
        else
            overflow = 0, small = LLONG_MAX; /* it is above `low` */
    }
    Py_DECREF(index);
    if (overflow != 0 || small < low || (small >= 0 && large > high)) {
        PyErr_Format(PyExc_OverflowError, "%s is a number from %lld to %llu", name, low, high);
        return false;
    }
    *number = large;
    return true;
}

/* ---- how a value is put ---- */

static bool tags_take(PyObject *tags, struct put *put)
{
    if (PyBytes_Check(tags) || PyUnicode_Check(tags)) /* one tag, not one for each letter */
        put->tags = PyTuple_Pack(1, tags);
    else
        put->tags = PySequence_Tuple(tags);
    if (put->tags == NULL)
        return false;
    if ((size_t)PyTuple_GET_SIZE(put->tags) > NH_TAGS_MAX) {
        PyErr_Format(PyExc_ValueError, "a value has %u tags at most", NH_TAGS_MAX);
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(put->tags); i++)
        if (!text_take(PyTuple_GET_ITEM(put->tags, i), "tag", &put->names[i]))
            return false;
    put->options.tags = put->names;
    put->options.tag_count = (size_t)PyTuple_GET_SIZE(put->tags);
    return true;
}

bool put_take(const struct argument *arguments, struct put *put)
{
    PyObject *tags = arguments[PUT_TAGS].value, *flags = arguments[PUT_FLAGS].value;
    uint64_t number = 0;

    put->options = (nh_put_options){.size = sizeof put->options};
    put->tags = NULL;
    if (!ttl_take(arguments[PUT_TTL].value, &put->options.ttl_ms) ||
        !ttl_take(arguments[PUT_SOFT_TTL].value, &put->options.soft_ttl_ms) ||
        (flags != NULL && !whole_take(flags, "flags", 0, UINT32_MAX, &number)))
        return false;
    put->options.flags = (uint32_t)number;
    if (tags != NULL && tags != Py_None && !tags_take(tags, put)) {
        put_release(put);
        return false;
    }
    return true;
}

void put_release(struct put *put) { Py_CLEAR(put->tags); }
