"""Operators that start Kling jobs."""
