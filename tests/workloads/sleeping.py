"""Sleeps in C code that has released the GIL. Argument: seconds."""
import sys
import time

import truth


class Bed:
    def rest(self, seconds):
        truth.say(thread=truth.get_ident(), stack=truth.stack(1))
        time.sleep(seconds)


truth.begin()
Bed().rest(float(sys.argv[1]))
truth.end()
