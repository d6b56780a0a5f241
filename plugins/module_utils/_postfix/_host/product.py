# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An installed Postfix: where its files are, what it says of itself, and how a change of it goes live.

Sources: postconf(1), postfix(1), postmap(1), master(5).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..._policy.services import SMTP_PORT
from ..._sessions.smtp import sends_banner
from ..._transaction.command import Runner, StepError, call, run_tool
from ..._transaction.files import decode, read_file, remove
from .._config.facts import INDEXED, read_parameters
from .._config.main_cf import MainCf
from .._config.maps import FOLDER
from .staging import ask_staged

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 (only tried, and closed at once)

TABLE_SECONDS = 15
"""For one table, which may be a database on another host."""

INDEX_ENDS = {"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb"}
"""What postmap adds to the name of a table."""


_MANAGED_INDEXED = re.compile(rf"\b({'|'.join(INDEXED)}):\$\{{config_directory\}}/{FOLDER}/([\w.-]+)")
_WORD = re.compile(r"[a-z][a-z0-9_-]*")
LOOPBACK = ("127.0.0.1", "::1")

MISSING = (
    "Postfix is not installed on this host; install its package (postfix on Debian, Ubuntu and EL), or leave the host "
    "out of those with mailhost_mail_server: postfix"
)


class Postfix:
    """An installation. The driver of its transactions, whose details are those of `details`."""

    name = "Postfix"

    def __init__(self, folder: str, queue: str, interfaces: str = "all", protocols: str = "all") -> None:
        self.folder, self.queue = folder, queue
        named = _addresses(interfaces)
        self.interfaces = _spoken(named or EVERYWHERE, protocols)
        self.addresses = _spoken(named or LOOPBACK, protocols)

    # Places

    @property
    def main_cf(self) -> str:
        """The path of main.cf."""
        return os.path.join(self.folder, "main.cf")

    @property
    def master_cf(self) -> str:
        """The path of master.cf."""
        return os.path.join(self.folder, "master.cf")

    def table(self, name: str) -> str:
        """The path of a managed table."""
        return os.path.join(self.folder, FOLDER, name)

    def details(self, before: str, after: str, changed: Iterable[str]) -> dict[str, Any]:
        """Return the managed indexed tables of main.cf before and after a change, with types, and the changed files."""
        former, wanted = (
            {self.table(name): kind for name, kind in indexed_tables(main).items()} for main in (before, after)
        )
        return {"former": former, "wanted": wanted, "changed": sorted(map(os.path.realpath, changed))}

    # The driver of the transaction

    def built(self, details: Mapping[str, Any]) -> Sequence[str]:
        """Return the indexes of managed tables, before and after the change."""
        return [
            _index(path, kind) for tables in (details["former"], details["wanted"]) for path, kind in tables.items()
        ]

    def check(self, run: Runner) -> None:
        """Have Postfix look at its files and folders."""
        run("postfix check", ["postfix", "-c", self.folder, "check"])

    def build(self, run: Runner, details: Mapping[str, Any]) -> None:
        """Make the indexes of tables that changed, and remove those of tables that are gone."""
        former, wanted = details["former"], details["wanted"]
        for path, kind in wanted.items():
            changed = os.path.realpath(path) in details["changed"] or former.get(path) != kind
            if changed or not os.path.exists(_index(path, kind)):
                run("postmap", ["postmap", "-c", self.folder, f"{kind}:{path}"])
        kept = {_index(path, kind) for path, kind in wanted.items()}
        for path, kind in former.items():
            if _index(path, kind) not in kept:
                remove(_index(path, kind))

    def activate(self, run: Runner, details: Mapping[str, Any]) -> None:  # noqa: ARG002 (one way suffices for all)
        """Have the running Postfix read its files: each process ends after its client. Sessions are not cut."""
        try:
            run("postfix status", ["postfix", "-c", self.folder, "status"])
        except StepError:
            return  # it does not run, and reads them when it starts
        run("postfix reload", ["postfix", "-c", self.folder, "reload"])

    def start(self, run: Runner) -> None:
        """Start Postfix."""
        if os.path.isdir("/run/systemd/system"):
            # restart: the unit of Debian counts as running when its instance does not.
            run("systemctl restart postfix", ["systemctl", "restart", "postfix"])
        else:
            run("postfix start", ["postfix", "-c", self.folder, "start"])

    def alive(self) -> bool:
        """Whether port 25 gives a 220 banner where Postfix listens."""
        return any(sends_banner(address, SMTP_PORT) for address in self.addresses)

    def expanded(self, main: MainCf, names: Sequence[str]) -> dict[str, str]:
        """Values of parameters as Postfix reads them from a main.cf that is not live, with what they refer to."""
        return ask_staged(main, names)

    def table_entries(self, table: str) -> list[tuple[str, str]]:
        """The entries of a table, each with its key; none where it cannot be listed."""
        try:
            code, out, _errors = call("postmap", ("postmap", "-c", self.folder, "-s", table), TABLE_SECONDS)
        except StepError:
            return []
        pairs = (line.partition("\t") for line in out.splitlines() if not code)
        return [(key.strip(), value.strip()) for key, tab, value in pairs if tab]

    def table_text(self, path: str) -> str | None:
        """The source of a table; None where it cannot be read."""
        try:
            content = read_file(path)
        except OSError:
            return None
        return None if content is None else decode(content)

    def table_errors(self, table: str) -> list[str]:
        """What Postfix reports when it looks up a key that no table has."""
        try:
            _code, _out, errors = call("postmap", ("postmap", "-c", self.folder, "-q", "x", table), TABLE_SECONDS)
        except StepError as error:
            return [error.output]
        return [re.sub(r"^\S*postmap: (?:fatal: )?", "", line) for line in errors.splitlines()]

    def runs(self) -> bool | None:
        """Whether the master that has noted its number is there. To try its lock could hinder it."""
        noted = (read_file(os.path.join(self.queue, "pid", "master.pid")) or b"").strip()
        return os.path.exists(f"/proc/{int(noted)}") if noted.isdigit() else None


