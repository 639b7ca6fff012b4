"""What the programs of this folder say: the merged stack of each burn.

A stack is a list, outermost frame first, of ["python", NAME, FILE, LINE] and ["native", NAME]. Native frames are those that
the program knows itself; others may lie between. A name that begins with "?" is one of the interpreter's own file, which
not every build names.
"""
import os
import sys

import truth

#: What was burned where, oldest first.
BURNS = []

#: What `nest.call` and `nest.burn` are in C.
CALL = ["nest_call", "outer_3", "outer_2", "outer_1"]
LEAF = ["nest_burn", "leaf_2", "leaf_1", "spin"]


def burn(work, leaf, via=(), on_top=None, may_lack=None, arguments=(truth.SECONDS,)):
    """Calls `work`, whose C functions are `leaf`.

    `via` maps (caller, called), by their names without classes, to the C functions between them. `on_top`: text that a
    native frame above the newest Python frame must have in its name or file. `may_lack`: why native frames may be missing.
    """
    facts = {"pid": os.getpid(), "tid": truth.thread_id(), "on_top": on_top, "may_lack": may_lack}
    BURNS.append(facts)
    facts["stack"] = merged(sys._getframe(), 2, dict(via)) + [["native", name] for name in leaf]
    start = truth.cpu()
    work(*arguments)
    facts["seconds"] = truth.cpu() - start


def merged(frame, lines_on, via):
    stack, called = [], None
    while frame is not None:
        code = frame.f_code
        if called is not None:
            native = via.get((code.co_name, called), [])
            stack.extend(["native", name] for name in reversed(native))
        line = frame.f_lineno + (0 if stack else lines_on)
        stack.append(["python", truth.expected_name(frame), code.co_filename, line])
        called, frame = code.co_name, frame.f_back
    return stack[::-1]


def warm_up(work):
    """Does it all a few times, so that what is loaded when it is first needed is there: unwind tables. The frame of this
    function says so."""
    for _ in range(2):
        work()
    del BURNS[:]


def end():
    truth.end(merged=BURNS)
