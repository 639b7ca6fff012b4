"""Comprehensions and generator expressions, which have a frame of their own or not, by version."""
import truth


def leaf(*_):
    truth.burn()
    return 1


def nested():
    return [
        [leaf(x, y)
         for y in range(1)]
        for x in range(1)
    ]


truth.begin()
[leaf(x) for x in range(1)]
{leaf(x) for x in range(1)}
{leaf(x): x for x in range(1)}
sum(leaf(x) for x in range(1))
nested()
max(y for y in (leaf(x) for x in range(1)))
truth.end()
