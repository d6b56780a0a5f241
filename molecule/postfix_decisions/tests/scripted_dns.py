"""Runs in the container: a name server on the loopback address that answers what a file tells it.

The file is JSON: for each name its IPv4 addresses, or SERVFAIL. DNSBLs pass their self-test (RFC 5782). Any other
name does not exist.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys

TYPE_A = 1
NO_ERROR, SERVER_FAILURE, NO_NAME = 0, 2, 3
ANSWER, AUTHORITATIVE = 0x8000, 0x0580


def parse(question: bytes) -> tuple[str, int, int]:
    """Name, type, and where the question ends."""
    place, labels = 12, []
    while question[place]:
        end = place + 1 + question[place]
        labels.append(question[place + 1 : end].decode("ascii"))
        place = end
    return ".".join(labels).lower(), struct.unpack(">H", question[place + 1 : place + 3])[0], place + 5


def reply(question: bytes, answers: dict[str, list[str] | str]) -> bytes:
    """The answer to a question."""
    name, kind, end = parse(question)
    found = answers.get(name, ["127.0.0.2"] if name.startswith("2.0.0.127.") else None)
    addresses = found if isinstance(found, list) and kind == TYPE_A else []
    code = NO_NAME if found is None else SERVER_FAILURE if isinstance(found, str) else NO_ERROR
    records = [b"\xc0\x0c" + struct.pack(">HHIH", TYPE_A, 1, 0, 4) + socket.inet_aton(one) for one in addresses]
    # Start of authority of the root, without which a resolver takes a missing answer for a broken server.
    names = b"\x02ns\x00" * 2 + struct.pack(">IIIII", 1, 1, 1, 1, 0)
    authority = [b"\x00" + struct.pack(">HHIH", 6, 1, 0, len(names)) + names] if not records and found is None else []
    counts = struct.pack(">HHHHH", ANSWER | AUTHORITATIVE | code, 1, len(records), len(authority), 0)
    return question[:2] + counts + question[12:end] + b"".join([*records, *authority])


def main() -> None:
    """Answer until stopped."""
    path, seen, answers = sys.argv[1], 0, {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        while True:
            question, client = server.recvfrom(4096)
            changed = os.stat(path).st_mtime_ns
            if changed != seen:
                with open(path, encoding="ascii") as file:
                    answers, seen = json.load(file), changed
            server.sendto(reply(question, answers), client)


if __name__ == "__main__":
    main()
