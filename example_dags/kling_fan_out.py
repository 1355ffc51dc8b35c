"""### Many at once, and a limit on the bill.

One picture and a list of prompts become a list of pictures, one task for each prompt. Two things keep that in bounds:

- **The budget** is shared by all tasks of the run. Before it submits, each adds up what was billed and what is in
  flight; the one that could break the limit fails and sends nothing. So a list of a thousand prompts, pasted in by
  mistake, costs no more than the limit.
- **The pool** bounds how many are at it at the same time. `default_pool` is there from the start, but a task that
  waits in the triggerer leaves its slot, so it bounds the submits only. For at most four jobs at a time make a pool
  that counts those who wait too, and name it below:
  `airflow pools set kling 4 "Kling jobs at a time" --include-deferred`.

At the end `run_cost` says what the run cost, whatever became of the other tasks.

**To run it**: the connection `segmind_default` (type Segmind) with your API key. The default picture is the
simulator's on this machine (`python -m airflow_provider_kling.simulator`); with Segmind itself give the address of
one of your own when you trigger the DAG.
The four default prompts cost $0.14 on Segmind, no list more than $0.25, and nothing on the simulator.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.cost import KlingRunCostOperator
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.payloads import O1Image

POOL = "default_pool"

with DAG(
    dag_id="kling_fan_out",
    description="A list of prompts becomes pictures, for a quarter of a dollar at the most.",
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params={
        "picture_url": Param(
            "http://127.0.0.1:8765/simulator/inputs/robot.png",
            type="string",
            minLength=1,
            title="Picture",
            description="Address of the picture that is @Image1 in the prompts",
        ),
        "prompts": Param(
            ["@Image1 in the snow", "@Image1 in the reeds", "@Image1 at dusk", "@Image1 in a cornfield"],
            type="array",
            items={"type": "string", "minLength": 1},
            minItems=1,
            title="Prompts",
            description="One picture for each line",
        ),
    },
    doc_md=__doc__,
    tags=["example", "kling"],
):

    @task
    def payloads(params: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the parameters of one picture for each prompt."""
        return [{"prompt": prompt, "image_urls": [params["picture_url"]]} for prompt in params["prompts"]]

    pictures = KlingGenerateOperator.partial(
        task_id="picture",
        model=O1Image.slug,
        budget=KlingBudget(max_cost_per_dag_run=0.25),
        pool=POOL,
        map_index_template="{{ task.payload['prompt'] }}",
    ).expand(payload=payloads())

    pictures >> KlingRunCostOperator(task_id="run_cost")
