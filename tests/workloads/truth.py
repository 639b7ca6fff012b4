# -*- coding: utf-8 -*-
"""What a workload says about itself: JSON lines on stdout, each step released by a line on stdin.

Runs on every Python from 2.7 on.
"""
import functools
import json
import os
import sys
import time

try:
    from threading import get_ident
except ImportError:
    from thread import get_ident

#: CPU seconds of this thread, as a function of C code: it adds no frame.
if hasattr(time, "thread_time"):
    clock = time.thread_time
elif hasattr(time, "clock_gettime"):
    clock = functools.partial(time.clock_gettime, time.CLOCK_THREAD_CPUTIME_ID)
else:
    clock = time.clock  # 2.7 has only that of the whole process


def say(**facts):
    os.write(1, json.dumps(facts).encode() + b"\n")


def thread_id():
    """The kernel's number of this thread."""
    return int(os.readlink("/proc/thread-self").split("/")[-1])


def run_delay():
    """Seconds that this thread waited for a CPU."""
    with open("/proc/thread-self/schedstat") as file:
        return int(file.read().split()[1]) / 1e9


def build():
    """What kind of interpreter runs this."""
    import sysconfig
    with open("/proc/self/maps") as maps:
        mapped = maps.read()
    return {
        "version": list(sys.version_info[:2]),
        "free_threaded": "free-threading" in sys.version,
        "musl": (sysconfig.get_config_var("SOABI") or "").endswith("-musl"),
        "static": "/libpython" not in mapped,
    }


def begin():
    """Waits until the test says go on; ends the program when the test is gone."""
    say(ready=True, build=build())
    if not sys.stdin.readline():
        sys.exit(0)


def functions():
    """Name and file of every function that this process can run, and of code inside them, as pyebpf shows them."""
    import gc
    import types
    found, seen = set(), set()
    todo = [thing.__code__ for thing in gc.get_objects() if isinstance(thing, types.FunctionType)]
    frame = sys._getframe()
    while frame is not None:
        todo.append(frame.f_code)
        frame = frame.f_back
    while todo:
        code = todo.pop()
        if id(code) not in seen:  # equal ones may have different files
            seen.add(id(code))
            found.add((getattr(code, "co_qualname", code.co_name), code.co_filename))
            todo.extend(inner for inner in code.co_consts if isinstance(inner, types.CodeType))
    # Before 3.11 code does not know its class; pyebpf looks it up.
    if sys.version_info < (3, 11):
        for owner in gc.get_objects():
            if isinstance(owner, type):
                for attribute in vars(owner).values():
                    for code in codes_of(attribute):
                        found.add(("%s.%s" % (owner.__name__, code.co_name), code.co_filename))
    return sorted(found)


def end(**facts):
    """Reports, and stays around until the test has seen enough."""
    say(done=True, burns=BURNS, **facts)
    sys.stdin.readline()


def expected_name(frame):
    """The name that pyebpf shows for a frame."""
    code = frame.f_code
    if hasattr(code, "co_qualname"):
        return code.co_qualname
    first = code.co_varnames[0] if code.co_argcount else None
    if first not in ("self", "cls") or first not in frame.f_locals:
        return code.co_name
    value = frame.f_locals[first]
    called_on = type(value) if first == "self" else value
    if not isinstance(called_on, type) or called_on.__name__ == "instance":
        return code.co_name
    for base in called_on.__mro__:
        if any(code in codes_of(attribute) for attribute in vars(base).values()):
            called_on = base
            break
    return "%s.%s" % (called_on.__name__, code.co_name)


def codes_of(attribute):
    """The code of a method, also behind `classmethod`, `staticmethod` and `property`."""
    names = ("__func__", "fget", "fset", "fdel")
    functions = [attribute] + [getattr(attribute, name, None) for name in names]
    return [function.__code__ for function in functions if hasattr(function, "__code__")]


def stack(lines_on, depth=1):
    """The caller's stack, newest frame first, as it will be `lines_on` lines after this call."""
    frame, frames = sys._getframe(depth), []
    while frame is not None:
        line = frame.f_lineno + (0 if frames else lines_on)
        frames.append([expected_name(frame), frame.f_code.co_filename, line])
        frame = frame.f_back
    return frames


# What follows is for the programs in `matrix`, whose arguments are: CPU seconds of each burn, and for a snapshot the number
# of the burn that never ends.

#: What was burned where, oldest first.
BURNS = []
ARGUMENTS = getattr(sys, "argv", [""])[1:]
SECONDS = float(ARGUMENTS[0]) if ARGUMENTS else 0.1
HOLD = int(ARGUMENTS[1]) if ARGUMENTS[1:] and ARGUMENTS[1].isdigit() else None


class Burn(object):
    """CPU time burned at one place. What the caller does until `end`, it does on the line `lines_on` lines further."""

    def __init__(self, lines_on, seconds=None, depth=1, gc=False, releases_gil=False, thread_name=None):
        self.facts = {
            "pid": os.getpid(),
            "tid": thread_id(),
            "thread_name": thread_name,
            "releases_gil": releases_gil,
            "stack": ([["<gc>", "", 0]] if gc else []) + stack(lines_on, depth + 1),
        }
        BURNS.append(self.facts)
        if HOLD is None:
            self.seconds = SECONDS if seconds is None else seconds
        else:
            self.seconds = 1e9 if len(BURNS) - 1 == HOLD else 0
        if self.seconds > 1e6:
            say(thread=get_ident(), stack=self.facts["stack"], releases_gil=releases_gil)
        self.start = cpu()
        self.end = clock() + self.seconds

    def done(self):
        """To be called after it, so that the program says how much it was."""
        self.facts["seconds"] = cpu() - self.start


if clock is getattr(time, "clock", None):
    import resource

    def cpu():
        """CPU seconds of this thread."""
        usage = resource.getrusage(1)  # RUSAGE_THREAD (getrusage(2)), which 2.7 does not name
        return usage.ru_utime + usage.ru_stime
else:
    cpu = clock


def burn(clock=clock, **options):
    """Burns CPU, called from the place that is tested: that the caller is there is its last frame but one."""
    burning = Burn(2, **options)
    end = burning.end
    while clock() < end: pass
    burning.done()
