"""Segmind's protocol: no Airflow, no HTTP library, no I/O."""
