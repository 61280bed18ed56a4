/* arguments.h — what callers pass, as the library wants it. */
#pragma once
#include "binding.h"

/* One argument of a method; `value` is null while it was not given. None is given. */
struct argument {
    const char *name;
    PyObject *value; /* borrowed from the caller */
};

/* Sorts what a METH_FASTCALL | METH_KEYWORDS method was given. The first `positional_count` may be given
 * by position, and of them the first `required_count` must be given. TypeError. */
bool arguments_take(const char *method, struct argument *arguments, size_t count, size_t positional_count,
                    size_t required_count, PyObject *const *given, Py_ssize_t given_count, PyObject *names);

/* A key: bytes, or str as UTF-8. It is good as long as `object` is. */
bool key_take(PyObject *object, nh_key *key);

/* A tag, in the same way. */
bool tag_take(PyObject *object, nh_bytes *tag);

/* A value: whatever has a buffer. Release it. */
bool value_take(PyObject *object, Py_buffer *value);

/* Seconds, as int, float or timedelta, in milliseconds to the nearest. ValueError beyond 10^12 s. */
bool seconds_take(PyObject *object, int64_t *ms);

/* The same as a time to live: None is 0, without end; nothing left is negative, and the least is 1 ms. */
bool ttl_take(PyObject *object, int64_t *ttl_ms);

/* A whole number from `low` to `high`. OverflowError, TypeError. */
bool whole_take(PyObject *object, const char *name, long long low, unsigned long long high,
                uint64_t *number);

/* How a value is put: from the arguments called ttl, soft_ttl, tags and flags, which are four in a row. */
struct put {
    nh_put_options options;
    PyObject *tags; /* owned: what `names` lie in */
    nh_bytes names[NH_TAGS_MAX];
};
enum { PUT_TTL, PUT_SOFT_TTL, PUT_TAGS, PUT_FLAGS, PUT_ARGUMENTS };
#define PUT_NAMES                                                                                          \
    {"ttl", NULL}, {"soft_ttl", NULL}, {"tags", NULL}, { "flags", NULL }
bool put_take(const struct argument *arguments, struct put *put);
void put_release(struct put *put);
