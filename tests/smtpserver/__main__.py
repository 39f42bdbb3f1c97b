"""``python -m tests.smtpserver``: run the server until it is asked to stop. Once ready, it prints one line of JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.smtpserver.behaviour import Behaviour
from tests.smtpserver.listener import Listener


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.smtpserver", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 means any free port")
    parser.add_argument("--record", type=Path, help="append a line of JSON for each accepted recipient")
    parser.add_argument("--keep-raw", action="store_true", help="also record the whole message")
    parser.add_argument(
        "--fsync",
        action="store_true",
        help="fsync each write, so that the record survives a crash",
    )
    parser.add_argument("--control", type=Path, help="path of the unix socket that takes orders")
    parser.add_argument("--certificate", type=Path, help="where to write the self-signed certificate")
    parser.add_argument("--behaviour", type=json.loads, default={}, help="JSON with the fields of Behaviour")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    return parser.parse_args()


async def serve(arguments: argparse.Namespace, *, folder: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if arguments.until_eof:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    listener = Listener(
        Behaviour.load(arguments.behaviour),
        record=arguments.record,
        port=arguments.port,
        keep_raw=arguments.keep_raw,
        fsync=arguments.fsync,
        certificate=arguments.certificate or folder / "certificate.pem",
    )
    async with listener:
        if arguments.control:
            await listener.serve_control(arguments.control)
        sys.stdout.write(json.dumps({"port": listener.port}) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="smtpserver-") as folder:
        uvloop.run(serve(read_arguments(), folder=Path(folder)))


main()
