"""Whatever opens the composed configuration is found by the canary, before anything live is touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.mail.postfix import STATE
from mailhost_lab.scenarios.postfix_faults import CODE, MODULES, NEW

if TYPE_CHECKING:
    from mailhost_lab.scenarios.postfix_faults import Host

INTERNAL = "mynetworks = cidr:${config_directory}/mailhost/internal.cidr"
RELAY = "smtpd_relay_restrictions = "
OPENINGS: dict[str, tuple[str, str, str]] = {
    "nothing": ("main", "", ""),
    "every client is internal": (
        "main",
        INTERNAL,
        "mynetworks = 0.0.0.0/0 [::]/0",
    ),
    "the table of internal clients has every address": ("internal.cidr", "", "0.0.0.0/0 OK\n"),
    "relaying is permitted": ("main", RELAY, f"{RELAY}check_client_access static:OK, "),
    "every domain is one to relay for": ("main", "relay_domains =", "relay_domains = static:all"),
    "every domain is local": ("main", "", "virtual_mailbox_domains = static:all\n"),
    "port 25 offers AUTH": ("main", "smtpd_sasl_auth_enable = no", "smtpd_sasl_auth_enable = yes"),
    "a user sends as another": (
        "main",
        "reject_authenticated_sender_login_mismatch, permit_sasl_authenticated",
        "permit_sasl_authenticated",
    ),
    "another port relays": (
        "master",
        "",
        f"2525 inet n - y - - smtpd\n  -o {{ {RELAY}check_client_access static:OK, reject }}\n",
    ),
    "no client is blocked": ("blocked-addresses", "198.51.100.21 REJECT", "192.0.2.1 REJECT"),
}
"""By what is opened: the text, what is replaced in it (empty: it gets an end), and by what."""

TRY = f"""
import json, sys
sys.path.insert(0, "{CODE}")
from {MODULES.replace("/", ".")}._transaction import command as tool
from {MODULES.replace("/", ".")}._transaction.run import run_change
from {MODULES.replace("/", ".")}._postfix import wanted
from {MODULES.replace("/", ".")}._postfix.change import PostfixRun
compose = wanted.compose
openings = json.load(sys.stdin)
def opened(text, old, new):
    assert old in text, old
    return text.replace(old, new, 1) if old else text + new
for name, (where, old, new) in openings.items():
    def wrong(*arguments):
        found = compose(*arguments)
        if where in ("main", "master"):
            file = getattr(found, where)
            return found._replace(**{{where: type(file)(opened(file.text, old, new))}})
        table = found.maps[where]
        return found._replace(maps={{**found.maps, where: table._replace(text=opened(table.text, old, new))}})
    wanted.compose = wrong
    try:
        run = PostfixRun(json.loads(sys.argv[1]))
        found = ["", str(run_change(run, check_mode=True, diff=False)["evaluated"])]
    except tool.StepError as error:
        found = [error.step, error.output]
    print(json.dumps([name, *found]))
"""


@pytest.fixture(scope="module")
def found(learned: Host) -> dict[str, tuple[str, str]]:
    """Return at which step each configuration was rejected (empty: not at all), and in which words."""
    # What was proven before would not be asked again.
    learned.postfix.run("rm", "-f", f"{STATE}/proven")
    before = learned.postfix.state()
    done = learned.postfix.run("python3", "-c", TRY, learned.arguments(NEW), data=json.dumps(OPENINGS))
    assert learned.postfix.state() == before
    found: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
    return {name: (step, words) for name, step, words in found}


def test_policy_without_an_opening_passes_the_proof(found: dict[str, tuple[str, str]]) -> None:
    step, evaluated = found["nothing"]
    assert (step, int(evaluated) > 100) == ("", True)


@pytest.mark.parametrize("name", [name for name in OPENINGS if name != "nothing"])
def test_opening_is_found_by_the_canary(found: dict[str, tuple[str, str]], name: str) -> None:
    step, words = found[name]
    assert step == "canary", words
    assert "the policy says: " in words
