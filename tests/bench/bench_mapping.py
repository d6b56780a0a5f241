# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the mapping engine and compare with its targets. Exits with 1 when one is missed.

    python tests/bench/bench_mapping.py

Needs the collection on the path as ansible_collections.mailhost.hardening. Every figure is the best of several rounds
on one core; growth is the ratio of times when the input grows tenfold, so 10 is linear and 100 would be quadratic
(for texts sixfold, 6 and 36).
"""

from __future__ import annotations

import gc
import itertools
import sys
import time
from typing import TYPE_CHECKING

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.callouts import Callouts
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.context import (
    surroundings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping import Mappings
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping_match import (
    Subject,
    match,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import (
    parse_imta,
    print_imta,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import (
    parse_mappings,
    print_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_pattern import (
    compile_pattern,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.imta import lint_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.mapping import lint_mappings

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = (
    "INTERNAL_IP\n\n"
    + "".join(f"  $(10.{n}.0.0/16)  $Y\n" for n in range(48))
    + """  127.0.0.1  $Y
  *  $N

PORT_ACCESS

  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E
  TCP|*|25|*|*  $C$:A$[IMTA_LIB:dns_verify.so,dns_verify_domain_port,$1,bl.example.]$E
  *  $YEXTERNAL

FROM_ACCESS

  TCP|*|*|*|*|SMTP*|MAIL|tcp_local|*@spam.example|*  $NGo$ away
  TCP|*|*|*|*|SMTP*|MAIL|tcp_*|*|*  $Y

ORIG_SEND_ACCESS

  tcp_*|*|native|*  $N
  tcp_*|*|hold|*  $N
  tcp_*|*|pipe|*  $N
  tcp_local|*@siroe.example|tcp_local|*  $Y
  tcp_local|*|tcp_local|*  $NRelaying$ not$ permitted

ORIG_MAIL_ACCESS

  TCP|*|*|*|*|SMTP*|*|tcp_local|*|*|postmaster@*  $Y$E
  TCP|*|25|$(203.0.113.0/24)|*|SMTP*|MAIL|tcp_local|*@siroe.example|tcp_local|*  $Y
  TCP|*|*|*|*|SMTP*|*|tcp_local|*|*|*  $C$[IMTA_LIB:dns_verify.so,dns_verify_domain,$2,bl.example.]$E
