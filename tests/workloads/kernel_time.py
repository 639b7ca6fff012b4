"""Burns CPU inside the kernel, in one system call made by one function. Argument: CPU seconds."""
import os
import sys

import truth


def ask_the_kernel(descriptor, seconds, clock=truth.clock):
    end = clock() + seconds
    while clock() < end:
        os.read(descriptor, 1 << 20)


truth.begin()
ask_the_kernel(os.open("/dev/zero", os.O_RDONLY), float(sys.argv[1]))
truth.end()
