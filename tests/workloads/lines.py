"""Calls whose line numbers jump far ahead and back inside one expression. Argument: CPU seconds."""
import sys

import truth

FAR = "\n" * 300 + "def far(call, seconds):\n" + "    x = 1\n" * 200 + "    return [\n        call(seconds)\n" \
    + "        for _ in\n        range(\n            1)]\n"
names = {}
exec(compile(FAR, "/made/far.py", "exec"), names)


def backwards(seconds):
    return {
        "first": 1,
        "later": names["far"](
            leaf,
            seconds)
    }["first"
      ]


def leaf(seconds, clock=truth.clock):
    end = clock() + seconds
    truth.say(stack=truth.stack(1))
    while clock() < end: pass


truth.begin()
backwards(float(sys.argv[1]))
truth.end()
