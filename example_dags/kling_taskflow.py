"""### The whole chain as three Python functions.

Image, then video, then edit, as in `kling_image_to_video_to_edit`. Here each step is a function that returns a
payload. `@task.kling` submits it, waits for it in the triggerer and hands its result on, so a step reads what the one
before it made as an argument: `picture["url"]`.

At the end the video is kept in `FOLDER`, with a JSON file beside it that says how it was made and of what:
Segmind deletes files after seven days.

A retry calls the function again, so let it return the same for the same run: no clock, no random numbers. Another
payload would be another job, and paid for.

**To run it**: the connection `segmind_default` (type Segmind) with your API key. The default pictures are those
of the simulator on this machine (`python -m airflow_provider_kling.simulator`); with Segmind itself give
the address of two pictures of your own when you trigger the DAG. `FOLDER` may be in any object storage.
Together the steps cost about $2.70 on Segmind, and nothing on the simulator.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_kling.payloads import O1Image, O1ReferenceToVideo, O1VideoEdit
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

FOLDER = "file:///tmp/kling/taskflow"

with DAG(
    dag_id="kling_taskflow",
    description="Two pictures become a moonlit video in a folder, in three functions.",
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

    @task.kling(model=O1Image.slug)
    def image(figure_url: str, place_url: str) -> O1Image:
        """Merge the figure and the place."""
        return O1Image(
            prompt="Place @Image1 into the landscape of @Image2, on the ground and in its light",
            image_urls=[figure_url, place_url],
            aspect_ratio="16:9",
        )

    @task.kling(model=O1ReferenceToVideo.slug)
    def video(picture: dict[str, Any]) -> O1ReferenceToVideo:
        """Animate the picture."""
        return O1ReferenceToVideo(
            prompt="The camera moves slowly around the scene of @Image1 while the figure looks about and waves",
            image_urls=[picture["url"]],
            duration="5",
            aspect_ratio="16:9",
        )

    @task.kling(model=O1VideoEdit.slug)
    def edit(film: dict[str, Any]) -> O1VideoEdit:
        """Let night fall."""
        return O1VideoEdit(
            prompt="Turn @Video1 into a moonlit night and keep everything else as it is", video_url=film["url"]
        )

    picture = image("{{ params.figure_url }}", "{{ params.place_url }}")
    night = edit(video(picture))

    SegmindToObjectStorageOperator(task_id="keep", result=night, destination=FOLDER)
