"""Says where the embedded services listen and keep their data. Every command computes the same paths from DATA_DIR.

Only ``local_secret_key`` and ``local_unsubscribe_key`` write, and each writes only the file of its key.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from urllib.parse import quote

SOCKET_PATH_MAX_BYTES = 107
"""The longest path of a unix socket: the size of sun_path in <sys/un.h>, without the final NUL."""

DATABASE_NAME = "emailbatch"

LONGEST_SOCKET_NAME = ".s.PGSQL.5432.lock"

SHORT_FOLDER = Path("/tmp")  # noqa: S108  (not TMPDIR, which may differ in a second terminal)


def socket_dir(data_dir: Path) -> Path:
    """Return the folder of the sockets of Valkey and the inbox. It belongs to the user of the local stack."""
    return _short_enough(data_dir, "run")


def database_socket_dir(data_dir: Path) -> Path:
    """Return the folder of PostgreSQL's socket. It belongs to PostgreSQL's user, who can't touch the other sockets."""
    return _short_enough(data_dir, "pg")


def _short_enough(data_dir: Path, name: str) -> Path:
    """Return a folder in DATA_DIR, or in /tmp under a hash of DATA_DIR if paths of sockets in it would be too long."""
    inside = data_dir.resolve() / name
    if len(bytes(inside / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES:
        return inside
    digest = hashlib.sha256(bytes(data_dir.resolve())).hexdigest()[:16]
    return SHORT_FOLDER / f"emailbatch-{digest}-{name}"


def database_url(data_dir: Path) -> str:
    """Return the address of the embedded PostgreSQL."""
    return f"postgres://postgres@/{DATABASE_NAME}?host={quote(str(database_socket_dir(data_dir)), safe='')}"


def redis_url(data_dir: Path) -> str:
    """Return the address of the embedded Valkey."""
    return f"unix://{socket_dir(data_dir) / 'redis.sock'}"


def inbox_url(data_dir: Path) -> str:
    """Return the address of the local inbox."""
    return f"smtp+unix://{inbox_socket(data_dir)}"


def inbox_socket(data_dir: Path) -> Path:
    return socket_dir(data_dir) / "smtp.sock"


def inbox_file(data_dir: Path) -> Path:
    """Return the path of the SQLite file that holds every message the inbox accepted."""
    return data_dir / "inbox.sqlite3"


def local_secret_key(data_dir: Path) -> str:
    """Return the random key of the local stack, made when it is first needed; empty if DATA_DIR cannot be used."""
    return _read_key(data_dir / "secret_key")


def local_unsubscribe_key(data_dir: Path) -> str:
    """Return the random key of the unsubscribe links of the local stack, in the same way."""
    return _read_key(data_dir / "unsubscribe_key")


def _read_key(path: Path) -> str:
    try:
        if not path.exists():
            _write_once(path, secrets.token_urlsafe(50))
        return path.read_text().strip()
    except OSError:
        return ""


def _write_once(path: Path, text: str) -> None:
    """Create a file that only its owner can read, unless another process creates it first.

    The text is written to a draft, and a link gives the draft its name: no reader sees half a key, and of two
    processes at once one wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
