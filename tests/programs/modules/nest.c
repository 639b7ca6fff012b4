/* A C extension of known call depth, for the tests of merged stacks: `call` goes through outer_3, outer_2 and outer_1 back
 * into Python, `burn` through leaf_2 and leaf_1 to spin, which burns CPU. Functions with and without frame pointers take
 * turns, and those without leave nonsense in the register. For every CPython from 2.7 on; GCC. */

#include <Python.h>
#include <time.h>

#define WITH_FRAME_POINTER __attribute__((noinline, noclone, optimize("no-omit-frame-pointer")))
#define WITHOUT_FRAME_POINTER __attribute__((noinline, noclone, optimize("omit-frame-pointer")))
/* After a call, so that it is not turned into a jump. */
#define NO_TAIL_CALL __asm__ volatile("" ::: "memory")
#ifdef __x86_64__
#define SPOIL_FRAME_POINTER __asm__ volatile("xor %%ebp, %%ebp" ::: "rbp", "cc", "memory")
#else
#define SPOIL_FRAME_POINTER NO_TAIL_CALL
#endif

/* Iterations between two looks at the clock: some 0.2 ms. */
#define SPINS 200000

PyObject *outer_1(PyObject *callable);
PyObject *outer_2(PyObject *callable);
PyObject *outer_3(PyObject *callable);
unsigned long spin(unsigned long value);
unsigned long leaf_1(double end);
unsigned long leaf_2(double end);

WITHOUT_FRAME_POINTER PyObject *outer_1(PyObject *callable)
{
    SPOIL_FRAME_POINTER;
    PyObject *result = PyObject_CallObject(callable, NULL);
    NO_TAIL_CALL;
    return result;
}

WITH_FRAME_POINTER PyObject *outer_2(PyObject *callable)
{
    PyObject *result = outer_1(callable);
    NO_TAIL_CALL;
    return result;
}

WITHOUT_FRAME_POINTER PyObject *outer_3(PyObject *callable)
{
    SPOIL_FRAME_POINTER;
    PyObject *result = outer_2(callable);
    NO_TAIL_CALL;
    return result;
}

static PyObject *nest_call(PyObject *self, PyObject *callable)
{
    (void)self;
    PyObject *result = outer_3(callable);
    NO_TAIL_CALL;
    return result;
}

/* CPU seconds of this thread. */
static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* A leaf: no frame, no call. */
WITHOUT_FRAME_POINTER unsigned long spin(unsigned long value)
{
    for (int i = 0; i < SPINS; i++)
        __asm__ volatile("" : "+r"(value));
    return value;
}

WITH_FRAME_POINTER unsigned long leaf_1(double end)
{
    unsigned long value = 0;
    while (now() < end)
        value += spin(value);
    return value;
}

WITHOUT_FRAME_POINTER unsigned long leaf_2(double end)
{
    SPOIL_FRAME_POINTER;
    unsigned long value = leaf_1(end);
    NO_TAIL_CALL;
    return value;
}

static PyObject *nest_burn(PyObject *self, PyObject *seconds)
{
    (void)self;
    double duration = PyFloat_AsDouble(seconds);
    if (duration == -1.0 && PyErr_Occurred())
        return NULL;
    leaf_2(now() + duration);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"call", nest_call, METH_O, "Calls what it gets, without arguments."},
    {"burn", nest_burn, METH_O, "Burns so many CPU seconds."},
    {NULL, NULL, 0, NULL},
};

#if PY_MAJOR_VERSION >= 3
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "nest", NULL, -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_nest(void)
{
    PyObject *made = PyModule_Create(&module);
#ifdef Py_GIL_DISABLED
    if (made)
        PyUnstable_Module_SetGIL(made, Py_MOD_GIL_NOT_USED);
#endif
    return made;
}
#else
PyMODINIT_FUNC initnest(void)
{
    Py_InitModule("nest", methods);
}
#endif
