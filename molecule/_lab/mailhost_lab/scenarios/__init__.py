"""What the test modules of a scenario share, and what scenarios of several mail servers share."""
