# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluates what a run aims at before anything is swapped: the evaluator, and the product's own tool.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile

from .._policy.effects import Effect
from .._sessions.report import describe_deviations
from .._transaction.command import StepError
from .._transaction.files import encode, new_attributes, read_attributes, replace_file
from ._evaluator.decision import LoadedConfig, load_config
from ._evaluator.session import Config
from ._formats.text import MtaTextError
from .compose import Texts
from .effects import find_effects
from .live import ACCESS_ERRORS, Live
from .product import MAPPINGS, Product
from .proof import find_deviations
from .readback import Staged, read_back
from .settings import Channels
from .wanted import WantedFiles


def evaluate(wanted: WantedFiles, live: Live) -> int:
    """Evaluate the wanted texts; returns the number of sessions."""
    if wanted.settings is None:
        return 0
    count, found = find_deviations(wanted.cases, _load(wanted.composed.texts, live), wanted.settings.channels)
    if found:
        raise StepError("evaluate", describe_deviations(found))
    return count


def compare(wanted: WantedFiles, live: Live) -> tuple[list[Effect], list[str]]:
    """Return the effects of the wanted texts, and a warning where the live ones cannot be evaluated."""
    if wanted.settings is None:
        return [], []
    after = _load(wanted.composed.texts, live)
    cases = [*wanted.cases, *wanted.compared]
    try:
        before, managed = _load(live.texts, live), not live.record.empty
        return find_effects(cases, before, after, wanted.settings.channels, managed=managed), []
    except MtaTextError as error:
        return [], [f"the live files cannot be evaluated, so the effects of this run are not known: {error}"]


def _load(texts: Texts, live: Live) -> LoadedConfig:
    return load_config(
        Config(
            imta_cnf=texts.imta_cnf,
            mappings=texts.mappings,
            dispatcher_cnf=texts.dispatcher_cnf,
            general=texts.general if live.text_database else "",
            includes=live.includes,
            access_errors=live.number(ACCESS_ERRORS) & 1,
        )
    )


def digest_of(wanted: WantedFiles, live: Live) -> str:
    """Return a digest of all that an evaluation depends on, nothing where there is nothing to evaluate."""
    if wanted.settings is None:
        return ""
    whole = [wanted.composed.texts, live.includes, live.options, wanted.cases]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def ask_product(product: Product, live: Live, wanted: WantedFiles, channels: Channels) -> None:
    """Have the product's own tool read the staged mapping file; what it says must be what was evaluated."""
    live_file = product.files[MAPPINGS]
    with tempfile.TemporaryDirectory(prefix="mailhost-hardening-") as folder:
        os.chmod(folder, 0o711)  # noqa: S103 (the tool may read its files as the mail server's own user)
        path = os.path.join(folder, "mappings")
        attributes = read_attributes(live_file) or new_attributes(live_file)
        replace_file(path, encode(wanted.composed.texts.mappings), attributes)
        staged = Staged(path, wanted.composed.texts.mappings, live.includes, channels)
        read_back(product, staged, [case.session["client"] for case in wanted.cases])
