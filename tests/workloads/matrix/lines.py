"""Lines that jump far ahead and back: long functions, multi-line expressions, large line tables."""
import truth

FAR = "\n" * 300 + "def far(call):\n" + "    x = 1\n" * 400 + "\n" * 600 + "    return [\n        call()\n" \
    + "        for _ in\n        range(\n            1)]\n"
MANY = "def many(x, call):\n" + "".join("    if x == %d: return call(\n        %s)\n\n" % (n, n) for n in range(700))
names = {}
exec(compile(FAR, "/made/far.py", "exec"), names)
exec(compile(MANY, "/made/many.py", "exec"), names)


def leaf(*_):
    truth.burn()


def backwards():
    return {
        "first": 1,
        "later": names["far"](
            leaf)
    }["first"
      ]


def chained(x):
    return (x
            .upper()
            .join([
                "a",
                leaf(1,
                     2) or "b",
            ])
            .lower())


truth.begin()
backwards()
chained("x")
for number in (0, 127, 128, 300, 699): names["many"](number, leaf)
truth.end()
