"""Generators that delegate to generators."""
import truth


def innermost(clock=truth.clock):
    burn = truth.Burn(2)
    end = burn.end
    while clock() < end: pass
    burn.done()
    yield 1
    truth.burn()
    return 2


def delegating(depth):
    return (yield from delegating(depth - 1) if depth else innermost())


def outermost():
    for value in delegating(20): yield value


truth.begin()
sum(outermost())
truth.end()
