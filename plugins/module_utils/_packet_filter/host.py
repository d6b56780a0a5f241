# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a mail host before its packet filter is changed, and how a change differs from it.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import pwd
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .._policy.errors import ReportedError
from . import loader, transaction
from .boot import boot_is_ready, systemd_runs
from .namespace import NoNamespaceError, in_namespace
from .others import repair_warnings, saved_files_warnings
from .snapshot import HOST_SCOPE
from .sockets import SocketsInUse, SshConnection, ssh_connection

SHOWN_MEMBERS = 2000
STATUS = "/proc/self/status"
CAP_NET_ADMIN = 12
"""Its bit (capability.h)."""
"""Members of a set up to which a diff shows them one by one; tens of thousands would take a diff minutes."""


class ConflictError(ReportedError):
    """The host is in a state in which a change would conflict with other software."""


class Question(NamedTuple):
    """What a run has to know of the host.

    ``backend``, ``jump_after``, ``scope``: as in the policy and the options of the role. ``absent``: whether the packet
    filter is to be removed. ``users``: the users whose ids are needed; ``auto`` means those of the ``candidates`` that
    the host has.
    """

    backend: str
    jump_after: Sequence[str]
    scope: str
    absent: bool
    users: Sequence[str | int] | str
    candidates: Sequence[str]


class HostReport(NamedTuple):
    """What a host reports before its packet filter is changed.

    ``shown``: the live state as a diff shows it, by the names of the texts. ``live``: its digest. ``absent``: whether
    nothing managed is left on the host. ``first``: whether the packet filter was never activated. ``passed``: by family
    and built-in chain, the unmanaged rules that the managed jump will move behind. ``warnings``: about the order of
    jumps, what a removal leaves, and what other programs did to the managed rules. ``owner_match``: whether the kernel
    can limit a rule to users. ``in_use``: the sockets, where the change may block more than the live rules do.
    ``widened``: whether rules that are live have the scope of mail and are to have that of the host.
    """

    backend: str
    absent: bool
    first: bool
    shown: Mapping[str, str]
    live: str
    passed: Mapping[str, Mapping[str, Sequence[str]]]
    warnings: Sequence[str]
    connection: SshConnection | None
    uids: Sequence[int]
    unknown_users: Sequence[str]
    owner_match: bool
    boot_ready: bool
    installed: loader.State | None
    in_use: SocketsInUse | None
    widened: bool

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> HostReport:
        """Read what ``to_dict`` returned, also after its way through JSON."""
        connection, installed, in_use = raw["connection"], raw["installed"], raw["in_use"]
        nested = {
            "connection": SshConnection(**connection) if connection else None,
            "installed": loader.State.from_dict(installed) if installed else None,
            "in_use": SocketsInUse.from_dict(in_use) if in_use else None,
        }
        return cls(**{**raw, **nested})

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for the way to the controller."""
        nested = {
            "connection": self.connection._asdict() if self.connection else None,
            "installed": self.installed._asdict() if self.installed else None,
            "in_use": self.in_use.to_dict() if self.in_use else None,
        }
        return {**self._asdict(), **nested}

    def differs(self, change: transaction.PacketFilterChange) -> bool:
        """Whether the host is not in the state of a change yet."""
        if change.absent:
            return not self.absent
        texts = loader.texts_digest(change.texts)
        moves = any(self.passed.values())
        return moves or not self.boot_ready or self.installed != change.state._replace(live=self.live, texts=texts)

    def diff(self, change: transaction.PacketFilterChange) -> list[dict[str, str]]:
        """Return Ansible diffs, one for each text that changes: what is live against what the policy makes."""
        sets = {name: "\n".join(lines) for name, lines in loader.split_sets(change.texts["sets"]).items()}
        after = {"sets": _show_sets(sets, {name: loader.members_digest(text) for name, text in sets.items()})}
        for family in loader.FAMILIES:
            text = change.texts[family]
            jumps = {builtin: int(f":{chain} " in text) for builtin, chain in loader.JUMPS.items()}
            after[family] = _show_chains(text, jumps, self.passed.get(family, {}), moved=True)
        return [
            {
                "before_header": f"{name} (live)",
                "after_header": f"{name} (policy)",
                "before": self.shown[name],
                "after": text,
            }
            for name, text in after.items()
            if self.shown[name] != text
        ]


def has_net_admin(status: str) -> bool:
    """Whether a process may change the packet filter, by its status (proc(5)); where that is not there, it may."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is None or bool(int(found[1], 16) >> CAP_NET_ADMIN & 1)


