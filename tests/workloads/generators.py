"""Burns CPU inside generators that run inside each other. Argument: CPU seconds."""
import sys

import truth


def innermost(seconds, clock=truth.clock):
    end = clock() + seconds
    truth.say(thread=truth.get_ident(), stack=truth.stack(1))
    while clock() < end: pass
    yield seconds


def delegating(seconds):
    yield from innermost(seconds)


def looping(seconds):
    for value in delegating(seconds):
        yield value


truth.begin()
sum(value for value in looping(float(sys.argv[1])))
truth.end()
