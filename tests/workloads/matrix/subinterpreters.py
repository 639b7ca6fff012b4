"""CPU burned in a second interpreter of the same process, in its main thread and in one of another."""
import os
import sys
import threading
import time

import truth

FOLDER = os.path.dirname(os.path.abspath(truth.__file__))
CODE = """
import sys
sys.path.insert(0, %r)
import truth
truth.SECONDS, truth.HOLD, number, name = %r, %r, %d, %r
truth.BURNS[:] = [None] * number
def inside(clock=truth.clock):
    burn = truth.Burn(2, thread_name=name)
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
    if sys.version_info >= (3,):
        import _testcapi
        return _testcapi.run_in_subinterp
    # 2.7 has nothing for it, but its C functions can be called, if nobody asks for the GIL between two of them.
    import ctypes
    sys.setcheckinterval(10 ** 9)
    swap = ctypes.pythonapi.PyThreadState_Swap
    swap.restype, swap.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

    def call(text):
        state = ctypes.c_void_p.in_dll(ctypes.pythonapi, "_PyThreadState_Current").value
        ctypes.pythonapi.Py_NewInterpreter()
        failure = ctypes.pythonapi.PyRun_SimpleString(text)
        swap(state)
        return failure
    return call


def inside(number):
    name = threading.current_thread().name  # to the other interpreter it is its main thread
    # Made by the thread that uses it: see `moved_interpreter.py`.
    failure = runner()(CODE % (FOLDER, truth.SECONDS, truth.HOLD, number, name))
    assert not failure, failure
    # The name of a thread is looked up while it lives.
    time.sleep(0.5)


truth.begin()
inside(0)
thread = threading.Thread(target=inside, args=(1,), name="a visitor")
thread.start()
thread.join()
truth.end()
