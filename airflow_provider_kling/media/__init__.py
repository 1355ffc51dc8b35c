"""A file's type, from its first bytes, and its size and duration, measured by a decoder in another process."""
