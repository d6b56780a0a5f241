"""Runs in the container: holds sessions with a canary of the live files, from any client's address.

It is the one with which the role proves files before they go live, but with the DNSBLs and DNS checks that are
left out there. Reads {"answers": the name server's file, "sessions": [...]} and writes [stage, code, reply] for each.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time

sys.path.insert(0, sys.argv[1])

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.files import (
    Place,
    canary_files,
    find_entrances,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.instance import (
    free_ports,
    make_folders,
    sasl_server,
    started,
    watched,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.sessions import Heard, hold
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.sandbox import private_folder
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.staging import (
    ask_postconf,
    set_past,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.cases import Case

LIVE = "/etc/postfix"
ADDRESS = "127.0.0.1"
SECONDS = 240
END = "smtpd_end_of_data_restrictions"
"""No message gets further than its recipients."""


def asking(name: str) -> bool:
    """Whether a parameter says what is asked of others, which is left out where files are proven."""
    own = name.startswith("mailhost_") or name.endswith("_restrictions")
    return (own and name != END) or name == "postscreen_dnsbl_sites"


def write(path: str, text: str) -> None:
    """Put a text into a file."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def batches(sessions: list[dict[str, object]]) -> list[list[int]]:
    """Numbers of sessions that may be held side by side, as no name has two answers."""
    rest, found = list(range(len(sessions))), []
    while rest:
        answers: dict[str, object] = {}
        batch = []
        for number in rest:
            names = dict(sessions[number]["dns"])  # type: ignore[call-overload]
            if all(answers.get(name, answer) == answer for name, answer in names.items()):
                answers.update(names)
                batch.append(number)
        rest = [number for number in rest if number not in batch]
        found.append(batch)
    return found


def tell(path: str, answers: dict[str, object]) -> None:
    """Have the name server answer so; a name without an answer does not exist."""
    write(f"{path}.new", json.dumps({name: answer for name, answer in answers.items() if answer}))
    os.replace(f"{path}.new", path)


def main() -> None:
    """Start the canary, hold the sessions batch by batch, write how they ended."""
    job = json.load(sys.stdin)
    sessions = job["sessions"]
    with private_folder() as folder:
        config = f"{folder}/etc"
        shutil.copytree(LIVE, config)
        texts = []
        for name in ("main.cf", "master.cf"):
            with open(f"{LIVE}/{name}", encoding="utf-8", errors="surrogateescape") as file:
                texts.append(file.read())
        main_cf, master_cf = MainCf(texts[0]), MasterCf(texts[1])
        known = ask_postconf(LIVE, ("daemon_directory", "mail_owner", "setgid_group"))
        ports = free_ports(ADDRESS, len(find_entrances(main_cf, master_cf)))
        files = canary_files(main_cf, master_cf, Place(folder, ADDRESS, f"{folder}/sasl"), ports, submission=True)
        asked = {name: value for name, value in main_cf.items() if asking(name)}
        # smtpd remembers what lists have answered for as long as it lives.
        write(f"{config}/main.cf", files.main.edited({**asked, "max_use": "1"}).text)
        write(f"{config}/master.cf", files.master.text)
        set_past(config)
        make_folders(folder, known["mail_owner"], known["setgid_group"])
        entrances = {one.name: one for one in files.entrances}
        roles = {one.role: one.name for one in files.entrances}
        found: list[Heard | None] = [None] * len(sessions)

        def hold_all() -> None:
            deadline = time.monotonic() + SECONDS
            for batch in batches(sessions):
                tell(job["answers"], {name: one for number in batch for name, one in sessions[number]["dns"].items()})
                cases = [
                    Case(str(number), "", {**sessions[number], "service": roles[sessions[number]["role"]]})
                    for number in batch
                ]
                for case, heard in hold(cases, entrances, ADDRESS, deadline):
                    found[int(case.name)] = heard

        with sasl_server(f"{folder}/sasl"), started(folder, f"{known['daemon_directory']}/master"):
            watched(folder, hold_all)
    json.dump([list(one[:3]) if one else None for one in found], sys.stdout)


if __name__ == "__main__":
    main()
