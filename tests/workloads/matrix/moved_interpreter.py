"""An interpreter made by one thread and used by another. Up to 3.12 its thread state keeps the id of the first."""
import os
import sys
import threading

import truth

CODE = """
import sys
sys.path.insert(0, %r)
import truth
truth.SECONDS, truth.HOLD = %r, %r
def inside(): truth.burn()
inside()
truth.say(**{"burns-inside": truth.BURNS})
""" % (os.path.dirname(os.path.abspath(truth.__file__)), truth.SECONDS, truth.HOLD)

if sys.version_info >= (3, 14):
    from concurrent import interpreters
    run = getattr(interpreters.create(), "exec")
else:
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    identity = interpreters.create()

    def run(text):
        failure = interpreters.run_string(identity, text)
        assert not failure, failure

truth.begin()
thread = threading.Thread(target=run, args=(CODE,))
thread.start()
thread.join()
truth.end()
