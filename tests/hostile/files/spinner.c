/* spinner: a program with the symbols of an interpreter, busy half of the time. */
#include <time.h>
#include <unistd.h>

char _PyRuntime[65536] = "xdebugpy";
const char version[] = "3.13.0 (main, Oct  7 2024, 05:02:14) [GCC]";

__attribute__((noinline)) void _PyEval_EvalFrameDefault(void)
{
    for (long i = 0; i < 2000000; i++)
        asm volatile("");
}

int main(void)
{
    if (write(1, "ready\n", 6) < 0)
        return 1;
    for (;;) {
        _PyEval_EvalFrameDefault();
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}
