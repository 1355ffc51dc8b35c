"""One Airflow and one simulator for all tests here, and an S3 for those that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kling.simulator import Simulator
from tests.conftest import connection_json
from tests.e2e.airflow_processes import airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.airflow_processes import Airflow


@pytest.fixture(scope="session")
def sim() -> Iterator[Simulator]:
    """Yield the Segmind that all tests share; they tell their jobs apart by run."""
    with Simulator(time_scale=60, requests_per_minute=0, height=72, credits=100_000) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def aws() -> Iterator[dict[str, str]]:
    """Yield the environment by which any AWS client finds the S3 of these tests, which answers over a real socket."""
    from moto.server import ThreadedMotoServer

    # On a port that it takes itself: where another has the port meanwhile, moto waits for itself without end.
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "not-a-real-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    server.stop()


@pytest.fixture(scope="session")
def running(sim: Simulator, aws: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """Yield a running Airflow, connected to the simulator; its config allows what a run names in the tests' folders."""
    folders = tmp_path_factory.getbasetemp()
    allowed = {"KLING__UPLOAD_ALLOWED_PATHS": folders, "KLING__STORE_ALLOWED_PATHS": folders}
    with airflow(connection_json(sim, extra={"time_scale": 60}), settings=allowed, variables=aws) as processes:
        yield processes


@pytest.fixture(scope="session")
def s3(aws: dict[str, str]) -> Any:
    """Return a client of the S3 that the running Airflow finds."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=aws["AWS_ENDPOINT_URL"],
        region_name=aws["AWS_DEFAULT_REGION"],
        aws_access_key_id=aws["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
    )