def _addresses(interfaces: str) -> tuple[str, ...]:
    """What inet_interfaces names; nothing where it is everything, or has a name that cannot be resolved."""
    found: dict[str, None] = {}
    for word in interfaces.lower().replace(",", " ").split():
        if word == "all":
            return ()
        addresses = LOOPBACK if word == "loopback-only" else _resolve(word.strip("[]"))
        if not addresses:
            return ()
        found.update(dict.fromkeys(addresses))
    return tuple(found)


def _resolve(name: str) -> tuple[str, ...]:
    try:
        return tuple(str(one[4][0]) for one in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        return ()


def _spoken(addresses: tuple[str, ...], protocols: str) -> tuple[str, ...]:
    """Those of the families in inet_protocols."""
    words = protocols.lower().replace(",", " ").split() or ["all"]
    return tuple(one for one in addresses if {"all", "ipv6" if ":" in one else "ipv4"} & {*words})


def _index(path: str, kind: str) -> str:
    return path + INDEX_ENDS[kind]


def indexed_tables(main: str) -> dict[str, str]:
    """The managed indexed tables that a main.cf names, with their types."""
    return {match[2]: match[1] for match in _MANAGED_INDEXED.finditer(main)}


# Discovery


def discover() -> Postfix:
    """Return the installed Postfix; StepError says what is missing."""
    names = ("config_directory", "queue_directory", "inet_interfaces", "inet_protocols")
    try:
        # Warnings about main.cf stand in the same output, and are no lines of this form.
        found = read_parameters(run_tool("discover", ["postconf", "-x", *names]).splitlines())
    except StepError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise StepError("discover", MISSING) from error
        raise StepError("discover", f"postconf failed: {error.output}") from error
    product = Postfix(*(found.get(name, "") for name in names))
    for path in (product.main_cf, product.master_cf):
        if not os.path.isfile(path):
            raise StepError("discover", f"there is no file {path}")
    return product


def ask_parameters() -> dict[str, str]:
    """Every parameter that the installed program knows, with its default."""
    return read_parameters(run_tool("postconf -d", ["postconf", "-d"], whole=True).splitlines())


def ask_words(option: str) -> frozenset[str]:
    """What ``postconf`` lists for an option: -m types of tables, -a kinds of SASL."""
    words = run_tool(f"postconf {option}", ["postconf", option]).split()
    return frozenset(word for word in words if _WORD.fullmatch(word))
