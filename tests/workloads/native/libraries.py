"""Work inside of libraries: zlib, and with numpy (an argument) a product of matrices on all CPUs and a ufunc made of Python."""
import os
import sys
import zlib

import nest
import truth

from expected import LEAF, burn, end, warm_up


def by_zlib(data):
    burn(zlib.compress, [], on_top="zlib|libz|deflate", arguments=(data, 9))


def work(x):
    burn(nest.burn, LEAF)
    return x


def by_ufunc(numpy):
    numpy.frompyfunc(work, 1, 1)(numpy.zeros(1))


def by_product(matrix):
    burn(matrix.dot, [], on_top="numpy|blas|gemm", arguments=(matrix,))


def everything():
    by_zlib(data)
    if numpy:
        by_ufunc(numpy)
        by_product(matrix)
    work(None)


numpy = __import__("numpy") if sys.argv[2:] else None
matrix = numpy.ones((1500, 1500)) if numpy else None
data = os.urandom(1 << 16) * 64
truth.begin()
warm_up(everything)
everything()
end()
