# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name server that takes every question and answers none, so that look-ups end by time-out."""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as questions:
    questions.bind(("127.0.0.1", 5399))
    while True:
        questions.recv(4096)
