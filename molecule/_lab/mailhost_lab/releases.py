"""The releases of Debian that the lab has, and which scenarios run on each."""

from __future__ import annotations

from fnmatch import fnmatchcase

# The stand-in needs Python modules of the first release; load and what iptables does alone are tried on one:
# `postfix_[!l]*` is every scenario of Postfix but postfix_load.
RELEASES = {
    "bookworm": "*",
    "trixie": "mail_and_packet_filter packet_filter_effects packet_filter_flows packet_filter_host_scope postfix_[!l]*",
}
"""The scenarios of each release, as patterns; the first release is that of the hosts around the mail host as well."""

HELPER_RELEASE = next(iter(RELEASES))


def releases_of(scenario: str) -> list[str]:
    """Return the releases on which a scenario runs."""
    return [name for name, patterns in RELEASES.items() if any(fnmatchcase(scenario, one) for one in patterns.split())]
