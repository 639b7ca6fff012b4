"""A chain of functions of every kind; the innermost burns CPU on one line. Argument: CPU seconds."""
import sys

import truth


class Outer:
    class Inner:
        def __init__(self, seconds):
            self.method(seconds)

        def method(self, seconds):
            def closure():
                return Outer.static(seconds)
            return closure()

    @staticmethod
    def static(seconds):
        return [(lambda: leaf(seconds))() for _ in range(1)]


def leaf(seconds, clock=truth.clock):
    end = clock() + seconds
    truth.say(thread=truth.get_ident(), stack=truth.stack(1))
    while clock() < end: pass


truth.begin()
Outer.Inner(float(sys.argv[1]))
truth.end()
