"""Show on a terminal what packets and mail get before and after a run: `make demo`."""
