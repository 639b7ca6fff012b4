"""Two threads burn CPU in C code that releases the GIL. Argument: CPU seconds of each."""
import hashlib
import sys
import threading
import zlib

import truth

DATA, seconds, clock, facts = bytes(bytearray(range(256))) * 4096, float(sys.argv[1]), truth.clock, []


def packing():
    facts.append((truth.thread_id(), truth.stack(2)))
    end = clock() + seconds
    while clock() < end: zlib.compress(DATA, 6)


def hashing():
    facts.append((truth.thread_id(), truth.stack(2)))
    end = clock() + seconds
    while clock() < end: hashlib.sha256(DATA)


truth.begin()
threads = [threading.Thread(target=packing), threading.Thread(target=hashing)]
for thread in threads: thread.start()
for thread in threads: thread.join()
truth.end(threads=facts)
