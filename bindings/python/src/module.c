/* module.c — the module: its types and errors, in every interpreter its own. */
#include "binding.h"
#include <string.h>

static struct PyModuleDef definition;

struct module_state *module_state_of(PyTypeObject *type)
{
    for (; type != NULL; type = type->tp_base) {
        PyObject *module;
        if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE))
            continue;
        module = ((PyHeapTypeObject *)type)->ht_module;
        if (module != NULL && PyModule_GetDef(module) == &definition)
            return PyModule_GetState(module);
    }
    PyErr_SetString(PyExc_SystemError, "not a type of nuthatch's");
    return NULL;
}

PyObject *raise_result(struct module_state *module, nh_result result)
{
    const char *text = nh_result_text(result);

    switch (result) {
    case NH_TYPE: PyErr_SetString(PyExc_ValueError, "the value is not a decimal number"); break;
    case NH_RANGE: PyErr_SetString(PyExc_OverflowError, "the sum does not fit into 64 bits"); break;
    case NH_TOO_LARGE: PyErr_SetString(module->too_large, text); break;
    case NH_FULL: PyErr_SetString(module->full, text); break;
    case NH_NO_MEMORY: PyErr_NoMemory(); break;
    case NH_CORRUPT: PyErr_SetString(module->corrupt, text); break;
    default: PyErr_SetString(module->error, text); break;
    }
    return NULL;
}

static PyObject *add_error(PyObject *module, const char *name, const char *text, PyObject *base)
{
    char full_name[64];
    PyObject *error;

    snprintf(full_name, sizeof full_name, "nuthatch.%s", name);
    error = PyErr_NewExceptionWithDoc(full_name, text, base, NULL);
    if (error == NULL)
        return NULL;
    Py_INCREF(error);
    if (PyModule_AddObject(module, name, error) != 0) { /* which takes one reference if it is done */
        Py_DECREF(error);
        Py_CLEAR(error);
    }
    return error;
}

static bool add_errors(PyObject *module, struct module_state *state)
{
    PyObject *bases;

    state->error = add_error(module, "Error", "What a cache could not do.", NULL);
    if (state->error == NULL)
        return false;
    bases = PyTuple_Pack(2, state->error, PyExc_ValueError);
    if (bases == NULL)
        return false;
    state->too_large = add_error(module, "TooLarge", "The key or the value is above the maximum.", bases);
    state->corrupt =
        add_error(module, "Corrupt",
                  "The file is none of save()'s, of another version, damaged, or from the future.", bases);
    Py_DECREF(bases);
    state->full =
        add_error(module, "Full", "No room could be made: views keep too much of the memory. Release some.",
                  state->error);
    return state->too_large != NULL && state->corrupt != NULL && state->full != NULL;
}

static PyTypeObject *new_type(PyObject *module, PyType_Spec *spec, bool is_shown)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);

    if (type != NULL && is_shown && PyModule_AddType(module, type) != 0)
        Py_CLEAR(type);
    return type;
}

static PyTypeObject *new_sequence(PyObject *module, PyStructSequence_Desc *description)
{
    PyTypeObject *type = PyStructSequence_NewType(description);

    if (type != NULL && PyModule_AddType(module, type) != 0)
        Py_CLEAR(type);
    return type;
}

/* Before anything else of the library is called: structs may be others there. */
static bool check_library(void)
{
    if (nh_abi_version() == NH_ABI_VERSION)
        return true;
    PyErr_Format(PyExc_ImportError,
                 "this libnuthatch has interface %u, and nuthatch for Python was built for %u: install the "
                 "same version of both",
                 nh_abi_version(), NH_ABI_VERSION);
    return false;
}

static int execute(PyObject *module)
{
    struct module_state *state = PyModule_GetState(module);

    if (!check_library() || !fork_watch() || !add_errors(module, state))
        return -1;
    state->cache_type = new_type(module, &cache_spec, true);
    state->pin_type = new_type(module, &pin_spec, false);
    state->walk_type = new_type(module, &walk_spec, false);
    state->entry_type = new_sequence(module, &entry_description);
    state->fetched_type = new_sequence(module, &fetched_description);
    state->stats_type = new_sequence(module, &stats_description);
    if (state->cache_type == NULL || state->pin_type == NULL || state->walk_type == NULL ||
        state->entry_type == NULL || state->fetched_type == NULL || state->stats_type == NULL)
        return -1;
    return PyModule_AddStringConstant(module, "__version__", nh_version());
}

/* What the state holds. */
#define HELD(X)                                                                                            \
    X(cache_type)                                                                                          \
    X(pin_type)                                                                                            \
    X(walk_type) X(entry_type) X(fetched_type) X(stats_type) X(error) X(too_large) X(full) X(corrupt)

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    struct module_state *state = PyModule_GetState(module);

#define X(name) Py_VISIT(state->name);
    HELD(X)
#undef X
    return 0;
}

static int clear(PyObject *module)
{
    struct module_state *state = PyModule_GetState(module);

#define X(name) Py_CLEAR(state->name);
    HELD(X)
#undef X
    return 0;
}

static void free_module(void *module) { clear(module); }

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "nuthatch._nuthatch",
    .m_doc = "libnuthatch: a concurrent cache of bytes by bytes.",
    .m_size = sizeof(struct module_state),
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = free_module,
};

PyMODINIT_FUNC PyInit__nuthatch(void);
PyMODINIT_FUNC PyInit__nuthatch(void) { return PyModuleDef_Init(&definition); }
