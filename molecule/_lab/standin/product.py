# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for Sun Java System Messaging Server: where its files are, and its compiled image.

The image is what the real cnbuild makes of the text files. The stand-in's image holds their texts, checked by the
collection's own engine; the decision reads the image and never the files.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.decision import (
    LoadedConfig,
    load_config,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import Config
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import (
    parse_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_template import (
    TemplateError,
    compile_template,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import (
    INCLUDE,
    decode,
    logical_lines,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError

ROOT = Path(os.environ.get("STANDIN_ROOT", "/opt/SUNWmsgsr"))
STATE = Path("/var/lib/messaging-standin")
CONTROL = Path("/run/messaging-standin/control")
OWNER = "mailsrv"

TEXT_DATABASE = 1
"""The bit of USE_TEXT_DATABASES that makes general.txt the general database."""


class BuildError(ReportedError):
    """Something in the files that a compiler rejects."""


class Places(NamedTuple):
    """The files of an installation, as its tailor file says."""

    imta_cnf: Path
    mappings: Path
    dispatcher_cnf: Path
    option_dat: Path
    table: Path
    image: Path

    def included(self, name: str) -> Path:
        """The file that an include line names: a full path, or IMTA_TABLE:name."""
        return self.table / name.partition(":")[2] if name.upper().startswith("IMTA_TABLE:") else Path(name)


def places() -> Places:
    """Read config/imta_tailor."""
    tailor = {}
    for line in decode((ROOT / "config/imta_tailor").read_bytes()).splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("!"):
            tailor[name.strip().upper()] = value.strip()
    table = Path(tailor.get("IMTA_TABLE", f"{ROOT}/config"))

    def place(name: str, default: str) -> Path:
        value = tailor.get(name, default)
        return table / value.partition(":")[2] if value.upper().startswith("IMTA_TABLE:") else Path(value)

    return Places(
        imta_cnf=place("IMTA_CONFIG_FILE", "IMTA_TABLE:imta.cnf"),
        mappings=place("IMTA_MAPPING_FILE", "IMTA_TABLE:mappings"),
        dispatcher_cnf=place("IMTA_DISPATCHER_CONFIG", "IMTA_TABLE:dispatcher.cnf"),
        option_dat=place("IMTA_OPTION_FILE", "IMTA_TABLE:option.dat"),
        table=table,
        image=place("IMTA_CONFIG_DATA", f"{ROOT}/imta/lib/config_data"),
    )


def options(text: str) -> dict[str, str]:
    """The options of option.dat, names in upper case."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.partition("=")
        if line.startswith(("!", ";", "#")) or not line.strip():
            continue
        if not equals:
            raise BuildError(f"option.dat:{number}: {line!r}; expected NAME=value")
        found[name.strip().upper()] = value.strip()
    return found


def number(values: dict[str, str], name: str) -> int:
    """An option that is a number; 0 where it is not set."""
    try:
        return int(values.get(name, "0"))
    except ValueError:
        raise BuildError(f"option.dat: {name}={values[name]}; expected a number") from None


def read_files(where: Places, *, mappings: Path | None = None, option_dat: Path | None = None) -> Config:
    """Read the text files with everything they include."""
    try:
        texts = {name: decode(path.read_bytes()) for name, path in _sources(where, mappings, option_dat)}
        includes: dict[str, str] = {}
        for text in (texts["imta_cnf"], texts["mappings"]):
            _follow(where, text, includes)
        values = options(texts["option_dat"])
        general = where.table / "general.txt"
        use_general = number(values, "USE_TEXT_DATABASES") & TEXT_DATABASE
        return Config(
            imta_cnf=texts["imta_cnf"],
            mappings=texts["mappings"],
            dispatcher_cnf=texts["dispatcher_cnf"],
            general=decode(general.read_bytes()) if use_general else "",
            includes=includes,
            access_errors=number(values, "ACCESS_ERRORS"),
        )
    except OSError as e:
        raise BuildError(f"cannot read {e.filename}: {e.strerror}") from e


def _sources(where: Places, mappings: Path | None, option_dat: Path | None) -> list[tuple[str, Path]]:
    return [
        ("imta_cnf", where.imta_cnf),
        ("mappings", mappings or where.mappings),
        ("dispatcher_cnf", where.dispatcher_cnf),
        ("option_dat", option_dat or where.option_dat),
    ]


def _follow(where: Places, text: str, found: dict[str, str]) -> None:
    for line in logical_lines(text, ""):
        name = line.text[1:].strip()
        if line.text.startswith(INCLUDE) and name and name not in found:
            found[name] = decode(where.included(name).read_bytes())
            _follow(where, found[name], found)


def check(config: Config) -> LoadedConfig:
    """Compile everything, as cnbuild does: also the tables that were not used yet. Raises ReportedError."""
    loaded = load_config(config)
    for table in parse_mappings(config.mappings, "mappings", config.includes).tables:
        loaded.mappings.table(table.name)
        for entry in table.entries:
            try:
                compile_template(entry.template)
            except TemplateError as e:
                raise BuildError(f"{entry.line.file}:{entry.line.number}: {e}") from e
    return loaded


def write_image(path: Path, config: Config) -> None:
    """Put a new image in the place of the old one, at once."""
    new = path.with_name(f".{path.name}.new")
    with new.open("w") as file:
        json.dump({"stand-in image": 1, **config._asdict()}, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    new.chmod(0o644)
    shutil.chown(new, OWNER, OWNER)
    new.replace(path)


def read_image(path: Path) -> LoadedConfig:
    """Read an image. Raises BuildError for what is none."""
    return load_config(image_config(path))


def image_config(path: Path) -> Config:
    """The texts in an image. Raises BuildError for what is none."""
    try:
        values = json.loads(path.read_text())
        return Config(**{name: values[name] for name in Config._fields})
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise BuildError(f"{path} is no compiled configuration: {e}") from e
