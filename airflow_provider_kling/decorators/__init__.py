"""What users write with ``@task``."""
