# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the canary, which decides like the staged Postfix and can neither receive mail nor deliver any.

It listens on the loopback address, where each session names its client: by a line of the PROXY protocol, also through
postscreen, and its login by XCLIENT. Nothing outside is queried: restrictions that query the
DNS, lists or policy services say nothing here. Sources: XCLIENT_README, POSTSCREEN_README, postconf(5), master(5); the
waiting times were measured.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from .._config.lines import split_words
from .._config.main_cf import MainCf, items
from .._config.maps import FOLDER
from .._config.master_cf import PORTS, MasterCf, MasterService, is_loopback

SMTP, SUBMISSION, SUBMISSIONS = "smtp", "submission", "submissions"

_ROLES = {25: SMTP, 587: SUBMISSION, 465: SUBMISSIONS}

QUEUE_FOLDERS = (
    *((name, 0o700, False) for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold")),
    *((name, 0o700, False) for name in ("incoming", "private", "saved", "trace")),
    ("public", 0o710, True),
    ("maildrop", 0o730, True),
)
"""The folders of a queue, with mode, and whether their group is that of postdrop."""

_HELPERS = """\
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
verify unix - - n - 1 verify
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
tlsproxy unix - - n - 0 tlsproxy
dnsblog unix - - n - 0 dnsblog
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
postlog unix-dgram n - n - 1 postlogd
"""
"""What smtpd and postscreen call. There is no queue manager, and nothing that picks up or delivers."""

_PROXY = {
    "postscreen": ("postscreen_upstream_proxy_protocol", "haproxy"),
    "smtpd": ("smtpd_upstream_proxy_protocol", "haproxy"),
}

_XCLIENT = ("smtpd_authorized_xclient_hosts", "static:all")
"""The clients that may name their login: the canary listens where no other client can connect."""

_END_OF_DATA = "smtpd_end_of_data_restrictions"

_PARAMETERS = {
    "multi_instance_enable": "no",
    "multi_instance_directories": "",
    "multi_instance_wrapper": "",
    "master_service_disable": "",
    "import_environment": "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME",
    "syslog_name": "postfix-canary",
    "smtpd_milters": "",
    "smtpd_milter_maps": "",
    "non_smtpd_milters": "",
    "smtpd_proxy_filter": "",
    _END_OF_DATA: "reject",
    # Room for a whole message is required at MAIL FROM already.
    "message_size_limit": "102400",
    "queue_minfree": "0",
    "soft_bounce": "no",
    "in_flow_delay": "0",
    "smtpd_error_sleep_time": "0",
    "smtpd_soft_error_limit": "100000",
    "smtpd_hard_error_limit": "100000",
    "smtpd_junk_command_limit": "100000",
    "smtpd_client_event_limit_exceptions": "static:all",
    "smtpd_peername_lookup": "no",
    "smtpd_tls_session_cache_database": "",
    "smtp_tls_session_cache_database": "",
    "lmtp_tls_session_cache_database": "",
    "address_verify_map": "",
    "postscreen_cache_map": "",
    # Without a banner and without lists there is nothing that postscreen waits for.
    "postscreen_greet_banner": "",
    "postscreen_dnsbl_sites": "",
    "postscreen_pipelining_enable": "no",
    "postscreen_non_smtp_command_enable": "no",
    "postscreen_bare_newline_enable": "no",
}
"""No reply waits, none is remembered, no other server is queried, and no message is accepted."""

_TLS, _AUTH = "smtpd_tls_security_level", "smtpd_sasl_auth_enable"

_ASKING = re.compile(
    r"""(?<![\w$.:/-])(?:
      (?:reject_rbl_client|reject_rhsbl_\w+|permit_dnswl_client|permit_rhswl_client|check_\w+_(?:a|mx|ns)_access
        |check_policy_service)[\s,]+(?:\{(?:[^{}]|\{[^{}]*\})*\}|[^\s,{}]+)
      |reject_unknown_(?:sender_domain|recipient_domain|client_hostname|reverse_client_hostname|forward_client_hostname
        |helo_hostname|client|hostname|address)
      |reject_unverified_(?:sender|recipient)|permit_mx_backup
    )(?![\w.:/-])""",
    re.VERBOSE | re.ASCII,
)
"""Restrictions whose answer comes from elsewhere: from the DNS, a list, another server or a policy service."""

_ALIASES, _OWNERS = "virtual_alias_maps", "smtpd_sender_login_maps"

_SLEEP = re.compile(r"(?<![\w$.:/-])sleep[\s,]+[0-9]+(?![\w.:/-])", re.ASCII)
"""A restriction that only makes the client wait."""

_SILENT = "check_client_access,static:DUNNO"


class Entrance(NamedTuple):
    """A port of the staged file to which external clients can connect.

    ``role``: SMTP, SUBMISSION or SUBMISSIONS for the first of these, empty for others. ``name``: as master.cf has it.
    ``line``: its line there, from 1. ``wrapped``: TLS comes first. ``port``: the one in the canary; ``login_port``: one
    where a session may name its login, where that is another. ``inner``: external clients cannot connect.
    """

    role: str
    name: str
    line: int
    command: str
    wrapped: bool
    port: int = 0
    login_port: int = 0
    inner: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Where it listens, whatever its name is: host and port."""
        host, _colon, port = self.name.rpartition(":")
        return host, str(PORTS.get(port, port))


class Place(NamedTuple):
    """Where a canary is: folder of queue, data and log; the address it listens on; the socket of its SASL server.

    ``existing``: addresses that exist there, whatever users the host has, each with the login that owns it.
    """

    folder: str
    address: str
    sasl: str
    existing: Mapping[str, str] = MappingProxyType({})


class Canary(NamedTuple):
    """Both files, the entrances, and what was left out as it would query other servers."""

    main: MainCf
    master: MasterCf
    entrances: tuple[Entrance, ...]
    silenced: tuple[str, ...]


def find_entrances(main: MainCf, master: MasterCf) -> tuple[Entrance, ...]:
    """All smtpd and postscreen services that listen on more than the loopback address, managed ones first."""
    return tuple(one for one in all_entrances(main, master) if not one.inner)


def all_entrances(main: MainCf, master: MasterCf) -> tuple[Entrance, ...]:
    """All smtpd and postscreen services that listen on a port, managed ones first, inner ones last."""
    interfaces = main.words("inet_interfaces", "all")
    wrapped = main.get("smtpd_tls_wrappermode", "no")
    shut = bool(interfaces) and all(is_loopback(one) for one in interfaces)
    found = []
    for line, service in master.numbered():
        if service.type != "inet" or service.command not in _PROXY:
            continue
        role = _ROLES.get(service.port, "") if not is_loopback(service.host) else ""
        # Where Postfix listens for itself alone, only what the policy speaks of is looked at.
        inner = is_loopback(service.host) or (shut and not service.host and not role)
        tls = service.options.get("smtpd_tls_wrappermode", wrapped) == "yes"
        found.append((bool(service.host), Entrance(role, service.name, line, service.command, tls, inner=inner)))
    ranked = [one for _bound, one in sorted(found, key=lambda pair: pair[0])]
    taken: set[str] = set()
    result = []
    for one in ranked:
        result.append(one._replace(role="") if one.role in taken else one)
        taken.add(one.role)
    order = (SMTP, SUBMISSION, SUBMISSIONS, "")
    return tuple(sorted(result, key=lambda one: (one.inner, order.index(one.role), one.line)))


def canary_files(main: MainCf, master: MasterCf, place: Place, ports: Sequence[int], *, submission: bool) -> Canary:
    """The canary of staged texts. ``ports``: two free ones for each of ``all_entrances``.

    ``submission``: whether the ports of submission, with SMTP AUTH, are managed.
    """
    own = {
        **_PARAMETERS,
        "inet_interfaces": place.address,
        "queue_directory": f"{place.folder}/queue",
        "data_directory": f"{place.folder}/data",
        "maillog_file": f"{place.folder}/log",
        "maillog_file_prefixes": place.folder,
        "smtpd_sasl_type": "dovecot",
        "smtpd_sasl_path": place.sasl,
    }
    silenced: dict[str, None] = {}
    quiet = {name: _silence(value, silenced) for name, value in main.items()}
    if quiet.get(_TLS) == "encrypt":
        # A session without TLS would get no other reply. Services that set it themselves, as submission, keep it.
        quiet[_TLS] = "may"
    found = all_entrances(main, master)
    services = dict(master.numbered())
    further = list(ports[len(found) :])
    entrances: list[Entrance] = []
    lines = []
    for one, port in zip(found, ports):
        more = [_PROXY[one.command]]
        if submission and one.role in (SUBMISSION, SUBMISSIONS):
            more.append(_XCLIENT)
        service = services[one.line]
        name = f"[{place.address}]:{port}"
        limit = "1" if one.command == "postscreen" else "-"
        lines.append(_line(service, (name, "n", limit), _arguments(service, own, more, silenced)))
        server = _server_of(service, master)
        login_port = 0
        if _XCLIENT not in more and server is not None and _has_auth(server, main):
            login_port = further.pop()
            columns = (f"[{place.address}]:{login_port}", "n", "-")
            arguments = _arguments(server, own, [_PROXY["smtpd"], _XCLIENT], silenced)
            lines.append(_line(server, columns, arguments, "inet"))
        entrances.append(one._replace(port=port, login_port=login_port))
    for service in services.values():
        if service.type == "pass" or service.command == "cleanup":
            columns = (service.name, service.columns[2], service.columns[6])
            lines.append(_line(service, columns, _arguments(service, own, (), silenced)))
    # What is unmanaged there is tried, and ends in the reject of the canary.
    end = {_END_OF_DATA: ", ".join(one for one in (quiet.get(_END_OF_DATA, ""), own[_END_OF_DATA]) if one)}
    staged = main.edited({**quiet, **own, **end, **_existing(main, place.existing)})
    return Canary(staged, MasterCf("".join([*lines, _HELPERS])), tuple(entrances), tuple(silenced))


def _server_of(service: MasterService, master: MasterCf) -> MasterService | None:
    """The smtpd behind a service: postscreen hands over to another one."""
    if service.command == "smtpd":
        return service
    return next((one for one in master if one.type == "pass" and one.command == "smtpd"), None)


def _has_auth(server: MasterService, main: MainCf) -> bool:
    return server.options.get(_AUTH, main.get(_AUTH, "no")) != "no"


def _existing(main: MainCf, owners: Mapping[str, str]) -> dict[str, str]:
    """Aliases of addresses to themselves: Postfix looks for a sender among the aliases of all classes of domains.

    A table of owners of the site's own has them as well; the managed one has to know them by itself.
    """
    if not owners:
        return {}
    found = {_ALIASES: f"{main.get(_ALIASES, '$virtual_maps')}, {_inline({one: one for one in owners})}"}
    known = main.get(_OWNERS, "")
    if any(f"/{FOLDER}/" not in table for table in items(known)):
        found[_OWNERS] = f"{known}, {_inline(owners)}"
    return found


def _inline(rows: Mapping[str, str]) -> str:
    return "inline:{ " + ", ".join(f"{{ {key} = {value} }}" for key, value in rows.items()) + " }"


def _silence(value: str, silenced: dict[str, None]) -> str:
    silenced.update(dict.fromkeys(re.split("[ ,]", match.group(0))[0] for match in _ASKING.finditer(value)))
    return _SLEEP.sub(_SILENT, _ASKING.sub(_SILENT, value))


def _arguments(
    service: MasterService, own: dict[str, str], more: Sequence[tuple[str, str]], silenced: dict[str, None]
) -> list[str]:
    """Arguments that decide as staged; what the canary sets in main.cf holds in the service as well."""
    again = [(name, own[name]) for name in service.options if name in own]
    words = split_words(_silence(" ".join(service.arguments), silenced))
    return [*words, *(word for name, value in [*again, *more] for word in ("-o", f"{name}={value}"))]


def _line(service: MasterService, columns: tuple[str, str, str], arguments: Iterable[str], kind: str = "") -> str:
    """A service outside of the jail, which a new queue directory is not furnished for."""
    name, private, limit = columns
    return " ".join([name, kind or service.type, private, "-", "n", "-", limit, service.columns[7], *arguments]) + "\n"
