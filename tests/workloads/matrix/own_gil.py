"""Two interpreters of one process, each with a GIL of its own, that burn CPU at the same time."""
import os
import sys
import threading

import truth

FOLDER = os.path.dirname(os.path.abspath(truth.__file__))
CODE = """
import sys
sys.path.insert(0, %r)
import truth
truth.SECONDS, truth.HOLD = %r, %r
def inside(): truth.burn()
""" % (FOLDER, truth.SECONDS, truth.HOLD)
BURN = """
inside()
truth.say(**{"burns-inside": truth.BURNS})
"""


def interpreter():
    """A function that runs text in an interpreter with its own GIL."""
    if sys.version_info >= (3, 14):
        from concurrent import interpreters
        return getattr(interpreters.create(), "exec")
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters
        identity = interpreters.create("isolated")
    else:
        import _xxsubinterpreters as interpreters
        identity = interpreters.create(isolated=True)

    def run(text):
        failure = interpreters.run_string(identity, text)
        assert not failure, failure
    return run


def work():
    run = interpreter()
    run(CODE)
    run(BURN)


truth.begin()
thread = threading.Thread(target=work)
thread.start()
truth.burn()
thread.join()
truth.end()
