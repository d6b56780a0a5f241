# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An installed Messaging Server: where its files are, its tool imsimta, and the least activation that suffices.

Sources: docs/reference/messaging-server-facts.md#installation and
docs/reference/messaging-server-facts.md#unified-configuration; the tailor file's table of the Administration Reference
6.3 for the places of files. What a tool prints in a way that is not known is an error with that output, never a
verdict.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .._policy.errors import shown
from .._policy.networks import LOCALHOST
from .._policy.services import SMTP_PORT
from .._sessions.smtp import sends_banner
from .._transaction.command import Runner, StepError, run_tool
from .._transaction.files import read_file
from ._formats.tables import PORT_ACCESS

USUAL_ROOTS = (
    "/opt/SUNWmsgsr",
    "/opt/sun/messaging",
    "/opt/sun/comms/messaging",
    "/opt/sun/comms/messaging64",
)
TAILOR_PLACES = {
    "IMTA_TABLE": "config/",
    "IMTA_LIB": "lib/",
    "IMTA_MAPPING_FILE": "config/mappings",
    "IMTA_CONFIG_FILE": "config/imta.cnf",
    "IMTA_DISPATCHER_CONFIG": "config/dispatcher.cnf",
    "IMTA_OPTION_FILE": "config/option.dat",
}
"""Options of the tailor file that we need and what they are without it, under the root. Folders end in a slash."""
IMAGE_PLACES = ("imta/lib/config_data", "lib/config_data", "config/advanced/config_data", "advanced/config_data")
"""Where releases keep the compiled configuration that no option of the tailor file names."""
MAX_INDIRECTIONS = 8

MAPPINGS, GENERAL_TXT = "mappings", "general.txt"
DISPATCHER_CNF, IMTA_CNF, OPTION_DAT = "dispatcher.cnf", "imta.cnf", "option.dat"
PARTS = (MAPPINGS, GENERAL_TXT, PORT_ACCESS, DISPATCHER_CNF, IMTA_CNF, OPTION_DAT)
"""What a change can be about; ``mappings`` stands for all tables but PORT_ACCESS."""


_OUTPUT = re.compile(r"^\s*Output string: ?(.*)$", re.IGNORECASE)
_FLAGS = re.compile(r"^\s*Output flags:\s*\[(.*)\]\s*$", re.IGNORECASE)
_FLAG = re.compile(r"\s*(?:'(.)'\s*(?:\(\s*(\d{1,3})\s*\))?|(\d{1,3}))\s*(,|$)")
_VERSION = re.compile(r"\b(?:Version|Messaging Server)\D{0,20}?(\d+(?:\.\d+)+|\d+)", re.IGNORECASE)


class MappingResult(NamedTuple):
    """What ``imsimta test -mapping`` says: the letters of the output flags in upper case, and the output string.

    ``matched`` is the flag 0, which appears with every match. ``printed`` is all that the tool printed.
    """

    matched: bool
    flags: frozenset[str]
    output: str
    printed: str


