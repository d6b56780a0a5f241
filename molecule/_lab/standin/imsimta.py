# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for the command imsimta of Sun Java System Messaging Server: the sub-commands that the role uses.

cnbuild, reload, restart, refresh, test -mapping, test -rewrite, version. What the real one prints is known in parts
only (docs/reference/messaging-server-facts.md#test-mapping); the rest is made up.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from faults import Call
from live_dns import LiveResolver
from product import CONTROL, BuildError, check, image_config, places, read_files, write_image

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.callouts import Callouts
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.context import (
    surroundings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.decision import (
    Evaluation,
    load_config,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import (
    read_session,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import Config

UNIT = "messaging-standin.service"
REPLY_SECONDS = 90


class UsageError(Exception):
    """A command line that is not understood."""


class Options:
    """Options of the form -name or -name=value; a name may be cut short."""

    def __init__(self, arguments: list[str], *known: str) -> None:
        self.values: dict[str, str] = {}
        self.words = [word for word in arguments if not word.startswith("-")]
        for word in arguments:
            if word.startswith("-"):
                name, _equals, value = word[1:].partition("=")
                fits = [one for one in known if one == name] or [one for one in known if one.startswith(name)]
                if len(fits) != 1:
                    raise UsageError(f"unknown option {word}")
                self.values[fits[0]] = value

    def path(self, name: str) -> Path | None:
        """A file that was named, or None."""
        return Path(self.values[name]) if self.values.get(name) else None


def cnbuild(arguments: list[str]) -> None:
    """Compile the text files into the image."""
    unused = ("maximum", "remove", "sizes", "statistics", "resize_tables")
    options = Options(arguments, "image_file", "noimage_file", "option_file", *unused)
    where = places()
    config = read_files(where, option_dat=options.path("option_file"))
    check(config)
    if "noimage_file" not in options.values:
        write_image(options.path("image_file") or where.image, config)


def send(command: str) -> str:
    """Tell the running server something and return its answer; nothing when none runs."""
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(REPLY_SECONDS)
            control.connect(str(CONTROL))
            control.sendall(f"{command}\n".encode())
            return control.makefile().readline().strip()
    except (FileNotFoundError, ConnectionRefusedError):
        return ""


def reload(arguments: list[str]) -> None:
    """Have the running processes read the reloadable part of the image."""
    Options(arguments)
    answer = send("reload")
    if answer != "ok":
        raise BuildError(answer or "no server is running")


def restart(arguments: list[str]) -> None:
    """Stop and start what is named, or everything."""
    words = Options(arguments).words
    if len(words) > 1 or (words and words[0] not in ("dispatcher", "smtp")):
        raise UsageError(f"this stand-in restarts dispatcher or smtp, not {' '.join(words)}")
    answer = send(f"restart {words[0] if words else 'dispatcher'}")
    if not answer:
        subprocess.run(["systemctl", "start", UNIT], timeout=REPLY_SECONDS, check=True)
    elif answer != "ok":
        raise BuildError(answer)


def refresh(arguments: list[str]) -> None:
    """Compile and restart everything."""
    Options(arguments)
    cnbuild([])
    restart([])


def config_for_test(options: Options) -> Config:
    """What a test looks at: the image, or with -noimage_file the text files."""
    where = places()
    if "noimage_file" in options.values or options.path("mapping_file"):
        return read_files(where, mappings=options.path("mapping_file"), option_dat=options.path("option_file"))
    return image_config(options.path("image_file") or where.image)


def inputs(options: Options, prompt: str) -> Iterator[str]:
    """The probes: the words of the command line, or each line of the input after a prompt."""
    if options.words:
        yield from options.words
        return
    while True:
        print(prompt, end=" ", flush=True)
        line = sys.stdin.readline()
        if not line:
            print()
            return
        yield line.rstrip("\n")


def test_mapping(arguments: list[str]) -> None:
    """Apply a mapping table."""
    names = ("mapping", "debug", "flags", "image_file", "noimage_file", "mapping_file", "option_file", "table")
    options = Options(arguments, *names)
    config = config_for_test(options)
    table = options.values.get("table") or ""
    if not table:
        print("Enter table name:", end=" ", flush=True)
        table = sys.stdin.readline().strip()
    loaded = load_config(config)
    if table not in loaded.mappings:
        raise BuildError(f"no mapping table {table}")
    around = surroundings(options.values.get("flags", ""), loaded.database, Callouts({}, LiveResolver()))
    for text in inputs(options, "Input string:"):
        result = loaded.mappings.probe(table, text, around)
        if "debug" in options.values:
            print("\n".join(result.trace()))
        flags = ["0", *(f"'{flag}' ({ord(flag)})" for flag in result.flags)] if result.matched else []
        print(f"Output string: {result.output}\nOutput flags: [{', '.join(flags)}]")


def test_rewrite(arguments: list[str]) -> None:
    """Rewrite recipients and ask the access tables about them."""
    names = ("rewrite", "from", "source_channel", "destination_channel", "sender", "image_file", "noimage_file")
    options = Options(arguments, *names, "mapping_file", "option_file", "debug")
    loaded = load_config(config_for_test(options))
    source, destination = options.values.get("source_channel", "l"), options.values.get("destination_channel")
    for address in inputs(options, "Address:"):
        data = {
            "client": "127.0.0.1",
            "mail_from": options.values.get("from", ""),
            "destination_channels": {address: destination} if destination else {},
        }
        evaluation = Evaluation(read_session(data), loaded, LiveResolver())
        evaluation.port_probe = ""
        evaluation.switcher.begin(source)
        evaluation.sender = evaluation.session.mail_from
        stage = evaluation.recipient(address, True)
        if "debug" in options.values:
            print("\n".join(evaluation.trace))
        if stage.accepted:
            target = evaluation.destination(address)
            print(f"Submitted address list:\n  {target.channel}\n    {target.address}")
        else:
            _code, _space, rest = stage.reply.partition(" ")
            print(f"Submitted address list:\n\nAddress list error -- {rest.removesuffix(f': {address}')} {address}")


def version(arguments: list[str]) -> None:
    """Say what this is."""
    Options(arguments)
    print("Stand-in for Sun Java(tm) System Messaging Server 6.3 (lab of mailhost.hardening)")


def run(words: list[str]) -> None:
    """Do what the command line says."""
    commands = {"cnbuild": cnbuild, "reload": reload, "restart": restart, "refresh": refresh, "version": version}
    tests = {"-mapping": test_mapping, "-rewrite": test_rewrite}
    if words and words[0] in commands:
        commands[words[0]](words[1:])
        return
    wanted = [name for name in tests if words and words[0] == "test" and name in words]
    if not wanted:
        raise UsageError(f"this stand-in knows {', '.join(commands)}, test -mapping and test -rewrite")
    tests[wanted[0]](words[1:])


def main() -> int:
    """Do one call, with the faults that were asked for."""
    words = sys.argv[1:]
    call = Call(words)
    if call.fail("before"):
        return call.end(call.fault.get("rc", 1))
    code = 0
    try:
        run(words)
    except (ReportedError, UsageError, ValueError, subprocess.SubprocessError, OSError) as e:
        sys.stderr.write(f"imsimta {' '.join(words[:1])}: {e}\n")
        code = 1
    if code == 0 and call.fail("after"):
        code = call.fault.get("rc", 1)
    return call.end(code)


if __name__ == "__main__":
    sys.exit(main())
