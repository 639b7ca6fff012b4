// A C++ extension whose work is done in functions that the compiler is told to inline, for the tests of merged stacks: burn ->
// shapes::total -> shapes::area_of (inlined) -> shapes::Square::area (inlined). For every CPython from 2.7 on.

#include <Python.h>
#include <time.h>

namespace shapes {

// CPU seconds of this thread.
static double now()
{
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

struct Square {
    unsigned long side;

    __attribute__((always_inline)) inline unsigned long area() const
    {
        unsigned long value = side;
        for (int i = 0; i < 200000; i++)
            __asm__ volatile("" : "+r"(value));
        return value * side;
    }
};

template <class Shape> __attribute__((always_inline)) inline unsigned long area_of(const Shape &shape)
{
    return shape.area() + 1;
}

__attribute__((noinline)) unsigned long total(double end)
{
    unsigned long sum = 0;
    while (now() < end)
        sum += area_of(Square{sum});
    return sum;
}

} // namespace shapes

static PyObject *burn(PyObject *, PyObject *seconds)
{
    double duration = PyFloat_AsDouble(seconds);
    if (duration == -1.0 && PyErr_Occurred())
        return nullptr;
    return PyLong_FromUnsignedLong(shapes::total(shapes::now() + duration));
}

static PyMethodDef methods[] = {
    {"burn", burn, METH_O, "Burns so many CPU seconds."},
    {nullptr, nullptr, 0, nullptr},
};

#if PY_MAJOR_VERSION >= 3
static PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "inlines", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr,
};

PyMODINIT_FUNC PyInit_inlines(void)
{
    PyObject *made = PyModule_Create(&module);
#ifdef Py_GIL_DISABLED
    if (made)
        PyUnstable_Module_SetGIL(made, Py_MOD_GIL_NOT_USED);
#endif
    return made;
}
#else
PyMODINIT_FUNC initinlines(void)
{
    Py_InitModule("inlines", methods);
}
#endif
