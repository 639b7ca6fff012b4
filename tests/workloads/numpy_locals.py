"""A function with variables of NumPy's kinds, beside those that py-spy's own test has."""
import sys

import numpy
import truth


def variables(arg1="foo", arg2=None, arg3=True):
    a_list, a_tuple = [-1234, 5678], ("a", "b", "c")
    number, ratio, a_dict = 123456789123456789, 3.1415, {"a": False, "b": (1, 2, 3)}
    long_pair = ("-" * 115, {"key": {"key": {"key": "value"}}})
    yes = numpy.bool_(True)
    int8, int16, int32, int64 = numpy.int8(-3), numpy.int16(42), numpy.int32(43), numpy.int64(-44)
    uint8, uint16, uint32, uint64 = numpy.uint8(45), numpy.uint16(46), numpy.uint32(7), numpy.uint64(2 ** 63)
    half, single, double, long_double = numpy.float16(.3), numpy.float32(.1), numpy.float64(.7), numpy.longdouble(.9)
    complex_single, complex_double = numpy.complex64(.3 + 5j), numpy.complex128(.3 + 5j)
    chinese, empty = u"\u6d4b\u8bd51" * 500, ""
    array, vector = numpy.zeros((3, 4)), numpy.arange(5, dtype="int16")
    truth.say(ready=True, addresses={name: id(value) for name, value in locals().items()})
    sys.stdin.readline()


variables()
