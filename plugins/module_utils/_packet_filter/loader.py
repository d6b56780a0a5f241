# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load, unload and roll back the packet filter on a mail host.

This file is the host's own program as well: the role installs it as it is, and
the boot unit and the rollback timer run it, so that what was proven by a run is
what happens at boot. It therefore imports nothing but the standard library, and
what compiler and loader both name stands here.

A directory with a state of the packet filter holds ``sets`` (ipset restore),
``ipv4`` and ``ipv6`` (iptables-restore --noflush, managed chains only) and
``state.json`` (see State).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import glob
import hashlib
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

ROOT = "/var/lib/mailhost-hardening/packet_filter"
IN, IN_MAIL, OUT, OUT_MAIL = CHAINS = ("MAILHOST-IN", "MAILHOST-IN-MAIL", "MAILHOST-OUT", "MAILHOST-OUT-MAIL")
SET_NAME = re.compile(r"mailhost-(peers|blocked)[46]-[0-9a-f]{10}(-n)?")
"""Managed sets; chains and sets of merely similar names are unmanaged."""
JUMPS = {"INPUT": IN, "OUTPUT": OUT}
MAIL_PORTS = (25, 110, 143, 465, 587, 993, 995, 4190)
"""Closed when the state, which names the ports, cannot be read; a test holds them against the service catalogue."""
UNIT = "mailhost-packet-filter.service"
"""The boot unit; where it was stopped, nothing is loaded again."""
SAVED_FILES = (
    *("/etc/iptables*", "/etc/ip6tables*", "/etc/iptables/*", "/etc/network/*tables*", "/etc/network/if-*.d/*"),
    *(
        "/etc/sysconfig/*tables*",
        "/etc/sysconfig/ipset*",
        "/etc/sysconfig/ipset.d/*",
        "/etc/nftables*",
        "/etc/nftables/*",
    ),
    *("/etc/nftables.d/*", "/etc/ipset*", "/etc/ipset/*", "/etc/firewall*", "/etc/firewall/*", "/etc/ufw/*.rules"),
    *("/etc/rc.local", "/etc/conf.d/*tables*", "/var/lib/ip*tables/*", "/var/lib/ipset/*"),
)
"""Where other programs save rules and sets, and load them at boot."""
MULTIPORT = 15
"""Ports that one multiport match takes (iptables-extensions(8))."""
FAMILIES = {"ipv4": "iptables", "ipv6": "ip6tables"}
NFT_FAMILIES = {"ipv4": "ip", "ipv6": "ip6"}
BACKENDS = ("nft", "legacy")
DENYING_TARGETS = ("DROP", "REJECT", "TARPIT")
PASSING_TARGETS = (
    *("LOG", "NFLOG", "ULOG", "AUDIT", "TRACE", "LED", "IDLETIMER", "RATEEST", "SET"),
    *("MARK", "CONNMARK", "SECMARK", "CONNSECMARK", "CLASSIFY", "HMARK"),
)
"""Targets after which the next rule is reached; marks and sets open nothing, as no managed rule asks for a mark."""
PACKAGES = {"iptables": "iptables", "ip6tables": "iptables", "ipset": "ipset", "nft": "nftables"}
"""Packages of programs, by the first word of their names."""
LOCK_WAIT = 10
"""Seconds to wait for the xtables lock and for the lock of the state directory."""
LOAD_TRIES = 5
"""Attempts to load rules; between reading and loading, another program may have changed the place of a managed jump."""
ROLLBACK_SECONDS = 3600
"""Seconds for which a rollback that fails is tried again."""
COMMAND_TIMEOUT = 120
"""Seconds after which a command is killed; a million networks load in a tenth of that."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", "LC_ALL": "C"}
"""Environment of every command, however this program was started."""


class LoadError(Exception):
    """A command failed, or the state cannot be loaded: the command and its message."""


class State(NamedTuple):
    """What belongs to a state beside its three texts.

    ``backend``: ``nft`` or ``legacy``. ``jump_after``: patterns of unmanaged chains
    whose jumps stay before the managed one. ``ports``: what is closed if
    loading fails. ``live``: digest of the live state right after loading.
    ``texts``: digest of the three texts, by which a damaged file is detected.
    """

    backend: str = "nft"
    jump_after: tuple[str, ...] = ()
    ports: tuple[int, ...] = MAIL_PORTS
    live: str = ""
    texts: str = ""

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> State:
        """Read the state from what ``_asdict`` returned, also after its way through JSON."""
        ports = tuple(int(port) for port in raw["ports"])
        return cls(str(raw["backend"]), tuple(raw["jump_after"]), ports, str(raw["live"]), str(raw["texts"]))

    @classmethod
    def read(cls, directory: str) -> State:
        """Read ``state.json`` of a directory."""
        with open(os.path.join(directory, "state.json"), encoding="utf-8") as file:
            return cls.from_dict(json.load(file))

    def write(self, directory: str) -> None:
        """Write ``state.json`` of a directory."""
        write_file(os.path.join(directory, "state.json"), json.dumps(self._asdict(), indent=1, sort_keys=True) + "\n")


def write_file(path: str, text: str, mode: int = 0o600) -> None:
    """Replace a file in one step, on disk before it is in place. An OSError names the file."""
    try:
        _write_file(path, text, mode)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _write_file(path: str, text: str, mode: int) -> None:
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_text(*path: str) -> str:
    """Return the text of a file, whose path may come in parts; nothing where there is none."""
    try:
        with open(os.path.join(*path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def read_texts(directory: str) -> dict[str, str]:
    """Return the three texts of a directory, by their names; OSError where one cannot be read."""
    texts = {}
    for name in ("sets", *FAMILIES):
        with open(os.path.join(directory, name), encoding="ascii", errors="replace") as file:
            texts[name] = file.read()
    return texts


def texts_digest(texts: Mapping[str, str]) -> str:
    """Return the digest of the three texts of a state."""
    found = hashlib.sha256()
    for name in ("sets", *FAMILIES):
        data = texts[name].encode("utf-8")
        found.update(f"{name} {len(data)}\n".encode("ascii") + data)
    return found.hexdigest()


def run(command: Sequence[str], text: str = "") -> str:
    """Run a command with ``text`` as its input and return its output; LoadError unless it returns 0.

    Only the return code counts: iptables prints warnings on stderr as well.
    """
    try:
        # At boot there is no AnsibleModule whose run_command could be used.
        done = subprocess.run(  # noqa: S603 (a list, no shell) # pylint: disable=ansible-bad-function
            list(command),
            input=text,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
            env=ENVIRONMENT,
        )
    except FileNotFoundError:
        package = PACKAGES.get(command[0].partition("-")[0], "")
        remedy = f"; install the package {package}" if package else ""
        raise LoadError(f"{command[0]} is not installed on the host{remedy}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoadError(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        raise LoadError(f"{' '.join(command)} returned {done.returncode}: {done.stderr.strip() or 'no message'}")
    return done.stdout


def start_detached(command: Sequence[str], source: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Start a command that may outlive this process and its session."""
    return subprocess.Popen(  # noqa: S603 (a list, no shell) # pylint: disable=ansible-bad-function
        list(command),
        stdin=source or subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env=ENVIRONMENT,
    )


