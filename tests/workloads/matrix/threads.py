"""Three threads that burn CPU at the same time, each in functions of its own, under a main thread that waits."""
import threading

import truth


def work(call):
    call()


def first(clock=truth.clock):
    burn = truth.Burn(2)
    end = burn.end
    while clock() < end: pass
    burn.done()


def second():
    work(first)


class Third(threading.Thread):
    def run(self):
        truth.burn()


def waiting(threads):
    for thread in threads: thread.join()


truth.begin()
threads = [threading.Thread(target=first), threading.Thread(target=second), Third()]
for thread in threads: thread.start()
waiting(threads)
truth.end()
