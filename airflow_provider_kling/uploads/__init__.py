"""Files in: read, checked, and uploaded once for each content."""
