"""Sensors that wait for Kling jobs."""
