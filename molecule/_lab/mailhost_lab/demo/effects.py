"""The effects of the demo: what the first run says that it changes, and what runs stop at that others would lose."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from mailhost_lab.demo.display import paint, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailhost_lab.packets.probes import Lab

WIDTH = 110
KINDS = {"opened": "33", "closed": "36", "rejected": "36", "deferred": "36", "limited": "36"}
"""Colours."""

BANNED = "198.51.100.21"
# The rule for SSH comes first and accepts, so that what follows it comes after the managed rules.
BAN = f"""
ipset create f2b-postfix hash:ip
ipset add f2b-postfix {BANNED}
iptables -A INPUT -p tcp --dport 22 -j ACCEPT
iptables -A INPUT -p tcp -m multiport --dports 25,465,587 -m set --match-set f2b-postfix src -j REJECT
"""
SHOWN = "iptables -A INPUT ... --dports 25,465,587 -m set --match-set f2b-postfix src -j REJECT"


LOGIN_PORT = """
postconf -e "smtpd_sasl_type = dovecot" "smtpd_sender_restrictions = reject_sender_login_mismatch"
postconf -e "smtpd_sender_login_maps = hash:/etc/postfix/owners"
echo "ann@mail.example ann" > /etc/postfix/owners
postmap hash:/etc/postfix/owners
postconf -M "2525/inet=2525 inet n - y - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_tls_security_level=encrypt"
"""
SHOWN_LOGIN_PORT = (
    "main.cf: smtpd_sender_restrictions = reject_sender_login_mismatch",
    "master.cf: 2525 inet n - y - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_tls_security_level=encrypt",
)
KEPT = "  -o smtpd_sender_restrictions=reject_sender_login_mismatch"


def show_effects(results: Iterable[dict[str, Any]]) -> None:
    """Print the effects of a run, host by host, those of one kind and cause together."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for line in results:
        tables.setdefault(str(line.get("host")), []).extend(line["result"].get("effects") or ())
    for host, effects in tables.items():
        if effects:
            print(f"\n   {paint(f'effects on {host}', '1')}")
        groups: dict[tuple[str, str], list[str]] = {}
        for one in effects:
            groups.setdefault((one["kind"], one["reason"]), []).append(one["subject"])
        for (kind, reason), subjects in groups.items():
            shown = textwrap.wrap("; ".join(dict.fromkeys(subjects)), WIDTH - 16)
            print(f"   {paint(f'{kind:<9}', KINDS.get(kind, '0'))} {shown[0]}")
            for more in shown[1:]:
                print(f"             {more}")
            print(f"             {paint(f'policy: {reason}', '2')}")


def show_ban(lab: Lab, failed_run: Callable[[], str]) -> int:
    """Ban a client on a host without the role, run the playbook, show what it says; 1 where the run did not stop."""
    lab.run("twin", ["sh", "-ec", BAN])
    print(f"   # {SHOWN}")
    message = failed_run()
    _show_message(message)
    answer = lab.probe("external", lab.address("twin", "external", 4), 25, source=BANNED)
    good = "opened tcp 25 from members of set f2b-postfix" in message and answer == "rejected"
    print(f"\n   {verdict('the run stopped, and the ban still holds', good, 0)}", flush=True)
    return int(not good)


def show_login_port(lab: Lab, failed_run: Callable[[], str]) -> int:
    """Give Postfix on the same host a login port of its own, and show what the run says; 1 where it did not stop."""
    lab.run("twin", ["sh", "-ec", LOGIN_PORT])
    for line in SHOWN_LOGIN_PORT:
        print(f"   # {line}")
    message = failed_run()
    _show_message(message)
    good = KEPT in message.splitlines() and message.endswith("nothing was changed")
    print(f"\n   {verdict('the run stopped, with the lines that keep the port as it is', good, 0)}", flush=True)
    return int(not good)


def _show_message(message: str) -> None:
    for line in message.splitlines():
        print(textwrap.fill(line, WIDTH, initial_indent="   | ", subsequent_indent="   |   ", break_on_hyphens=False))
