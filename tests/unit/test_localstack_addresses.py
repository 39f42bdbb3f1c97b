"""Where the embedded services listen."""

from __future__ import annotations

import threading
from pathlib import Path

from emailbatch.localstack import addresses


def test_sockets_are_in_the_data_folder_when_its_path_is_short(tmp_path: Path) -> None:
    assert addresses.socket_dir(Path("/srv/mail")) == Path("/srv/mail/run")
    assert addresses.database_socket_dir(Path("/srv/mail")) == Path("/srv/mail/pg")


def test_sockets_fit_the_kernel_when_the_path_is_long() -> None:
    for length in range(1, 400):
        folder = Path("/srv") / ("d" * length if length < 200 else "ü" * (length // 4) + "/" + "d" * 200)
        for sockets in (addresses.socket_dir(folder), addresses.database_socket_dir(folder)):
            assert len(bytes(sockets / addresses.LONGEST_SOCKET_NAME)) <= addresses.SOCKET_PATH_MAX_BYTES
        assert addresses.socket_dir(folder) != addresses.database_socket_dir(folder)


def test_each_long_path_has_its_own_folder() -> None:
    long = "d" * 150
    assert addresses.socket_dir(Path(f"/a/{long}")) != addresses.socket_dir(Path(f"/b/{long}"))
    assert addresses.socket_dir(Path(f"/a/{long}")) == addresses.socket_dir(Path(f"/a/b/../{long}"))


def test_every_process_gets_the_same_key_when_many_need_it_at_once(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "folder"
    keys: list[str] = []
    threads = [threading.Thread(target=lambda: keys.append(addresses.local_secret_key(data_dir))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1
    assert len(keys[0]) >= 50
    assert [path.name for path in data_dir.iterdir()] == ["secret_key"]


def test_key_is_empty_when_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert addresses.local_secret_key(tmp_path / "file" / "below") == ""
