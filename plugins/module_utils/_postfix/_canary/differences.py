# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sessions get with the wanted files that they did not get with the live ones: the effects of the run.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Optional

from ..._policy.effects import CLOSED, DEFERRED, LIMITED, OPENED, REJECTED, Effect
from ..._sessions.cases import DELIVERY
from .._config.settings import DEFAULTS
from .deciders import Files, setting_of
from .files import SMTP, Entrance
from .questions import BARE, DOMAINS, LOGIN, OWNERS, WITHOUT_TLS, Question
from .sessions import RCPT, Heard
from .verdicts import is_late, is_mistake, no_tls, passed

if TYPE_CHECKING:
    from .._config.settings import Settings

NO_SERVICE = "without a service"

_RELAY = re.compile(r"Relay access denied")
_OWNED = re.compile(r"not owned by")


class Pair(NamedTuple):
    """A session, and how it ended with the live and with the wanted files; None where the service is missing."""

    question: Question
    before: Optional[Heard]  # noqa: UP045 (evaluated by Python 3.9)
    after: Optional[Heard]  # noqa: UP045


class Limit(NamedTuple):
    """A parameter that limits what a client may do. ``endless``: 0 means that there is no limit.

    ``strict``: it is for internal and authenticated clients as well.
    """

    parameter: str
    option: str
    who: str
    endless: bool = True
    strict: bool = False


LIMITS = (
    Limit("smtpd_recipient_limit", "recipient_limit", "any client, recipients of a message", False, True),
    Limit("message_size_limit", "message_size_limit", "any client, bytes of a message", True, True),
    *(
        Limit(f"smtpd_client_{name}_limit", option, f"external client, {what}")
        for name, option, what in (
            ("connection_rate", "connections_per_minute", "connections a minute"),
            ("connection_count", "concurrent_connections", "connections at the same time"),
            ("message_rate", "messages_per_minute", "messages a minute"),
            ("recipient_rate", "recipients_per_minute", "recipients a minute"),
            ("auth_rate", "logins_per_minute", "logins a minute"),
        )
    ),
)


def find_effects(pairs: Iterable[Pair], before: Files, after: Files, managed: frozenset[str]) -> list[Effect]:
    """Return what the sessions get now that they did not get before, each class once; one without a reason decides."""
    pairs = list(pairs)
    found: dict[str, Effect] = {}
    bare = _without_tls(pairs)
    for pair in pairs:
        only = pair.question.who.endswith(WITHOUT_TLS) and pair.question.key in bare
        asked = pair._replace(question=pair.question._replace(closing="")) if only else pair
        effect = _effect(asked, before, after, managed)
        if effect is not None:
            known = found.get(effect.entry)
            if known is None or (known.reason and not effect.reason):
                found[effect.entry] = effect
    return [one for one in found.values() if not any(_implies(other, one) for other in found.values())]


def _without_tls(pairs: Iterable[Pair]) -> set[tuple[str, str]]:
    """Services at which users could log in without TLS alone."""
    return {pair.question.key for pair in pairs if pair.before is not None and no_tls(pair.before)}


def _implies(wider: Effect, effect: Effect) -> bool:
    """Whether an effect is part of another one, of the same decision."""
    return effect.who.startswith(f"{wider.who}, ") and wider == effect._replace(who=wider.who)


def unclear(pairs: Iterable[Pair]) -> int:
    """Count the sessions with the live files of which nothing is known."""
    return sum(pair.before is not None and _unknown(pair.before) for pair in pairs)


def _unknown(heard: Heard) -> bool:
    return is_late(heard) or (heard.code != 0 and is_mistake(heard))


