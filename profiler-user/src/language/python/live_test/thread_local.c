/* A library with what the analysis needs of CPython 3.15: `_PyRuntime`, and `PyGILState_GetThisThreadState`, which returns
 * a thread-local pointer. Built by live_test/thread_local.rs in every TLS model; holder.c uses it. */
__attribute__((visibility("default"))) char _PyRuntime[1024] = {1};

/* More than glibc has room for next to the variables of the program makes it allocate a block per thread. */
#ifndef FILLER
#define FILLER 3
#endif
static _Thread_local long filler[FILLER] = {1, 2, 3};
static _Thread_local void *_Py_tss_gilstate;

__attribute__((visibility("default"))) void *PyGILState_GetThisThreadState(void) { return _Py_tss_gilstate; }

__attribute__((visibility("default"))) void *set_thread_state(void *state) {
    filler[1]++;
    return _Py_tss_gilstate = state;
}
