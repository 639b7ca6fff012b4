# -*- coding: utf-8 -*-
"""Functions with variables of every sort, which say what they are. What `dump --locals` shows is compared with it.

The names are those that the interpreter says (`f_locals`), the texts are made here. Runs on every Python from 2.7 on.
"""
import collections
import sys
import threading
import time

import truth

PY3 = sys.version_info[0] == 3
texts = (str,) if PY3 else (str, type(u""))
Point = collections.namedtuple("Point", "x y")


class Plain(object):
    def __init__(self):
        self.secret = 7


class Slotted(object):
    __slots__ = ("one",)




class Words(list):
    pass


def quoted(text):
    escapes = {u'"': u'\\"', u"\\": u"\\\\", u"\n": u"\\n", u"\t": u"\\t", u"\r": u"\\r"}

    def escaped(c):
        if c in escapes:
            return escapes[c]
        return c if ord(c) >= 32 and ord(c) != 127 else u"\\x%02x" % ord(c)
    return u'"%s"' % u"".join(map(escaped, text))


def items(values):
    return u", ".join(map(written, values))


def written(value):
    """What pyebpf should show of a value: as py-spy does where that knows it."""
    kind = type(value)
    if kind is float or kind is complex or value is None or kind is bool:
        return u"%r" % (value,)
    if kind is int or kind.__name__ == "long":
        return u"%d" % value
    if kind in texts:
        return quoted(value if PY3 or kind is not str else value.decode("utf-8"))
    if kind is bytes:
        return u"b" + u"".join(u"\\x%02x" % b if b > 127 else quoted(chr(b))[1:-1] for b in value).join(u'""')
    if kind is bytearray:
        return u"bytearray(%s)" % written(bytes(value))
    if kind is list:
        return u"[...]" if value and value[0] is value else u"[%s]" % items(value)
    if kind is Words:
        return u"Words([%s])" % items(value)
    if kind is tuple:
        return u"(%s%s)" % (items(value), u"," if len(value) == 1 else u"")
    if kind is Point:
        return u"Point(x=%s, y=%s)" % (written(value.x), written(value.y))
    if kind in (dict, collections.OrderedDict, collections.defaultdict):
        pairs = u", ".join(u"%s: %s" % (written(k), written(v)) for k, v in value.items())
        name = kind.__name__
        if kind is not dict and (PY3 or name == "defaultdict"):
            name = {"OrderedDict": u"collections.OrderedDict"}.get(name, u"collections.defaultdict")
        return u"{%s}" % pairs if kind is dict else u"%s({%s})" % (name, pairs)
    if kind in (set, frozenset):
        inner = u"{%s}" % items(value)
        return inner if kind is set else u"frozenset(%s)" % inner
    if kind is collections.deque:
        return u"deque([%s])" % items(value)
    if isinstance(value, Exception):
        return u"%s(%s)" % (kind.__name__, items(value.args))
    if kind is type(len):
        return u"<built-in function %s>" % value.__name__
    if kind is type(quoted):
        return u"<function %s at 0x%x>" % (getattr(value, "__qualname__", value.__name__), id(value))
    if kind is type(sys):
        return u'<module "%s">' % value.__name__
    if isinstance(value, type):
        return u'<class "%s">' % (value.__name__ if value in (int, str) else "%s.%s" % (value.__module__, value.__name__))
    if kind.__name__ == "range":
        return u"range(%d, %d, %d)" % (value.start, value.stop, value.step)
    return modern(value) or u"<%s at 0x%x>" % (kind.__name__, id(value))


def modern(value):
    """Kinds that not every version has."""
    name = type(value).__name__
    if name == "PosixPath":
        # Of another one: this one should not be asked for its text.
        return u"PosixPath(%s)" % quoted(str(type(value)(value)))
    if name in ("Color", "Number"):
        return u"<%s.%s: %s>" % (name, value.name, written(value.value))
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is not None:
        return u"%s(%s)" % (name, u", ".join(u"%s=%s" % (field, written(getattr(value, field))) for field in fields))


def arguments_of(code):
    count = code.co_argcount + getattr(code, "co_kwonlyargcount", 0)
    return code.co_varnames[:count + bool(code.co_flags & 4) + bool(code.co_flags & 8)]


