/* fuse DEVICE HOW CONTENT PROGRAM...: mounts a file system on `./mounted` whose one file, `f`, has what CONTENT has, and
 * becomes PROGRAM.
 *
 * As root it mounts in a mount namespace of its own and goes on as nobody; as anybody else in a user namespace, too.
 *
 * HOW: `deaf`: reading it gives no answer.  `shrinks`, `grows`: it says another size each time it is asked.
 *      `short`: it ends earlier than it says.  `fails`: reading is an error.  `slow`: every answer takes 30 ms.
 *      `mute`: as CONTENT until a line comes from standard input, and no answer to anything from then on.
 *      `endless`: it says that it has 2^62 bytes, and has any that are asked for. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NOBODY = 65534, LARGEST = 1 << 17, CODE_ENDS = 0x2000 };

static const char *how;
static int content;
static unsigned long asked;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int is(const char *name)
{
    return !strcmp(how, name);
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
    struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096, .uid = getuid(), .gid = getgid()};
    attr.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0755;
    if (node == FUSE_ROOT_ID)
        return attr;
    struct stat status;
    fstat(content, &status);
    attr.size = status.st_size;
    asked++;
    if (is("shrinks"))
        attr.size = attr.size >> asked % 6 > CODE_ENDS ? attr.size >> asked % 6 : CODE_ENDS;
    if (is("grows"))
        attr.size <<= asked % 6;
    if (is("deaf"))
        attr.size = 1 << 20;
    if (is("endless"))
        attr.size = 1ull << 62;
    return attr;
}

static void read_file(int device, const struct fuse_in_header *in, const struct fuse_read_in *wanted)
{
    static char buffer[LARGEST];
    size_t size = wanted->size < LARGEST ? wanted->size : LARGEST;
    if (is("deaf"))
        return;
    if (is("fails")) {
        reply(device, in, -EIO, NULL, 0);
        return;
    }
    ssize_t bytes = pread(content, buffer, size, wanted->offset);
    if (bytes < 0)
        bytes = 0;
    if (is("short"))
        bytes /= 2;
    if (is("endless")) {
        memset(buffer + bytes, 0x7f, size - bytes);
        bytes = size;
    }
    reply(device, in, 0, buffer, bytes);
}

static void serve(int device)
{
    static char buffer[1 << 18];
    struct pollfd input = {.fd = 0, .events = POLLIN};
    for (;;) {
        ssize_t bytes = read(device, buffer, sizeof buffer);
        if (bytes < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
            continue;
        if (bytes < (ssize_t)sizeof(struct fuse_in_header))
            exit(0);
        if (is("slow"))
            usleep(30000);
        if (is("mute") && poll(&input, 1, 0) > 0)
            continue;
        const struct fuse_in_header *in = (const void *)buffer;
        const void *body = in + 1;
        switch (in->opcode) {
        case FUSE_INIT: {
            struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
                                        .max_write = 4096, .max_background = 16, .time_gran = 1};
            reply(device, in, 0, &out, sizeof out);
            break;
        }
        case FUSE_LOOKUP: {
            struct fuse_entry_out out = {.nodeid = 2, .attr = attributes(2)};
            if (strcmp(body, "f"))
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
            struct fuse_open_out out = {.fh = 1, .open_flags = is("shrinks") || is("grows") ? 0 : FOPEN_KEEP_CACHE};
            reply(device, in, 0, &out, sizeof out);
            break;
        }
        case FUSE_READ:
            read_file(device, in, body);
            break;
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
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

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fail(path);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    how = argv[2];
    content = open(argv[3], O_RDONLY | O_CLOEXEC);
    if (content < 0)
        fail(argv[3]);
    int user = getuid(), group = getgid();
    if (unshare(CLONE_NEWNS | (user ? CLONE_NEWUSER : 0)))
        fail("unshare");
    if (user) {
        char line[64];
        write_text("/proc/self/setgroups", "deny");
        snprintf(line, sizeof line, "%d %d 1\n", user, user);
        write_text("/proc/self/uid_map", line);
        snprintf(line, sizeof line, "%d %d 1\n", group, group);
        write_text("/proc/self/gid_map", line);
    }
    /* It must be opened in the user namespace in which it is mounted. */
    int device = open(argv[1], O_RDWR | O_CLOEXEC);
    if (device < 0)
        fail(argv[1]);
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
        fail("a mount namespace");
    mkdir("mounted", 0755);
    char options[128];
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other", device, user, group);
    if (mount("hostile", "mounted", "fuse.hostile", MS_NOSUID | MS_NODEV, options))
        fail("mount");
    if (!user && (setgid(NOBODY) || setuid(NOBODY)))
        fail("setuid");
    pid_t server = fork();
    if (!server)
        serve(device);
    close(device);
    execvp(argv[4], argv + 4);
    fail(argv[4]);
}
