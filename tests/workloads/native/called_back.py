"""C code of the standard library calls Python, which burns in C: reduce, sorted, map, ctypes, sqlite3, generators, __del__."""
import functools
import threading

import nest
import truth

from expected import CALL, LEAF, burn, end, warm_up

try:
    import ctypes
except ImportError:  # Debian has no libffi for musl
    ctypes = None
try:
    import sqlite3
except ImportError:
    sqlite3 = None

VIA = {
    ("by_reduce", "reducing"): ["?functools_reduce"],
    ("by_sorted", "key"): ["?builtin_sorted"],
    ("by_nest", "work"): CALL,
    ("generate", "work"): CALL,
    ("__del__", "work"): CALL,
}


def work(*_):
    burn(nest.burn, LEAF, VIA)
    return 0


def reducing(a, b):
    work()


def by_reduce():
    functools.reduce(reducing, [1, 2])


def key(x):
    return work()


def by_sorted():
    sorted([3], key=key)


def by_map():
    list(map(work, [1]))


def by_nest():
    nest.call(work)


def comparing(a, b):
    return work()


def by_ctypes():
    array = (ctypes.c_int * 2)(2, 1)
    pointer = ctypes.POINTER(ctypes.c_int)
    kind = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer)
    ctypes.CDLL(None).qsort(array, ctypes.c_size_t(2), ctypes.c_size_t(4), kind(comparing))


def by_sqlite():
    connection = sqlite3.connect(":memory:")
    connection.create_function("work", 1, work)
    connection.execute("select work(1)").fetchall()


def generate():
    yield nest.call(work)


def delegate():
    for thing in generate():
        yield thing


def by_generators():
    return sum(1 for _ in delegate())


class Dying(object):
    def __del__(self):
        nest.call(work)


def by_del():
    thing = Dying()
    del thing


def everything():
    by_reduce()
    by_sorted()
    by_map()
    by_nest()
    by_generators()
    by_del()
    if ctypes:
        by_ctypes()
    if sqlite3:
        by_sqlite()
    thread = threading.Thread(target=by_nest)
    thread.start()
    thread.join()


truth.begin()
warm_up(everything)
everything()
end()
