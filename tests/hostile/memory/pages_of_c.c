/* pages_of_c WHAT FILE: a program that is no interpreter, so that whoever looks for one reads what the dynamic linker says, of
 * which a page of FILE lies over a part: `dynamic`, `r-debug` or `link-map`. x86-64. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern ElfW(Dyn) _DYNAMIC[];

static long call(long number, long one, long two, long three)
{
    long result;
    asm volatile("syscall" : "=a"(result) : "0"(number), "D"(one), "S"(two), "d"(three) : "rcx", "r11", "memory");
    return result;
}

int main(int argc, char **argv)
{
    int fd = argc == 3 ? open(argv[2], O_RDONLY) : -1;
    if (fd < 0) {
        perror("open");
        return 1;
    }
    unsigned long page = (unsigned long)_r_debug.r_map;
    if (!strcmp(argv[1], "r-debug"))
        page = (unsigned long)&_r_debug;
    if (!strcmp(argv[1], "dynamic"))
        for (ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag; entry++)
            if (entry->d_tag == DT_DEBUG)
                page = (unsigned long)&entry->d_un;
    if (mmap((void *)(page & -4096ul), 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
        call(SYS_exit_group, 2, 0, 0);
    char text[] = {'r', 'e', 'a', 'd', 'y', '\n'};
    call(SYS_write, 1, (long)text, sizeof text);
    struct { long seconds, nanoseconds; } pause = {1, 0};
    for (;;)
        call(SYS_nanosleep, (long)&pause, 0, 0);
}
