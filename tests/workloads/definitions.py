"""Stacks of functions that are all new: a program can make as many as it likes. Arguments: CPU seconds; functions of each
stack; CPU seconds that each stack stays."""
import sys
import types

import truth

seconds, depth, stay = float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
clock = truth.clock
sys.setrecursionlimit(depth + 1000)

source = """
def link(chain, index, end):
    if index:
        return chain[index](chain, index - 1, end)
    while clock() < end: pass
"""
names = {"clock": clock}
exec(compile(source, "made.py", "exec"), names)
template = names["link"].__code__


def made(number):
    name = "made_%d" % number
    code = template.replace(co_name=name, co_filename="/made/%d/of/many/files_%d.py" % (number % 1000, number))
    if hasattr(code, "co_qualname"):
        code = code.replace(co_qualname=name)
    return types.FunctionType(code, names)


truth.begin()
number, stop = 0, clock() + seconds
while clock() < stop:
    chain = [made(number + index) for index in range(depth)]
    number += depth
    chain[-1](chain, depth - 2, clock() + stay)
truth.end(functions=number)
