"""Identifiers of one, two and four bytes per character."""
import truth


class Straße:
    def résumé(self):
        return 漢字かな()


def 漢字かな():
    return 𠮷野家()


def 𠮷野家(clock=truth.clock):
    burn = truth.Burn(2)
    end = burn.end
    while clock() < end: pass
    burn.done()


truth.begin()
Straße().résumé()
truth.end()