def wait_for(process: subprocess.Popen[bytes] | None) -> None:
    """Wait for a command that was started; the step that needs its result repeats and reports what failed."""
    if process is not None:
        process.wait(COMMAND_TIMEOUT)


@contextlib.contextmanager
def locked(root: str = ROOT, seconds: float = LOCK_WAIT) -> Iterator[None]:
    """Hold the lock of the state directory; LoadError if another run keeps it longer than ``seconds``."""
    with open(os.path.join(root, "lock"), "w", encoding="utf-8") as file:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise LoadError(f"another run holds {root}/lock for more than {seconds:.0f} seconds") from None
                time.sleep(0.05)
        if not os.path.exists(file.name):
            raise LoadError(f"another run has removed {root} meanwhile; run again")
        yield


# The live state


class LiveRules(NamedTuple):
    """The managed chains and jumps of one family that are live, and the unmanaged rules around the jumps."""

    chains: dict[str, list[str]]
    jumps: dict[str, int]
    builtin: dict[str, list[str]]
    unmanaged_jumps: Sequence[str] = ()
    """Unmanaged rules that jump into managed chains."""
    others: Mapping[str, Sequence[str]] = {}
    """The unmanaged chains beside INPUT and OUTPUT."""
    policies: Mapping[str, str] = {}
    """What INPUT and OUTPUT do with a packet that no rule decides."""
    native: Mapping[str, Sequence[int]] = {}
    """The chains with native nftables rules, which iptables cannot read, and the handles of all their rules."""

    @property
    def managed(self) -> bool:
        """Whether a managed chain or jump is live; a chain that is kept for unmanaged rules alone does not count."""
        return bool(set(self.chains) - set(self.kept)) or any(self.jumps.values())

    @property
    def referenced(self) -> set[str]:
        """The managed chains that unmanaged rules jump to; the kernel deletes none of them."""
        return {target(rule) for rule in self.unmanaged_jumps}

    @property
    def kept(self) -> list[str]:
        """The managed chains that are empty and could not be deleted, because unmanaged rules jump to them."""
        return [name for name, rules in self.chains.items() if not rules and name in self.referenced]

    def text(self) -> str:
        """Return the managed chains as text for iptables-restore, in alphabetical order."""
        return chains_text({name: self.chains[name] for name in sorted(self.chains)})


