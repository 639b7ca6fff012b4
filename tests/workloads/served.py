"""A WSGI application that burns a second of CPU for each request and answers with what it burned where."""
import json
import sys

sys.argv = [""]  # those are the server's
import truth


def price(clock=truth.clock):
    burn = truth.Burn(2, seconds=1)
    end = burn.end
    while clock() < end: pass
    burn.done()


def checkout():
    price()


def application(environ, start_response):
    del truth.BURNS[:]
    checkout()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(truth.BURNS).encode()]
