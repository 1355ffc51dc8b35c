"""Apache Airflow provider for the Kling image and video models that Segmind serves."""

__version__ = "0.1.0"