def chains_text(chains: Mapping[str, Sequence[str]]) -> str:
    """Return chains as text for ``iptables-restore --noflush``; nothing for no chains."""
    if not chains:
        return ""
    lines = ["*filter", *(f":{name} - [0:0]" for name in chains)]
    lines += [f"-A {name} {rule}" for name, rules in chains.items() for rule in rules if not rule.startswith(_NATIVE)]
    return "\n".join([*lines, "COMMIT"]) + "\n"


def parse_save(text: str) -> LiveRules:
    """Read the output of iptables-save, or the text of a state."""
    chains: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    policies: dict[str, str] = {}
    builtin: dict[str, list[str]] = {name: [] for name in JUMPS}
    jumps = dict.fromkeys(JUMPS, 0)
    unmanaged_jumps: list[str] = []
    for line in text.splitlines():
        if line.startswith(":"):
            name, policy = f"{line[1:]} ".split(" ", 2)[:2]
            if name in CHAINS:
                chains.setdefault(name, [])
            elif name in JUMPS:
                policies[name] = policy
            else:
                others.setdefault(name, [])
        elif line.startswith("-A "):
            _append, chain, rule = line.split(" ", 2)
            if chain in CHAINS:
                chains.setdefault(chain, []).append(rule)
                continue
            (builtin if chain in builtin else others).setdefault(chain, []).append(rule)
            if chain in builtin and rule == f"-j {JUMPS[chain]}":
                jumps[chain] += 1
            elif target(rule) in CHAINS:
                unmanaged_jumps.append(line)
    return LiveRules(chains, jumps, builtin, unmanaged_jumps, others, policies)


def target(rule: str) -> str:
    """Return the chain or target that a rule jumps to; words in a comment do not count."""
    try:
        words = shlex.split(rule)
    except ValueError:
        return ""
    places = [at for at, word in enumerate(words[:-1]) if word in ("-j", "-g")]
    return words[places[-1] + 1] if places and words[places[-1] - 1] != "--comment" else ""


def command(family: str, backend: str, action: str) -> str:
    """Return the name of an iptables program, as ``ip6tables-nft-save``; ``action`` is ``save`` or ``restore``."""
    return f"{FAMILIES[family]}-{backend}-{action}"


def kernel_has_ipv6() -> bool:
    """Whether there is IPv6 to filter."""
    return os.path.exists("/proc/net/if_inet6")


def read_live(family: str, backend: str) -> LiveRules:
    """Read one family's filter table from the kernel."""
    tables = f"/proc/net/{FAMILIES[family].replace('tables', '_tables')}_names"
    if backend == "legacy" and "filter" not in read_text(tables).split():
        return parse_save("")  # iptables-legacy-save would make the table, and other programs would warn of it
    if family == "ipv6" and not kernel_has_ipv6():
        return parse_save("")
    text = run([command(family, backend, "save"), "-t", "filter"])
    if re.search(r"^# Table `filter' is incompatible", text, re.MULTILINE):
        return _read_native(family)  # the program returned 0 and no rule
    return parse_save(text)


# Native nftables rules in a table of iptables-nft
#
# iptables-nft-save and every command on a chain with such a rule refuse. Chains without them are read and loaded as
# ever; jumps in a chain with them are found, made and deleted by nft.

_NATIVE = "nft handle "
"""How a rule begins that only nft can read."""


def _read_native(family: str) -> LiveRules:
    """Read the filter table of a family in which iptables cannot read every chain."""
    handles: dict[str, list[int]] = {}
    words: dict[str, list[str]] = {}
    policies: dict[str, str] = {}
    listed = json.loads(run(["nft", "-j", "-a", "list", "table", NFT_FAMILIES[family], "filter"]))
    for item in listed["nftables"]:
        if "chain" in item:
            chain = item["chain"]
            handles[chain["name"]], words[chain["name"]] = [], []
            policies[chain["name"]] = chain.get("policy", "-").upper()
        elif "rule" in item:
            rule = item["rule"]
            handles[rule["chain"]].append(int(rule["handle"]))
            words[rule["chain"]].append(_native_rule(rule))
    lines, native = [], []
    for name in handles:
        try:
            lines += run([f"{FAMILIES[family]}-nft", "-S", name]).splitlines()
        except LoadError:
            native.append(name)
            lines += [f"-P {name} {policies[name]}", *(f"-A {name} {rule}" for rule in words[name])]
    text = "\n".join(f":{line[3:]}" if line.startswith(("-P ", "-N ")) else line for line in lines)
    return parse_save(text)._replace(native={name: handles[name] for name in native})


