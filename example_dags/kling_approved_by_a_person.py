"""### A person looks at the picture before the video is paid for.

A picture costs three cents, a video of it forty times as much, and cannot be cancelled. So the picture comes first,
and a person decides:

1. **Storyboard**: Kling O1 merges two pictures, a figure and a place, into one.
2. **Approval**: Airflow shows it under *Required Actions*, in the menu *Browse* and on the task. *Approve* goes on,
   *Reject* skips the video; so does a day without an answer. Meanwhile nothing runs, neither here nor on Segmind.
3. **Video**: Kling O1 animates the picture for five seconds.

**To run it**: Airflow 3.1 or later, and the connection `segmind_default` (type Segmind) with your API key. The
default pictures are those of the simulator on this machine (`python -m airflow_provider_kling.simulator`); with
Segmind itself give the address of two pictures of your own when you trigger the DAG.
The picture costs $0.035 on Segmind, the video about $1.35, and both nothing on the simulator.
"""

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, Param
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_1_PLUS

from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.payloads import O1Image, O1ReferenceToVideo

if AIRFLOW_V_3_1_PLUS:  # no earlier Airflow can ask a person, so there this file holds no DAG
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    with DAG(
        dag_id="kling_approved_by_a_person",
        description="Two pictures become one, and once a person likes it, a video.",
        schedule=None,
        catchup=False,
        default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
        params={
            "figure_url": Param(
                "http://127.0.0.1:8765/simulator/inputs/robot.png",
                type="string",
                minLength=1,
                title="Figure",
                description="Address of a picture of who or what the video is about",
            ),
            "place_url": Param(
                "http://127.0.0.1:8765/simulator/inputs/beach.png",
                type="string",
                minLength=1,
                title="Place",
                description="Address of a picture of where it happens",
            ),
        },
        doc_md=__doc__,
        tags=["example", "kling"],
    ):
        storyboard = KlingGenerateOperator(
            task_id="storyboard",
            payload=O1Image(
                prompt="Place @Image1 into the landscape of @Image2, on the ground and in its light",
                image_urls=["{{ params.figure_url }}", "{{ params.place_url }}"],
                aspect_ratio="16:9",
            ),
        )

        approval = ApprovalOperator(
            task_id="approval",
            subject="Shall a video be made of this picture, for about $1.35?",
            body="![The storyboard](<{{ ti.xcom_pull(task_ids='storyboard', key='url') }}>)",
            defaults=ApprovalOperator.REJECT,
            response_timeout=timedelta(days=1),
        )

        video = KlingGenerateOperator(
            task_id="video",
            payload=O1ReferenceToVideo(
                prompt="The camera moves slowly around the scene of @Image1 while the figure looks about and waves",
                image_urls=[storyboard.output["url"]],
                duration="5",
                aspect_ratio="16:9",
            ),
        )

        storyboard >> approval >> video
