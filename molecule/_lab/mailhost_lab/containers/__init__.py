"""Bring the lab up: the container engine, images, networks, hosts, and SSH into them."""
