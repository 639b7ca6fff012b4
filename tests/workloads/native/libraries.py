"""Work inside of libraries: zlib, and with numpy (argument 2) a product of matrices on all CPUs and a ufunc made of Python."""
import os
import sys
import zlib

import nest
import truth

from expected import LEAF, burn, end



def compress(seconds):
    data = os.urandom(1 << 16) * 16
    end = truth.clock() + seconds
    while truth.clock() < end:
        zlib.compress(data, 9)


def by_zlib():
    compress(truth.SECONDS)


def work(x):
    burn(nest.burn, LEAF)
    return x


def by_ufunc(numpy):
    numpy.frompyfunc(work, 1, 1)(numpy.zeros(1))


def multiply(numpy):
    a = numpy.ones((700, 700))
    end = truth.clock() + truth.SECONDS
    while truth.clock() < end:
        a.dot(a)


numpy = __import__("numpy") if sys.argv[2:] else None
truth.begin()
by_zlib()
if numpy:
    by_ufunc(numpy)
    multiply(numpy)
work(None)
end()
