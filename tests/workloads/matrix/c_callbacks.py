"""C code that calls back into Python: sorted, map, reduce, re.sub, and ctypes where it is (Debian has no libffi for musl)."""
import functools
import re

import truth

ctypes = None if truth.build()["musl"] else __import__("ctypes")


def key(x):
    return truth.burn() or x


def ascending(a, b, clock=truth.clock):
    burn = truth.Burn(2)
    end = burn.end
    while clock() < end: pass
    burn.done()
    return 0


truth.begin()
sorted([3], key=key)
list(map(lambda x: max([x], key=key), [1]))
functools.reduce(lambda a, b: key(a), [1, 2])
re.sub("x", lambda match: key("y"), "x")
if ctypes:
    array = (ctypes.c_int * 2)(2, 1)
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    ctypes.CDLL(None).qsort(array, ctypes.c_size_t(2), ctypes.c_size_t(4), kind(ascending))
truth.end()
