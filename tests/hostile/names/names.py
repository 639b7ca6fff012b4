"""Names of bad kinds, of whatever has a name. Argument: of what. It runs under them for as long as it is let."""
import ctypes
import os
import shutil
import sys
import threading
import time

import attack

BAD = [
    "\x1b]0;owned\x07\x1b[2J\x1b[1;1H",
    "pyebpf> Wrote raw flamegraph data to 'x'\nerror: forged",
    "a;b;c 5",
    "process 1:\"init\"",
    "<native: not a marker>",
    "\u202egnp.exe\u2066",
    "<script>alert(1)</script>&amp;\"'",
    "\\x41\\",
    "# comment",
    "x" * 70_000,
    " ",
    "\ud800",
    "\0hidden",
    "e\u0301" * 400,
    "{{7*7}}%s%n${HOME}",
]


def burn():
    stop = time.thread_time() + 0.02
    while time.thread_time() < stop:
        pass


def code_named(name, file, qualname=None):
    code = burn.__code__
    return code.replace(co_name=name, co_filename=file, co_qualname=qualname or name)


def functions():
    def each():
        for index, name in enumerate(BAD):
            yield code_named(name, BAD[-index - 1], "%s.<locals>.%s" % (name, name))
    codes = list(each())
    while True:
        for code in codes:
            exec(code, globals())


def files():
    """Files of modules that exist under such names."""
    codes = []
    for index, name in enumerate(BAD):
        name = name.replace("\0", "0").replace("/", "_").encode("utf-8", "surrogatepass")[:200]
        folder = os.path.abspath("dir%d" % index).encode() + b"/" + name
        os.makedirs(folder, exist_ok=True)
        path = os.fsdecode(folder + b"/__init__.py")
        open(path, "w").close()
        codes.append(code_named("f", path))
    while True:
        for code in codes:
            exec(code, globals())


def threads():
    for name in BAD:
        thread = threading.Thread(target=lambda: [burn() or time.sleep(0.1) for _ in iter(int, 1)], name=name, daemon=True)
        try:
            thread.start()
        except UnicodeEncodeError:
            thread.name = "x"
    attack.for_ever()


def process():
    """Its kernel name changes all the time, and its command line is overwritten."""
    with open("/proc/self/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    start, end = int(fields[45]), int(fields[46])
    libc = ctypes.CDLL(None)
    number = 0
    while True:
        name = BAD[number % len(BAD)].encode("utf-8", "surrogatepass")
        libc.prctl(15, name[:15], 0, 0, 0)
        ctypes.memmove(start, (name * 200)[:end - start], end - start)
        burn()
        number += 1


def run_as(program, arguments):
    if os.fork() == 0:
        os.execve(program, arguments, {**os.environ, "PYTHONHOME": sys.prefix})


def executables():
    """Interpreters that are files with such names."""
    for name in BAD:
        path = os.path.abspath(name.replace("\0", "0").replace("/", "_").encode("utf-8", "surrogatepass").decode("utf-8", "replace")[:60])
        shutil.copy(sys.executable, path)
        run_as(path, [path, "-c", "while True: pass" if name == BAD[0] else "import time\nwhile True: time.sleep(0.01)"])


def arguments():
    """The longest command line that the kernel takes, with nothing in it, and none."""
    program = "import time\nwhile True: time.sleep(0.01); sum(range(9999))"
    run_as(sys.executable, [sys.executable, "-c", program] + ["y" * 100_000] * 15)
    run_as(sys.executable, [sys.executable, "-c", program] + [""] * 50_000)
    run_as(sys.executable, ["\x1b", "-c", program])
    run_as(sys.executable, [sys.executable, "-c", program + "\n#" + "\x1b[2J" * 20_000])


def scripts():
    """Scripts under paths of 4,000 bytes and under such names."""
    text = "import time\nwhile True: time.sleep(0.01); sum(range(9999))\n"
    os.makedirs("/".join(["d" * 250] * 14), exist_ok=True)
    paths = ["/".join(["d" * 250] * 14) + "/long.py"]
    paths += [name.replace("\0", "0").replace("/", "_")[:100] for name in BAD if "\ud800" not in name]
    for path in paths:
        with open(path, "w") as file:
            file.write(text)
        run_as(sys.executable, [sys.executable, path])


def libraries():
    """Libraries with such names, in which it runs, with symbols of such names."""
    import mmap
    maps = []
    for name in BAD:
        path = name.replace("\0", "0").replace("/", "_").encode("utf-8", "surrogatepass").decode("utf-8", "replace")[:80]
        with open(path, "wb") as file:
            file.write(attack.COUNTS_DOWN.ljust(4096, b"\xcc"))
        fd = os.open(path, os.O_RDONLY)
        maps.append(mmap.mmap(fd, 4096, flags=mmap.MAP_PRIVATE | 0, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))
    runs = [ctypes.CFUNCTYPE(None, ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(one))) for one in maps]
    while True:
        for run in runs:
            run(3_000_000)
            time.sleep(0.002)


what = globals()[sys.argv[1]]
attack.ready()
attack.wait_for_go()
what()
attack.for_ever()
