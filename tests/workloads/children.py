"""Short jobs in a row, each in a process of its own. Arguments: CPU seconds of each, how many, `fork` or `exec`."""
import os
import subprocess
import sys

import job
import truth

seconds, count, way = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
JOB = [sys.executable, "-S", "-E", job.__file__, str(seconds)]


def forked():
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, repr(job.short_job(seconds)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        return pid, float(pipe.read())


def executed():
    child = subprocess.Popen(JOB, stdout=subprocess.PIPE)
    return child.pid, float(child.communicate()[0])


truth.begin()
truth.end(children=[forked() if way == "fork" else executed() for _ in range(count)])
