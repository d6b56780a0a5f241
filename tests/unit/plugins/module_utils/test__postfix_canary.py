# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The canary's files: the staged decisions, another place, and no way for mail to leave."""

from __future__ import annotations

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix_canary import canary_files
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix_files import read_main, read_master

PORTS = {"smtp": 10001, "submission": 10002, "submissions": 10003}
MAIN = "mynetworks = 192.0.2.0/24\nqueue_directory = /var/spool/postfix\nsmtpd_sasl_path = private/auth\n"
PLAIN = "smtp inet n - y - - smtpd -o content_filter=scan\nqmgr unix n - n 300 1 qmgr\nsmtp unix - - y - - smtp\n"
FULL = """\
smtp inet n - y - 1 postscreen
smtpd pass - - y - - smtpd
  -o smtpd_banner=x
submission inet n - y - - smtpd
  -o { smtpd_tls_security_level = encrypt }
cleanup unix n - y - 0 cleanup
own-cleanup unix n - y - 0 cleanup -o header_checks=$x
pickup unix n - y 60 1 pickup
qmgr unix n - n 300 1 qmgr
relay unix - - y - - smtp
10.0.0.1:10025 inet n - n - - smtpd -o mynetworks=0.0.0.0/0
"""


def test_postscreen_and_submission() -> None:
    found = canary_files(MAIN, FULL, "/tmp/c", "/var/spool/postfix", PORTS)  # noqa: S108 - a name, no file
    assert found.ports == {"smtp": 10001, "submission": 10002}
    lines = found.master.splitlines()
    assert lines[:5] == [
        "127.0.0.1:10001 inet n - n - 1 postscreen -o postscreen_upstream_proxy_protocol=haproxy",
        "127.0.0.1:10002 inet n - n - - smtpd -o { smtpd_tls_security_level = encrypt } "
        "-o smtpd_authorized_xclient_hosts=127.0.0.1",
        "smtpd pass - - n - - smtpd -o smtpd_banner=x",
        "cleanup unix n - n - 0 cleanup",
        "own-cleanup unix n - n - 0 cleanup -o header_checks=$x",
    ]


def test_without_postscreen() -> None:
    found = canary_files(MAIN, PLAIN, "/tmp/c", "/var/spool/postfix", PORTS)  # noqa: S108
    assert found.ports == {"smtp": 10001}
    assert found.master.startswith(
        "127.0.0.1:10001 inet n - n - - smtpd -o content_filter=scan -o smtpd_upstream_proxy_protocol=haproxy\n"
    )


def test_nothing_takes_mail_on_and_nothing_listens_elsewhere() -> None:
    found = canary_files(MAIN, FULL, "/tmp/c", "/var/spool/postfix", PORTS)  # noqa: S108
    for service in read_master(found.master):
        assert service.columns[7] not in ("qmgr", "pickup", "smtp", "lmtp", "local", "virtual", "pipe", "error")
        assert service.type != "inet" or service.name.startswith("127.0.0.1:")
        assert service.columns[4] == "n"
    main = read_main(found.main)
    assert main["mynetworks"] == "192.0.2.0/24"
    assert main["smtpd_end_of_data_restrictions"] == "reject"
    for name in ("queue_directory", "data_directory", "maillog_file"):
        assert main[name].startswith("/tmp/c/")  # noqa: S108


def test_the_socket_of_sasl_is_the_live_one() -> None:
    for written, used in (
        ("private/auth", "/q/private/auth"),
        ("/run/dovecot/auth", "/run/dovecot/auth"),
        ("inet:127.0.0.1:12345", "inet:127.0.0.1:12345"),
        ("smtpd", "smtpd"),
    ):
        found = canary_files(f"smtpd_sasl_path = {written}\n", PLAIN, "/tmp/c", "/q", PORTS)  # noqa: S108
        assert read_main(found.main)["smtpd_sasl_path"] == used
