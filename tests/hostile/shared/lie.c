/* Functions for `attack.py` that put memory into a state in which no Python could go on, and stay in C from then on.
 * Half of the time on the CPU, so that they are met there; every call of the kernel without the C library, whose own data may
 * be on a page that is gone. x86-64. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static long call(long number, long one, long two, long three)
{
    long result;
    asm volatile("syscall" : "=a"(result) : "0"(number), "D"(one), "S"(two), "d"(three) : "rcx", "r11", "memory");
    return result;
}

static void announce(void)
{
    static const char text[] = "ready\n";
    char on_stack[sizeof text];
    for (unsigned i = 0; i < sizeof text; i++)
        on_stack[i] = text[i];
    call(SYS_write, 1, (long)on_stack, sizeof text - 1);
}

static void for_ever(void)
{
    struct { long seconds, nanoseconds; } pause;
    for (;;) {
        for (long i = 0; i < 2000000; i++)
            asm volatile("");
        pause.seconds = 0;
        pause.nanoseconds = 1000000;
        call(SYS_nanosleep, (long)&pause, 0, 0);
    }
}

/* Writes each pair of address and value. */
void lie(const uint64_t *pairs, long count)
{
    for (long i = 0; i < count; i++)
        *(volatile uint64_t *)pairs[2 * i] = pairs[2 * i + 1];
    announce();
    for_ever();
}

/* Writes to each address its two values in turn. */
void waver(const uint64_t *triples, long count)
{
    announce();
    for (long round = 0;; round++)
        for (long i = 0; i < count; i++)
            *(volatile uint64_t *)triples[3 * i] = triples[3 * i + 1 + (round & 1)];
}

/* Lays a page of a file over a page of this process. */
void cover(void *page, int fd)
{
    if (mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
        call(SYS_exit_group, 3, 0, 0);
    announce();
    for_ever();
}

/* Gives a page back, and lets whoever needs it wait for this process, which never answers. */
void withhold(void *page, long flags)
{
    int fd = (int)syscall(SYS_userfaultfd, flags);
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register range = {.range = {(uint64_t)page, 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api)) {
        perror("userfaultfd");
        _exit(3);
    }
    /* Only anonymous memory can be kept back. */
    if (mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
        || call(SYS_ioctl, fd, UFFDIO_REGISTER, (long)&range))
        call(SYS_exit_group, 4, 0, 0);
    announce();
    for_ever();
}

/* Nothing but the loop. */
void stay(void)
{
    announce();
    for_ever();
}
