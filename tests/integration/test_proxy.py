"""The proxy of the fault harness loses exactly the reply of a commit that took effect."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from emailbatch.localstack import addresses
from tests.proxy import RunningProxy


@pytest.fixture
def proxy(data_dir: Path) -> Iterator[RunningProxy]:
    with RunningProxy(addresses.database_socket_dir(data_dir) / ".s.PGSQL.5432", is_postgres=True) as running:
        yield running


@pytest.fixture
def table(proxy: RunningProxy) -> Iterator[str]:
    with connect(proxy) as connection:
        connection.execute("CREATE TABLE batches_lane_proxied (id int PRIMARY KEY)")
    yield "batches_lane_proxied"
    with connect(proxy) as connection:
        connection.execute("DROP TABLE batches_lane_proxied")


def connect(proxy: RunningProxy, **options: object) -> psycopg.Connection:
    return psycopg.connect(host="127.0.0.1", port=proxy.port, user="postgres", dbname="postgres", **options)  # type: ignore[arg-type]


def read_ids(proxy: RunningProxy, table: str) -> list[int]:
    with connect(proxy) as connection:
        return [row[0] for row in connection.execute(f"SELECT id FROM {table} ORDER BY id")]  # noqa: S608


@pytest.mark.parametrize("prepare", [False, True])
def test_commit_takes_effect_when_its_reply_is_lost(proxy: RunningProxy, table: str, prepare: bool) -> None:
    with connect(proxy) as connection:
        connection.execute(f"INSERT INTO {table} VALUES (1)", prepare=prepare)  # noqa: S608
        connection.commit()
        connection.execute(f"INSERT INTO {table} VALUES (2)", prepare=prepare)  # noqa: S608
        proxy.cut_after_commit()
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
        assert connection.broken
    assert (read_ids(proxy, table), proxy.cuts_done) == ([1, 2], 1)


def test_one_statement_transaction_loses_its_reply_when_it_is_prepared(proxy: RunningProxy, table: str) -> None:
    with connect(proxy, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE batches_lane AS SELECT 1 AS id")
        statement = f"WITH u AS (UPDATE batches_lane SET id = id) INSERT INTO {table} VALUES (%s)"  # noqa: S608
        connection.execute(statement, [1], prepare=True)
        connection.execute("SELECT 1")
        proxy.cut_after_commit()
        connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            connection.execute(statement, [2], prepare=True)
    assert read_ids(proxy, table) == [1, 2]


def test_commit_succeeds_when_no_cut_is_requested(proxy: RunningProxy, table: str) -> None:
    with connect(proxy) as connection:
        connection.execute(f"INSERT INTO {table} SELECT generate_series(1, 5000)")
    assert len(read_ids(proxy, table)) == 5000


def test_client_waits_when_the_proxy_is_a_black_hole(proxy: RunningProxy) -> None:
    with connect(proxy, autocommit=True) as connection:
        proxy.blackhole(on=True)
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3) as deaf, pytest.raises(TimeoutError):
            deaf.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")
            deaf.recv(1)
        proxy.blackhole(on=False)
        assert connection.execute("SELECT 7").fetchone() == (7,)


def test_connection_fails_when_it_is_cut_or_refused(proxy: RunningProxy) -> None:
    with connect(proxy, autocommit=True) as connection:
        proxy.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    proxy.refuse()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(proxy)
    proxy.listen()
    connect(proxy).close()
