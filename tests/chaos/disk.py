"""A small disk for PostgreSQL: a tmpfs over its cluster, which only the processes of one mount namespace see.

Other processes see no mount, and nothing has to be unmounted: the kernel removes the disk with its last process.
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
"""The free space before ``fill``: room for a few segments of the write-ahead log."""

PIECE_BYTES = 64 * 1024

MOUNT = """
mkdir "$1.small" && mount -t tmpfs -o size="$2",mode=0700 tmpfs "$1.small" && cp -a "$1/." "$1.small" &&
chown --reference="$1" "$1.small" && mount --move "$1.small" "$1" && echo ready && exec cat
"""
"""Move a cluster to the new disk, and keep the namespace until standard input ends."""


@functools.cache
def find_refusal() -> str:
    """Say why this machine refuses to mount a file system; empty if it does not."""
    if os.geteuid() != 0:
        return "only root can mount a small disk"
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "util-linux's unshare or nsenter is missing"
    argv = ["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
    return f"mounting is refused: {done.stderr.strip()}" if done.returncode else ""


class SmallDisk:
    """The disk below one cluster. Create it while PostgreSQL is stopped; then fill it, and make room again."""

    def __init__(self, cluster: Path) -> None:
        used = sum(path.stat().st_blocks * 512 for path in cluster.rglob("*"))
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, "sh"]
        self.holder = subprocess.Popen(
            [*argv, str(cluster), str(used + ROOM_BYTES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != b"ready\n":
            raise RuntimeError("The small disk could not be mounted; the reason is above.")
        # This process is outside the namespace. It reaches the disk through /proc/pid/root, see proc(5).
        self.filler = Path(f"/proc/{self.holder.pid}/root{cluster}/filler")

    def enter(self, argv: Sequence[str], account: Account) -> list[str]:
        """Return the command line that runs ``argv`` as the account, inside the namespace that has the disk."""
        prefix = ["nsenter", "--target", str(self.holder.pid), "--mount"]
        return [*prefix, "--setuid", str(account["user"]), "--setgid", str(account["group"]), *argv]

    def fill(self) -> None:
        """Use up all free space. Safe to run again: PostgreSQL frees some from time to time."""
        piece = bytes(PIECE_BYTES)
        with self.filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(piece):
                pass

    def is_full(self) -> bool:
        return os.statvfs(self.filler.parent).f_bavail == 0

    def make_room(self) -> None:
        self.filler.unlink()

    def close(self) -> None:
        """Leave the namespace. The kernel removes the disk when PostgreSQL has ended too."""
        for pipe in (self.holder.stdin, self.holder.stdout):
            if pipe is not None:
                pipe.close()
        self.holder.wait(timeout=10)