def inspect(question: Question, check_mode: bool) -> HostReport:
    """Return the report of this host; rolls back a change that a killed run left unconfirmed, but not in check mode."""
    if os.geteuid() != 0:
        raise ConflictError("only root can change the packet filter; set ansible_become: true")
    if not has_net_admin(loader.read_text(STATUS)):
        raise ConflictError(
            "root has no capability CAP_NET_ADMIN on this host, so that nobody can change its packet filter from here; "
            "start the container with it (podman run --cap-add NET_ADMIN), or harden the host that the container is on"
        )
    transaction.settle(loader.ROOT, change=not check_mode)
    managers = [] if question.absent else active_firewall_managers()
    if managers:
        raise ConflictError(
            f"{' and '.join(managers)} is active on the host and would rewrite or overrule the managed rules; "
            "disable it, or leave the packet filter to it"
        )
    backend = choose_backend(question.backend)
    lives = _both_families(backend)
    if not question.absent:
        check_native_rules(lives)
        check_unmanaged_jumps(lives)
    installed = transaction.installed()
    sets = loader.live_sets(transaction.installed_sets() if installed else loader.live_set_names())
    members = {name: loader.members_digest(text) for name, text in sets.items()}
    uids, unknown_users = find_users(question.users, question.candidates)
    repairs = installed is not None and not question.absent
    first = installed is None and not any(live.managed for live in lives.values())
    widened = question.scope == "host" and not _has_host_scope(lives)
    passed = {family: loader.passed_rules(live, question.jump_after) for family, live in lives.items()}
    if question.absent:
        passed = {}
    shown = {family: _show_chains(live.text(), live.jumps, passed.get(family, {})) for family, live in lives.items()}
    return HostReport(
        backend=backend,
        absent=transaction.is_absent(lives),
        first=first,
        shown={**shown, "sets": _show_sets(sets, members)},
        live=loader.digest(lives, members),
        passed=passed,
        warnings=[
            *(kept_chains(lives) if question.absent else misplaced(lives, question.jump_after)),
            *(repair_warnings(transaction.installed_texts(), lives, loader.ROOT) if repairs else []),
            *saved_files_warnings(list(loader.saved_names()), question.absent),
        ],
        connection=ssh_connection(),
        uids=uids,
        unknown_users=unknown_users,
        owner_match=owner_match_works(backend) if uids else False,
        boot_ready=boot_is_ready(transaction.loader_source()),
        installed=installed,
        in_use=SocketsInUse.read() if first or question.scope == "host" else None,
        widened=widened and not first,
    )


# The live rules


def _show_sets(texts: Mapping[str, str], digests: Mapping[str, str]) -> str:
    """Return sets, given by their texts and the digests of their members, as a diff shows them.

    That is member by member, or of a long set their number and digest.
    """
    lines = []
    for name in sorted(texts):
        members = sorted(line for line in texts[name].splitlines() if line.startswith("add "))
        lines.append(f"# set {name}")
        if len(members) > SHOWN_MEMBERS:
            lines.append(f"# {len(members)} networks, digest {digests[name][:16]}")
        else:
            lines += members
    return "".join(f"{line}\n" for line in lines)


def _show_chains(text: str, jumps: Mapping[str, int], passed: Mapping[str, Sequence[str]], moved: bool = False) -> str:
    """Return a text of chains with its jumps, as iptables-save would show them.

    Where a jump moves, the unmanaged rules that it passes are shown as well: after it, or before it once it has
    ``moved``.
    """
    lines = text.splitlines()[:-1]
    for builtin, count in jumps.items():
        own = [f"-A {builtin} -j {loader.JUMPS[builtin]}"] * count
        others = [f"-A {builtin} {rule}" for rule in passed.get(builtin, ())]
        lines += others + own if moved else own + others
    return "".join(f"{line}\n" for line in lines)


def choose_backend(wish: str) -> str:
    """Return ``nft`` or ``legacy``: the wish, else the one in use. ConflictError where both hold managed rules.

    In use means: has managed rules, else is the only one with any rules, else
    is what the command ``iptables`` stands for.
    """
    present = [
        backend
        for backend in loader.BACKENDS
        if shutil.which(f"iptables-{backend}-restore", path="/usr/sbin:/sbin:/usr/bin:/bin")
    ]
    if not present:
        raise ConflictError("iptables is not installed on the host; install the package iptables")
    lives = {backend: list(_both_families(backend).values()) for backend in present}
    managed = [backend for backend in present if any(live.managed for live in lives[backend])]
    if len(managed) == 2:
        raise ConflictError(
            "both iptables-nft and iptables-legacy hold chains named MAILHOST-*, so it is unclear which are in force; "
            "delete those of one variant, or flush them, and run again"
        )
    if wish != "auto" and wish not in present:
        raise ConflictError(
            f'packet_filter_backend: "{wish}" is not installed on the host; write "auto" or "{present[0]}"'
        )
    if wish != "auto" and managed and managed != [wish]:
        raise ConflictError(
            f'packet_filter_backend: "{wish}" would leave managed rules in iptables-{managed[0]}; '
            "run once with packet_filter_state: absent and packet_filter_backend: auto"
        )
    if wish != "auto":
        return wish
    return managed[0] if managed else _in_use(present, lives)


def _both_families(backend: str) -> dict[str, loader.LiveRules]:
    return {family: loader.read_live(family, backend) for family in loader.FAMILIES}


def _in_use(present: Sequence[str], lives: Mapping[str, Sequence[loader.LiveRules]]) -> str:
    busy = [backend for backend in present if any(rules for live in lives[backend] for rules in live.builtin.values())]
    if len(busy) == 1:
        return busy[0]
    version = loader.run(["iptables", "--version"])
    default = "legacy" if "legacy" in version or "nf_tables" not in version else "nft"
    return default if default in present else present[0]


