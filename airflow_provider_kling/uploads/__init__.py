"""Source files: read, checked, and uploaded once for each content."""
