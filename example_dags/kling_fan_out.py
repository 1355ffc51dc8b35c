"""### Many videos at once, and a limit on the bill.

A list of prompts becomes a list of videos, one task for each. Two things keep that in bounds:

- **The budget** is shared by all tasks of the run. Each adds up what was billed and what is in flight before it
  submits; the one that could break the limit fails and sends nothing. So a list of a hundred prompts, pasted in by
  mistake, costs no more than the limit.
- **The pool** bounds how many are at it at the same time. `default_pool` is there from the start, but a task that
  waits in the triggerer leaves its slot, so it bounds the submits only. For at most four jobs at a time make a pool
  that counts those who wait too, and name it below:
  `airflow pools set kling 4 "Kling jobs at a time" --include-deferred`.

At the end `run_cost` says what the run cost, whatever became of the tasks.

**To run it**: the connection `segmind_default` (type Segmind) with your API key. The default prompts cost $2.52 to
$4.20 on Segmind, other lists never more than $5, and nothing on the simulator.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.cost import KlingRunCostOperator
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.payloads import O3TextToVideo

POOL = "default_pool"

with DAG(
    dag_id="kling_fan_out",
    description="A list of prompts becomes videos, for five dollars at the most.",
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params={
        "prompts": Param(
            ["A fox in the snow", "A heron in the reeds", "An owl at dusk", "A hare in the corn"],
            type="array",
            items={"type": "string", "minLength": 1},
            minItems=1,
            title="Prompts",
            description="One video of three seconds for each line",
        ),
    },
    doc_md=__doc__,
    tags=["example", "kling"],
):

    @task
    def payloads(params: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the parameters of one video for each prompt."""
        return [{"prompt": prompt, "duration": 3} for prompt in params["prompts"]]

    video = KlingGenerateOperator.partial(
        task_id="video",
        model=O3TextToVideo.slug,
        budget=KlingBudget(max_cost_per_dag_run=5.0),
        pool=POOL,
        map_index_template="{{ task.payload['prompt'] }}",
    ).expand(payload=payloads())

    video >> KlingRunCostOperator(task_id="run_cost")
