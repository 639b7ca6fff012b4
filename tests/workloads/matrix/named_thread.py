"""A thread with a name burns CPU while the main thread waits for a lock and ten others for an event."""
import os
import threading

import truth

NAME = "the-busy-one"
lock, finish = threading.Lock(), threading.Event()


def busy():
    with open(os.path.join("/proc", os.readlink("/proc/thread-self"), "comm"), "w") as comm:
        comm.write(NAME)
    truth.burn(thread_name=NAME)
    lock.release()


others = [threading.Thread(target=finish.wait) for _ in range(10)]
for thread in others: thread.start()
truth.begin()
lock.acquire()
threading.Thread(target=busy, name=NAME).start()
with lock: pass
finish.set()
for thread in others: thread.join()
truth.end()
