"""The lab's two networks, and the check that nothing of the lab can leave through another route."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from typing import Any

from mailhost_lab.addresses import NETWORKS, Network
from mailhost_lab.containers.engine import LABEL, Engine, LabError


def ip_json(*arguments: str) -> list[dict[str, Any]]:
    """Return what iproute2 on this host says; nothing where iproute2 is missing (Docker on a Mac, say)."""
    try:
        done = subprocess.run(["ip", "-j", *arguments], capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        return []
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else []


def ensure_networks(engine: Engine) -> None:
    """Create the networks that are missing; fail where this host already routes their addresses elsewhere."""
    for network in NETWORKS.values():
        if engine.run("network", "inspect", network.full_name, check=False).returncode == 0:
            continue
        refuse_overlap(network)
        # Never --internal: without a bridge address the host would send packets for the lab through its default route.
        engine.run(
            "network",
            "create",
            f"--label={LABEL}=network",
            f"--subnet={network.subnet4}",
            f"--gateway={network.gateway4}",
            "--ipv6",
            f"--subnet={network.subnet6}",
            f"--gateway={network.gateway6}",
            *(["--disable-dns"] if engine.podman else []),
            network.full_name,
        )
        print(f"  network {network.name}: {network.subnet4}, {network.subnet6}", flush=True)


def steady_bridges(engine: Engine) -> None:
    """Give the bridges of Podman addresses of their own, where this machine has them and lets us.

    Else each takes over that of one of its ports: when a host leaves, the others send to one that is gone, for half a
    minute, and connections of the controller hang.
    """
    for network in NETWORKS.values() if engine.podman else ():
        shown = engine.run("network", "inspect", "--format={{.NetworkInterface}}", network.full_name, check=False)
        bridge = shown.stdout.strip()
        if any(link["address"] != network.mac for link in ip_json("link", "show", "dev", bridge)):
            command = ["ip", "link", "set", "dev", bridge, "address", network.mac]
            subprocess.run(command, capture_output=True, timeout=30, check=False)


def has_former_networks(engine: Engine) -> bool:
    """Whether a checkout with other names has left its lab here, whose networks have the same addresses."""
    return not set(_made(engine)) <= {network.full_name for network in NETWORKS.values()}


def remove_networks(engine: Engine) -> None:
    """Remove the networks that the lab made."""
    for name in _made(engine):
        engine.run("network", "rm", name)


def _made(engine: Engine) -> list[str]:
    return engine.lines("network", "ls", "--format={{.Name}}", "--filter", f"label={LABEL}=network")


def refuse_overlap(network: Network) -> None:
    """Stop before a network is made that would cut this host off from something it reaches now."""
    for family, subnet in (("-4", network.subnet4), ("-6", network.subnet6)):
        managed = ipaddress.ip_network(subnet)
        for route in ip_json(family, "route", "show", "table", "all"):
            target = route.get("dst", "default")
            if target == "default" or route.get("type") in ("unreachable", "blackhole", "prohibit", "throw"):
                continue
            theirs = ipaddress.ip_network(target, strict=False)
            if theirs.prefixlen > 0 and theirs.version == managed.version and theirs.overlaps(managed):
                raise LabError(
                    f"this host already has a route for {target} (device {route.get('dev', '?')}), and the lab needs "
                    f"{subnet}; the addresses of the lab are in mailhost_lab/addresses.py"
                )


def reached_directly() -> bool:
    """Whether packets from this host to the lab go into the lab's own bridges.

    With rootless Podman or an engine in a virtual machine they would take the default route; then nothing is sent
    from here, and SSH goes through the engine into a container.
    """
    return all(
        any(route.get("prefsrc") == gateway for route in ip_json(family, "route", "get", str(internal)))
        for network in NETWORKS.values()
        for family, subnet, gateway in (
            ("-4", network.subnet4, network.gateway4),
            ("-6", network.subnet6, network.gateway6),
        )
        for internal in [ipaddress.ip_network(subnet).network_address + 10]
    )
