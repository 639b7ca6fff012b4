"""A program that is started with `python -c`."""
import os
import sys

CODE = """
import truth
def leaf(): truth.burn()
truth.begin()
(lambda: leaf())()
truth.end()
"""
os.execv(sys.executable, [sys.executable, "-c", CODE] + sys.argv[1:])
