"""Files on their way between object storage and Segmind."""
