"""A short job that measures its own CPU time, as a program of its own or called. Argument: CPU seconds."""
import sys
import time


clock = getattr(time, "process_time", None) or time.clock  # of a process with one thread


def short_job(seconds, clock=clock):
    start = clock()
    while clock() - start < seconds: pass
    return clock() - start


if __name__ == "__main__":
    print(short_job(float(sys.argv[1])))
