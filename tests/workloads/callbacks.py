"""C code calls back into Python every few microseconds, by turns in two files that never mix. Argument: CPU seconds."""
import sys

import truth

TEMPLATE = """  # mark: template
class Make:
    def __init__(self):
        leaf()  # mark: init
def leaf(*_):
    for _ in range(5): pass
def each():
    for _ in range(3): yield leaf()  # mark: each
def key(x):
    return leaf()  or -x  # mark: key
def top():
    sorted(range(3), key=key)  # mark: sorted
    Make()  # mark: make
    sum(map(key, range(3)))  # mark: map
    list(each())  # mark: list
"""
a, b = {}, {}
exec(compile(TEMPLATE, "/made/a.py", "exec"), a)
exec(compile(TEMPLATE, "/made/b.py", "exec"), b)
def alternate(end, a, b, clock=truth.clock):
    while clock() < end:
        a()  # mark: a
        b()  # mark: b
truth.say(functions=truth.functions())
truth.begin()
alternate(truth.clock() + float(sys.argv[1]), a["top"], b["top"])  # mark: module
truth.end()
