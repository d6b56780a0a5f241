"""What happens to a run on a host, or gets in its way: processes are killed, disks are full."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    Run = Callable[..., subprocess.CompletedProcess[str]]
    """Runs a command on a host."""

KILL = """
import glob, os, signal, sys
held = set()
for path in glob.glob("/proc/[0-9]*/fd/*"):
    try:
        if os.readlink(path) == sys.argv[1]:
            held.add(int(path.split("/")[2]))
    except OSError:
        pass
# The watchdog began later than the run.
victims = sorted(held)[:int(sys.argv[2])]
for process in reversed(victims):
    os.kill(process, signal.SIGKILL)
print(len(held))
"""

# The same folder, on a disk of its own with so many bytes free.
FILL = """
mkdir -p /mnt/full
mount -t tmpfs -o size=1m tmpfs /mnt/full
cp -a "$0/." /mnt/full
chown --reference="$0" /mnt/full
chmod --reference="$0" /mnt/full
mount --bind /mnt/full "$0"
umount /mnt/full
cat /dev/zero > "$0/filler" 2>/dev/null
truncate --size="-$1" "$0/filler"
"""


def kill_holders(run: Run, lock: str, count: int) -> None:
    """Kill the holders of the lock: the run alone (1), or its watchdog as well (2), which is killed first."""
    assert run("python3", "-c", KILL, lock, str(count)).stdout.strip() == "2"


@contextmanager
def full_disk(run: Run, folder: str, free: int) -> Iterator[Callable[[], object]]:
    """Have so many bytes free for a folder while the block runs; what is given makes room."""
    run("sh", "-c", FILL, folder, str(free))
    try:
        yield lambda: run("rm", f"{folder}/filler")
    finally:
        run("umount", folder)
