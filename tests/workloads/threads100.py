"""100 threads, of which one burns CPU and 99 wait. Argument: CPU seconds."""
import sys
import threading

import truth

seconds, go, finish = float(sys.argv[1]), threading.Event(), threading.Event()
busy = {}


def waiting():
    finish.wait()


def burning(clock=truth.clock):
    busy["tid"] = truth.thread_id()
    threading.current_thread().name = "the-busy-one"
    go.wait()
    end = clock() + seconds
    while clock() < end: pass


threads = [threading.Thread(target=burning if n == 57 else waiting) for n in range(100)]
for thread in threads:
    thread.start()
truth.begin()
go.set()
threads[57].join()
truth.end(cpu={"burning": seconds}, tid=busy["tid"])
finish.set()
