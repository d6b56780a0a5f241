# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an installed Messaging Server has its files, how its tool is run, and how its output is read."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server import product
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions import smtp
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server.installation_stub import (
    Installation,
)


@pytest.fixture
def host(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_places_without_a_tailor_file(host: Installation) -> None:
    found = product.discover(str(host.root))
    assert found.files["mappings"] == str(host.root / "config" / "mappings")
    assert found.files["general.txt"] == str(host.root / "config" / "general.txt")
    assert found.imsimta == str(host.imsimta)
    assert found.built({}) == (str(host.image),)


def test_places_by_the_tailor_file(host: Installation, tmp_path: Path) -> None:
    table = tmp_path / "table"
    table.mkdir()
    (table / "mymaps").write_text("")
    tailor = f"! mappings\nIMTA_TABLE={table}/\nIMTA_MAPPING_FILE = IMTA_TABLE:mymaps\nimta_config_data=/x/image\n"
    (host.root / "config" / "imta_tailor").write_text(tailor)
    found = product.discover(str(host.root))
    assert found.files["mappings"] == str(table / "mymaps")
    assert found.files["general.txt"] == str(table / "general.txt")
    assert found.files["imta.cnf"] == str(host.root / "config" / "imta.cnf")
    assert found.built({}) == ("/x/image",)
    assert found.include_path("IMTA_TABLE:foo.rules") == str(table / "foo.rules")
    assert found.include_path("/etc/rules") == "/etc/rules"
    assert found.include_path("foo.rules") is None
    assert found.include_path("NOBODY:foo.rules") is None


def test_a_tailor_file_that_leads_in_a_circle(host: Installation) -> None:
    (host.root / "config" / "imta_tailor").write_text("IMTA_TABLE=IMTA_TABLE:\nIMTA_MAPPING_FILE=IMTA_TABLE:x\n")
    with pytest.raises(StepError, match="is not a full path"):
        product.discover(str(host.root))


def test_discover_reports_what_it_cannot_use(
    host: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StepError, match=r"messaging_server_root: .* has no program"):
        product.discover(str(tmp_path))
    with pytest.raises(StepError, match="has no program"):
        product.discover("root")
    (host.root / "config" / "config.xml").touch()
    with pytest.raises(StepError, match="Unified Configuration"):
        product.discover(str(host.root))
    (host.root / "config" / "config.xml").unlink()
    (host.root / "config" / "dispatcher.cnf").rename(tmp_path / "away")
    with pytest.raises(StepError, match=r"no file .*dispatcher\.cnf"):
        product.discover(str(host.root))
    (tmp_path / "away").rename(host.root / "config" / "dispatcher.cnf")
    host.image.unlink()
    with pytest.raises(StepError, match="run imsimta cnbuild once"):
        product.discover(str(host.root))
    monkeypatch.setattr(product, "USUAL_ROOTS", ())
    with pytest.raises(StepError, match="found none"):
        product.discover()


def test_the_usual_places(host: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "link"
    link.symlink_to(host.root)
    monkeypatch.setattr(product, "USUAL_ROOTS", (str(tmp_path / "none"), str(host.root), str(link)))
    assert product.discover().root == str(host.root)
    other = Installation(tmp_path / "two")
    monkeypatch.setattr(product, "USUAL_ROOTS", (str(host.root), str(other.root)))
    with pytest.raises(StepError, match="write the folder of the installation to use"):
        product.discover()


@pytest.mark.parametrize(
    ("parts", "commands"),
    [
        ([], []),
        (["mappings"], ["reload"]),
        (["general.txt"], ["reload"]),
        (["PORT_ACCESS"], ["restart dispatcher"]),
        (["dispatcher.cnf"], ["restart dispatcher"]),
        (["imta.cnf"], ["restart smtp"]),
        (["option.dat"], ["restart smtp"]),
        (["mappings", "imta.cnf"], ["reload", "restart smtp"]),
        (list(product.PARTS), ["reload", "restart dispatcher"]),
    ],
)
def test_the_least_activation(parts: list[str], commands: list[str]) -> None:
    assert [" ".join(words) for words in product.activations(parts)] == commands


def test_activations_reject_unknown_parts() -> None:
    with pytest.raises(ValueError, match="unknown parts: aliases"):
        product.activations(["aliases"])


@pytest.mark.parametrize(
    ("printed", "matched", "flags", "output"),
    [
        (
            "Output string: 4.4.3|Please try again later\nOutput flags: [0, 'N' (78), 'X' (88)]\n",
            True,
            "NX",
            "4.4.3|Please try again later",
        ),
        ("Output string: \nOutput flags: [0,1,2,89]\n", True, "Y", ""),
        ("  Output string:\n  Output flags: [0]\n", True, "", ""),
        ("Output string: x\nOutput flags: [0, 'y' (121)]", True, "Y", "x"),
        ("Output string: x\nOutput flags: [0, 'N']", True, "N", "x"),
        ("Output string: x\nOutput flags: [0, ',' (44), 'N' (78)]", True, ",N", "x"),
        ("Output string: Output flags: [0, 'Y' (89)]\nOutput flags: [0, 'N' (78)]", True, "N", None),
        ("Output string: 192.0.2.7\nOutput flags: []\n", False, "", "192.0.2.7"),
        ("Output flags: []\n", False, "", ""),
    ],
)
def test_known_outputs(printed: str, matched: bool, flags: str, output: str | None) -> None:
    found = product.read_mapping_result(printed)
    assert (found.matched, found.flags) == (matched, frozenset(flags))
    assert output is None or found.output == output
    assert found.printed == printed


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "Output string: x\n",
        "Output flags: [0, 'Y' (89)]\n",  # a match without its text
        "Output string: x\nOutput flags: [0, 'Y' (78)]\n",
        "Output string: x\nOutput flags: [0, Y]\n",
        "Output string: x\nOutput flags: [0, 'Y' (89),]\n",
        "Output string: x\nOutput flags: 0, 89\n",
        "Output string: x\nOutput flags: ['Y' (89)]\n",  # a flag without a match
        "Output string: x\nOutput flags: [0]\nOutput flags: [0, 'Y' (89)]\n",
        "Output string: x\nOutput string: y\nOutput flags: [0, 'Y' (89)]\n",
    ],
)
def test_unknown_outputs_are_errors_that_show_them(printed: str) -> None:
    with pytest.raises(StepError, match="not of a known form") as caught:
        product.read_mapping_result(printed)
    assert printed.strip() in caught.value.output


