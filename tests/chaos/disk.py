"""A small disk for PostgreSQL: a tmpfs over its cluster that only processes of one mount namespace see.

Nothing is mounted where others look, and nothing has to be unmounted: it goes with the last process in it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from emailbatch.localstack.permissions import Account

ROOM_BYTES = 96 * 1024 * 1024
"""What is free on it before it is filled: a few segments of the write-ahead log."""

PIECE_BYTES = 64 * 1024

MOUNT = """
mkdir "$1.small" && mount -t tmpfs -o size="$2",mode=0700 tmpfs "$1.small" && cp -a "$1/." "$1.small" &&
chown --reference="$1" "$1.small" && mount --move "$1.small" "$1" && echo ready && exec cat
"""
"""Move a cluster to the new disk, and hold the namespace until standard input ends."""


@functools.cache
def find_refusal() -> str:
    """Why this machine lets nobody mount a file system; empty if it does."""
    if os.geteuid() != 0:
        return "only root can mount a small disk"
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "util-linux's unshare or nsenter is missing"
    argv = ["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
    return f"mounting is refused: {done.stderr.strip()}" if done.returncode else ""


class SmallDisk:
    """The disk under one cluster that is not running. Fill it, and make room again."""

    def __init__(self, cluster: Path) -> None:
        used = sum(path.stat().st_blocks * 512 for path in cluster.rglob("*"))
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, "sh"]
        self.holder = subprocess.Popen(
            [*argv, str(cluster), str(used + ROOM_BYTES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != b"ready\n":
            raise RuntimeError("The small disk could not be mounted; the reason is above.")
        # The way for this process, which is not in the namespace: proc(5), /proc/pid/root.
        self.filler = Path(f"/proc/{self.holder.pid}/root{cluster}/filler")

    def enter(self, argv: Sequence[str], account: Account) -> list[str]:
        """The command line that runs another, as the account, where the disk is."""
        way = ["nsenter", "--target", str(self.holder.pid), "--mount"]
        return [*way, "--setuid", str(account["user"]), "--setgid", str(account["group"]), *argv]

    def fill(self) -> None:
        """Take all the room there is. Safe to run twice: PostgreSQL frees some now and then."""
        piece = bytes(PIECE_BYTES)
        with self.filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(piece):
                pass

    def is_full(self) -> bool:
        return os.statvfs(self.filler.parent).f_bavail == 0

    def make_room(self) -> None:
        self.filler.unlink()

    def close(self) -> None:
        """Let the namespace go; the disk goes when PostgreSQL has ended too."""
        for pipe in (self.holder.stdin, self.holder.stdout):
            if pipe is not None:
                pipe.close()
        self.holder.wait(timeout=10)
