"""What a workload says about itself: JSON lines on stdout, each step released by a line on stdin."""
import json
import sys


def say(**facts):
    print(json.dumps(facts), flush=True)


def begin():
    """Waits until the test says go on; ends the program when the test is gone."""
    say(ready=True)
    if not sys.stdin.readline():
        sys.exit(0)


def end(**facts):
    """Reports, and stays around until the test has seen enough."""
    say(done=True, **facts)
    sys.stdin.readline()


def stack(lines_on, depth=1):
    """The caller's stack, newest frame first, as it will be `lines_on` lines after this call."""
    frame, frames = sys._getframe(depth), []
    while frame is not None:
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        frames.append([name, code.co_filename, frame.f_lineno + (0 if frames else lines_on)])
        frame = frame.f_back
    return frames
