"""Code that was never a file: exec, eval, and compile() under odd file names."""
import truth

TEXT = "\n\n\ndef made(clock=truth.clock):\n    burn = truth.Burn(2)\n    end = burn.end\n    while clock() < end: pass\n" \
    + "    burn.done()\n\n\nmade()\n"
truth.begin()
exec("\nimport truth\ntruth.burn()\n", {})
eval("[\n1, (lambda:\n truth.burn())()]", {"truth": truth})
for name in ("odd name.py", "<odd [name]: 1>", "x" * 300 + ".py", "/a/../b/./c", "no-extension"):
    exec(compile(TEXT, name, "exec"), {"truth": truth})
truth.end()
