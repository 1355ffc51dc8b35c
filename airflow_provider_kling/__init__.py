"""Apache Airflow provider for the Kling image and video models that Segmind serves."""

from importlib.metadata import PackageNotFoundError, version

__version__ = "0.1.0"

#: Asked of the installed packages, not of Airflow: nothing of it may be imported while it looks for its providers.
_OLDEST_AIRFLOW = (2, 11)


def _check_airflow() -> None:
    try:
        installed = version("apache-airflow")
    except PackageNotFoundError:  # Airflow's parts without the whole, which is Airflow 3; or the simulator alone
        return
    if tuple(int(part) for part in installed.split(".")[:2]) < _OLDEST_AIRFLOW:
        raise ImportError(
            f"airflow-provider-kling {__version__} needs Apache Airflow 2.11 or newer, and {installed} is installed. "
            "Upgrade Airflow; nothing was sent to Segmind."
        )


_check_airflow()
