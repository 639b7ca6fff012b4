"""Identifiers of one, two and four bytes per character; run under a file name that has all of them. Argument: CPU s."""
import sys

import truth


class Straße:
    def résumé(self, seconds):
        return 漢字かな(seconds)


def 漢字かな(seconds):
    return 𠮷野家(seconds)


def 𠮷野家(seconds, clock=truth.clock):
    end = clock() + seconds
    truth.say(stack=truth.stack(1))
    while clock() < end: pass


truth.begin()
Straße().résumé(float(sys.argv[1]))
truth.end()