"""
)
missed: list[str] = []
_numbers = itertools.count()


def best(action: Callable[[], object], rounds: int = 3) -> float:
    """Seconds of the fastest round, without the collector, whose runs grow with everything that is in memory."""
    times = []
    for _round in range(rounds):
        gc.collect()
        gc.disable()
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
        gc.enable()
    return min(times)


def unseen(text: str) -> str:
    """The same text with a comment that no other call gave it, as the reader remembers what it has read."""
    return f"{text}! {next(_numbers)}\n"


def report(name: str, value: float, unit: str, limit: float, *, at_least: bool = False) -> None:
    """Print a figure beside its target and remember a miss."""
    good = value >= limit if at_least else value <= limit
    if not good:
        missed.append(name)
    print(
        f"{'ok  ' if good else 'MISS'} {name:<62} {value:>12,.2f} {unit:<9} "
        f"target {'>=' if at_least else '<='} {limit:,}"
    )


def host_probes(count: int) -> list[tuple[str, str]]:
    """Probes of all tables, from internal and external clients, with differing addresses."""
    probes = []
    for n in range(count):
        client = f"10.{n % 60}.{n % 250}.{n % 7}" if n % 3 else f"198.51.{n % 200}.{n % 250}"
        port = f"TCP|192.0.2.25|25|{client}|{40000 + n % 1000}"
        probes.append(
            [
                ("INTERNAL_IP", client),
                ("PORT_ACCESS", port),
                ("FROM_ACCESS", f"{port}|SMTP/mx{n}.example|MAIL|tcp_local|u{n}@b.example|"),
                ("ORIG_SEND_ACCESS", f"tcp_local|u{n}@b.example|tcp_local|r{n}@d.example"),
                ("ORIG_MAIL_ACCESS", f"{port}|SMTP/mx{n}.example|MAIL|tcp_local|u{n}@b.example|l|r{n}@d.example"),
            ][n % 5]
        )
    return probes


def bench_host() -> None:
    """10,000 probes against the tables of a host, without and with the text of the trace."""
    mappings = Mappings(parse_mappings(HOST))
    around = surroundings("A", {}, Callouts({}))
    probes = host_probes(10_000)

    def run() -> None:
        for table, text in probes:
            mappings.probe(table, text, around)

    def run_traced() -> None:
        for table, text in probes:
            mappings.probe(table, text, around).trace()

    run()
    report("probes of a host's five tables", len(probes) / best(run), "probes/s", 20_000, at_least=True)
    report("the same with the trace as text", len(probes) / best(run_traced), "probes/s", 10_000, at_least=True)


SHAPES = {
    "addresses": lambda n: f"  $({n >> 16 & 255}.{n >> 8 & 255}.{n & 255}.0/24)  $Y\n",
    "addresses in a field": lambda n: f"  TCP|*|25|$(10.{n >> 8}.{n & 255}.0/24)|*  $N500$ no\n",
    "senders": lambda n: f"  tcp_local|user{n}@domain{n}.example|*|*  $NNo\n",
    "domains behind a star": lambda n: f"  tcp_local|*@domain{n}.example|*|*  $NNo\n",
    "words between stars": lambda n: f"  *spam{n}x*  $NNo\n",
    "globs": lambda n: f"  $D*-x{n}-$A*  $NNo\n",
    "one long chain of $C": lambda n: f"  *  $C$0{'' if n % 500 else 'x'}\n",
}
LAST = {
    "addresses": "0.0.3.9",
    "addresses in a field": "TCP|192.0.2.25|25|10.0.7.9|4000",
    "senders": "tcp_local|nobody@domain1.example|l|x@y.example",
    "domains behind a star": "tcp_local|nobody@other.example|l|x@y.example",
    "words between stars": "a text without any of the words",
    "globs": "12-nothing-ab",
    "one long chain of $C": "x",
}


def bench_size() -> None:
    """Files of 1,000 and 10,000 entries: reading, one probe, and the growth of both."""
    for name, shape in SHAPES.items():
        read, probe = [], []
        for count in (1_000, 10_000):
            text = "T\n\n" + "".join(shape(n) for n in range(count)) + "  *  $Y\n"
            read.append(best(lambda text=text: print_mappings(parse_mappings(unseen(text)))))
            mappings = Mappings(parse_mappings(text))
            around = surroundings()
            mappings.probe("T", LAST[name], around)
            # A chain passes every entry, so it is work and no look-up; its target is its growth.
            probe.append(best(lambda m=mappings, last=LAST[name], around=around: m.probe("T", last, around), 5))
        report(f"parse and print 10,000 entries: {name}", read[1], "s", 0.3)
        if "chain" not in name:
            report(f"one probe of 10,000 entries: {name}", probe[1] * 1000, "ms", 5)
        report(f"growth of reading: {name}", read[1] / read[0], "x", 20)
        report(f"growth of a probe: {name}", probe[1] / probe[0], "x", 20)


def bench_patterns() -> None:
    """Patterns made to explode: 20 stars against 1,000 characters, and the growth with the text."""
    for name, star in {
        "maximal": "*a",
        "minimal": "$_*a",
        "globs": "$A*",
        "sets": "$[a-z]*a",
        "mixed": "*a$_*a",
        "with singles": "*%a",
    }.items():
        pattern = compile_pattern(star * 20 + "b")
        hit = compile_pattern(star * 20)
        times = []
        for length in (1_000, 2_500, 15_000):
            text = "a" * length
            times.append(
                max(
                    best(lambda subject=text + end, tried=tried: match(tried, Subject(subject)))
                    for tried, end in ((pattern, "c"), (pattern, "b"), (hit, ""))
                )
            )
        report(f"20 stars, 1,000 characters: {name}", times[0] * 1000, "ms", 50)
        report(f"growth with the text, sixfold: {name}", times[2] / times[1], "x", 12)


def bench_others() -> None:
    """The other reader, and the lint, on 10,000 lines."""
    imta, lint, lint_channels = [], [], []
    for count in (1_000, 10_000):
        channels = "".join(f"c{n} smtp mx pool P \\\n single_sys\nc{n}-daemon\n\n" for n in range(count // 4))
        text = "".join(f"h{n}.example  $U%$D@c{n}-daemon\n" for n in range(count // 2)) + "\n" + channels
        imta.append(best(lambda text=text: print_imta(parse_imta(text))))
        targets = "".join(f"c{n} saslswitchchannel d{n}\nh{n}\n\n" for n in range(count))
        lint_channels.append(best(lambda text=f"\n{targets}": lint_imta(text), 2))
        entries = "".join(f"  tcp_local|*@d{n}.example|*|*  $NNo$ thanks\n" for n in range(count))
        lint.append(best(lambda text=f"SEND_ACCESS\n\n{entries}": lint_mappings(unseen(text)), 2))
    report("parse and print an imta.cnf of 10,000 lines", imta[1], "s", 0.3)
    report("growth of reading imta.cnf", imta[1] / imta[0], "x", 20)
    report("lint 10,000 entries", lint[1], "s", 2)
    report("growth of the lint", lint[1] / lint[0], "x", 20)
    report("growth of the lint of channels", lint_channels[1] / lint_channels[0], "x", 20)


def main() -> int:
    """Run all measurements."""
    bench_host()
    bench_patterns()
    bench_size()
    bench_others()
    print(f"missed: {', '.join(missed)}" if missed else "all targets met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