def test_a_probe_reaches_the_tool_as_one_argument(host: Installation) -> None:
    host.imsimta.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {host.root}/arguments\ncat > {host.root}/input\n"
        "echo 'Output string: '\necho \"Output flags: [0, 'Y' (89)]\"\n"
    )
    probe = "TCP|192.0.2.25|25|198.51.100.7|1|SMTP/$(id) `id`;'|MAIL|tcp_local|a b@c|l|*"
    found = product.discover(str(host.root)).test_mapping("ORIG_MAIL_ACCESS", probe, "/x/staged maps", "A")
    assert found.flags == {"Y"}
    assert (host.root / "arguments").read_text().splitlines() == [
        "test",
        "-mapping",
        "-noimage_file",
        "-mapping_file=/x/staged maps",
        "-table=ORIG_MAIL_ACCESS",
        "-flags=A",
        probe,
    ]
    assert (host.root / "input").read_text() == ""


@pytest.mark.parametrize("probe", ["-table=X", "a\nb", "a\0b", "a\x1bb"])
def test_mapping_test_rejects_probes_that_would_be_options(host: Installation, probe: str) -> None:
    with pytest.raises(StepError, match="cannot be given as probe"):
        product.discover(str(host.root)).test_mapping("INTERNAL_IP", probe, "/x")
    assert host.calls() == []


def test_a_failing_test_is_an_error_with_its_output(host: Installation) -> None:
    with pytest.raises(StepError, match=r"unknown\n\(exit status 2\)"):
        product.discover(str(host.root)).test_mapping("INTERNAL_IP", "192.0.2.1", "/x")


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("Sun Java(tm) System Messaging Server 6.2-3.04 (built Jul 15 2005)\nlibimta.so 6.2-3.04", "6.2"),
        ("Oracle Communications Messaging Server 8.0.1.3.0", "8.0.1.3.0"),
        ("nothing here", ""),
    ],
)
def test_the_release(version: str, release: str) -> None:
    assert product.read_release(version) == release


@pytest.mark.parametrize(
    ("banner", "alive"),
    [(b"220 mail.example ESMTP\r\n", True), (b"554 no\r\n", False), (b"", False), (b"22", False)],
)
def test_answering_means_a_220_banner(
    host: Installation, monkeypatch: pytest.MonkeyPatch, banner: bytes, alive: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(product, "SMTP_PORT", server.getsockname()[1])

        def serve() -> None:
            session = server.accept()[0]
            session.sendall(banner)
            session.close()

        thread = threading.Thread(target=serve)
        thread.start()
        assert product.discover(str(host.root)).alive() is alive
        thread.join()
    assert product.discover(str(host.root)).alive() is False


def test_a_port_that_never_speaks_is_no_answer(host: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "BANNER_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(product, "SMTP_PORT", server.getsockname()[1])
        assert product.discover(str(host.root)).alive() is False
    assert os.path.exists(host.image)
