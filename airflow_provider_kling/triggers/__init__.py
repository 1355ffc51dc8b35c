"""Triggers that wait for Kling jobs."""
