"""Where the embedded services listen: a pure function of DATA_DIR, so every command finds them."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from urllib.parse import quote

SOCKET_PATH_MAX_BYTES = 107
"""The longest path of a unix socket (sun_path in <sys/un.h>, less the closing NUL)."""

LONGEST_SOCKET_NAME = ".s.PGSQL.5432.lock"


def socket_dir(data_dir: Path) -> Path:
    """The folder of the sockets: in DATA_DIR, or, if that path is too long, a short one named by its hash."""
    inside = data_dir.resolve() / "run"
    if len(bytes(inside / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES:
        return inside
    digest = hashlib.sha256(bytes(data_dir.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"emailbatch-{digest}"


def database_url(data_dir: Path) -> str:
    return f"postgres://postgres@/emailbatch?host={quote(str(socket_dir(data_dir)), safe='')}"


def redis_url(data_dir: Path) -> str:
    return f"unix://{socket_dir(data_dir) / 'redis.sock'}"


def inbox_url(data_dir: Path) -> str:
    return f"smtp+unix://{socket_dir(data_dir) / 'smtp.sock'}"


def local_secret_key(data_dir: Path) -> str:
    """The key that the local stack made in DATA_DIR at its first start, or an empty string."""
    path = data_dir / "secret_key"
    return path.read_text().strip() if path.is_file() else ""
