"""The command line of the lab: `python molecule/_lab up`; `--help` lists the commands."""

from __future__ import annotations

import argparse
import os
import sys

from mailhost_lab.addresses import HOSTS, MAILHOST, RENEWED, find_host
from mailhost_lab.containers import lifecycle
from mailhost_lab.containers.engine import LabError
from mailhost_lab.demo.run import demo
from mailhost_lab.releases import HELPER_RELEASE, RELEASES
from mailhost_lab.runs import scenarios


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python molecule/_lab", description="Starts, renews and removes the lab.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring the lab up; quick if it is")
    again = commands.add_parser("reset", help="make the mail host or another host anew")
    names = [host.name for host in RENEWED]
    again.add_argument("host", nargs="?", choices=names, default=MAILHOST.name, help="default: %(default)s")
    again.add_argument("--release", choices=list(RELEASES), default=HELPER_RELEASE)
    commands.add_parser("restart", help="reboot a host").add_argument("host", choices=list(HOSTS))
    commands.add_parser("remove", help="remove a host").add_argument("host", choices=list(HOSTS))
    commands.add_parser("status", help="show what there is")
    commands.add_parser("down", help="remove every trace")
    commands.add_parser("demo", help="harden three mail hosts and show what packets and mail get")
    tests = commands.add_parser("test", help="run scenarios on the releases that they are for")
    tests.add_argument("scenario", nargs="*", help="default: all")
    tests.add_argument("--release", choices=list(RELEASES), help="default: all that a scenario is for")
    inner = commands.add_parser("exec", help="run a command on a host")
    inner.add_argument("host", choices=list(HOSTS))
    inner.add_argument("argv", nargs=argparse.REMAINDER, help="command, default: a shell")
    options = parser.parse_args()
    try:
        if options.command == "demo":
            return demo()
        if options.command == "test":
            pairs = scenarios.choose(options.scenario, options.release)
            # Molecule reads the inventory before it makes anything, and each lane would make what is missing.
            lifecycle.up()
            return scenarios.test(pairs)
        if options.command == "up":
            lifecycle.up()
        elif options.command == "reset":
            lifecycle.reset(options.release, find_host(options.host))
        elif options.command == "restart":
            lifecycle.restart(options.host)
        elif options.command == "remove":
            lifecycle.remove(options.host)
        elif options.command == "status":
            lifecycle.status()
        elif options.command == "down":
            lifecycle.down()
        else:
            engine, host = lifecycle.known_engine(), find_host(options.host)
            terminal = ["-it"] if sys.stdin.isatty() and sys.stdout.isatty() else ["-i"]
            command = [engine.name, "exec", *terminal, host.container, *(options.argv or ["bash"])]
            os.execvp(command[0], command)  # noqa: S606 - the terminal belongs to the command
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
