"""Runs code in a file that it has mapped as code, half of the time. Arguments: the file, where its code is, and what happens
to the file meanwhile."""
import ctypes
import os
import sys
import threading
import time

import attack

path, offset = sys.argv[1], int(sys.argv[2], 0)
what = sys.argv[3] if sys.argv[3:] else "nothing"


def map_code():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    fd = os.open(path, os.O_RDONLY)
    address = libc.mmap(None, 4096, 5, 2, fd, offset & -4096)
    assert address not in (None, 2**64 - 1), os.strerror(ctypes.get_errno())
    return address + (offset & 4095)


def resize():
    """Everything behind the code comes and goes."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "r+b") as file:
        while True:
            for length in (offset + 4096, size // 2, size * 4):
                os.ftruncate(file.fileno(), max(length, offset + 4096))
                time.sleep(0.0005)
            os.pwrite(file.fileno(), content, 0)


def rewrite():
    """What is not code is something else all the time."""
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        while True:
            os.pwrite(file.fileno(), os.urandom(min(size - offset - 4096, 1 << 16)), offset + 4096)
            time.sleep(0.0002)


def vanish():
    """Its name is a link, a pipe, a device, a folder, or nothing."""
    def pipe(name):
        os.mkfifo(name)
    kinds = [pipe, lambda name: os.symlink("/dev/zero", name), lambda name: os.symlink(name, name),
             lambda name: os.symlink("/etc/shadow", name)]
    os.unlink(path)
    while True:
        for kind in kinds:
            kind(path)
            time.sleep(0.001)
            os.unlink(path)


def executed():
    """It is a program, too. Some cannot be one."""
    try:
        os.posix_spawn(os.path.abspath(path), [path], os.environ)
    except OSError as error:
        print(error, file=sys.stderr)


address = map_code()
if what != "nothing":
    threading.Thread(target=globals()[what], daemon=True).start()
attack.ready()
attack.runs_machine_code(b"", address)
