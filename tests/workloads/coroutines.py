"""Burns CPU in a coroutine that a task awaits, run by asyncio. Argument: CPU seconds."""
import asyncio
import sys

import truth


async def burning(seconds, clock=truth.clock):
    await asyncio.sleep(0)
    end = clock() + seconds
    truth.say(stack=truth.stack(1))
    while clock() < end: pass


async def awaiting(seconds):
    await burning(seconds)


async def main(seconds):
    await asyncio.gather(awaiting(seconds), asyncio.sleep(seconds / 10))


truth.begin()
asyncio.run(main(float(sys.argv[1])))
truth.end()
