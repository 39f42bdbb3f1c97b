"""Where the embedded services listen and keep their data: a pure function of DATA_DIR, so every command finds them.

Only ``local_secret_key`` writes, and only the key's own file.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from urllib.parse import quote

SOCKET_PATH_MAX_BYTES = 107
"""The longest path of a unix socket (sun_path in <sys/un.h>, less the closing NUL)."""

DATABASE_NAME = "emailbatch"

LONGEST_SOCKET_NAME = ".s.PGSQL.5432.lock"

SHORT_FOLDER = Path("/tmp")  # noqa: S108  (not TMPDIR: a second terminal may have another one)


def socket_dir(data_dir: Path) -> Path:
    """The folder of the sockets: in DATA_DIR, or, if that path is too long, a short one named by its hash."""
    inside = data_dir.resolve() / "run"
    if len(bytes(inside / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES:
        return inside
    digest = hashlib.sha256(bytes(data_dir.resolve())).hexdigest()[:16]
    return SHORT_FOLDER / f"emailbatch-{digest}"


def database_url(data_dir: Path) -> str:
    return f"postgres://postgres@/{DATABASE_NAME}?host={quote(str(socket_dir(data_dir)), safe='')}"


def redis_url(data_dir: Path) -> str:
    return f"unix://{socket_dir(data_dir) / 'redis.sock'}"


def inbox_url(data_dir: Path) -> str:
    return f"smtp+unix://{inbox_socket(data_dir)}"


def inbox_socket(data_dir: Path) -> Path:
    return socket_dir(data_dir) / "smtp.sock"


def inbox_file(data_dir: Path) -> Path:
    """The SQLite file of every message that the inbox accepted."""
    return data_dir / "inbox.sqlite3"


def local_secret_key(data_dir: Path) -> str:
    """The key of the local stack, made at random at its first need; empty if DATA_DIR can't be read or written."""
    path = data_dir / "secret_key"
    try:
        if not path.exists():
            _write_once(path, secrets.token_urlsafe(50))
        return path.read_text().strip()
    except OSError:
        return ""


def _write_once(path: Path, text: str) -> None:
    """Make a file that only its owner reads. Of two processes at once one wins, and no reader sees half a key."""
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
