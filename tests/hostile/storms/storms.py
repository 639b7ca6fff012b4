"""A storm of something, bounded in number at any time, for half a minute at most. Argument: of what."""
import ctypes
import mmap
import os
import shutil
import signal
import sys
import threading
import time

import attack

END = time.monotonic() + 30
LIBC = ctypes.CDLL(None)


def wait_for_children():
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def in_turn(start, most=64):
    """Starts processes, `most` at a time."""
    there = 0
    while time.monotonic() < END:
        start()
        there += 1
        while there >= most:
            os.wait()
            there -= 1


def forks():
    def start():
        if os.fork() == 0:
            os._exit(0)
    in_turn(start)


def forks_of_forks():
    """Each process ends once it has a child, so none has a parent for long."""
    for _ in range(30):
        if os.fork() == 0:
            while time.monotonic() < END:
                if os.fork():
                    os._exit(0)
            os._exit(0)
    wait_for_children()


def execs():
    in_turn(lambda: os.posix_spawn("/bin/true", ["true"], os.environ), 16)


def execs_of_python():
    arguments = [sys.executable, "-S", "-E", "-c", "pass"]
    in_turn(lambda: os.posix_spawn(sys.executable, arguments, os.environ), 8)


def execs_of_itself():
    """One process that becomes another program without end."""
    program = "import os,sys,time\nif time.monotonic() < %f: os.execv(sys.executable, [sys.executable, '-S', '-E', '-c', sys.argv[1], sys.argv[1]])" % END
    for _ in range(4):
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-S", "-E", "-c", program, program])
    wait_for_children()


def execs_of_new_files():
    """Each is a file that nobody has seen before."""
    number = 0

    def start():
        nonlocal number
        path = "./copy%d" % number
        shutil.copy("/bin/true", path)
        with open(path, "ab") as file:
            file.write(os.urandom(16))
        os.posix_spawn(path, [path], os.environ)
        if number >= 64:
            os.unlink("./copy%d" % (number - 64))
        number += 1
    in_turn(start, 8)


def libraries():
    """A library loaded and unloaded, each time another file."""
    library = os.path.join(attack.FOLDER, "lie.so")
    LIBC.dlclose.argtypes = [ctypes.c_void_p]
    number = 0
    while time.monotonic() < END:
        path = os.path.abspath("lib%d.so" % number)
        shutil.copy(library, path)
        with open(path, "ab") as file:
            file.write(os.urandom(16))
        handle = ctypes.CDLL(path)
        LIBC.dlclose(handle._handle)
        os.unlink(path)
        number += 1


def mappings():
    """20,000 mappings of code of one file under a long path, and they change."""
    folder = "/".join(["f" * 200] * 15)
    os.makedirs(folder)
    path = folder + "/code"
    with open(path, "wb") as file:
        file.write(attack.COUNTS_DOWN * 4096)
    fd = os.open(path, os.O_RDONLY)
    maps = [mmap.mmap(fd, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC, trackfd=False)
            for _ in range(20_000)]
    attack.ready()
    while time.monotonic() < END:
        for index in range(0, 20_000, 100):
            maps[index].close()
            maps[index] = mmap.mmap(fd, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC, trackfd=False)


def new_code():
    """Anonymous code at new addresses without end."""
    while time.monotonic() < END:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=7)
        page.write(attack.COUNTS_DOWN)
        view = ctypes.c_char.from_buffer(page)
        ctypes.CFUNCTYPE(None, ctypes.c_long)(ctypes.addressof(view))(100_000)
        del view


def threads():
    def one():
        sum(range(200))
    while time.monotonic() < END:
        some = [threading.Thread(target=one) for _ in range(50)]
        for thread in some:
            thread.start()
        for thread in some:
            thread.join()


def many_threads():
    """3,000 that sleep and wake."""
    def one():
        while True:
            time.sleep(0.5)
    threading.stack_size(65536)
    for _ in range(3000):
        threading.Thread(target=one, daemon=True).start()
    attack.ready()
    time.sleep(END - time.monotonic())


