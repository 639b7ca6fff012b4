"""A small web shop that is busy all the time: something to look at for `cargo xtask run`.

Customers ask for pages over HTTP, on localhost and only there; the shop answers each of them in a thread of its own.
Meanwhile another thread works out which articles are bought together. Python's standard library (3.6 or newer) is all
it needs, and it leaves nothing behind.

It prints "open" when the customers are in, and closes when its standard input ends.
"""

import hashlib
import http.client
import http.server
import json
import os
import random
import socketserver
import sqlite3
import sys
import threading
import time
import zlib

CUSTOMERS = 4
ARTICLES = 3000
COLOURS = ["red", "green", "blue", "black", "white"]
THINGS = ["chair", "table", "lamp", "shelf", "carpet", "mirror"]


# What the shop does for each page.


class Shop:
    """The catalogue of one thread: SQLite's connections are not shared between threads."""

    def __init__(self):
        self.catalogue = sqlite3.connect(":memory:")
        self.catalogue.execute("CREATE TABLE article (number INTEGER, name TEXT, cents INTEGER)")
        self.catalogue.executemany("INSERT INTO article VALUES (?, ?, ?)", all_articles())

    def search_catalogue(self, words):
        """Work in C: SQLite reads every article."""
        found = self.catalogue.execute(
            "SELECT number, name, cents FROM article WHERE name LIKE ? ORDER BY cents, name", ["%" + words + "%"]
        )
        return found.fetchall()

    def search_page(self, words):
        articles = self.search_catalogue(words)
        return compress_page(render_list(articles))

    def invoice_page(self, words):
        basket = self.search_catalogue(words)[:200]
        invoice = write_invoice(basket)
        return compress_page(invoice)

    def login_page(self, password):
        return compress_page("welcome " + check_password(password))


def all_articles():
    dice = random.Random(1)
    for number in range(ARTICLES):
        yield number, "%s %s %d" % (dice.choice(COLOURS), dice.choice(THINGS), number), dice.randrange(100, 100000)


def render_list(articles):
    """Work in Python."""
    return "<ul>\n%s</ul>\n" % "".join(render_article(*article) for article in articles)


def render_article(number, name, cents):
    return "<li><a href='/article/%d'>%s</a> %s</li>\n" % (number, name.title(), price_tag(cents))


def price_tag(cents):
    euros, rest = divmod(cents, 100)
    return "%d.%02d EUR" % (euros, rest)


def write_invoice(basket):
    lines = [{"article": number, "name": name, "price": price_tag(cents)} for number, name, cents in basket]
    return json.dumps({"lines": lines, "total": price_tag(add_up(basket))}, indent=1)


def add_up(basket):
    total = 0
    for _, _, cents in basket:
        total += cents + value_added_tax(cents)
    return total


def value_added_tax(cents):
    return cents * 19 // 100


def check_password(password):
    """Work in C: OpenSSL, without Python's lock."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", 8000).hex()


def compress_page(text):
    """Work in C: zlib, without Python's lock."""
    return zlib.compress(text.encode(), 6)


# The web server, and who asks it.


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection, so one thread, for each customer

    def setup(self):
        super().setup()
        self.shop = Shop()

    def do_GET(self):
        _, page, words = self.path.split("/", 2)
        pages = {"search": self.shop.search_page, "invoice": self.shop.invoice_page, "login": self.shop.login_page}
        self.answer(pages[page](words))

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Encoding", "deflate")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def go_shopping(port):
    """One customer: asks for page after page, with a short look at each."""
    server = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        for page in ["/login/secret", "/search/red", "/search/lamp", "/invoice/chair"]:
            server.request("GET", page)
            look_at(zlib.decompress(server.getresponse().read()))


def look_at(page):
    time.sleep(0.005)


# What goes on besides.


def recommend_articles():
    """Work in Python: which articles are bought together?"""
    dice = random.Random(2)
    while True:
        baskets = [set(dice.sample(range(40), 8)) for _ in range(30)]
        compare_baskets(baskets)
        time.sleep(0.005)


def compare_baskets(baskets):
    return [(similarity(one, other), one) for one in baskets for other in baskets if one is not other]


def similarity(one, other):
    return len(one & other) / len(one | other)


def in_thread(name, function, *arguments):
    threading.Thread(target=function, args=arguments, name=name, daemon=True).start()


def main():
    server = Server(("127.0.0.1", 0), Request)
    in_thread("web server", server.serve_forever)
    for number in range(CUSTOMERS):
        in_thread("customer %d" % (number + 1), go_shopping, server.server_port)
    in_thread("recommendations", recommend_articles)
    print("open", flush=True)
    try:
        sys.stdin.read()
    except KeyboardInterrupt:
        pass
    os._exit(0)  # threads that are at work are not waited for


if __name__ == "__main__":
    main()
