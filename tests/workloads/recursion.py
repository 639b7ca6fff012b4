"""Burns CPU at the end of a deep recursion. Arguments: CPU seconds, depth."""
import sys

import truth

clock = truth.clock
seconds, depth = float(sys.argv[1]), int(sys.argv[2])
sys.setrecursionlimit(depth + 100)


def down(levels):
    if levels:
        return down(levels - 1)
    end = clock() + seconds
    truth.say(thread=truth.get_ident(), stack=truth.stack(1))
    while clock() < end: pass


truth.begin()
down(depth)
truth.end()
