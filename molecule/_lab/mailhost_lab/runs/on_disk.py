"""What is on a host byte by byte, with all that a careless writer loses, and what two texts differ by."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Callable, NamedTuple

if TYPE_CHECKING:
    import subprocess


class OnDisk(NamedTuple):
    """A file, folder or link as it is, with all that a careless writer loses."""

    content: bytes
    link: str
    mode: int
    owner: tuple[int, int]
    xattrs: dict[str, str]
    modified: int
    inode: int

    @property
    def kept(self) -> tuple[object, ...]:
        """What must survive a change of the content."""
        return self.link, self.mode, self.owner, self.xattrs


Snapshot = dict[str, OnDisk]

LOOK = """
import base64, json, os, stat, sys
def look(path):
    found = os.lstat(path)
    content, link = b"", ""
    if stat.S_ISLNK(found.st_mode):
        link = os.readlink(path)
    elif stat.S_ISREG(found.st_mode):
        content = open(path, "rb").read()
    names = os.listxattr(path, follow_symlinks=False)
    xattrs = {n: os.getxattr(path, n, follow_symlinks=False).hex() for n in names if n != "security.selinux"}
    return [base64.b64encode(content).decode(), link, found.st_mode, [found.st_uid, found.st_gid], xattrs,
            found.st_mtime_ns, found.st_ino]
result = {}
for root in sys.argv[1:]:
    for folder, folders, files in os.walk(root):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            result[path] = look(path)
print(json.dumps(result))
"""


def look(run: Callable[..., subprocess.CompletedProcess[str]], *roots: str) -> Snapshot:
    """Everything below some folders of a host, given what runs a command on it."""
    found = json.loads(run("python3", "-c", LOOK, *roots).stdout)
    return {
        path: OnDisk(base64.b64decode(values[0]), values[1], values[2], tuple(values[3]), *values[4:])
        for path, values in found.items()
    }


def assert_changed(before: Snapshot, after: Snapshot, paths: set[str]) -> None:
    """Fail unless exactly these paths changed, beside the folders that they are in."""
    touched = {path for path, found in after.items() if found != before.get(path)}
    assert paths <= touched <= paths | {path.rpartition("/")[0] for path in paths}
    assert after.keys() == before.keys()


def lines(text: bytes) -> list[bytes]:
    """The physical lines of a file."""
    return text.splitlines(keepends=True)


def removed_and_added(before: bytes, after: bytes) -> tuple[list[bytes], list[bytes]]:
    """Lines that are gone and lines that are new, when as many as possible stay in their order."""
    old, new = lines(before), lines(after)
    # Longest common subsequence by rows; the files are short.
    longest = [[0] * (len(new) + 1) for _row in range(len(old) + 1)]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            same = old[i] == new[j]
            longest[i][j] = longest[i + 1][j + 1] + 1 if same else max(longest[i + 1][j], longest[i][j + 1])
    gone, come, i, j = [], [], 0, 0
    while i < len(old) or j < len(new):
        if i < len(old) and j < len(new) and old[i] == new[j]:
            i, j = i + 1, j + 1
        elif j == len(new) or (i < len(old) and longest[i + 1][j] >= longest[i][j + 1]):
            gone.append(old[i])
            i += 1
        else:
            come.append(new[j])
            j += 1
    return gone, come