def _native_rule(rule: Mapping[str, Any]) -> str:
    """Return a rule of nft's listing as iptables would write a plain jump, or so that only its target can be known."""
    found = [part for part in rule["expr"] if "counter" not in part]
    if len(found) == 1 and "jump" in found[0]:
        return f"-j {found[0]['jump']['target']}"
    names = [name for name in _chains_in(rule["expr"]) if name in CHAINS] or ["unknown-to-iptables"]
    return f"{_NATIVE}{rule['handle']} -j {names[0]}"


def _chains_in(part: Any) -> Iterator[str]:
    """Yield the chains that a part of nft's listing jumps to, in maps as well."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ("jump", "goto") and isinstance(value, dict):
                yield str(value.get("target"))
            yield from _chains_in(value)
    elif isinstance(part, list):
        for value in part:
            yield from _chains_in(value)


def _load_natively(family: str, lines: Sequence[str], live: LiveRules, restore: Sequence[str]) -> None:
    """Load the lines of a transaction where nft has to change jumps: first the chains, then these, then deletions."""
    place = re.compile(r"-[DI] (INPUT|OUTPUT) (\d* ?)-j (\S+)")
    jumps = {found[0]: found for found in map(place.fullmatch, lines) if found and found[1] in live.native}
    table = f"{NFT_FAMILIES[family]} filter"
    commands: list[str] = []
    for found in jumps.values():
        builtin, position, chain = found.groups()
        own = [rule == f"-j {chain}" for rule in live.builtin[builtin]]
        rules = list(zip(live.native[builtin], own))
        unmanaged = [handle for handle, managed in rules if not managed]
        if position:
            after = unmanaged[int(position) - 1 :]
            where = f"insert rule {table} {builtin} position {after[0]}" if after else f"add rule {table} {builtin}"
            commands.append(f"{where} counter jump {chain}")
        else:
            commands += [f"delete rule {table} {builtin} handle {handle}" for handle, managed in rules if managed]
    deletions = [line for line in lines if line.startswith("-X ")]
    run(restore, "".join(f"{line}\n" for line in lines if line not in jumps and line not in deletions))
    run(["nft", "-f", "-"], "".join(f"{line}\n" for line in commands))
    run(restore, "".join(f"{line}\n" for line in ["*filter", *deletions, "COMMIT"]))


def ipset_is_installed() -> bool:
    """Whether the host has ipset, which only policies with sets need."""
    return shutil.which("ipset", path=ENVIRONMENT["PATH"]) is not None


def live_set_names() -> list[str]:
    """Return the names of the managed sets that are live; none where ipset is not installed."""
    if not ipset_is_installed():
        return []
    return sorted(name for name in run(["ipset", "list", "-name"]).splitlines() if SET_NAME.fullmatch(name))


def members_digest(text: str) -> str:
    """Return a digest of the members in a text of ipset, whatever their order."""
    return hashlib.sha256(
        "\n".join(sorted(line for line in text.splitlines() if line.startswith("add "))).encode("utf-8")
    ).hexdigest()


def live_sets(names: Iterable[str]) -> dict[str, str]:
    """Return the text of each of these live sets."""
    return {name: run(["ipset", "save", name]) for name in names}


def digest(lives: Mapping[str, LiveRules], members: Mapping[str, str]) -> str:
    """Return a digest of the managed part of the live state; ``members`` are the digests of the live sets."""
    managed = {family: [live.chains, live.jumps] for family, live in lives.items()}
    return hashlib.sha256(json.dumps([managed, members], sort_keys=True).encode("utf-8")).hexdigest()


def live_digest(backend: str, sets: Iterable[str]) -> str:
    """Return the digest of the managed rules and the named sets in the kernel."""
    members = {name: members_digest(text) for name, text in live_sets(sets).items()}
    return digest({family: read_live(family, backend) for family in FAMILIES}, members)


# Loading


def multiport(option: str, ports: Iterable[int]) -> Iterator[str]:
    """Yield TCP matches that together match all ports; ``option`` is ``sports``, ``dports`` or ``ports``."""
    numbers = sorted(ports)
    for start in range(0, len(numbers), MULTIPORT):
        chunk = ",".join(str(port) for port in numbers[start : start + MULTIPORT])
        yield f"-p tcp -m multiport --{option} {chunk}"


def split_sets(text: str) -> dict[str, list[str]]:
    """Return the lines of each set in a text for ipset restore."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        found.setdefault(line.split(" ", 2)[1], []).append(line)
    return found


