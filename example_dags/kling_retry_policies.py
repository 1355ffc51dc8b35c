"""### What to retry, and after how long.

Retries wait the same time after every error, and Airflow takes all errors alike. A retry policy tells them apart:

- **A rate limit** passes with the minute: one minute later it is tried again.
- **A fault of Segmind's, or of the network** is often over in seconds.
- **A blocked prompt, or an empty balance** stays what it is until a person changes something: it fails at once, and
  the reason is in the log.

Without a policy this provider fails at once where no retry can help. With one, the policy sees every error as it is
and decides alone, so this one names them all; the tree is in `airflow_provider_kling.segmind.errors`. What it does
not name is retried after `retry_delay`. No retry pays twice: it finds the job of the attempt before it.

**To run it**: Airflow 3.3 or later, and the connection `segmind_default` (type Segmind) with your API key. The
default picture is the simulator's on this machine (`python -m airflow_provider_kling.simulator`).
It costs $0.035 on Segmind, and nothing on the simulator.
"""

from datetime import timedelta

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import DAG, Param
from packaging.version import Version

from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.payloads import O1Image
from airflow_provider_kling.segmind.errors import (
    KlingGenerationFailedError,
    SegmindAuthenticationError,
    SegmindBadRequestError,
    SegmindConnectionError,
    SegmindInputError,
    SegmindInsufficientCreditsError,
    SegmindModelNotFoundError,
    SegmindPermissionError,
    SegmindRateLimitError,
    SegmindServerError,
    SegmindUnresolvedSubmitError,
)

if Version(airflow_version) >= Version("3.3"):  # no earlier Airflow has retry policies, so there this file holds no DAG
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

    PATIENT_WHERE_IT_HELPS = ExceptionRetryPolicy(
        rules=[
            RetryRule(
                SegmindRateLimitError,
                action=RetryAction.RETRY,
                retry_delay=timedelta(minutes=1),
                reason="The requests of this minute are used up; the next minute has its own.",
            ),
            RetryRule(
                [SegmindServerError, SegmindConnectionError],
                action=RetryAction.RETRY,
                retry_delay=timedelta(seconds=10),
                reason="Segmind, or the way to it, has a fault that may pass.",
            ),
            RetryRule(
                KlingGenerationFailedError,
                action=RetryAction.FAIL,
                reason="The job FAILED. What was blocked would be blocked again: change the prompt or the picture.",
            ),
            RetryRule(
                SegmindInsufficientCreditsError,
                action=RetryAction.FAIL,
                reason="The balance does not cover it: top up, then clear the task.",
            ),
            RetryRule(
                [
                    SegmindInputError,
                    SegmindBadRequestError,
                    SegmindAuthenticationError,
                    SegmindPermissionError,
                    SegmindModelNotFoundError,
                    SegmindUnresolvedSubmitError,
                ],
                action=RetryAction.FAIL,
                reason="Only a person can mend it.",
            ),
        ]
    )

    with DAG(
        dag_id="kling_retry_policies",
        description="A rate limit is waited out, a blocked prompt fails at once.",
        schedule=None,
        catchup=False,
        params={
            "prompt": Param("@Image1 at sunrise", type="string", minLength=1, title="Prompt"),
            "picture_url": Param(
                "http://127.0.0.1:8765/simulator/inputs/robot.png",
                type="string",
                minLength=1,
                title="Picture",
                description="Address of the picture to change",
            ),
        },
        doc_md=__doc__,
        tags=["example", "kling"],
    ):
        KlingGenerateOperator(
            task_id="picture",
            payload=O1Image(prompt="{{ params.prompt }}", image_urls=["{{ params.picture_url }}"]),
            retries=3,
            retry_delay=timedelta(minutes=5),
            retry_policy=PATIENT_WHERE_IT_HELPS,
        )
