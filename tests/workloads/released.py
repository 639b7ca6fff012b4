"""Two threads burn CPU in C code that releases the GIL. Argument: CPU seconds of each."""
import hashlib
import sys
import threading
import time
import zlib

import truth

DATA, seconds, clock, facts = bytes(range(256)) * 4096, float(sys.argv[1]), time.thread_time, []


def packing():
    facts.append((threading.get_native_id(), truth.stack(2)))
    end = clock() + seconds
    while clock() < end: zlib.compress(DATA, 6)


def hashing():
    facts.append((threading.get_native_id(), truth.stack(2)))
    end = clock() + seconds
    while clock() < end: hashlib.sha256(DATA)


truth.begin()
threads = [threading.Thread(target=packing), threading.Thread(target=hashing)]
for thread in threads: thread.start()
for thread in threads: thread.join()
truth.end(threads=facts)
