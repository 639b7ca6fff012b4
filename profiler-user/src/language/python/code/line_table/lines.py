"""Prints what this interpreter itself says about the lines of its standard library's code objects.

Run by interpreters.rs with each CPython there is (3.6 and later). One line for each code object:
first line, line table (hex), bytes of bytecode, offset:line runs, offset:location runs (3.11 and later).
Offsets are bytes; `-` is no line, no column or nothing to print.
"""
import ctypes
import os
import sys
import warnings

addr2line = ctypes.pythonapi.PyCode_Addr2Line
addr2line.argtypes = [ctypes.py_object, ctypes.c_int]
addr2line.restype = ctypes.c_int

# What the standard library has little of: long gaps, backward steps, bytecode of many kilobytes on one line.
CURIOSITIES = [
    "def f():\n  return (g(1),\n" + "\n" * 700 + "    g(2))\n",
    "x = [\n" + "".join("  f(%d),\n\n" % n for n in range(3000)) + "]\n",
    "x = " + " + ".join("f(%d)" % n for n in range(2000)) + "\n",
    "f(\n" * 80 + "1" + ")" * 80 + "\n",
    "@a(\n1,\n\n2)\n@b\nclass C:\n  'doc'\n  x: int = 1\n  def f(self): pass\n",
    "def f():\n  for x in y:\n    try:\n      if x: continue\n    finally:\n      with a as b: g()\n",
    "lambda: 0",
    "",
]


# The tests are two thirds of the library; `all` as the only argument takes them in.
SKIPPED = {"site-packages", "dist-packages", "__pycache__"} | (set() if sys.argv[1:] == ["all"] else {"test", "tests"})


def sources():
    top = os.path.dirname(os.__file__)
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(set(folders) - SKIPPED)
        for file in sorted(files):
            if file.endswith(".py"):
                with open(os.path.join(folder, file), "rb") as source:
                    yield source.read()
    for source in CURIOSITIES:
        yield source


def code_objects(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            for inner in code_objects(constant):
                yield inner


def runs(values, text):
    last = ()
    found = []
    for index, value in enumerate(values):
        if value != last:
            found.append("%d:%s" % (index * 2, text(value)))
            last = value
    return ",".join(found)


def number(value):
    return "-" if value is None or value < 0 else str(value)


def place(values):
    return "/".join(map(number, values))


def describe(code):
    table = code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab
    size = len(code.co_code)
    lines = runs([addr2line(code, offset) for offset in range(0, size, 2)], number)
    places = runs(code.co_positions(), place) if hasattr(code, "co_positions") else "-"
    return "%s %s %d %s %s" % (number(addr2line(code, -1)), table.hex() or "-", size, lines, places)


def main():
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(10000)
    for source in sources():
        try:
            module = compile(source, "<source>", "exec")
        except (SyntaxError, ValueError):
            continue  # the test suite has files that are wrong on purpose
        for code in code_objects(module):
            print(describe(code))


main()
