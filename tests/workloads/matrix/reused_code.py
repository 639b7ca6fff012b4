"""Functions that are made, run for a while and freed, so that the next one gets their addresses."""
import truth

TEXT = "%sdef made_%d(clock):\n    burn = truth.Burn(2, seconds=%r)\n    end = burn.end\n    while clock() < end: pass\n" \
    + "    burn.done()\n"
addresses = set()


def run(number):
    names = {"truth": truth}
    # Every other one differs from the one before in nothing but its name and file.
    text = TEXT % ("\n" * (number // 2 % 5), number, truth.SECONDS / 10)
    exec(compile(text, "/made/%d.py" % number, "exec"), names)
    function = names.pop("made_%d" % number)
    addresses.add(id(function.__code__))
    function(truth.clock)


truth.begin()
for number in range(40): run(number)
truth.end(addresses=len(addresses))
