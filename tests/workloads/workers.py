"""Two workers of multiprocessing that use a CPU. Arguments: CPU seconds of each, how they are started."""
import multiprocessing
import os
import sys
import time


def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return os.getpid()


if __name__ == "__main__":
    import truth

    multiprocessing.set_start_method(sys.argv[2])
    truth.begin()
    with multiprocessing.Pool(2) as pool:
        pids = pool.map(work, [float(sys.argv[1])] * 2, chunksize=1)
        truth.end(pids=pids)