def thread_names():
    number = 0
    while time.monotonic() < END:
        LIBC.prctl(15, b"name%d" % number, 0, 0, 0)
        threading.current_thread().name = "name%d" % number
        number += 1


def new_functions():
    number = 0
    while time.monotonic() < END:
        scope = {}
        exec("def f%d():\n    for i in range(2000): pass\n" % number, scope)
        scope["f%d" % number]()
        number += 1


def new_files():
    """A function in a file that nobody has seen before, each time with names of 900 bytes."""
    number = 0
    while time.monotonic() < END:
        scope = {}
        path = "/%s/%d/module.py" % ("d" * 800, number)
        exec(compile("def %s%d():\n    for i in range(2000): pass\n" % ("n" * 800, number), path, "exec"), scope)
        scope["%s%d" % ("n" * 800, number)]()
        number += 1


def new_stacks():
    """Another stack each time."""
    def call(bits, depth):
        if depth:
            return one(bits >> 1, depth - 1) if bits & 1 else two(bits >> 1, depth - 1)
        for _ in range(3000): pass

    def one(bits, depth):
        return call(bits, depth)

    def two(bits, depth):
        return call(bits, depth)
    number = 0
    while time.monotonic() < END:
        call(number * 2654435761, 60)
        number += 1


def switches():
    """Threads and processes that hand a byte to and fro."""
    for _ in range(8):
        one, two = os.pipe(), os.pipe()
        if os.fork() == 0:
            while True:
                os.write(two[1], os.read(one[0], 1))
        if os.fork() == 0:
            os.write(one[1], b"x")
            while True:
                os.write(one[1], os.read(two[0], 1))
    time.sleep(END - time.monotonic())


def signals():
    def nothing(*_):
        pass
    signal.signal(signal.SIGALRM, nothing)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    while time.monotonic() < END:
        sum(range(1000))


def deep_stacks():
    sys.setrecursionlimit(10**6)
    threading.stack_size(512 << 20)

    def down(levels):
        if levels:
            return down(levels - 1)
        while time.monotonic() < END:
            pass
    thread = threading.Thread(target=down, args=(50_000,))
    thread.start()
    attack.ready()
    thread.join()


def cgroups():
    """Cgroups that are made, entered and removed."""
    with open("/proc/self/cgroup") as file:
        own = [line.strip().split("::")[1] for line in file if "::" in line][0]
    root = "/sys/fs/cgroup/unified" if os.path.exists("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"
    number = 0
    while time.monotonic() < END:
        path = "%s%s/%s" % (root, own, "docker-%064x.scope" % number)
        os.mkdir(path)
        child = os.fork()
        if child == 0:
            with open(path + "/cgroup.procs", "w") as file:
                file.write("0")
            stop = time.thread_time() + 0.002
            while time.thread_time() < stop:
                pass
            os._exit(0)
        os.waitpid(child, 0)
        os.rmdir(path)
        number += 1


def subinterpreters():
    import _interpreters
    while time.monotonic() < END:
        one = _interpreters.create()
        _interpreters.exec(one, "sum(range(2000))")
        _interpreters.destroy(one)


def pids_used_again():
    """The next process always gets the same process id: an idle one, a Python, another one."""
    def start_at(pid):
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(pid - 1))
    with open("/proc/sys/kernel/pid_max") as file:
        wanted = (os.getpid() + 20_000) % (int(file.read()) - 1000) + 500
    programs = ["for i in range(%d): pass" % n for n in (10, 300_000, 600_000)]
    number = 0
    while time.monotonic() < END:
        start_at(wanted)
        child = os.posix_spawn(sys.executable, [sys.executable, "-S", "-E", "-c", programs[number % 3]], os.environ)
        os.waitpid(child, 0)
        number += 1


if __name__ == "__main__":
    what = globals()[sys.argv[1].replace("-", "_")]
    if sys.argv[1] not in ("mappings", "many-threads", "deep-stacks"):
        attack.ready()
        attack.wait_for_go()
    what()
    attack.for_ever()