def load_sets(text: str, rebuild: Iterable[str] = ()) -> None:
    """Create the sets of a text. A live set is left alone, or where it is to be rebuilt, swapped in one step."""
    if not text:
        return
    live: set[str] = set(live_set_names())
    parts: list[str] = []
    for name, lines in split_sets(text).items():
        if name not in live:
            parts += lines
        elif name in rebuild:
            spare = f"{name}-n"
            parts += [line.replace(f" {name} ", f" {spare} ", 1) for line in lines]
            parts += [f"swap {spare} {name}", f"destroy {spare}"]
    if parts:
        run(["ipset", "restore"], "\n".join(parts) + "\n")


def begin_sets(text: str) -> subprocess.Popen[bytes] | None:
    """Start to create the sets of a text that are not live yet; None where there is nothing to do.

    A set that no rule names yet does nothing, so this may run beside the proof.
    """
    live = set(live_set_names())
    missing = [lines for name, lines in split_sets(text).items() if name not in live]
    if not missing or not ipset_is_installed():
        return None
    with tempfile.TemporaryFile() as file:
        file.write("".join(f"{line}\n" for lines in missing for line in lines).encode("ascii"))
        file.seek(0)
        return start_detached(["ipset", "restore"], file)


def destroy_sets(keep: Iterable[str]) -> None:
    """Destroy the managed sets that are not to be kept; one that a rule still needs stays."""
    kept = set(keep)
    for name in live_set_names():
        if name not in kept:
            with contextlib.suppress(LoadError):
                run(["ipset", "destroy", name])


def only_denies(rules: Iterable[str], others: Mapping[str, Sequence[str]], policy: str, above: Sequence[str]) -> bool:
    """Whether these rules of one chain can only drop, reject, log or return, and so can open nothing.

    ``others``: the chains that rules may jump to. ``policy``: what a return from here means, a policy where that ends a
    built-in chain, else empty. ``above``: the chains on the way here. What a rule matches is not looked at. A goto
    comes back where this chain would; an unknown target may accept.
    """
    for rule in rules:
        name = target(rule)
        if name in others:
            ends = policy if _is_goto(rule) else ""
            if name in above or ends not in ("", "DROP") or not only_denies(others[name], others, ends, [*above, name]):
                return False
        elif name == "RETURN":
            if policy not in ("", "DROP"):
                return False
        elif name and name not in (*DENYING_TARGETS, *PASSING_TARGETS):
            return False
        elif not name and re.search(r"(^| )-[jg] ", rule):
            return False  # a target that was not understood
    return True


def denies_all(rules: Iterable[str], others: Mapping[str, Sequence[str]]) -> bool:
    """Whether one of these rules denies a whole protocol to everybody, as the last rule of many a chain does.

    Nothing behind it is ever reached.
    """
    for rule in filter(_is_broad, rules):
        name = target(rule)
        if name == "RETURN":
            return False
        if name in DENYING_TARGETS or (name in others and denies_all(others[name], others)):
            return True
    return False


def _is_broad(rule: str) -> bool:
    """Whether a rule matches the first packets of any client to any port."""
    words = shlex.split(rule) if target(rule) else ["--"]
    at = 0
    while words[at] not in ("-j", "-g"):
        negated = words[at] == "!"
        option, value = [*words[at + negated :], ""][:2]
        if option in ("--ctstate", "--state"):
            broad = ("NEW" in value.split(",")) != negated
        else:
            broad = option in ("-p", "-m", "--comment") or (negated and option in ("-i", "-o"))
        if not broad:
            return False
        at += 2 + negated
    return True


def _is_goto(rule: str) -> bool:
    """Whether a rule whose target is a chain enters it by ``-g``."""
    return shlex.split(rule)[-2] == "-g"


def jump_place(builtin: str, live: LiveRules, patterns: Sequence[str]) -> int:
    """Return how many unmanaged rules of INPUT or OUTPUT come before the managed jump.

    The jump goes behind the rules that follow it, or that lead the chain where it is not there yet, as long as they can
    open nothing or jump to a chain of these patterns. It never passes another rule: an accept would open what the
    policy closes, and behind one that denies all it would not count. It never moves up.
    """
    jump = f"-j {JUMPS[builtin]}"
    rules = live.builtin[builtin]
    place = rules.index(jump) if live.jumps[builtin] == 1 else 0
    for rule in [rule for rule in rules if rule != jump][place:]:
        named = any(fnmatch.fnmatchcase(target(rule), pattern) for pattern in patterns)
        policy = live.policies.get(builtin, "ACCEPT")
        if not named and (not only_denies([rule], live.others, policy, []) or denies_all([rule], live.others)):
            break
        place += 1
    return place


