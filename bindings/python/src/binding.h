/* binding.h — what the files of the extension share: the module's state, and a cache as Python sees it.
 *
 * Everything here is called with the GIL held unless it says otherwise, and everything that a cache has is
 * guarded by it; only cache_unlock … cache_lock is outside. Functions that return a pointer or a bool
 * return NULL or false with an exception set. */
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <nuthatch.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* What the library works at without a copy or a wait to speak of is done with the GIL held: letting it go
 * and taking it again costs as much. */
#define COPY_BYTES_WITH_GIL ((size_t)32 << 10)

struct module_state {
    PyTypeObject *cache_type, *pin_type, *walk_type, *entry_type, *fetched_type, *stats_type;
    PyObject *error, *too_large, *full, *corrupt;
};

/* The state of the module that made `type`, or that made what `type` is derived from. */
struct module_state *module_state_of(PyTypeObject *type);

/* Sets the exception for a result that is no answer: never NH_OK or NH_MISSING. Returns NULL. */
PyObject *raise_result(struct module_state *module, nh_result result);

enum { WAITING_STRIPES = 16 };

/* Where callers wait who want a key of this stripe that somebody else is computing: waiting.h. */
struct waiting {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t change_count; /* written with the mutex and the GIL held: read with either */
    unsigned waiting_count;
};

struct load;

struct cache {
    PyObject_HEAD nh_store *store; /* null once destroyed */
    struct module_state *module;
    PyObject *clock, *wall_clock; /* null: the system's */
    PyObject *weak_references;
    int64_t now_ms; /* the latest: no clock goes back */
    bool is_closed; /* to callers; the store stays until its last user has left */
    bool has_insight;
    bool is_restoring;      /* and nobody else may be inside */
    bool is_used;           /* nh_restore has to come first */
    Py_ssize_t users;       /* calls without the GIL, pins and walks */
    Py_ssize_t unlocked;    /* of them, calls without the GIL */
    uint64_t fork_count;    /* fork_count() when it was looked at last */
    struct load *loads;     /* under way */
    unsigned waiting_count; /* of all stripes */
    struct waiting waiting[WAITING_STRIPES];
};

/* Begins a call: is the cache open, and what time is it? Runs the caller's clock, which may do anything;
 * whatever was checked before has to be checked again. */
bool cache_enter(struct cache *cache, int64_t *now_ms);

/* The same without a clock. */
bool cache_check(struct cache *cache);

/* Keeps the store while something of it is held beyond a call; and no longer. */
void cache_hold(struct cache *cache);
void cache_let_go(struct cache *cache);

/* Between the two the GIL is not held, and the store stays. */
PyThreadState *cache_unlock(struct cache *cache);
void cache_lock(struct cache *cache, PyThreadState *thread);

/* How often this process came out of a fork, and the only thread that did, as of
 * PyThread_get_thread_ident(). */
uint64_t fork_count(void);
unsigned long fork_thread(void);
bool fork_watch(void);

/* In the child of a fork: ends the loads and leases that the parent's other threads are at. */
void loads_end_after_fork(struct cache *cache);

/* The methods of a cache, each in the file of its subject. */
#define FAST(name, text)                                                                                   \
    PyObject *cache_##name(PyObject *self, PyObject *const *given, Py_ssize_t given_count, PyObject *names);
#define ONE(name, text)  PyObject *cache_##name(PyObject *self, PyObject *argument);
#define NONE(name, text) PyObject *cache_##name(PyObject *self, PyObject *nothing);
#include "methods.def"
#undef FAST
#undef ONE
#undef NONE
PyObject *cache_subscript(PyObject *self, PyObject *key);
int cache_contains(PyObject *self, PyObject *key);
int cache_assign(PyObject *self, PyObject *key, PyObject *value); /* a null value: del */
Py_ssize_t cache_length(PyObject *self);
PyObject *cache_iterate(PyObject *self);

/* What the types are made of. */
extern PyType_Spec cache_spec, pin_spec, walk_spec;
extern PyStructSequence_Desc entry_description, fetched_description, stats_description;
