"""Sites with Postfix, each set up from what Debian ships, and how the role adopts one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mailhost_lab.addresses import POSTFIX
from mailhost_lab.mail.dialogues import Dialogue, hold
from mailhost_lab.mail.postfix import ANN, CONFIG, STATE
from mailhost_lab.paths import LAB
from mailhost_lab.runs import plays
from mailhost_lab.runs.on_disk import look
from mailhost_lab.runs.role_runs import pasted
from mailhost_lab.waiting import until

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix

NONE: Mapping[str, str] = MappingProxyType({})
SHIPPED = "/root/postfix-as-shipped"
MILTER, MILTER_UNIT = "/run/lab-milter.sock", "lab-milter"
"""A milter outside of the chroot, that adds nothing and takes everything."""

POLICY: dict[str, Any] = {
    "mailhost_mail_server": "postfix",
    "mailhost_hosts": "postfix_hosts",
    "mailhost_domains": ["mail.example"],
    "mailhost_internal_networks": ["198.51.100.64/26", "2001:db8:200::/64"],
}
COMMON = {
    "mydestination": "mail.example, postfix.example, localhost",
    "mynetworks": "127.0.0.0/8 [::1]/128 198.51.100.64/26 [2001:db8:200::]/64",
    # As Debian has it, without the question to the local users: tests send from addresses that nobody has.
    "smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
    "smtpd_sasl_type": "dovecot",
    "smtpd_sasl_path": "private/auth",
}
"""Of each site."""

RESTORE = f"""
systemctl stop postfix
if [ -d {SHIPPED} ]; then rm -rf {CONFIG}; cp -a {SHIPPED} {CONFIG}; else cp -a {CONFIG} {SHIPPED}; fi
rm -rf {STATE}
"""


class Site:
    """The host, as a site has set it up."""

    def __init__(self, postfix: Postfix) -> None:
        self.postfix = postfix

    def install(
        self, settings: Mapping[str, str], services: Mapping[str, str] = NONE, files: Mapping[str, str] = NONE
    ) -> None:
        """Put a site in force: parameters, lines of master.cf by `name/type`, and files of /etc/postfix."""
        self.postfix.run("sh", "-c", RESTORE)
        # Debian 13 has them.
        self.postfix.run("postconf", "-MX", "submission/inet", "submissions/inet", check=False)
        for name, text in files.items():
            self.postfix.write(name, text)
            if text.startswith("# indexed\n"):
                self.postfix.run("postmap", f"hash:{CONFIG}/{name}")
        self.postfix.run("postconf", "-e", *(f"{name}={value}" for name, value in {**COMMON, **settings}.items()))
        if services:
            self.postfix.run("postconf", "-M", *(f"{key}={line}" for key, line in services.items()))
        # Postfix waits two seconds for files that have just been written.
        self.postfix.run("sh", "-c", f"find {CONFIG} -type f -exec touch --date='10 seconds ago' {{}} +")
        self.postfix.run("systemctl", "restart", "postfix")
        until("Postfix answers", lambda: self.verdicts(TO_ANN)[0] != "broken")
        self.postfix.clear()

    def verdicts(self, *mails: Dialogue) -> list[str]:
        """What becomes of each mail: accepted, its rejection, or broken."""
        talks = hold(self.postfix.lab, mails)
        return ["broken" if talk.verdict.startswith("broken") else talk.verdict for talk in talks]

    def codes(self, *mails: Dialogue) -> list[str]:
        """What becomes of each mail: accepted, the code of its rejection, or broken."""
        return [text if text in ("accepted", "broken") else text[:3] for text in self.verdicts(*mails)]

    def start_milter(self) -> None:
        """Start the milter, which every user may talk to."""
        script = (LAB / "mailhost_lab" / "scenarios" / "milter.py").read_text()
        self.postfix.write("/run/lab-milter.py", script)
        self.postfix.run("systemctl", "reset-failed", MILTER_UNIT, check=False)
        self.postfix.run(
            "systemd-run", "--quiet", f"--unit={MILTER_UNIT}", "python3", "/run/lab-milter.py", MILTER, check=False
        )
        until("the milter listens", lambda: self.postfix.run("test", "-S", MILTER, check=False).returncode == 0)

    def add_options(self, service: str, lines: list[str]) -> None:
        """Put lines of options below a service of master.cf, as a user pastes them."""
        text = self.postfix.read("master.cf").splitlines(keepends=True)
        at = next(number for number, line in enumerate(text) if line.startswith(f"{service} "))
        at += 1
        while at < len(text) and text[at][:1].isspace():
            at += 1
        self.postfix.write("master.cf", "".join([*text[:at], *(f"{line}\n" for line in lines), *text[at:]]))
        self.postfix.run("touch", "--date=10 seconds ago", f"{CONFIG}/master.cf")
        self.postfix.run("systemctl", "reload", "postfix")


@dataclass
class Adoption:
    """The runs by which a site is adopted: stops whose entries are pasted, the run that changes, and the next."""

    site: Site
    inventory: dict[str, Any]
    stops: list[str] = field(default_factory=list)
    done: plays.Run = field(init=False)

    def stop(self) -> str:
        """Run in check mode; it has to stop and to change nothing. Return its message, and paste its entries."""
        before = look(self.site.postfix.run, CONFIG)
        done = plays.harden(playbook=plays.POSTFIX, check=True, **self.inventory)
        assert done.rc != 0, done
        assert look(self.site.postfix.run, CONFIG) == before
        self.stops.append(done.message)
        return done.message

    def paste(self) -> dict[str, Any]:
        """Put what the last stop printed into the inventory; lists that are there get longer."""
        found = pasted(self.stops[-1])
        for name, value in found.items():
            known = self.inventory.get(name)
            self.inventory[name] = [*known, *value] if isinstance(known, list) and isinstance(value, list) else value
        return found

    def finish(self) -> None:
        """Run it for good, and once more; the second run has nothing to do."""
        self.done = plays.harden(playbook=plays.POSTFIX, **self.inventory)
        assert (self.done.rc, self.done.changed) == (0, True), self.done
        again = plays.harden(playbook=plays.POSTFIX, **self.inventory)
        assert (again.rc, again.changed, again.effects) == (0, False, []), again


def mail(source: str, rcpt_to: str, mail_from: str, **more: Any) -> Dialogue:
    """A mail from an internal or external client to one recipient."""
    return Dialogue(source, POSTFIX.address(source, 4), mail_from=mail_from, rcpt_to=(rcpt_to,), **more)


def login(mail_from: str, rcpt_to: str = "victim@remote.example", **more: Any) -> Dialogue:
    """A mail of ann, from outside, at a port of submission."""
    return mail("external", rcpt_to, mail_from, **{"dport": 587, "starttls": True, "login": ANN, **more})


TO_ANN = mail("external", "ann@mail.example", "a@remote.example")
RELAY = mail("external", "victim@remote.example", "a@remote.example")
OUTWARD = mail("internal", "victim@remote.example", "clerk@mail.example")
