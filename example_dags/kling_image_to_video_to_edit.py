"""### Image, then video, then edit.

Three Kling generations in a row, each fed by what the one before it left behind:

1. **Image**: Kling O1 merges two pictures, a figure and a place, into one storyboard picture.
2. **Video**: Kling O1 animates that picture for five seconds.
3. **Edit**: Kling O1 turns the video into a moonlit night.

Each step is a submission, which is paid for, a sensor, which waits in the triggerer and holds no worker, and a task
that keeps the file, with a description beside it that leads back to the two pictures. A budget limits what one run
may cost, and the last task tells what it did cost. The folder is an asset, on which a next DAG can be scheduled.

**To run it**: the connection `segmind_default` (type Segmind) with your API key. The default pictures are those
of the simulator on this machine (`python -m airflow_provider_kling.simulator`); with Segmind itself give
the addresses of two pictures of your own when you trigger the DAG. For a path or a URL in object storage, allow its
folder in Airflow's config: `[kling] upload_allowed_paths`. `FOLDER` may be in any object storage.
Together the steps cost about $2.70 on Segmind, and nothing on the simulator.
"""

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, Asset, Param

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.cost import KlingRunCostOperator
from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.payloads import O1Image, O1ReferenceToVideo, O1VideoEdit
from airflow_provider_kling.sensors.kling import KlingSensor
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

FOLDER = "file:///tmp/kling"
# Segmind publishes no range for the price of the two videos; this is above what they cost on average.
budget = KlingBudget(
    max_cost_per_dag_run=4,
    prices={O1ReferenceToVideo.slug: 1.8, O1VideoEdit.slug: 1.8},
)

with DAG(
    dag_id="kling_image_to_video_to_edit",
    description="Two pictures become one, the picture a video, and in the video night falls.",
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1), "budget": budget},
    params={
        "figure": Param(
            "http://127.0.0.1:8765/simulator/inputs/robot.png",
            type="string",
            minLength=1,
            title="Figure",
            description="A picture of who or what the video is about: an address, or a file in an allowed folder",
        ),
        "place": Param(
            "http://127.0.0.1:8765/simulator/inputs/beach.png",
            type="string",
            minLength=1,
            title="Place",
            description="A picture of where it happens",
        ),
        "folder": Param(
            "storyboard",
            type="string",
            minLength=1,
            title="Folder",
            description=f"Where the files go, below {FOLDER}",
        ),
    },
    doc_md=__doc__,
    tags=["example", "kling"],
):
    submit_image = KlingSubmitOperator(
        task_id="submit_image",
        payload=O1Image(
            prompt="Place @Image1 into the landscape of @Image2, on the ground and in its light",
            image_urls=["{{ params.figure }}", "{{ params.place }}"],
            aspect_ratio="16:9",
        ),
    )
    image = KlingSensor(task_id="image", request_id=submit_image.output)
    keep_image = SegmindToObjectStorageOperator(
        task_id="keep_image",
        result=image.output,
        destination=FOLDER + "/{{ params.folder }}",
        name="{run_id}/1-image.{ext}",
        outlets=[Asset(FOLDER)],
    )

    submit_video = KlingSubmitOperator(
        task_id="submit_video",
        payload=O1ReferenceToVideo(
            prompt="The camera moves slowly around the scene of @Image1 while the figure looks about and waves",
            image_urls=[image.output["url"]],
            duration="5",
            aspect_ratio="16:9",
        ),
    )
    video = KlingSensor(task_id="video", request_id=submit_video.output)
    keep_video = SegmindToObjectStorageOperator(
        task_id="keep_video",
        result=video.output,
        destination=FOLDER + "/{{ params.folder }}",
        name="{run_id}/2-video.{ext}",
        outlets=[Asset(FOLDER)],
    )

    submit_edit = KlingSubmitOperator(
        task_id="submit_edit",
        payload=O1VideoEdit(
            prompt="Turn @Video1 into a moonlit night and keep everything else as it is",
            video_url=video.output["url"],
        ),
    )
    edit = KlingSensor(task_id="edit", request_id=submit_edit.output)
    keep_edit = SegmindToObjectStorageOperator(
        task_id="keep_edit",
        result=edit.output,
        destination=FOLDER + "/{{ params.folder }}",
        name="{run_id}/3-edit.{ext}",
        outlets=[Asset(FOLDER)],
    )

    [keep_image, keep_video, keep_edit] >> KlingRunCostOperator(task_id="run_cost")
