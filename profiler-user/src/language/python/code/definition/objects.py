"""Makes code objects that do not fit into one record, says where they are, and waits.

Run by tests.rs with each CPython there is (3.8 and later). One line for each object: address, first line, line table
(hex), name and file name (UTF-8, hex, as it is shown). Any line on stdin then replaces the first object by another
one at the same address, if it can; `replaced` or `kept` says whether it could. The next line ends it.
"""
import sys


def function(source, filename):
    space = {}
    exec(compile(source, filename, "exec"), space)
    return space["f"]


def named(code, name):
    return code.replace(co_qualname=name) if hasattr(code, "co_qualname") else code.replace(co_name=name)


def shown(text):
    replaced = "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in text)
    return replaced.encode("utf-8").hex() or "-"


def describe(code):
    table = code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab
    name = getattr(code, "co_qualname", code.co_name)
    fields = (id(code), code.co_firstlineno, table.hex() or "-", shown(name), shown(code.co_filename))
    print("%d %d %s %s %s" % fields, flush=True)


short = function("def f(x):\n  return x\n", "/a/short.py").__code__
long_body = "".join("  g(x,\n\n  %d)\n" % n for n in range(20000))
codes = [
    named(short, "f"),
    function("f = lambda: 0", "/a/lambda.py").__code__,
    named(short, "n" * 256),
    named(short, "n" * 257),
    named(short, "n" * 9000),
    named(short, "ж" * 200),
    named(short, "🐍" * 2000),
    named(short, "café"),
    function("def f(x):\n" + long_body, "/" + "d" * 511).__code__,
    function("def f(x):\n" + long_body, "/" + "ж" * 700 + ".py").__code__,
    function("def f(x): pass", b"/a/\xff\xe9.py".decode("utf-8", "surrogateescape")).__code__,
]
for code in codes:
    describe(code)
print("end", flush=True)

sys.stdin.readline()
address = id(codes[0])
del code, codes[0]
others = []
for line in range(1000, 2000):
    others.append(short.replace(co_firstlineno=line))
    if id(others[-1]) == address:
        break
print("replaced" if id(others[-1]) == address else "kept", flush=True)
sys.stdin.readline()
