#!/usr/bin/env python3
"""Build .venv from a requirements file with hashes, if it is missing or stale. Standard library only.

    python3 requirements/build_venv.py local | dev

A stamp in .venv says which Python and which requirements it was built from. ``dev`` holds all of ``local``, pinned
alike, so after ``make test`` a ``make up`` finds what it needs and installs nothing.

This file must be readable by Python 3.6, so that an old one gets to the sentence that says it is too old.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

REQUIREMENTS = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(os.path.dirname(REQUIREMENTS), ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
SERVES = {"local": ("local", "dev"), "dev": ("dev",)}  # which sets hold what this one asks for
OLDEST = (3, 11)


def main(wanted):
    require_python()
    os.makedirs(VENV, exist_ok=True)
    with open(os.path.join(os.path.dirname(REQUIREMENTS), ".venv", ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # make up and make test may begin at the same time
        if any(is_fresh(name) for name in SERVES[wanted]):
            return
        build(wanted)


def require_python():
    """End with a sentence if this Python can't build the environment."""
    if sys.version_info < OLDEST:
        sys.exit(
            f"Python {dotted(OLDEST)} or newer is needed, and {sys.executable} is {dotted(sys.version_info)}. "
            f"Install one, or name one that you have: make up PYTHON=/path/to/python3"
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as exc:
        sys.exit(
            f"{sys.executable} comes without the module {exc.name}, which builds the environment. On Debian and "
            f"Ubuntu, apt-get install python3-venv; elsewhere install the full Python."
        )


def build(wanted):
    if read(stamp_path("python")) != python_fingerprint():
        say(f"Making .venv with Python {dotted(sys.version_info)}.")
        remove_all_but_lock()
        run(sys.executable, "-m", "venv", VENV)
        write(stamp_path("python"), python_fingerprint())
    say(f"Installing requirements/{wanted}.txt; the first time takes a minute.")
    for name in SERVES:
        if os.path.exists(stamp_path(name)):
            os.remove(stamp_path(name))
    # The files name every package, so pip need not look for more (--no-deps). Nothing is compiled here.
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check"]
    run(VENV_PYTHON, "-m", "pip", "install", *options, "-r", requirements_path(wanted))
    write(stamp_path(wanted), requirements_digest(wanted))


def is_fresh(name):
    return (
        read(stamp_path("python")) == python_fingerprint()
        and read(stamp_path(name)) == requirements_digest(name)
        and os.path.exists(VENV_PYTHON)  # a link: broken when its Python was removed
    )


def python_fingerprint():
    """The interpreter, and the place: an environment that was moved has wrong paths in its scripts."""
    return f"{sys.version}\n{os.path.realpath(sys.executable)}\n{VENV}\n"


def requirements_digest(name):
    with open(requirements_path(name), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def requirements_path(name):
    return os.path.join(REQUIREMENTS, name + ".txt")


def stamp_path(name):
    return os.path.join(VENV, ".stamp-" + name)


def remove_all_but_lock():
    for name in os.listdir(VENV):
        path = os.path.join(VENV, name)
        if name != ".lock":
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)


def run(*argv):
    """Run a command; end with its own message if it fails."""
    status = subprocess.call(argv)  # noqa: S603
    if status:
        sys.exit(f"This command failed: {' '.join(argv)}\nWhat it printed above says why.")


def dotted(version):
    return ".".join(str(part) for part in version[:2])


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def say(text):
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    if sys.argv[1:] not in (["local"], ["dev"]):
        sys.exit("Usage: build_venv.py local | dev")
    main(sys.argv[1])
