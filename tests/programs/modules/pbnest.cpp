// A pybind11 module between two Python functions, for the tests of merged stacks.

#include <pybind11/pybind11.h>

// Made and destroyed around each call, so that none is turned into a jump.
struct Guard {
    ~Guard() { __asm__ volatile("" ::: "memory"); }
};

__attribute__((noinline)) void pb_inner(const pybind11::object &callable)
{
    Guard guard;
    callable();
}

__attribute__((noinline)) void pb_outer(const pybind11::object &callable)
{
    Guard guard;
    pb_inner(callable);
}

#ifdef Py_GIL_DISABLED
PYBIND11_MODULE(pbnest, module, pybind11::mod_gil_not_used())
#else
PYBIND11_MODULE(pbnest, module)
#endif
{
    module.def("call", &pb_outer);
}
