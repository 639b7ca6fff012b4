/* deaf_files FOLDER COUNT USER HOW: a file system on FOLDER whose one file, `f`, gives no answer when it is read, and COUNT
 * processes of USER that have it in their memory. Needs root to mount it.
 *
 * HOW: `page`: a page of it lies over what the dynamic loader tells debuggers, which whoever looks for interpreters reads.
 *      `code`: it is mapped as code. From then on the file system answers nothing at all: no look at the file's attributes,
 *      no opening, no closing.
 *
 * Prints a line with the process ids once they are there. From a line of its standard input on the file system answers nothing
 * at all. Ends, and everything with it, when its standard input does. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

extern ElfW(Dyn) _DYNAMIC[];

/* Set by the parent once the file system is to answer nothing. */
static volatile int *silent;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void reply(int device, const struct fuse_in_header *in, int error, const void *body, size_t bytes)
{
    struct fuse_out_header out = {.len = sizeof out + bytes, .error = error, .unique = in->unique};
    struct iovec parts[] = {{&out, sizeof out}, {(void *)body, bytes}};
    if (writev(device, parts, 2) < 0 && errno != ENOENT)
        fail("answering");
}

static struct fuse_attr attributes(unsigned long node)
{
    struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096};
    attr.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0755;
    attr.size = node == FUSE_ROOT_ID ? 0 : 1 << 20;
    return attr;
}

static void serve(int device)
{
    static char buffer[1 << 18];
    for (;;) {
        ssize_t bytes = read(device, buffer, sizeof buffer);
        if (bytes < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
            continue;
        if (bytes < (ssize_t)sizeof(struct fuse_in_header))
            exit(0);
        const struct fuse_in_header *in = (const void *)buffer;
        if (*silent)
            continue;
        switch (in->opcode) {
        case FUSE_INIT: {
            struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
                                        .max_write = 4096, .max_background = 16, .time_gran = 1};
            reply(device, in, 0, &out, sizeof out);
            break;
        }
        case FUSE_LOOKUP: {
            struct fuse_entry_out out = {.nodeid = 2, .attr = attributes(2)};
            if (strcmp(buffer + sizeof *in, "f"))
                reply(device, in, -ENOENT, NULL, 0);
            else
                reply(device, in, 0, &out, sizeof out);
            break;
        }
        case FUSE_GETATTR: {
            struct fuse_attr_out out = {.attr = attributes(in->nodeid)};
            reply(device, in, 0, &out, sizeof out);
            break;
        }
        case FUSE_OPEN:
        case FUSE_OPENDIR: {
            struct fuse_open_out out = {.fh = 1};
            reply(device, in, 0, &out, sizeof out);
            break;
        }
        case FUSE_READ:
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
            break;
        case FUSE_RELEASE:
        case FUSE_FLUSH:
            reply(device, in, 0, NULL, 0);
            break;
        default:
            reply(device, in, -ENOSYS, NULL, 0);
        }
    }
}

/* System calls without the C library, whose own data may be on the page that is gone. */
static long call(long number, long one, long two, long three)
{
    long result;
#ifdef __x86_64__
    asm volatile("syscall" : "=a"(result) : "0"(number), "D"(one), "S"(two), "d"(three) : "rcx", "r11", "memory");
#else
    register long x8 asm("x8") = number, x0 asm("x0") = one, x1 asm("x1") = two, x2 asm("x2") = three;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    result = x0;
#endif
    return result;
}

#ifdef __x86_64__
enum { WRITE = 1, PAUSE_READ = 0 };
#else
enum { WRITE = 64, PAUSE_READ = 63 };
#endif

static void victim(const char *file, int as_code, int ready, int never)
{
    int fd = open(file, O_RDONLY);
    if (fd < 0)
        fail(file);
    unsigned long page = 0;
    for (ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag; entry++)
        if (entry->d_tag == DT_DEBUG)
            page = (unsigned long)&entry->d_un & -4096ul;
    char byte;
    if (as_code ? mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED
                : mmap((void *)page, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
        call(WRITE, 2, (long)"mmap\n", 5);
    call(WRITE, ready, (long)&byte, 1);
    for (;;)
        call(PAUSE_READ, never, (long)&byte, 1);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    const char *folder = argv[1];
    int count = atoi(argv[2]), user = atoi(argv[3]), as_code = !strcmp(argv[4], "code");
    static char file[PATH_MAX];
    snprintf(file, sizeof file, "%s/f", folder);
    silent = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0)
        fail("/dev/fuse");
    char options[128];
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
    if (mount("deaf", folder, "fuse.deaf", MS_NOSUID | MS_NODEV, options))
        fail("mount");
    pid_t server = fork();
    if (!server) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(device);
    }
    close(device);
    int ready[2], never[2];
    if (pipe(ready) || pipe(never))
        fail("pipe");
    pid_t victims[64];
    for (int i = 0; i < count && i < 64; i++) {
        victims[i] = fork();
        if (!victims[i]) {
            close(never[1]);
            if (setgid(user) || setuid(user))
                fail("setuid");
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            victim(file, as_code, ready[1], never[0]);
        }
    }
    char byte;
    for (int i = 0; i < count; i++)
        if (read(ready[0], &byte, 1) != 1)
            fail("a process that is to have the file");
    *silent = as_code;
    for (int i = 0; i < count; i++)
        printf("%d ", victims[i]);
    puts("");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        *silent = 1;
    /* Whoever waits for the file system is released with it. */
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    for (int i = 0; i < count; i++)
        kill(victims[i], SIGKILL);
    umount2(folder, MNT_DETACH);
    return 0;
}
