# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Channel keywords: which take arguments, which exclude each other.

Source: docs/reference/messaging-server-facts.md#imta-cnf. Keywords are case-blind.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import NamedTuple

from .text import BLANKS, LogicalLine, fold

FIXED_ARGUMENTS = {
    "saslswitchchannel": 1,
    "tlsswitchchannel": 1,
    "userswitchchannel": 0,
    "alternatechannel": 1,
    "pool": 1,
    "maxjobs": 1,
    "subdirs": 1,
    "missingrecipientpolicy": 1,
    "fileinto": 1,
    "deliveryflags": 1,
    "holdlimit": 1,
    "blocklimit": 1,
    "sourceblocklimit": 1,
    "recipientlimit": 1,
    "recipientcutoff": 1,
    "transactionlimit": 1,
    "alternaterecipientlimit": 1,
    "maxheaderaddrs": 1,
    "maxlocalparts": 1,
    "disconnectbadcommandlimit": 1,
    "disconnectbadburllimit": 1,
    "disconnectrecipientlimit": 1,
    "disconnectrejectlimit": 1,
    "disconnecttransactionlimit": 1,
}
"""Keywords with exactly so many arguments."""

NUMBER_LISTS = frozenset({"notices", "urgentnotices", "normalnotices", "nonurgentnotices"})
"""Keywords with as many arguments as follow: numbers, or quoted texts."""

QUOTED_LISTS = frozenset({"backoff", "urgentbackoff", "normalbackoff", "nonurgentbackoff"})

HOST_KEYWORD = "defaulthost"
"""``defaulthost`` takes one or two host names; the second is there when it looks like one."""

SWITCH = ("switchchannel", "allowswitchchannel", "noswitchchannel")
SASL_SERVER = ("maysaslserver", "mustsaslserver", "nosaslserver", "nosasl")
SASL_SWITCH = ("saslswitchchannel", "nosaslswitchchannel")
TLS_SWITCH = ("tlsswitchchannel",)
SENDER_CHECK = ("mailfromdnsverify", "nomailfromdnsverify")

IDENT = (
    "identnone",
    "identnonelimited",
    "identnonenumeric",
    "identnonesymbolic",
    "identtcp",
    "identtcplimited",
    "identtcpnumeric",
    "identtcpsymbolic",
)

GROUPS = (SWITCH, SASL_SERVER, SASL_SWITCH, TLS_SWITCH, SENDER_CHECK, IDENT)
"""Keywords of which the last one counts."""

SWITCH_DEFAULT = "allowswitchchannel"
"""What counts for switching when neither the channel nor the defaults say anything:
docs/reference/messaging-server-facts.md#switching."""

MAX_CHANNEL_NAME = 32

SMTP_KEYWORDS = ("smtp", "smtp_cr", "smtp_crlf", "smtp_crorlf", "smtp_lf")
"""Keywords of a channel that speaks SMTP, and of one that hands mail to a message store, which sends nothing on."""

STORE_KEYWORDS = ("lmtp",)


class Word(NamedTuple):
    """A word of a line and its place in the line's text; quotes are part of ``text``."""

    text: str
    start: int
    end: int


class Keyword(NamedTuple):
    """A keyword in lower case, its arguments without quotes, and where both stand in the line's text."""

    name: str
    arguments: tuple[str, ...]
    start: int
    end: int


def words_of(line: LogicalLine) -> list[Word]:
    """Cut at blanks outside double quotes. Raises MtaTextError for a quote that is not closed."""
    text = line.text
    words: list[Word] = []
    at = 0
    while at < len(text):
        if text[at] in BLANKS:
            at += 1
            continue
        start = at
        while at < len(text) and text[at] not in BLANKS:
            if text[at] == '"':
                close = text.find('"', at + 1)
                if close < 0:
                    raise line.error(at, "a quote that is not closed", "a second double quote in the same line")
                at = close
            at += 1
        words.append(Word(text[start:at], start, at))
    return words


def keywords_of(words: list[Word]) -> tuple[Keyword, ...]:
    """Group words into keywords with their arguments."""
    found: list[Keyword] = []
    index = 0
    while index < len(words):
        word = words[index]
        name = fold(word.text)
        count = _argument_count(name, words, index + 1)
        arguments = words[index + 1 : index + 1 + count]
        end = arguments[-1].end if arguments else word.end
        found.append(Keyword(name, tuple(argument.text.strip('"') for argument in arguments), word.start, end))
        index += 1 + count
    return tuple(found)


def _argument_count(name: str, words: list[Word], index: int) -> int:
    count = FIXED_ARGUMENTS.get(name, 0)
    if name == HOST_KEYWORD:
        count = 2 if index + 1 < len(words) and "." in words[index + 1].text else 1
    elif name in NUMBER_LISTS:
        while index + count < len(words) and words[index + count].text.isdigit():
            count += 1
    elif name in QUOTED_LISTS:
        while index + count < len(words) and words[index + count].text.startswith('"'):
            count += 1
    return count


def group_of(name: str) -> tuple[str, ...]:
    """The keywords of which only one counts; just the keyword itself when it excludes no other."""
    return next((group for group in GROUPS if name in group), (name,))