def frames_from(frame):
    """Of each frame with variables of its own, newest first: its function, and name, whether it is an argument, and text."""
    found = []
    while frame is not None and frame.f_locals is not frame.f_globals and frame.f_code.co_name != "<module>":
        arguments = arguments_of(frame.f_code)
        values = sorted((name, name in arguments, written(value)) for name, value in frame.f_locals.items())
        found.append([frame.f_code.co_name, values])
        frame = frame.f_back
    return found


def numbers(first, second=-1, *rest, **named):
    nothing, yes, no = None, True, False
    small, zero, negative = 7, 0, -123456
    two_digits, three_digits = 123456789123456789, 12345678901234567890123456789
    big, negative_big = 3 ** 200, -(2 ** 90)
    ratio, whole, huge, tiny, minus = 3.1415, 2.0, 1e300, 1.5e-7, -0.25
    infinite, turned = float("inf"), 1 - 2j
    if first is None:
        unset = 1
    return texts_and_bytes(u"größe", "plain", key=(small, ratio))


def texts_and_bytes(latin, plain, key):
    empty, astral, wide = "", u"\U0001f40d snake", u"Жлы 测试"
    escapes, raw, changing = 'say "no"\n\ttwice\\', b"a\xffz" if PY3 else b"abc", bytearray(b"xyz")
    return containers()


def containers():
    a_list, a_tuple, a_single, a_dict = [-1234, 5678], ("a", "b", "c"), (1,), {"a": False, "b": (1, 2, 3)}
    empty_list, empty_tuple, empty_dict = [], (), {}
    deep = [[[["x", {"key": {"key": None}}]]]]
    ring = []
    ring.append(ring)
    numbers_by_number = {1: 2.5, 3: [4]}
    a_set, a_frozen = {5}, frozenset(["f"])
    queue = collections.deque(range(100, 110))
    queue.rotate(3)
    long_queue = collections.deque(range(200))
    for _ in range(198):
        long_queue.popleft()
    del _
    point, words = Point(1, "two"), Words([1, 2])
    ordered, defaulted = collections.OrderedDict([("one", 1)]), collections.defaultdict(int, {"n": 3})
    shrunk = {n: n for n in range(8)}
    for n in range(6):
        del shrunk[n]
    return instances()


def instances():
    plain, slotted, failure, failures = Plain(), Slotted(), ValueError("bad"), KeyError(1, "two")
    function, built_in, module, kind, own_kind = quoted, len, sys, int, Plain
    if PY3:
        steps = range(1, 10, 2)
        import enum
        import pathlib
        color = enum.Enum("Color", "RED GREEN").GREEN
        number = enum.IntEnum("Number", "ONE TWO").TWO
        path, joined = pathlib.Path("/usr/lib"), pathlib.Path("/usr") / "share" / "doc"
        str(path)
        del enum, pathlib
    if sys.version_info >= (3, 7):
        import dataclasses
        record = dataclasses.make_dataclass("Record", ["name", "size"])("x", 3)
        del dataclasses
    return closures("captured", "kept")


def closures(captured, plain, later=None):
    own = [1]

    def inner(own_argument):
        through = (captured, own)

        def deepest():
            return captured, own_argument, later, unset
        return class_body(deepest)

    if plain is None:
        unset = 1
    return inner(7)


def class_body(function):
    class Body(object):
        attribute = 5
        other = [number for number in (1, 2)]
        truth.say(ready=True, frames=frames_from(sys._getframe()))
        sys.stdin.readline()


def burner():
    constant, pair = 7, [1, 2]
    while True: pass


def sleeper(argument):
    text = "x" * 1000
    many = list(range(1000))
    by_name = dict(("key-%d" % number, number) for number in range(1000))
    time.sleep(1000)


for target, arguments in ((burner, ()), (sleeper, ("quiet",))):
    if len(sys.argv) > 2:
        thread = threading.Thread(target=target, args=arguments, name=target.__name__)
        thread.daemon = True
        thread.start()
numbers(1, 2, 3, 4, extra="named")
