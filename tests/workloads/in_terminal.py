"""Runs a command in a terminal of its own and presses Ctrl-C there. Arguments: how often, seconds between, the command.

The first Ctrl-C comes half a second after the command has written "ready"; writes the terminal's text and then, as the last
line, the command's exit status.
"""
import os
import pty
import select
import sys
import time

presses, pause = int(sys.argv[1]), float(sys.argv[2])
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[3], sys.argv[3:])
text, due, deadline = b"", None, time.time() + 50
while time.time() < deadline:
    if select.select([terminal], [], [], 0.05)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break  # The last process that had the terminal is gone.
        if not data:
            break
        text += data
    if due is None and b"ready" in text:
        due = time.time() + 0.5
    if due is not None and presses > 0 and time.time() >= due:
        os.write(terminal, b"\x03")
        presses, due = presses - 1, due + pause
status = os.waitpid(pid, 0)[1]
sys.stdout.buffer.write(text)
print()
print(os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status))
