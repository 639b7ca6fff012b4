"""CPU burned in a second interpreter of the same process, in its main thread and in one of another."""
import os
import sys
import threading

import truth

FOLDER = os.path.dirname(os.path.abspath(truth.__file__))
CODE = """
import sys
sys.path.insert(0, %r)
import truth
truth.SECONDS, truth.HOLD, number = %r, %r, %d
truth.BURNS[:] = [None] * number
def inside(clock=truth.clock):
    burn = truth.Burn(2)
    end = burn.end
    while clock() < end: pass
    burn.done()
inside()
truth.say(**{"burns-%%d" %% number: truth.BURNS[number:]})
"""


def runner():
    """A function that runs text in another interpreter, by what this version has for it."""
    if sys.version_info >= (3, 14):
        from concurrent import interpreters
        return getattr(interpreters.create(), "exec")
    if sys.version_info >= (3, 8):
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        identity = interpreters.create()
        return lambda text: interpreters.run_string(identity, text)
    import _testcapi
    return _testcapi.run_in_subinterp


def inside(number):
    failure = run(CODE % (FOLDER, truth.SECONDS, truth.HOLD, number))
    assert not failure, failure


run = runner()
truth.begin()
inside(0)
thread = threading.Thread(target=inside, args=(1,))
thread.start()
thread.join()
truth.end()
