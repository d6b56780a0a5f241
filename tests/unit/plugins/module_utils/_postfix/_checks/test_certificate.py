# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of a certificate that Postfix could not use."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.certificate import certificate_files
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import context


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two certificates with their keys, one file with both parts of the first, and one with neither."""
    found = tmp_path_factory.mktemp("certificate")
    for name, kind in (("a", "rsa:2048"), ("b", "rsa:2048"), ("c", "ec")):
        curve = ["-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ec" else []
        files = ["-keyout", str(found / f"{name}.key"), "-out", str(found / f"{name}.pem")]
        openssl = shutil.which("openssl") or "openssl"
        command = [openssl, "req", "-x509", "-newkey", kind, *curve, "-nodes", "-subj", "/CN=a.example", *files]
        subprocess.run(command, check=True, capture_output=True)
    (found / "both.pem").write_text((found / "a.key").read_text() + (found / "a.pem").read_text())
    (found / "empty").write_text("nothing\n")
    return found


def problems(main: str = "", master: str = "", **settings: Any) -> list[str]:
    return [one.text for one in certificate_files(context(main, master, policy={}, settings=settings))]


@pytest.mark.parametrize(
    ("certificate", "key", "text"),
    [
        ("a.pem", "a.key", []),
        ("both.pem", "both.pem", []),
        (
            "no.pem",
            "no.key",
            [
                'postfix_tls_certificate: "{}/no.pem" is no file on the host',
                'postfix_tls_key: "{}/no.key" is no file on the host',
            ],
        ),
        (".", "a.key", ['postfix_tls_certificate: "{}/." is no file on the host']),
        ("empty", "a.key", ['postfix_tls_certificate: "{}/empty" has no certificate in PEM form']),
        ("a.pem", "a.pem", ['postfix_tls_key: "{}/a.pem" has no private key in PEM form']),
        ("a.pem", "b.key", ['postfix_tls_key: "{}/b.key" is not the key of the certificate "{}/a.pem"']),
        ("a.pem", "c.key", ['postfix_tls_key: "{}/c.key" is not the key of the certificate "{}/a.pem"']),
    ],
)
def test_files_of_the_inventory(folder: Path, certificate: str, key: str, text: list[str]) -> None:
    found = problems(tls_certificate=f"{folder}/{certificate}", tls_key=f"{folder}/{key}", submission=False)
    assert found == [one.replace("{}", str(folder)) for one in text]


@pytest.mark.parametrize(
    ("main", "text"),
    [
        ("smtpd_tls_cert_file = {}/a.pem\nsmtpd_tls_key_file = {}/a.key\n", []),
        ("smtpd_tls_cert_file = {}/both.pem\n", []),
        ("smtpd_tls_cert_file = {}/both.pem\nsmtpd_tls_key_file = ${smtpd_tls_cert_file}\n", []),
        ("smtpd_tls_cert_file = ${config_directory}/no.pem\n", []),
        ("smtpd_tls_cert_file = none\n", []),
        ("smtpd_tls_chain_files = {}/both.pem\nsmtpd_tls_cert_file = /no/such/file\n", []),
        (
            "smtpd_tls_chain_files = {}/both.pem, {}/no.pem\n",
            ['smtpd_tls_chain_files of main.cf: "{}/no.pem" is no file on the host'],
        ),
        (
            "smtpd_tls_cert_file = {}/a.pem\nsmtpd_tls_key_file = {}/no.key\n",
            ['smtpd_tls_key_file of main.cf: "{}/no.key" is no file on the host'],
        ),
        (
            "smtpd_tls_eccert_file = {}/c.pem\nsmtpd_tls_eckey_file = {}/a.key\n",
            ['smtpd_tls_eckey_file of main.cf: "{}/a.key" is not the key of the certificate "{}/c.pem"'],
        ),
    ],
)
def test_files_of_main_cf(folder: Path, main: str, text: list[str]) -> None:
    main = main.replace("{}", str(folder))
    assert problems(main) == [one.replace("{}", str(folder)) for one in text]
    assert not problems(main, submission=False)
    assert not problems(main, "submission inet n - y - - smtpd\n  -o smtpd_tls_cert_file=/other.pem\n")


def test_encrypted_key_is_left_to_the_canary(folder: Path) -> None:
    encrypted = folder / "encrypted.key"
    openssl = shutil.which("openssl") or "openssl"
    command = [
        openssl,
        "rsa",
        "-aes128",
        "-passout",
        "pass:secret",
        "-in",
        str(folder / "a.key"),
        "-out",
        str(encrypted),
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert not problems(tls_certificate=f"{folder}/a.pem", tls_key=str(encrypted))
