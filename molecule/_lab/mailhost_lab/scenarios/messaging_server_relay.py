"""The clients of Messaging Server under the policy of messaging_server_relay."""

from __future__ import annotations

from mailhost_lab.addresses import MESSAGING
from mailhost_lab.mail.messaging_server import USER
from mailhost_lab.scenarios.relay import Boundaries, Relay

BLOCKED = "500 5.7.1 Access denied"
RELAY = Relay(
    MESSAGING,
    USER[0],
    # No address of the lab is below the IPv4 range: .12 is the host postfix.
    internal=Boundaries({4: ("13", "14"), 6: ("62", "6f")}, {4: ("15",), 6: ("61", "70")}),
    blocked=Boundaries({4: ("4", "7"), 6: ("40", "43")}, {4: ("3", "8"), 6: ("3f", "44")}),
    message="Subject: hello\r\n\r\nhello",
)
