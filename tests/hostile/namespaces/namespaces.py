"""Games with roots, namespaces and the way in which a process shows itself. Argument: which. Those that need to be root of
something say so."""
import ctypes
import os
import sys
import threading
import time

import attack

LIBC = ctypes.CDLL(None, use_errno=True)


def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def mount(source, target, kind, flags=0, options=None):
    call(LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, options and options.encode()))


def busy():
    while True:
        stop = time.thread_time() + 0.01
        while time.thread_time() < stop:
            pass
        time.sleep(0.005)


def proc_hidden():
    """Nothing is where its `/proc` was."""
    mount("none", "/proc", "tmpfs")
    busy()


def proc_forged():
    """Another `/proc`, with files of its own."""
    mount("none", "/proc", "tmpfs")
    for pid in list(range(1, 200)) + ["self"]:
        os.mkdir("/proc/%s" % pid)
        for name in ("maps", "stat", "status", "cgroup", "cmdline", "exe", "mem"):
            os.mkfifo("/proc/%s/%s" % (pid, name))
    busy()


def mounts_over_own_files():
    """Something else is where its executable and its library were."""
    for path in (sys.executable, os.path.realpath(sys.executable), attack.__file__):
        mount("/dev/zero" if os.path.exists("/dev/zero") else "/proc/version", path, "none", 4096)
    busy()


def mounts_without_end():
    """1,000 mounts, and they change."""
    os.mkdir("many")
    for index in range(1000):
        os.mkdir("many/%d" % index)
        mount("none", "many/%d" % index, "tmpfs", 0, "size=4096")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        LIBC.umount2(b"many/0", 2)
        mount("none", "many/0", "tmpfs", 0, "size=4096")
    busy()


def root_gone():
    """Its root is an empty folder."""
    os.mkdir("empty")
    os.chroot("empty")
    os.chdir("/")
    busy()


def root_of_pipes():
    """Everything that is looked for in its root is a pipe or a loop."""
    os.mkdir("root")
    for path in ("etc/passwd", "etc/group", "usr/lib/debug/.build-id", "usr/bin/python3", "proc", "etc/ld.so.cache"):
        os.makedirs("root/" + os.path.dirname(path), exist_ok=True)
        os.mkfifo("root/" + path)
    os.symlink("/lib", "root/lib")
    os.chroot("root")
    os.chdir("/")
    busy()


def files_of_pipes():
    """In a container of its own: what is looked for in its root is a pipe or a loop."""
    with open("/proc/mounts") as file:
        assert any(line.startswith("overlay / ") for line in file), "this is no container"
    for path in ("/etc/passwd", "/etc/group", "/etc/hostname", "/etc/os-release", "/etc/ld.so.cache"):
        if os.path.lexists(path):
            os.unlink(path)
        os.mkfifo(path)
    busy()


def folder_gone():
    """The folder in which it works is removed."""
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir(os.getcwd())
    busy()


def unreadable():
    """It cannot be traced by its own user, and its files in /proc are root's."""
    call(LIBC.prctl(4, 0, 0, 0, 0))
    busy()


def wavering():
    """It becomes traceable and not, all the time."""
    number = 0
    while True:
        LIBC.prctl(4, number & 1, 0, 0, 0)
        number += 1
        sum(range(1000))


def deep_namespaces():
    """30 process namespaces in each other (the kernel allows 32)."""
    for _ in range(30):
        try:
            os.unshare(os.CLONE_NEWPID)
        except OSError:
            break
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            os._exit(0)
    busy()


def user_namespaces():
    """User namespaces with maps of one id, in each other, again and again."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        child = os.fork()
        if child == 0:
            for _ in range(8):
                uid, gid = os.getuid(), os.getgid()
                os.unshare(os.CLONE_NEWUSER)
                with open("/proc/self/setgroups", "w") as file:
                    file.write("deny")
                with open("/proc/self/uid_map", "w") as file:
                    file.write("0 %d 1" % uid)
                with open("/proc/self/gid_map", "w") as file:
                    file.write("0 %d 1" % gid)
            stop = time.thread_time() + 0.02
            while time.thread_time() < stop:
                pass
            os._exit(0)
        os.waitpid(child, 0)


def leaderless():
    """Its first thread has ended."""
    threading.Thread(target=busy).start()
    time.sleep(0.2)
    LIBC.syscall(60, 0)


def stopped():
    """Stopped in turns by its child."""
    parent = os.getpid()
    if os.fork() == 0:
        while True:
            os.kill(parent, 19)
            time.sleep(0.02)
            os.kill(parent, 18)
            time.sleep(0.02)
    busy()


def zombies():
    """2,000 of them."""
    for _ in range(2000):
        if os.fork() == 0:
            os._exit(0)
    busy()


def threads_apart():
    """Threads with roots of their own."""
    def one(name):
        call(LIBC.unshare(0x200))
        busy()
    for index in range(4):
        threading.Thread(target=one, args=("t%d" % index,), daemon=True).start()
    busy()


what = globals()[sys.argv[1].replace("-", "_")]
attack.ready()
what()
attack.for_ever()
