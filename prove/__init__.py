"""Explore every order of events of the submission protocol within stated bounds: `make prove`."""