def active_firewall_managers() -> list[str]:
    """Return the names of active firewall managers that would rewrite or overrule the managed rules."""
    found = []
    if "ENABLED=yes" in loader.read_text("/etc/ufw/ufw.conf").replace(" ", "").splitlines():
        found.append("ufw")
    if systemd_runs() and shutil.which("firewalld", path="/usr/sbin:/usr/bin"):
        with contextlib.suppress(loader.LoadError):
            loader.run(["systemctl", "is-active", "--quiet", "firewalld"])
            found.append("firewalld")
    return found


def owner_match_works(backend: str) -> bool:
    """Whether the kernel accepts a rule with the owner match, tried in a namespace of its own."""
    rules = loader.chains_text({loader.OUT: ["-m owner --uid-owner 0 -j RETURN"]})
    restore = [loader.command("ipv4", backend, "restore"), "--noflush"]

    def attempt() -> None:
        loader.run(restore, rules)

    try:
        in_namespace(attempt)
    except NoNamespaceError:
        try:
            loader.run([*restore, "--test"], rules)
        except loader.LoadError:
            return False
    except loader.LoadError:
        return False
    return True


def _has_host_scope(lives: Mapping[str, loader.LiveRules]) -> bool:
    """Whether the live rules have the scope of the whole host already."""
    return any(HOST_SCOPE in live.chains.get(loader.IN, []) for live in lives.values())


def misplaced(lives: Mapping[str, loader.LiveRules], patterns: Sequence[str]) -> list[str]:
    """Return a warning for each chain in which unmanaged rules can overrule managed ones, or these the bans.

    That is once the managed jump is in its place.
    """
    found = []
    for family, live in lives.items():
        for builtin, chain in loader.JUMPS.items():
            if f"-j {chain}" not in live.builtin[builtin]:
                continue
            rules = [rule for rule in live.builtin[builtin] if rule != f"-j {chain}"]
            at, policy = loader.jump_place(builtin, live, patterns), live.policies.get(builtin, "ACCEPT")
            overruling = [
                rule
                for rule in rules[:at]
                if not _matches(rule, patterns) and not loader.only_denies([rule], live.others, policy, [])
            ]
            bans = [rule for rule in rules[at:] if _matches(rule, patterns)]
            if overruling:
                found.append(
                    f"{family}: rules in {builtin} come before the jump to {chain} and can overrule it "
                    f"({len(overruling)} found); move them after it, or name their chains in packet_filter_jump_after"
                )
            if bans:
                found.append(
                    f"{family}: jumps in {builtin} to chains of packet_filter_jump_after come after the jump to "
                    f"{chain} ({len(bans)} found), so they have no effect on what a flow accepts"
                )
    return found


def _matches(rule: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(loader.target(rule), pattern) for pattern in patterns)


def check_unmanaged_jumps(lives: Mapping[str, loader.LiveRules]) -> None:
    """Raise ConflictError where unmanaged rules jump into managed chains: they would be lost, or block a removal."""
    rules = [f"{family}: {rule}" for family, live in lives.items() for rule in live.unmanaged_jumps]
    if rules:
        raise ConflictError("unmanaged rules jump into managed chains; remove them:\n" + "\n".join(rules))


def check_native_rules(lives: Mapping[str, loader.LiveRules]) -> None:
    """Raise ConflictError where unmanaged chains hold native nftables rules: what these do is not known here."""
    found = []
    for family, live in lives.items():
        for chain in live.native:
            if chain not in loader.CHAINS:
                found.append(f"{family}: nft -a list chain {loader.NFT_FAMILIES[family]} filter {chain}")
    if found:
        raise ConflictError(
            "the filter table of iptables holds native nftables rules that iptables cannot read, nothing was changed; "
            "have the program that makes them use a table of its own (nft add table ...), then delete them here by "
            "nft delete rule ... handle N. They are in the chains that these commands list:\n" + "\n".join(found)
        )


def kept_chains(lives: Mapping[str, loader.LiveRules]) -> list[str]:
    """Return a warning for each family in which unmanaged rules keep managed chains from being deleted."""
    return [
        f"{family}: {', '.join(sorted(live.referenced))} stays, empty, because unmanaged rules jump there: "
        f"{'; '.join(live.unmanaged_jumps)}. Delete these rules, also where a program will load them again, and then "
        f"the chain by {loader.FAMILIES[family]} -X NAME"
        for family, live in lives.items()
        if live.unmanaged_jumps and live.chains
    ]


# Users


def find_users(wanted: Sequence[str | int] | str, candidates: Iterable[str]) -> tuple[list[int], list[str]]:
    """Return the ids of users and the names that the host does not know; ``auto`` means every known candidate."""
    if wanted == "auto":
        return sorted(uid for uid in map(_uid, candidates) if uid is not None), []
    found = {user: user if isinstance(user, int) else _uid(user) for user in wanted}
    uids = {uid for uid in found.values() if uid is not None}
    return sorted(uids), [str(user) for user, uid in found.items() if uid is None]


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None
