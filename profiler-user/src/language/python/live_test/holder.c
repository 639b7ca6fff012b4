/* Two threads that set the thread state of thread_local.c, and one that never does. Prints for each its thread pointer
 * and its thread state, then waits. With an argument the library is loaded from there by dlopen, after the last thread
 * was started. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#ifdef LINKED
void *set_thread_state(void *);
#else
static void *(*set_thread_state)(void *);
#endif

static void *thread_pointer(void) {
    void *pointer;
#if defined(__x86_64__)
    __asm__("mov %%fs:0, %0" : "=r"(pointer));
#else
    __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
#endif
    return pointer;
}

static void *without_state(void *unused) {
    printf("%lu 0\n", (unsigned long)thread_pointer());
    fflush(stdout);
    pause();
    return unused;
}

static void *with_state(void *state) {
    printf("%lu %lu\n", (unsigned long)thread_pointer(), (unsigned long)set_thread_state(state));
    fflush(stdout);
    pause();
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, without_state, NULL))
        return 2;
    sleep(0);
#ifndef LINKED
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    set_thread_state = library ? (void *(*)(void *))dlsym(library, "set_thread_state") : NULL;
    if (!set_thread_state)
        return fprintf(stderr, "%s\n", dlerror()), 3;
#endif
    if (pthread_create(&thread, NULL, with_state, (void *)0x1111))
        return 4;
    with_state((void *)0x2222);
    return argc < 1 || !argv;
}
