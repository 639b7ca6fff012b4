/* A program that is not Python, takes 40 thread keys, and only then loads a libpython by dlopen and runs a script in it.
 * Built and run by live_test/discovery.rs: embed LIBPYTHON SCRIPT; each step waits for a line on standard input. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

int main(int argc, char **argv) {
    char line[16];
    pthread_key_t key;
    if (argc != 3)
        return 2;
    for (int count = 0; count < 40; count++)
        if (pthread_key_create(&key, NULL))
            return 3;
    puts("not Python yet");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return 4;
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    if (!library)
        return fprintf(stderr, "%s\n", dlerror()), 5;
    void (*initialize)(void) = (void (*)(void))dlsym(library, "Py_Initialize");
    int (*run)(FILE *, const char *) = (int (*)(FILE *, const char *))dlsym(library, "PyRun_SimpleFile");
    if (!initialize || !run)
        return 6;
    initialize();
    FILE *script = fopen(argv[2], "r");
    return script ? run(script, argv[2]) : 7;
}
