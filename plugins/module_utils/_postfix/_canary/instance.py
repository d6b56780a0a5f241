# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The canary while it runs, and the SASL server that it uses.

Sources: master(8), Dovecot's authentication protocol, version 1.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from ..._transaction.command import StepError, call
from .._host.sandbox import end_processes, processes
from .files import QUEUE_FOLDERS

CANARY = "canary"
"""The name of the step in errors."""

LIFE_SECONDS = 90
"""The master ends by itself after so many seconds, if its run was killed."""

START_SECONDS = 15

_TROUBLE = re.compile(r"\b(?:warning|error|fatal|panic): (?!Illegal address syntax|unable to look up public/qmgr)")
"""Lines of its log that say why something does not work; there is no queue manager, and sessions send nonsense."""

_FATAL = re.compile(r"\b(?:fatal|panic): ")
_SHOWN = 12

Found = TypeVar("Found")


def make_folders(folder: str, owner: str, group: str) -> None:
    """Queue and data of a new Postfix."""
    user, drop = pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    queue = f"{folder}/queue"
    for path in (queue, f"{queue}/pid"):
        os.mkdir(path)
        os.chmod(path, 0o755)  # noqa: S103 (as every queue has it)
    folders = [(f"queue/{name}", mode, dropped) for name, mode, dropped in QUEUE_FOLDERS]
    for name, mode, dropped in [*folders, ("data", 0o700, False)]:
        path = f"{folder}/{name}"
        os.mkdir(path)
        os.chown(path, user, drop if dropped else -1)
        os.chmod(path, mode)


@contextlib.contextmanager
def started(folder: str, program: str) -> Iterator[None]:
    """Run the Postfix of a private folder. Raises StepError with its own words where it does not start."""
    config = f"{folder}/etc"
    code, out, errors = call(CANARY, (program, "-w", "-e", str(LIFE_SECONDS), "-c", config), START_SECONDS)
    try:
        if code or not processes(folder):
            raise StepError(CANARY, "\n".join([f"{out}{errors}".strip(), *trouble(folder)]))
        yield
    finally:
        end_processes(folder)


def watched(folder: str, work: Callable[[], Found]) -> Found:
    """Do the work while the Postfix of a private folder goes on. Raises StepError as soon as a part of it gives up.

    The master waits for a minute before it starts such a part again, and clients would wait with it.
    """
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        while not future.done() and not _lines(folder, _FATAL):
            wait([future], timeout=0.05)
        if not future.done():
            end_processes(folder)
        found = future.result()
    if _lines(folder, _FATAL):
        raise StepError(CANARY, "\n".join(trouble(folder)))
    return found


def trouble(folder: str) -> list[str]:
    """The last lines of its log that report trouble."""
    return _lines(folder, _TROUBLE)[-_SHOWN:]


def _lines(folder: str, kind: re.Pattern[str]) -> list[str]:
    try:
        with open(f"{folder}/log", encoding="utf-8", errors="replace") as file:
            lines = [re.sub(r"^.*?postfix-canary/", "", line.strip()) for line in file if kind.search(line)]
    except OSError:
        return []
    return list(dict.fromkeys(re.sub(r"\[\d+\]:", ":", line) for line in lines))


def free_ports(address: str, count: int) -> list[int]:
    """Numbers of free ports. Raises OSError where the host lets no program listen."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sockets = []
    try:
        for _number in range(count):
            one = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(one)
            one.bind((address, 0))
            one.listen(1)
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


class _Logins(socketserver.StreamRequestHandler):
    """Says which mechanisms there are, and that no password is right."""

    def handle(self) -> None:
        hello = f"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t{os.getpid()}\nCUID\t1\nCOOKIE\t{'0' * 32}\nDONE\n"
        with contextlib.suppress(OSError):
            self.wfile.write(hello.encode("ascii"))
            for line in self.rfile:
                words = line.split(b"\t")
                if words[0] == b"AUTH" and len(words) > 1:
                    self.wfile.write(b"FAIL\t" + words[1].strip() + b"\n")


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a connection that ends early."""


@contextlib.contextmanager
def sasl_server(path: str) -> Iterator[None]:
    """Stand in for Dovecot on a socket, whose real server must see none of the logins that are tried here."""
    server = _Server(path, _Logins)
    os.chmod(path, 0o666)  # noqa: S103 (Postfix's own user connects to it)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
