"""Files of the kinds that pyebpf looks for beside a program, forged. Argument: which."""
import os
import socket
import sys
import time

import attack


def busy():
    while True:
        stop = time.thread_time() + 0.01
        while time.thread_time() < stop:
            pass
        time.sleep(0.005)


def run(path):
    if os.fork() == 0:
        with open(path) as file:
            exec(compile("import time\n" + "busy()", path, "exec"), {"busy": busy})


def packages():
    """Beside each module `__init__.py` is a pipe, a device, a loop, a folder, or something large."""
    kinds = [os.mkfifo, lambda path: os.symlink("/dev/zero", path), lambda path: os.symlink(path, path), os.mkdir,
             lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40)]
    for index, kind in enumerate(kinds):
        os.makedirs("p%d/q/r" % index)
        kind(os.path.abspath("p%d/__init__.py" % index))
        kind(os.path.abspath("p%d/q/__init__.py" % index))
        path = os.path.abspath("p%d/q/r/module.py" % index)
        with open(path, "w") as file:
            file.write("pass\n")
        run(path)


def sources():
    """The file of its code is a pipe."""
    path = os.path.abspath("source.py")
    os.mkfifo(path)
    exec(compile("busy()", path, "exec"), {"busy": busy})


def runtimes():
    """State of container runtimes in its home and wherever it may write."""
    home = os.path.abspath("home")
    os.environ["HOME"] = home
    for path in (".local/share/containers/storage/overlay-containers/containers.json",
                 ".local/share/docker/containers/x/config.v2.json", ".config/containers/storage.conf"):
        os.makedirs(os.path.dirname(os.path.join(home, path)))
        os.mkfifo(os.path.join(home, path))
    os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), "sources"])


def sockets():
    """Sockets that never answer, with names of runtimes."""
    for name in ("docker.sock", "containerd.sock", "crio.sock", "podman.sock"):
        one = socket.socket(socket.AF_UNIX)
        one.bind(os.path.abspath(name))
        one.listen(1)
        globals()[name] = one
    busy()


def cgroup_names():
    """Cgroups that are called as those of containers and pods, and as nothing at all."""
    with open("/proc/self/cgroup") as file:
        own = [line.strip().split("::")[1] for line in file if "::" in line][0]
    root = "/sys/fs/cgroup/unified" if os.path.exists("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"
    names = ["docker-%064x.scope" % 1, "libpod-%064x.scope" % 2, "cri-containerd-%064x.scope" % 3, "crio-%064x" % 4,
             "kubepods-burstable-pod00000000_0000_0000_0000_000000000000.slice", "machine.slice", "docker", "\x1b[2J\x07",
             "new line 0::", "x" * 255, "a;b 7", "user@0.service", "innocent.service", "\u202egnp"]
    for name in names:
        path = "%s%s/%s" % (root, own, name)
        os.mkdir(path)
        if os.fork() == 0:
            with open(path + "/cgroup.procs", "w") as file:
                file.write("0")
            busy()
    deep = "%s%s" % (root, own)
    try:
        for _ in range(15):
            deep += "/" + "d" * 250
            os.mkdir(deep)
    except OSError:
        pass
    with open(deep + "/cgroup.procs", "w") as file:
        file.write("0")
    busy()



what = globals()[sys.argv[1].replace("-", "_")]
attack.ready()
what()
attack.for_ever()
