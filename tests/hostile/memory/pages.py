"""A page under what a reader of Python's memory needs never answers. Arguments: what, and the file that lies there, or
`withheld` or `withheld-from-users` for a page of userfaultfd's."""
import ctypes
import os
import sys
import threading

import attack


def in_a_page_of_its_own(text):
    """The address of a bytes or str object whose data fill whole pages."""
    return (id(text) + 8192) & -4096


def link_map():
    class Entry(ctypes.Structure):
        _fields_ = [("tag", ctypes.c_uint64), ("value", ctypes.c_uint64)]

    main = ctypes.CDLL(None)._handle
    dynamic = ctypes.cast(attack.word_at(main + 16), ctypes.POINTER(Entry))
    index = 0
    while dynamic[index].tag != 21:  # DT_DEBUG
        assert dynamic[index].tag, "no DT_DEBUG"
        index += 1
    return main, dynamic[index].value, ctypes.addressof(dynamic[index])


def arguments():
    with open("/proc/self/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[45])


def environment():
    with open("/proc/self/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[47])


def runtime():
    return ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))


def interpreter():
    return attack.word_at(attack.thread_state() + 16)


def code_of_caller():
    return id(sys._getframe(1).f_code)


def dictionary():
    values = {"key%d" % i: i for i in range(1000)}
    keep.append(values)
    return attack.word_at(id(values) + 32) + 4096


def modules():
    return attack.word_at(id(sys.modules) + 32)


def names_of_threads():
    thread = threading.Thread(target=attack.for_ever, name="x" * 20000, daemon=True)
    thread.start()
    return in_a_page_of_its_own(thread.name)


keep = []
WHAT = {
    "link-map": lambda: link_map()[0],
    "r-debug": lambda: link_map()[1],
    "dynamic": lambda: link_map()[2],
    "runtime": runtime,
    "interpreter": interpreter,
    "thread-state": attack.thread_state,
    "frames": lambda: attack.word_at(attack.thread_state() + 72),
    "code": code_of_caller,
    "dictionary": dictionary,
    "modules": modules,
    "thread-names": names_of_threads,
    "arguments": arguments,
    "environment": environment,
}
what, how = sys.argv[1:]
page = attack.page_of(WHAT[what]())
library = attack.helper()
if how.startswith("withheld"):
    library.withhold(ctypes.c_void_p(page), ctypes.c_long(1 if how == "withheld-from-users" else 0))
else:
    library.cover(ctypes.c_void_p(page), os.open(how, os.O_RDONLY))
