"""Burns CPU in a second interpreter of the same process. Argument: CPU seconds."""
import os
import sys

import truth

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

CODE = """
import sys, time
sys.path.insert(0, %r)
import truth
def inside(seconds, clock=truth.clock):
    end = clock() + seconds
    truth.say(stack=truth.stack(1))
    while clock() < end: pass
inside(%r)
"""
truth.begin()
failure = interpreters.run_string(
    interpreters.create(), CODE % (os.path.dirname(os.path.abspath(__file__)), float(sys.argv[1])))
truth.end(failure=failure and str(failure))
