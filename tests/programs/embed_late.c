/* A program that opens libpython when it has long been running: its executable says nothing of Python, and no exec follows
 * the mapping. Its arguments are those of python. Compiled by `cargo xtask pythons` with PYTHON_HOME and
 * PYTHON_LIBRARY. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Seconds of CPU time before the library is opened. */
#define BEFORE 0.3

int main(int argc, char **argv)
{
    while ((double)clock() / CLOCKS_PER_SEC < BEFORE)
        ;
    setenv("PYTHONHOME", PYTHON_HOME, 1);
    /* Extension modules of Python find its functions globally. */
    void *library = dlopen(PYTHON_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*run)(int, char **) = (int (*)(int, char **))dlsym(library, "Py_BytesMain");
    if (!run) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    return run(argc, argv);
}
