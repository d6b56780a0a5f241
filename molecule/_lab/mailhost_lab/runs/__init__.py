"""Run the collection's playbooks against the lab, and disturb such runs."""
