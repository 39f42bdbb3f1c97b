#!/usr/bin/env python3
"""Build .venv from a requirements file with hashes, if it is missing or stale. Uses only the standard library.

    python3 requirements/build_venv.py local | dev

A stamp in .venv says which Python and which requirements it was built from. ``dev`` contains all of ``local`` with the
same versions, so ``make up`` after ``make test`` installs nothing.

Python 3.6 must be able to read this file, so that an old Python can print the sentence that says it is too old.
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
SERVES = {"local": ("local", "dev"), "dev": ("dev",)}  # which installed sets satisfy the requested one
OLDEST = (3, 11)
FROM_SOURCE = "django-allauth"


def main(wanted):
    require_python()
    os.makedirs(VENV, exist_ok=True)
    with open(os.path.join(os.path.dirname(REQUIREMENTS), ".venv", ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # make up and make test may start at the same time
        if any(is_fresh(name) for name in SERVES[wanted]):
            return
        build(wanted)


def require_python():
    """Exit with a sentence if this Python cannot build the environment."""
    if sys.version_info < OLDEST:
        sys.exit(
            f"Python {dotted(OLDEST)} or newer is needed, and {sys.executable} is {dotted(sys.version_info)}. "
            f"Install one, or name one that is installed: make up PYTHON=/path/to/python3"
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as exc:
        sys.exit(
            f"{sys.executable} lacks the module {exc.name}, which builds the environment. On Debian and Ubuntu, run "
            f"apt-get install python3-venv. On other systems, install the full Python."
        )


def build(wanted):
    if os.path.islink(VENV):  # it belongs to another folder, and to remove what is in it would break that one
        sys.exit(
            f".venv is a link to {os.path.realpath(VENV)}, which was built with another Python or from other "
            f"requirements. Remove the link, then run this again."
        )
    if read(stamp_path("python")) != python_fingerprint():
        say(f"Making .venv with Python {dotted(sys.version_info)}.")
        remove_all_but_lock()
        run(sys.executable, "-m", "venv", VENV)
        write(stamp_path("python"), python_fingerprint())
    say(f"Installing requirements/{wanted}.txt; the first time takes a minute.")
    for name in SERVES:
        if os.path.exists(stamp_path(name)):
            os.remove(stamp_path(name))
    # The files name every package, so pip needs no dependencies (--no-deps). Nothing is compiled here: the packages of
    # FROM_SOURCE have no wheel, and are Python alone. The tools that pack them are pinned too (--no-build-isolation).
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check"]
    run(VENV_PYTHON, "-m", "pip", "install", *options, "-r", requirements_path("build"))
    options += ["--no-binary", FROM_SOURCE, "--no-build-isolation"]
    run(VENV_PYTHON, "-m", "pip", "install", *options, "-r", requirements_path(wanted))
    write(stamp_path(wanted), requirements_digest(wanted))


def is_fresh(name):
    return (
        read(stamp_path("python")) == python_fingerprint()
        and read(stamp_path(name)) == requirements_digest(name)
        and os.path.exists(VENV_PYTHON)  # a symbolic link, which breaks if its Python is removed
    )


def python_fingerprint():
    """Return the interpreter and the folder: if the folder is moved, the scripts in it have wrong paths.

    A link to the folder may be moved, so the folder itself counts.
    """
    return f"{sys.version}\n{os.path.realpath(sys.executable)}\n{os.path.realpath(VENV)}\n"


def requirements_digest(name):
    digest = hashlib.sha256()
    for path in (requirements_path("build"), requirements_path(name)):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


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
    """Run a command. Exit with a sentence if it fails."""
    status = subprocess.call(argv)  # noqa: S603
    if status:
        sys.exit(f"This command failed: {' '.join(argv)}\nIts output above says why.")


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
