# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a private Postfix that decides like the staged one and can neither receive mail nor deliver any.

Private to this collection. It listens on the loopback address, where the one who asks says which client he stands for:
on the ports of SMTP with a line of the PROXY protocol, also through postscreen, on those of submission with XCLIENT.
Sources: XCLIENT_README, POSTSCREEN_README, postconf(5); the waiting times were measured.
"""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix_files import (
    LiveService,
    read_main,
    read_master,
    set_parameters,
)

SMTP, SUBMISSION = "smtp", ("submission", "submissions")

#: The folders of a queue, with mode, and whether their group is that of postdrop.
QUEUE_FOLDERS = (
    *((name, 0o700, False) for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold")),
    *((name, 0o700, False) for name in ("incoming", "private", "saved", "trace")),
    ("public", 0o710, True),
    ("maildrop", 0o730, True),
)

#: What smtpd and postscreen call. There is no queue manager, and nothing that picks up or delivers.
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

_BY_PROXY = {
    "postscreen": ("-o", "postscreen_upstream_proxy_protocol=haproxy"),
    "smtpd": ("-o", "smtpd_upstream_proxy_protocol=haproxy"),
}
_BY_XCLIENT = ("-o", "smtpd_authorized_xclient_hosts=127.0.0.1")

#: No answer waits, none is remembered, and no message gets further than its recipients.
_PARAMETERS = {
    "inet_interfaces": "127.0.0.1",
    "multi_instance_enable": "no",
    "multi_instance_directories": "",
    "master_service_disable": "",
    "syslog_name": "postfix-canary",
    "smtpd_milters": "",
    "non_smtpd_milters": "",
    "smtpd_end_of_data_restrictions": "reject",
    "in_flow_delay": "0",
    "smtpd_error_sleep_time": "0",
    "smtpd_soft_error_limit": "100000",
    "smtpd_hard_error_limit": "100000",
    "smtpd_junk_command_limit": "100000",
    "smtpd_client_event_limit_exceptions": "static:all",
    "postscreen_cache_map": "",
    # Also how long answers of block lists are waited for: what is asked here must not depend on those.
    "postscreen_greet_wait": "1s",
    "postscreen_pipelining_enable": "no",
    "postscreen_non_smtp_command_enable": "no",
    "postscreen_bare_newline_enable": "no",
}


class Canary(NamedTuple):
    """Both files, and the ports that answer, by service."""

    main: str
    master: str
    ports: dict[str, int]


def canary_files(main: str, master: str, folder: str, live_queue: str, ports: dict[str, int]) -> Canary:
    """The canary of staged texts.

    ``folder``: where its queue, data and log will lie. ``live_queue``: the live queue directory, in which the socket of
    SASL is. ``ports``: a free port for each of SMTP and SUBMISSION; those that the staged file has are used.
    """
    socket = read_main(main).get("smtpd_sasl_path", "smtpd")
    beside = "/" not in socket or socket.startswith(("/", "inet:"))
    own = {
        **_PARAMETERS,
        "queue_directory": f"{folder}/queue",
        "data_directory": f"{folder}/data",
        "maillog_file": f"{folder}/log",
        "maillog_file_prefixes": folder,
        "smtpd_sasl_path": socket if beside else f"{live_queue}/{socket}",
    }
    services = {(one.name, one.type): one for one in read_master(master)}
    lines = []
    used = {}
    entrance = services.get((SMTP, "inet"))
    if entrance is not None and entrance.columns[7] in _BY_PROXY:
        used[SMTP] = ports[SMTP]
        lines.append(_listening(entrance, ports[SMTP], _BY_PROXY[entrance.columns[7]]))
    for name in SUBMISSION:
        service = services.get((name, "inet"))
        if service is not None:
            used[name] = ports[name]
            lines.append(_listening(service, ports[name], _BY_XCLIENT))
    for service in services.values():
        if service.type == "pass" or service.columns[7] == "cleanup":
            lines.append(_line(service, service.name, service.columns[2], service.columns[6], ()))
    return Canary(set_parameters(main, own), "".join([*lines, _HELPERS]), used)


def _listening(service: LiveService, port: int, more: tuple[str, ...]) -> str:
    return _line(service, f"127.0.0.1:{port}", "n", "1" if service.columns[7] == "postscreen" else "-", more)


def _line(service: LiveService, name: str, private: str, limit: str, more: tuple[str, ...]) -> str:
    """A service outside of the jail, which a new queue directory is not furnished for."""
    words = [name, service.type, private, "-", "n", "-", limit, service.columns[7], *service.arguments, *more]
    return " ".join(words) + "\n"
