"""Apache Airflow provider for the Kling image and video models that Segmind serves."""

import re
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.1.0"

#: Asked of the installed packages, not of Airflow: nothing of it may be imported while it looks for its providers.
_OLDEST_AIRFLOW = (2, 11)
#: The first versions of Airflow 3 offer tasks another way to ask their supervisor.
_OTHER_AIRFLOWS = {(3, 0, 0), (3, 0, 1), (3, 0, 2)}


def _check_airflow() -> None:
    try:
        installed = version("apache-airflow")
    except PackageNotFoundError:  # Airflow's parts without the whole, which is Airflow 3; or the simulator alone
        return
    numbers = tuple(int(part) for part in re.findall(r"\d+", installed)[:3])
    if numbers < _OLDEST_AIRFLOW or numbers in _OTHER_AIRFLOWS:
        raise ImportError(
            f"airflow-provider-kling {__version__} needs Apache Airflow 2.11, or 3.0.3 or newer, and {installed} is "
            "installed. Upgrade Airflow; nothing was sent to Segmind."
        )


_check_airflow()
