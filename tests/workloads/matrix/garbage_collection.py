"""The garbage collector at work on many objects, called and by itself."""
import gc

import truth

heap = [[n, {}] for n in range(100000)]
for item in heap: item.append(heap)


def collecting(clock=truth.clock):
    burn = truth.Burn(2, gc=True)
    end = burn.end
    while clock() < end: gc.collect()
    burn.done()


truth.begin()
collecting()
truth.end()
