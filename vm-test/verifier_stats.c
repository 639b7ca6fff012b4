/* Preloaded into pyebpf by the guest: says how many instructions the verifier looked at in each program, which kernels
 * before 5.16 tell in the verifier's log only (log level 4, 5.2), and aya does not show the log of a program that loads. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

enum { STATISTICS = 4 };

long syscall(long number, ...)
{
    static long (*next)(long, ...);
    static char log[4096];
    va_list list;
    long argument[6];

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        argument[i] = va_arg(list, long);
    va_end(list);
    if (!next)
        next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    union bpf_attr *attr = (union bpf_attr *)argument[1];
    int is_load = number == SYS_bpf && argument[0] == BPF_PROG_LOAD && attr->log_level == 0;
    if (is_load) {
        log[0] = 0;
        attr->log_level = STATISTICS;
        attr->log_size = sizeof log;
        attr->log_buf = (uintptr_t)log;
    }
    long result = next(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
    if (is_load) {
        const char *count = strstr(log, "processed ");
        if (result >= 0 && count)
            fprintf(stderr, "verifier: %.15s: %.*s\n", attr->prog_name, (int)strcspn(count, "\n"), count);
        attr->log_level = 0;
        attr->log_size = 0;
        attr->log_buf = 0;
    }
    return result;
}