class Product:
    """An installation, with the places of its files. The driver of its transactions.

    ``files`` are the editable files by their part: mappings, imta.cnf, dispatcher.cnf, option.dat, general.txt.
    """

    name = "Messaging Server"

    def __init__(self, root: str, imsimta: str, tailor: Mapping[str, str]) -> None:
        self.root, self.imsimta, self.tailor = root, imsimta, dict(tailor)
        self.files = {
            MAPPINGS: self._place("IMTA_MAPPING_FILE"),
            IMTA_CNF: self._place("IMTA_CONFIG_FILE"),
            DISPATCHER_CNF: self._place("IMTA_DISPATCHER_CONFIG"),
            OPTION_DAT: self._place("IMTA_OPTION_FILE"),
            GENERAL_TXT: os.path.join(self._place("IMTA_TABLE"), "general.txt"),
        }
        self.images = self._find_images()

    # Places

    def resolve(self, spec: str) -> str | None:
        """Return the path of a file specification such as ``IMTA_TABLE:foo.rules``; None where it is no full path."""
        for _step in range(MAX_INDIRECTIONS):
            name, colon, rest = spec.partition(":")
            if not colon or "/" in name:
                break
            folder = self.tailor.get(name.upper(), "")
            if not folder and name.upper() in TAILOR_PLACES:
                folder = os.path.join(self.root, TAILOR_PLACES[name.upper()])
            if not folder:
                return None
            spec = folder + rest  # a prefix, not a folder: the tailor file's own words
        return os.path.normpath(spec) if spec.startswith("/") else None

    def include_path(self, spec: str) -> str | None:
        """Return the path of an included file by its name after ``<``; None where it is no full path."""
        return self.resolve(spec.strip())

    def _place(self, option: str) -> str:
        value = self.tailor.get(option, "")
        if not value:
            return os.path.normpath(os.path.join(self.root, TAILOR_PLACES[option]))
        found = self.resolve(value)
        if found is None:
            raise StepError("discover", f"{option}={shown(value)} in {tailor_path(self.root)} is not a full path")
        return found

    def _find_images(self) -> tuple[str, ...]:
        named = self.tailor.get("IMTA_CONFIG_DATA", "")
        if named:
            path = self.resolve(named)
            if path is None:
                raise StepError(
                    "discover", f"IMTA_CONFIG_DATA={shown(named)} in {tailor_path(self.root)} is not a full path"
                )
            return (path,)
        places = [os.path.join(self.root, place) for place in IMAGE_PLACES]
        found = tuple(dict.fromkeys(os.path.realpath(path) for path in places if os.path.exists(path)))
        if not found:
            raise StepError(
                "discover",
                f"no compiled configuration was found ({', '.join(places)}), so it could not be restored; "
                "run imsimta cnbuild once, or name its place in IMTA_CONFIG_DATA of the tailor file",
            )
        return found

    # Tools

    def version(self) -> str:
        """Return what ``imsimta version`` prints."""
        return run_tool("imsimta version", [self.imsimta, "version"]).strip()

    def test_mapping(self, table: str, probe: str, mapping_file: str, input_flags: str = "") -> MappingResult:
        """Have the product say what a table of a mapping file that is not live gives for a probe."""
        step = "imsimta test -mapping"
        for what, text in (("table", table), ("probe", probe), ("flags", input_flags)):
            if not text.isprintable() or text.startswith("-"):
                raise StepError(step, f"{shown(text)} cannot be given as {what}")
        command = [self.imsimta, "test", "-mapping", "-noimage_file", f"-mapping_file={mapping_file}"]
        command += [f"-table={table}", *([f"-flags={input_flags}"] if input_flags else []), probe]
        return read_mapping_result(run_tool(step, command))

    # The driver of the transaction

    def built(self, details: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002 (one image holds all files)
        """Return the places of the compiled configuration."""
        return self.images

    def check(self, run: Runner) -> None:
        """Compile without writing an image."""
        run("imsimta cnbuild -noimage_file", [self.imsimta, "cnbuild", "-noimage_file"])

    def build(self, run: Runner, details: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Compile."""
        run("imsimta cnbuild", [self.imsimta, "cnbuild"])
        if not any(os.path.exists(path) for path in self.images):
            raise StepError("imsimta cnbuild", f"it wrote none of {', '.join(self.images)}")

    def activate(self, run: Runner, details: Mapping[str, Any]) -> None:
        """Do what suffices for these parts."""
        for words in activations(details["parts"]):
            run(f"imsimta {' '.join(words)}", [self.imsimta, *words])

    def start(self, run: Runner) -> None:
        """Start the Dispatcher, and with it its SMTP servers."""
        run("imsimta restart dispatcher", [self.imsimta, "restart", "dispatcher"])

    def alive(self) -> bool:
        """Whether port 25 on the loopback gives a 220 banner."""
        return sends_banner(LOCALHOST, SMTP_PORT)

    def runs(self) -> bool | None:
        """Never certain: the vendor's documents name nothing that shows it."""
        return None


def activations(parts: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the least disruptive commands of imsimta that activate these parts.

    A restarted dispatcher starts its SMTP servers anew as well, so that a restart of smtp is not needed on top.
    """
    known = set(parts)
    if known - set(PARTS):
        raise ValueError(f"unknown parts: {', '.join(sorted(known - set(PARTS)))}")
    commands: list[tuple[str, ...]] = []
    if known & {MAPPINGS, GENERAL_TXT}:
        commands.append(("reload",))
    if known & {PORT_ACCESS, DISPATCHER_CNF}:
        commands.append(("restart", "dispatcher"))
    elif known & {IMTA_CNF, OPTION_DAT}:
        commands.append(("restart", "smtp"))
    return commands


def read_mapping_result(printed: str) -> MappingResult:
    """Read the output of ``imsimta test -mapping``; StepError where anything about it is unknown.

    Flags are printed as ``[0, 'N' (78)]`` by 6.x and as bare numbers by older releases.
    """
    flag_texts = [found[1] for line in printed.splitlines() if (found := _FLAGS.match(line))]
    outputs = [found[1] for line in printed.splitlines() if (found := _OUTPUT.match(line))]
    if len(flag_texts) != 1 or len(outputs) > 1:
        raise _unknown(printed)
    numbers = _read_flags(flag_texts[0], printed)
    matched = 0 in numbers
    if matched and not outputs:
        raise _unknown(printed)
    letters = frozenset(chr(number).upper() for number in numbers if 33 <= number <= 126)
    if letters and not matched:
        raise _unknown(printed)
    return MappingResult(matched, letters, outputs[0] if outputs else "", printed)


def _read_flags(text: str, printed: str) -> set[int]:
    numbers: set[int] = set()
    position = 0
    while text[position:].strip():
        found = _FLAG.match(text, position)
        if found is None or (found[4] and not text[found.end() :].strip()):
            raise _unknown(printed)
        number = int(found[3]) if found[3] else ord(found[1])
        if found[2] and int(found[2]) != number:
            raise _unknown(printed)
        numbers.add(number)
        position = found.end()
    return numbers


def _unknown(printed: str) -> StepError:
    return StepError("imsimta test -mapping", f"its output is not of a known form:\n{printed}")


# Discovery


def discover(root: str = "") -> Product:
    """Return the installation under a root, or the only one in the usual places; StepError says what is wrong."""
    roots = [root] if root else [place for place in USUAL_ROOTS if _imsimta(place)]
    # Two names of one folder are one installation.
    roots = list({os.path.realpath(place): place for place in reversed(roots)}.values())
    if len(roots) != 1:
        found = f"found {', '.join(roots)}" if roots else f"found none in {', '.join(USUAL_ROOTS)}"
        raise StepError("discover", f"messaging_server_root: {found}; write the folder of the installation to use")
    root = roots[0]
    imsimta = _imsimta(root)
    if not root.startswith("/") or not imsimta:
        raise StepError(
            "discover",
            f"messaging_server_root: {shown(root)} has no program sbin/imsimta or bin/imsimta; "
            "write the folder in which Messaging Server is installed",
        )
    _reject_unified(root)
    product = Product(root, imsimta, read_tailor(root))
    edited = [product.files[part] for part in (MAPPINGS, IMTA_CNF, DISPATCHER_CNF)]
    missing = [path for path in edited if not os.path.isfile(path)]
    if missing:
        raise StepError("discover", f"messaging_server_root: {shown(root)}: no file {', '.join(missing)}")
    return product


def tailor_path(root: str) -> str:
    """Return the path of the tailor file."""
    return os.path.join(root, "config", "imta_tailor")


def read_tailor(root: str) -> dict[str, str]:
    """Return the options of the tailor file by their names, nothing where there is none."""
    options = {}
    for line in (read_file(tailor_path(root)) or b"").decode("utf-8", "surrogateescape").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("!"):
            options[name.strip().upper()] = value.strip()
    return options


def read_release(version: str) -> str:
    """Return the number of the release in what ``imsimta version`` prints, nothing where there is none."""
    found = _VERSION.search(version)
    return found[1] if found else ""


def _imsimta(root: str) -> str:
    for folder in ("sbin", "bin"):
        path = os.path.join(root, folder, "imsimta")
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return ""


def _reject_unified(root: str) -> None:
    found = os.path.join(root, "config", "config.xml")
    if os.path.exists(found):
        raise StepError(
            "discover",
            f"{found} exists: this installation has the Unified Configuration, in which mappings, imta.cnf and "
            "dispatcher.cnf are not read; it is changed by msconfig, which this role does not do",
        )
