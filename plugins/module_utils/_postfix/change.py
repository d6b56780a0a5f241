# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the role on the host: from the policy to a Postfix that works by it, or back.

The order is the promise: compose, have Postfix read the result, prove it on a canary, and only then touch anything.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._policy.services import SMTP_PORT
from .._transaction.files import Attributes, decode, encode, read_file
from .._transaction.run import Proof, Run
from .._transaction.transaction import Change, Confirm
from ._canary.deciders import Files
from ._canary.waits import describe_waits
from ._checks.context import Context, PolicyContext
from ._config.live import Live
from ._config.main_cf import MainCf
from ._config.maps import FOLDER
from ._config.master_cf import MasterCf
from ._config.record import dump_record
from ._host.live import STATE, read_live
from ._host.product import discover
from ._host.sandbox import sweep
from .confirm import ERRORS, Host, confirm_live, deferral
from .proof import digest, prove_files
from .wanted import want_policy, want_removal

PUBLIC = Attributes(0, 0, 0o644, {})
"""Of a new table."""

SETTLED = 5
"""Postfix waits for a file that has changed within the last seconds."""


class PostfixRun(Run[Live, Context]):
    """A run for Postfix; ``arguments`` are those of the module."""

    state = STATE

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__(arguments)
        self.driver = self.product = discover()
        self.folder = os.path.join(self.product.folder, FOLDER)
        sweep()

    def read(self) -> Live:
        """Read the live files, and ask the program for its facts."""
        return read_live(self.product)

    def want(self, live: Live) -> Context:
        """Compose the files that the policy asks for."""
        if self.arguments["state"] == "absent":
            return want_removal(live, self.product)
        return want_policy(self.arguments, live, self.product)

    def changes(self, live: Live, wanted: Context) -> list[Change]:
        """Return the files that differ."""
        product, composed = self.product, wanted.composed
        found = [
            Change(path, encode(before.text), encode(after.text), age=SETTLED)
            for path, before, after in (
                (product.main_cf, live.main, composed.main),
                (product.master_cf, live.master, composed.master),
            )
        ]
        for name in sorted({*live.record.maps, *composed.maps}):
            path = product.table(name)
            table = encode(composed.maps[name].text) if name in composed.maps else None
            found.append(Change(path, read_file(path), table, PUBLIC, SETTLED))
        return [one for one in found if one.before != one.after]

    def digest(self, live: Live, wanted: Context) -> str:  # noqa: ARG002 (its context has it)
        """Return a digest of what the canary is tried with."""
        return digest(wanted)

    def prove(self, live: Live, wanted: Context, changes: Sequence[Change], *, proven: bool) -> Proof:  # noqa: ARG002
        """Have Postfix check the wanted files, and hold sessions with a canary of them."""
        return prove_files(wanted, changed=bool(changes), proven=proven)

    def details(self, changes: Sequence[Change]) -> Mapping[str, Any]:
        """Return the indexed tables before and after."""
        before = decode(read_file(self.product.main_cf) or b"")
        contents = {os.path.realpath(one.path): one.after for one in changes}
        after = contents.get(os.path.realpath(self.product.main_cf))
        return self.product.details(before, before if after is None else decode(after), contents)

    def activation(self, details: Mapping[str, Any]) -> list[str]:  # noqa: ARG002 (one way suffices for all)
        """Return what has Postfix read its files."""
        return ["postfix reload"]

    def record(self, wanted: Context) -> bytes | None:
        """Return the record of what is managed."""
        return None if wanted.composed.record.empty else dump_record(wanted.composed.record)

    def confirm(self, live: Live, wanted: Context) -> Confirm | None:
        """Return the sessions with the live Postfix."""
        if not isinstance(wanted, PolicyContext):
            return None
        milters = _milters(live.main) != _milters(wanted.composed.main)
        submission, addresses = wanted.settings.submission, self.product.addresses
        main, master = wanted.composed.main, wanted.composed.master
        host = Host(
            deferral(addresses) if submission else "",
            _errors(main, master),
            _connections(wanted.settings.limits.concurrent_connections),
            _has_postscreen(master),
            describe_waits([("", str(SMTP_PORT))], Files(main, master), live=True),
        )
        return functools.partial(confirm_live, wanted.policy, submission, addresses, milters=milters, host=host)

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Make the folder of tables; it stays where there is something in it."""
        if not os.path.isdir(self.folder):
            os.mkdir(self.folder)
            os.chmod(self.folder, 0o755)  # noqa: S103 (programs of users read main.cf as well, whatever the umask is)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)


def _errors(main: MainCf, master: MasterCf) -> int:
    """How many rejections a connection to port 25 may see before Postfix makes its client wait, or closes it."""
    options = {
        name: value
        for one in master
        if one.port == SMTP_PORT or one.type == "pass"
        for name, value in one.options.items()
    }
    limits = [options.get(name, main.get(name, "")) for name in ("smtpd_soft_error_limit", "smtpd_hard_error_limit")]
    return max(1, min([ERRORS, *(int(one) - 1 for one in limits if one.isdecimal())]))


def _connections(limit: int) -> int:
    """How many connections of one client are surely accepted; one that has just ended may still count."""
    return min(ERRORS, max(1, limit // 2)) if limit else ERRORS


def _has_postscreen(master: MasterCf) -> bool:
    """Whether postscreen serves port 25: smtpd gives none of its replies."""
    return any(one.type == "inet" and one.port == SMTP_PORT and one.command == "postscreen" for one in master)


def _milters(main: MainCf) -> dict[str, str]:
    """What main.cf says of milters for SMTP clients."""
    return {name: value for name, value in main.items() if name.startswith(("smtpd_milter", "milter_"))}