def passed_rules(live: LiveRules, patterns: Sequence[str]) -> dict[str, list[str]]:
    """Return the unmanaged rules that the managed jumps of a family have yet to pass, by built-in chain."""
    found = {}
    for builtin, chain in JUMPS.items():
        if live.jumps[builtin] == 1:
            at = live.builtin[builtin].index(f"-j {chain}")
            passed = live.builtin[builtin][at + 1 : jump_place(builtin, live, patterns) + 1]
            if passed:
                found[builtin] = passed
    return found


def _place_before(rules: Sequence[str], place: int, passed: Sequence[str]) -> int:
    """Return the place of a jump before it passed these rules; of those that came in between it stays behind."""
    for rule in reversed(passed):
        if place and rules[place - 1] == rule:
            place -= 1
    return place


def transaction(
    text: str, live: LiveRules, jump_after: Sequence[str], passed: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Return the one iptables-restore text that turns the live state of a family into the wanted one.

    ``passed``: for a rollback, the rules that the jumps had passed; they go back before these and pass no others.
    """
    wanted = parse_save(text).chains
    old = [name for name in live.chains if name not in wanted]
    lines = ["*filter"]
    lines += [f":{name} - [0:0]" for name in [*wanted, *old]]  # a declared chain is emptied
    lines += [f"-A {name} {rule}" for name, rules in wanted.items() for rule in rules]
    for builtin, chain in JUMPS.items():
        jump = f"-j {chain}"
        removed = [f"-D {builtin} {jump}"] * live.jumps[builtin]
        if chain not in wanted:
            lines += removed
            continue
        rules = live.builtin[builtin]
        place = jump_place(builtin, live, jump_after)
        if live.jumps[builtin] == 1:
            at = rules.index(jump)
            if passed is not None:
                place = _place_before(rules, at, passed.get(builtin, ()))
            if place == at:
                continue
        lines += [*removed, f"-I {builtin} {place + 1} {jump}"]
    lines += [f"-X {name}" for name in old if name not in live.referenced]
    return "\n".join([*lines, "COMMIT"]) + "\n"


def load_rules(
    family: str, text: str, state: State, passed: Mapping[str, Mapping[str, Sequence[str]]] | None = None
) -> None:
    """Bring one family's chains and jumps into the wanted state, in one step. ``passed``: see Pending; to roll back."""
    if family == "ipv6" and not kernel_has_ipv6():
        return
    restore = [command(family, state.backend, "restore"), "--noflush", "--wait", str(LOCK_WAIT)]
    for left in reversed(range(LOAD_TRIES)):
        live = read_live(family, state.backend)
        if not text and not live.managed:
            return
        try:
            back = None if passed is None else passed.get(family, {})
            wanted = transaction(text, live, state.jump_after, back)
            if any(builtin in live.native for builtin in JUMPS):
                _load_natively(family, wanted.splitlines(), live, restore)
            else:
                run(restore, wanted)
        except LoadError:
            if not left:
                raise
            time.sleep(0.05)
        else:
            return


def load(
    directory: str, rebuild: Iterable[str] = (), passed: Mapping[str, Mapping[str, Sequence[str]]] | None = None
) -> State:
    """Load the state in a directory: sets first, then the rules that need them. Old sets stay.

    ``rebuild`` and ``passed``: see Pending; where it is rolled back.

    LoadError where a text is not what was written: truncated rules could load, and leave ports open.
    """
    state, texts = State.read(directory), read_texts(directory)
    if texts_digest(texts) != state.texts:
        raise LoadError(f"the files in {directory} are not those that were written there")
    load_sets(texts["sets"], rebuild)
    for family in FAMILIES:
        load_rules(family, texts[family], state, passed)
    return state


def close_mail_ports(ports: Sequence[int], backend: str) -> None:
    """Close the mail ports with rules that need neither sets nor connection tracking.

    Each family is closed on its own, with the first variant of iptables that does it. LoadError where none did.
    """
    closed = [f"{match} -j DROP" for match in multiport("dports", ports)]
    chains = {IN: ["-i lo -j RETURN", *closed], OUT: ["-o lo -j RETURN", *closed]}
    open_families = []
    for family in FAMILIES:
        for candidate in dict.fromkeys((backend, *BACKENDS)):
            with contextlib.suppress(LoadError):
                load_rules(family, chains_text(chains), State(candidate))
                break
        else:
            open_families.append(family)
    if open_families:
        raise LoadError(f"the mail ports could not even be closed in {' and '.join(open_families)}")


def unload(backend: str) -> None:
    """Remove the managed jumps, chains and sets from the live state, and nothing else."""
    for family in FAMILIES:
        load_rules(family, "", State(backend))
    destroy_sets(())


# What the boot unit and the rollback timer do


class Pending(NamedTuple):
    """A change that is live and awaits its confirmation.

    ``generation``: the name of its directory. ``boot`` and ``deadline``: the boot, and the seconds since it, by which
    the confirmation must come. ``rebuild``: sets whose previous members differ. ``absent``: whether it removes the
    packet filter. ``passed``: by family and built-in chain, the unmanaged rules that it moves the managed jump behind.
    """

    token: str
    generation: str
    timeout: int
    boot: str
    deadline: float
    rebuild: list[str]
    absent: bool
    passed: dict[str, dict[str, list[str]]]

    @classmethod
    def read(cls, root: str) -> Pending | None:
        """Read ``pending.json``, or return None where there is none that a run has written."""
        try:
            return cls(**json.loads(read_text(root, "pending.json")))
        except (ValueError, TypeError):
            return None

    def write(self, root: str) -> None:
        """Write ``pending.json``."""
        write_file(os.path.join(root, "pending.json"), json.dumps(self._asdict()) + "\n")


def saved_names() -> dict[str, set[str]]:
    """Return, by path, the files in which other programs saved managed chains or sets, and the names there."""
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(CHAINS)}|{SET_NAME.pattern})(?![\w-])")
    found: dict[str, set[str]] = {}
    for path in sorted(set(itertools.chain.from_iterable(map(glob.iglob, SAVED_FILES)))):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                names = {match[0] for line in file if line[:4] != "add " for match in pattern.finditer(line)}
        except OSError:
            continue  # a directory
        if names:
            found[path] = names
    return found


