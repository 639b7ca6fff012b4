"""What the attacks in Python share: they say when they are ready, begin when they are told to, and end with their cgroup."""
import ctypes
import mmap
import os
import sys
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))


def ready():
    os.write(1, b"ready\n")


def wait_for_go():
    os.read(0, 1)


def for_ever():
    while True:
        time.sleep(60)


def helper():
    """`lie.c`, whose functions keep the GIL."""
    return ctypes.PyDLL(os.path.join(FOLDER, "lie.so"))


def page_of(address):
    return address & -mmap.PAGESIZE


def words(*numbers):
    """An array for C."""
    return (ctypes.c_uint64 * len(numbers))(*numbers)


def thread_state():
    get = ctypes.pythonapi.PyThreadState_Get
    get.restype = ctypes.c_void_p
    return get()


def word_at(address):
    return ctypes.c_uint64.from_address(address).value


def runs_machine_code(code, address=None):
    """Runs `code` without end, a few milliseconds at a time; on a page of its own, or at an address that it is already at."""
    if address is None:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=7)
        page.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    run = ctypes.CFUNCTYPE(None, ctypes.c_long)(address)
    while True:
        run(3_000_000)
        time.sleep(0.002)


#: loop: dec rdi; jne loop; ret
COUNTS_DOWN = bytes.fromhex("48ffcf75fbc3")
