"""A function that calls itself a hundred times and then burns CPU itself."""
import truth


def down(levels, clock=truth.clock):
    if levels:
        return down(levels - 1)
    burn = truth.Burn(2)
    end = burn.end
    while clock() < end: pass
    burn.done()


truth.begin()
down(100)
truth.end()