def create_sets(root: str = ROOT) -> None:
    """Create the sets of the confirmed state before other programs load rules that they saved, managed ones among them.

    Such rules may also name a set of an older policy; without it not one of them would load. It is made empty, and
    closes, until the boot unit replaces the rules.
    """
    with contextlib.suppress(OSError, LoadError):
        load_sets(read_text(root, "current", "sets"))
    live = live_set_names()
    for name in sorted(set().union(*saved_names().values()) - set(live)):
        if SET_NAME.fullmatch(name) and ipset_is_installed():
            with contextlib.suppress(LoadError):
                run(["ipset", "create", name, "hash:net", "family", "inet6" if "6-" in name else "inet"])


def stale_sets(text: str) -> list[str]:
    """Return the live sets whose members are not those of the text."""
    wanted = split_sets(text)
    live = live_sets(name for name in live_set_names() if name in wanted)
    return [name for name, found in live.items() if members_digest("\n".join(wanted[name])) != members_digest(found)]


def missing(texts: Mapping[str, str], lives: Mapping[str, LiveRules]) -> list[str]:
    """Return the families of which another program has flushed or replaced the managed chains or jumps."""
    found = []
    for family, live in lives.items():
        wanted = parse_save(texts[family]).chains
        jumps = [builtin for builtin, chain in JUMPS.items() if chain in wanted and not live.jumps[builtin]]
        if jumps or set(wanted) - set(live.chains):
            found.append(family)
    return found


def load_again(root: str = ROOT) -> None:
    """Load the confirmed state where another program has replaced it since; on failure the mail ports are closed.

    Nothing is done where the boot unit was stopped, or a change awaits its confirmation.
    """
    current = os.path.join(root, "current")
    if _unit_state() in ("inactive", "unknown", "deactivating") or Pending.read(root) is not None:
        return
    try:
        state, texts = State.read(current), read_texts(current)
        if (
            live_digest(state.backend, [name for name in live_set_names() if name in split_sets(texts["sets"])])
            == state.live
        ):
            return
        lives = {family: read_live(family, state.backend) for family in FAMILIES}
        gone = missing(texts, lives)
        what = (
            f"the managed chains of {' and '.join(gone)} were gone"
            if gone
            else "the managed rules or sets were not as loaded"
        )
        sys.stderr.write(f"mailhost-packet-filter: {what}, because another program has loaded rules; loading again\n")
    except Exception as error:
        sys.stderr.write(f"mailhost-packet-filter: {error}; loading again\n")
    boot(root)


def _unit_state() -> str:
    """Return the state of the boot unit, as systemctl shows it."""
    try:
        return run(["systemctl", "show", "--property=ActiveState", "--value", UNIT]).strip()
    except LoadError:
        return "unknown"


