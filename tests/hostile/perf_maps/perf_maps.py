"""Machine code in memory, and a perf map of some bad kind for it. Arguments: kind, number of processes."""
import ctypes
import mmap
import os
import socket
import sys
import time

import attack

kind, count = sys.argv[1], int(sys.argv[2])


def lines(mib):
    line = b"%x 100 a_function_with_some_name_%d\n"
    block = b"".join(line % (0x7F0000000000 + i * 256, i) for i in range(20_000))
    return block * (mib * (1 << 20) // len(block) + 1)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def make(path, code):
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind.startswith("/"):
        os.symlink(kind, path)
    elif kind == "large":
        write(path, lines(64))
    elif kind == "one-line":
        write(path, b"%x 1000 " % code + b"x" * (64 << 20))
    elif kind == "sparse":
        write(path, b"")
        os.truncate(path, 1 << 42)
    elif kind == "nonsense":
        write(path, os.urandom(8 << 20))
    elif kind == "extremes":
        extremes = (0, 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**200, code)
        write(path, b"".join(b"%x %x %x\n" % (a, b, a) for a in extremes for b in extremes) + b"%x\n%x 1\n\n \n" % (code, code))
    elif kind == "overlapping":
        write(path, b"".join(b"%x %x layer_%d\n" % (code - i, 4096 + 2 * i, i) for i in range(200_000)))
    elif kind == "names":
        bad = (b"\x1b]0;owned\x07\x1b[2J", b";;; 5\n", b"\xff\xfe\x80", "\u202egnp.exe".encode(), b"a" * 100_000, b"\0\0")
        write(path, b"".join(b"%x 800 %s\n" % (code + 2048 * (i % 2), name) for i, name in enumerate(bad)))
    elif kind == "growing":
        write(path, lines(1))
        if os.fork() == 0:
            more = lines(1)
            while True:
                with open(path, "ab") as file:
                    for _ in range(100):
                        file.write(more)
                        time.sleep(0.01)
                os.truncate(path, 100)
    elif kind == "replaced":
        write(path, lines(1))
        if os.fork() == 0:
            while True:
                for target in ("/etc/passwd", "/dev/zero", "/proc/self/mem"):
                    os.unlink(path)
                    os.symlink(target, path)
                    time.sleep(0.001)
                os.unlink(path)
                write(path, lines(1))
    else:
        raise SystemExit("no kind " + kind)


def one():
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=7)
    page.write(attack.COUNTS_DOWN)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    path = "/tmp/perf-%d.map" % os.getpid()
    make(path, address)
    print("made", path, flush=True)
    attack.runs_machine_code(attack.COUNTS_DOWN, address)


children = []
for _ in range(count):
    child = os.fork()
    if child == 0:
        one()
    children.append(child)
deadline = time.monotonic() + 25
while not all(os.path.lexists("/tmp/perf-%d.map" % child) for child in children):
    assert time.monotonic() < deadline
    time.sleep(0.01)
time.sleep(0.2)
attack.ready()
attack.for_ever()
