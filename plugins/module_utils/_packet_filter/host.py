# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a mail host says of itself before its packet filter is changed.

Private to the collection: other collections must not import it. Nothing here
changes the host.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import pwd
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter import loader
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.namespace import (
    Connection,
    NoNamespaceError,
    in_namespace,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import NetworkError, parse_address

ANCESTORS = 32
"""Processes to look through for the SSH connection; a chain of sudo and shells has about six."""


class ConflictError(ReportedError):
    """The host is in a state in which a change would fight with something else."""


class Endpoint(NamedTuple):
    """A TCP socket of the host: local and remote address and port; the remote port of a listener is 0."""

    address: str
    port: int
    remote: str
    remote_port: int


# The SSH connection


def ssh_connection() -> Connection | None:
    """Return the live SSH connection of this run, also through sudo, or None where there is none.

    sudo takes SSH_CONNECTION out of the environment, so the processes that
    started this one are asked for theirs. A daemon behind a proxy may say
    ``UNKNOWN``; that is none.
    """
    process = os.getpid()
    for _step in range(ANCESTORS):
        found = _read_connection(_environment(process, b"SSH_CONNECTION="))
        if found is not None:
            return found
        process = _parent(process)
        if process <= 1:
            break
    return None


def _read_connection(value: str) -> Connection | None:
    words = value.split()
    if len(words) != 4 or not words[3].isdigit():
        return None
    controller, address = _plain(words[0]), _plain(words[2])
    try:
        parse_address(controller)
        parse_address(address)
    except NetworkError:
        return None
    return Connection(controller, address, int(words[3]))


def _environment(process: int, key: bytes) -> str:
    try:
        with open(f"/proc/{process}/environ", "rb") as file:
            for item in file.read().split(b"\0"):
                if item.startswith(key):
                    return item[len(key) :].decode("ascii", "replace")
    except OSError:
        pass
    return ""


def _parent(process: int) -> int:
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _plain(address: str) -> str:
    """Return an address without its zone, and IPv4 in its own spelling."""
    bare = address.partition("%")[0]
    return bare[7:] if bare.lower().startswith("::ffff:") and "." in bare else bare


# iptables


def choose_backend(wish: str) -> str:
    """Return ``nft`` or ``legacy``: the wish, else the one in use on the host. ConflictError where both hold our rules.

    In use means: has our rules, else is the only one with rules of anybody,
    else is what the command ``iptables`` stands for.
    """
    present = [
        backend
        for backend in loader.BACKENDS
        if shutil.which(f"iptables-{backend}-restore", path="/usr/sbin:/sbin:/usr/bin:/bin")
    ]
    if not present:
        raise ConflictError("iptables is not installed on the host; install the package iptables")
    lives = {backend: _both_families(backend) for backend in present}
    managed = [backend for backend in present if any(live.managed for live in lives[backend])]
    if len(managed) == 2:
        raise ConflictError(
            "both iptables-nft and iptables-legacy hold chains named MAILHOST-*, so it is unclear which decide; "
            "delete those of one variant, or flush them, and run again"
        )
    if wish != "auto" and wish not in present:
        raise ConflictError(
            f'packet_filter_backend: "{wish}" is not installed on the host; write "auto" or "{present[0]}"'
        )
    if wish != "auto" and managed and managed != [wish]:
        raise ConflictError(
            f'packet_filter_backend: "{wish}" would leave our rules in iptables-{managed[0]}; '
            "run once with packet_filter_state: absent and packet_filter_backend: auto"
        )
    if wish != "auto" or managed:
        return wish if wish != "auto" else managed[0]
    return _in_use(present, lives)


def _both_families(backend: str) -> list[loader.Live]:
    return [loader.read_live(family, backend) for family in loader.FAMILIES]


def _in_use(present: Sequence[str], lives: Mapping[str, list[loader.Live]]) -> str:
    busy = [backend for backend in present if any(rules for live in lives[backend] for rules in live.builtin.values())]
    if len(busy) == 1:
        return busy[0]
    version = loader.run(["iptables", "--version"])
    default = "legacy" if "legacy" in version or "nf_tables" not in version else "nft"
    return default if default in present else present[0]


def find_rivals() -> list[str]:
    """Return the names of active firewall managers that would rewrite or overrule our rules."""
    rivals = []
    if "ENABLED=yes" in loader.read_text("/etc/ufw", "ufw.conf").replace(" ", "").splitlines():
        rivals.append("ufw")
    if os.path.isdir("/run/systemd/system") and shutil.which("firewalld", path="/usr/sbin:/usr/bin"):
        with contextlib.suppress(loader.LoadError):
            loader.run(["systemctl", "is-active", "--quiet", "firewalld"])
            rivals.append("firewalld")
    return rivals


def owner_match_works(backend: str) -> bool:
    """Whether the kernel takes a rule with the owner match; asked in a namespace of its own."""
    rules = "*filter\n:MAILHOST-OUT - [0:0]\n-A MAILHOST-OUT -m owner --uid-owner 0 -j RETURN\nCOMMIT\n"
    restore = loader.command("ipv4", backend, "restore")

    def attempt() -> None:
        loader.run([restore, "--noflush"], rules)

    try:
        in_namespace(attempt)
    except NoNamespaceError:
        try:
            loader.run([restore, "--test", "--noflush"], rules)
        except loader.LoadError:
            return False
    except loader.LoadError:
        return False
    return True


def closes_everything(lives: Mapping[str, loader.Live]) -> bool:
    """Whether the live rules have the scope of the whole host already."""
    return any("-i lo -j ACCEPT" in live.chains.get(loader.IN, []) for live in lives.values())


def misplaced(lives: Mapping[str, loader.Live], patterns: Sequence[str]) -> list[str]:
    """Return one sentence for each chain in which foreign rules can overrule ours, or ours the bans of others."""
    found = []
    for family, live in lives.items():
        for builtin, chain in loader.JUMPS.items():
            rules = live.builtin[builtin]
            if f"-j {chain}" not in rules:
                continue
            at = rules.index(f"-j {chain}")
            strangers = [rule for rule in rules[:at] if not _matches(rule, patterns)]
            bans = [rule for rule in rules[at:] if _matches(rule, patterns)]
            if strangers:
                found.append(
                    f"{family}: rules in {builtin} come before the jump to {chain} and can overrule it "
                    f"({len(strangers)} found); move them behind it, or name their chains in packet_filter_jump_after"
                )
            if bans:
                found.append(
                    f"{family}: jumps in {builtin} to chains of packet_filter_jump_after come behind the jump to "
                    f"{chain} ({len(bans)} found), so they do not count for what a flow lets in"
                )
    return found


def _matches(rule: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(loader.target(rule), pattern) for pattern in patterns)


def refuse_strangers(lives: Mapping[str, loader.Live]) -> None:
    """Raise ConflictError where foreign rules jump into our chains: those would be lost, or keep ours from going."""
    rules = [f"{family}: {rule}" for family, live in lives.items() for rule in live.unmanaged_jumps]
    if rules:
        raise ConflictError("rules that are not ours jump into our chains; remove them:\n" + "\n".join(rules))


# Users, listeners, sessions


def find_users(wanted: Sequence[str | int] | str, candidates: Iterable[str]) -> tuple[list[int], list[str]]:
    """Return the ids of users and the names that the host does not know; ``auto`` means every known candidate."""
    if wanted == "auto":
        return sorted(uid for uid in map(_uid, candidates) if uid is not None), []
    uids, unknown = [], []
    for user in wanted:
        uid = user if isinstance(user, int) else _uid(user)
        if uid is None:
            unknown.append(str(user))
        else:
            uids.append(uid)
    return sorted(set(uids)), unknown


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


_ESTABLISHED, _SYN_SENT, _TIME_WAIT, _CLOSE_WAIT, _LISTEN, _UNCONNECTED = "01", "02", "06", "08", "0A", "07"
"""States in /proc/net/tcp and /proc/net/udp (linux/include/net/tcp_states.h)."""
OPEN = (_ESTABLISHED, _CLOSE_WAIT)
IN_USE = (*OPEN, _SYN_SENT, _TIME_WAIT)
"""Sessions that are or just were in use: a poll that ended a minute ago is use as well."""


def tcp_sockets(states: Sequence[str] = OPEN) -> tuple[list[Endpoint], list[Endpoint]]:
    """Return the host's TCP listeners, and its connections in these states, without those on loopback (proc(5))."""
    listeners: set[Endpoint] = set()
    sessions: set[Endpoint] = set()
    for endpoint, state in _sockets("tcp"):
        if state == _LISTEN:
            listeners.add(endpoint)
        elif state in states:
            sessions.add(endpoint)
    return sorted(listeners), sorted(sessions)


def udp_listeners() -> list[Endpoint]:
    """Return the host's UDP sockets that take packets from anybody, without those on loopback."""
    return sorted({endpoint for endpoint, state in _sockets("udp") if state == _UNCONNECTED and endpoint.port})


def _sockets(protocol: str) -> Iterator[tuple[Endpoint, str]]:
    for path in (f"/proc/net/{protocol}", f"/proc/net/{protocol}6"):
        try:
            with open(path, encoding="ascii") as file:
                lines = file.read().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            endpoint = Endpoint(*_endpoint(words[1]), *_endpoint(words[2]))
            if not _is_loopback(endpoint.address):
                yield endpoint, words[3]


def _endpoint(text: str) -> tuple[str, int]:
    address, _colon, port = text.partition(":")
    packed = b"".join(
        bytes.fromhex(address[at : at + 8])[:: -1 if sys.byteorder == "little" else 1]
        for at in range(0, len(address), 8)
    )
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return _plain(socket.inet_ntop(family, packed)), int(port, 16)


def _is_loopback(address: str) -> bool:
    return address == "::1" or address.startswith("127.")


def as_plain(endpoints: Iterable[Endpoint]) -> list[dict[str, Any]]:
    """Return sockets as plain dictionaries, for the way to the controller."""
    return [endpoint._asdict() for endpoint in endpoints]