def boot(root: str = ROOT) -> None:
    """Load the confirmed state; on any failure the mail ports are closed and LoadError is raised."""
    state = State()
    current = os.path.join(root, "current")
    # A file that cannot be read must not keep the ports open; what was confirmed is loaded in any case.
    with contextlib.suppress(OSError, RecursionError):
        pending = Pending.read(root)
        if pending is not None:  # what was not confirmed before a restart does not become live
            os.unlink(os.path.join(root, "pending.json"))
            note_end(root, pending.token, "the host, or its boot unit, was started before the confirmation came")
    try:
        state = State.read(current)
        sets = read_text(current, "sets")
        load(current, stale_sets(sets))
        destroy_sets(split_sets(sets))
    except Exception as error:
        close_mail_ports(state.ports, state.backend)
        raise LoadError(
            f"the packet filter in {current} did not load, the mail ports are closed instead: {error}"
        ) from error


@contextlib.contextmanager
def locked_if_possible(root: str = ROOT) -> Iterator[None]:
    """Hold the lock if possible: at boot, a file system that cannot be written must not leave the ports open."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, LoadError):
            stack.enter_context(locked(root))
        yield


def boot_time() -> tuple[str, float]:
    """Return the identity of this boot and the seconds since it, which no change of the clock touches."""
    return read_text("/proc/sys/kernel/random", "boot_id").strip(), time.clock_gettime(time.CLOCK_BOOTTIME)


def note_end(root: str, token: str, reason: str) -> None:
    """Note why a change was not confirmed, for the run that made it."""
    write_file(os.path.join(root, "rolled-back.json"), json.dumps({"token": token, "reason": reason}) + "\n")


def restore_previous(root: str, pending: Pending, reason: str) -> None:
    """Restore the state from before a change, drop the change, and note why. The caller holds the lock.

    Where the previous state does not load the mail ports are closed, the change stays pending, and LoadError is raised.
    """
    previous, generation = os.path.join(root, "previous"), os.path.join(root, pending.generation)
    if os.path.realpath(os.path.join(root, "current")) == os.path.realpath(generation):
        os.unlink(os.path.join(root, "pending.json"))  # a confirmation was killed after its decisive step
        return
    state = State()
    try:
        state = load(previous, pending.rebuild, pending.passed)
        for family in FAMILIES:
            live = read_live(family, state.backend)
            wanted = parse_save(read_text(previous, family)).chains
            kept = set(live.kept) - set(wanted)
            if {name: rules for name, rules in live.chains.items() if name not in kept} != wanted:
                raise LoadError(f"the rules of {family} are not what they were")
    except Exception as error:
        close_mail_ports(state.ports, state.backend)
        raise LoadError(f"the previous state did not load, the mail ports are closed instead: {error}") from error
    os.unlink(os.path.join(root, "pending.json"))
    destroy_sets(split_sets(read_text(previous, "sets")))
    shutil.rmtree(generation, ignore_errors=True)
    with contextlib.suppress(OSError):  # a full disk must not keep the change pending
        note_end(root, pending.token, reason)


def rollback(token: str, root: str = ROOT) -> None:
    """Roll back the change with this token, unless it was confirmed meanwhile; what fails is tried again."""
    deadline = time.monotonic() + ROLLBACK_SECONDS
    while True:
        try:
            with locked(root, ROLLBACK_SECONDS):
                pending = Pending.read(root)
                if pending is not None and pending.token == token:
                    restore_previous(root, pending, f"no confirmation came within {pending.timeout} seconds")
                return
        except Exception as error:
            sys.stderr.write(f"mailhost-packet-filter: {error}; trying again\n")
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def main(arguments: Sequence[str]) -> int:
    """Run a command, as ``boot``; the usage below names them all."""
    words = list(arguments)
    try:
        if words == ["boot"]:
            with locked_if_possible():
                boot()
        elif words == ["sets"]:
            create_sets()
        elif words == ["again"]:
            with locked_if_possible():
                load_again()
        elif words == ["unload"]:
            with locked():
                unload(State.read(os.path.join(ROOT, "current")).backend)
        elif len(words) == 2 and words[0] == "rollback":
            rollback(words[1])
        elif len(words) == 3 and words[0] == "rollback-after":
            time.sleep(float(words[1]))
            rollback(words[2])
        else:
            sys.stderr.write("usage: sets | boot | again | unload | rollback TOKEN | rollback-after SECONDS TOKEN\n")
            return 2
    except (LoadError, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"mailhost-packet-filter: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