def _effect(pair: Pair, before: Files, after: Files, managed: frozenset[str]) -> Effect | None:
    question, old, new = pair
    if old is not None and _unknown(old):
        return None
    was, now = (heard is not None and passed(question.case, heard, managed) for heard in (old, new))
    if was == now:
        return None
    port, who = int(question.case.session["port"]), question.who
    if now:
        return Effect(
            OPENED, "port", port, who, f"was {_outcome(old, question, before)}", _opening(question, old, before, after)
        )
    kind = CLOSED if new is None or new.code == 0 else REJECTED if new.code >= 500 else DEFERRED
    if question.closing and not (new is not None and _unknown(new)):
        return Effect(kind, "port", port, who, "was accepted", question.closing)
    text = f"was accepted, is {_outcome(new, question, after)}"
    return Effect(kind, "port", port, who, text, "", _remedy(question, new, after))


def _opening(question: Question, old: Heard | None, before: Files, after: Files) -> str:
    """Why the policy asks for what is opened.

    A domain of the policy is no reason to drop what else kept a client out.
    """
    if old is None:
        entrance = after.entrance(question.key)
        role = entrance.role if entrance else ""
        return DOMAINS if role == SMTP else LOGIN if role else ""
    if question.owned and _OWNED.search(old.text):
        return OWNERS
    if question.who.startswith(DELIVERY.who):
        managed = before.relay_rejection and before.relay_rejection in old.text
        return DOMAINS if managed or _RELAY.search(old.text) else ""
    if question.opening == LOGIN:
        # Without TLS or AUTH nobody could log in there; what else kept users out was the site's decision.
        return LOGIN if old.stage != RCPT or question.case.session["helo"] == BARE else ""
    return question.opening


def _outcome(heard: Heard | None, question: Question, files: Files) -> str:
    if heard is None:
        return NO_SERVICE
    if heard.code == 0:
        return f"without an answer ({heard.text})"
    setting = setting_of(heard, question.key, files)
    return f"{heard.code} by {setting}" if setting else f"{heard.text[:100]!r}"


def _remedy(question: Question, new: Heard | None, after: Files) -> str:
    entrance = after.entrance(question.key)
    if new is None or entrance is None or entrance.role:
        return ""
    setting = setting_of(new, question.key, after)
    if not setting.endswith("(main.cf)"):
        return ""
    name = setting.partition(" ")[0]
    return f"to keep it, give {entrance.name} in master.cf (line {entrance.line}) its own value: -o {name}=..."


# Limits


def find_limits(
    entrances: Iterable[Entrance],
    values: tuple[Mapping[str, str], Mapping[str, str]],
    files: tuple[Files, Files],
    settings: Settings,
) -> list[Effect]:
    """Return limits that are lower than before. ``values``: of main.cf, with what they refer to, before and after."""
    found = []
    for entrance in entrances:
        for limit in LIMITS:
            if entrance.inner and not limit.strict:
                continue
            old, new = (
                one.option(entrance.key, limit.parameter) or known.get(limit.parameter, "")
                for one, known in zip(files, values)
            )
            if not (old.isdecimal() and new.isdecimal()) or files[0].entrance(entrance.key) is None:
                continue
            if _size(new, limit) < _size(old, limit):
                found.append(_limited(entrance, limit, (old, new), files, settings))
    return found


def _size(value: str, limit: Limit) -> float:
    return float("inf") if limit.endless and int(value) == 0 else int(value)


def _limited(
    entrance: Entrance, limit: Limit, values: tuple[str, str], files: tuple[Files, Files], settings: Settings
) -> Effect:
    old, new = values
    variable = f"postfix_{limit.option}"
    wanted = getattr(settings, limit.option, None)
    asked = not limit.strict or (wanted is not None and wanted != DEFAULTS[limit.option])
    kept = old if int(old) else "2147483647"
    before = "no limit" if limit.endless and int(old) == 0 else old
    text = f"was {before} by {files[0].place(entrance.key, limit.parameter)}, is {new}"
    remedy = "" if asked else f"to keep it, set {variable}: {kept}"
    port = int(entrance.key[1]) if entrance.key[1].isdigit() else 0
    return Effect(LIMITED, "port", port, limit.who, text, variable if asked else "", remedy)
