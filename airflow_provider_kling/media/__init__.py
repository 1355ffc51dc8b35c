"""What a file is: its type by its first bytes, and its size and length, measured by a decoder in another process."""
