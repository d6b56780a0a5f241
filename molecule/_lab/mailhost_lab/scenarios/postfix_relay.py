"""The clients of Postfix under the policy of postfix_relay."""

from __future__ import annotations

from mailhost_lab.addresses import POSTFIX
from mailhost_lab.mail.postfix import ANN
from mailhost_lab.scenarios.relay import Boundaries, Relay

RELAY = Relay(
    POSTFIX,
    ANN[0],
    internal=Boundaries({4: ("17", "18"), 6: ("a2", "af")}, {4: ("16", "19"), 6: ("a1", "b0")}),
    blocked=Boundaries({4: ("24", "27"), 6: ("c0", "c3")}, {4: ("23", "28"), 6: ("bf", "c4")}),
)
