"""Send packets between the hosts, and look at a host's packet filter and files."""
