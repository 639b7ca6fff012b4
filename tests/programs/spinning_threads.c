/* spinning_threads COUNT: that many threads that want a CPU without a pause, until standard input ends. Prints a line once they
 * are there. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *spin(void *nothing)
{
    for (;;)
        __asm__ volatile("");
    return nothing;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 16);
    for (int i = 0; i < atoi(argv[1]); i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, spin, NULL))
            return 1;
    }
    puts("there");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    _exit(0);
}
