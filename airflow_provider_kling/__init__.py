"""Apache Airflow provider for the Kling image and video models that Segmind serves."""

import re
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.1.0"

#: Checked against the installed packages: Airflow must not be imported while it discovers its providers.
_OLDEST_AIRFLOW = (2, 11)
#: In the first versions of Airflow 3, tasks talk to their supervisor in another way.
_OTHER_AIRFLOWS = {(3, 0, 0), (3, 0, 1), (3, 0, 2)}


def _check_airflow() -> None:
    try:
        installed = version("apache-airflow")
    except PackageNotFoundError:  # Airflow 3's parts without the apache-airflow package; or the simulator alone
        return
    numbers = tuple(int(part) for part in re.findall(r"\d+", installed)[:3])
    if numbers < _OLDEST_AIRFLOW or numbers in _OTHER_AIRFLOWS:
        raise ImportError(
            f"airflow-provider-kling {__version__} needs Apache Airflow 2.11, or 3.0.3 or newer, and {installed} is "
            "installed. Upgrade Airflow; nothing was sent to Segmind."
        )


_check_airflow()
