# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generated rules and addresses: the evaluator and the oracle come to the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.context import (
    surroundings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping import (
    load_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.rewrite import (
    AddressError,
    Rewriter,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.rewrite_template import (
    Place,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import parse_imta
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server._evaluator.rewrite_oracle import (
    looked_for,
    rewritten,
)

LABELS = st.sampled_from(["a", "b", "example"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
LITERALS = st.sampled_from(["[192.0.2.7]", "[198.51.100.7]"])
HOSTS = NAMES | LITERALS
USERS = st.sampled_from(["u", "u+box"])
CHANNELS = ("tcp_local", "tcp_intranet", "l")


@st.composite
def rules(draw: st.DrawFn) -> tuple[str, str]:
    """A rule whose pattern some host has, with a template of a documented form."""
    host = draw(HOSTS)
    pattern, _host_part, domain, stars = draw(st.sampled_from(looked_for(host)))
    single = ["$&0", "$!0", "$&1", "$!1", "$#0"]
    if not stars:
        single += ["$H", "$D", "x"] if domain.startswith(".") else ["$D", "$1D", "$*0", "x"]
    if host.startswith("["):
        single = ["x"] if stars or pattern == "." else ["x", "[$L]"]
    user = draw(st.sampled_from(["$U", "$0U", "$1U", "v"]))
    new = draw(st.sampled_from(single))
    form = draw(
        st.sampled_from(["{u}%{h}@c", "{u}@{h}", "{u}%{h}", "{u}@{h}@r", "{u}@{h}@r@s", "{u}%{h}@tcp_intranet-daemon"])
    )
    tests = draw(st.lists(st.sampled_from(["$E", "$B", "$F", "$R"]), max_size=1))
    named = draw(st.lists(st.tuples(st.sampled_from("MN"), st.sampled_from(CHANNELS)), max_size=2))
    ends = "".join(f"${letter}{channel}" for letter, channel in named)
    return pattern, "".join(tests) + form.format(u=user, h=new) + ends


@given(
    st.lists(rules(), max_size=6),
    HOSTS,
    USERS,
    st.booleans(),
    st.booleans(),
    st.sampled_from(CHANNELS),
    st.sets(NAMES, max_size=1),
)
def test_evaluator_comes_to_the_same_as_the_oracle(  # noqa: PLR0917 (what is generated)
    made: list[tuple[str, str]], host: str, user: str, forward: bool, envelope: bool, source: str, hosts: set[str]
) -> None:
    text = "".join(f"{pattern}  {template}\n" for pattern, template in made)
    blocks = "".join(f"\nc{number} smtp\n{one}\n" for number, one in enumerate(sorted(hosts)))
    rewriter = Rewriter(parse_imta(f"! rules\nzz  $U@zz\n{text}{blocks}"), load_mappings(""), surroundings())
    place = {"forward": forward, "envelope": envelope, "source": source}
    expected = rewritten(made, hosts, f"{user}@{host}", place)
    try:
        found = rewriter.rewrite(f"{user}@{host}", Place(forward, envelope, source))[:3]
    except AddressError:
        found = None
    assert found == expected
