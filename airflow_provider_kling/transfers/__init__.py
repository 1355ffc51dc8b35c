"""Operators that move files between object storage and Segmind."""
