"""### A folder of product shots becomes a folder of videos.

Whoever puts pictures into the folder updates the asset, and this DAG makes a video of each picture that has none:

1. **New shots** lists the pictures whose video is missing. A second run pays nothing for what the first one made.
2. **Video** does the rest, one task for each picture: it checks and uploads the file, submits, waits, downloads the
   video, checks it, and puts it beside a JSON file that says how it was made, of what, and for how much.

The folders, `SHOTS` and `VIDEOS`, may be in any object storage: `s3://bucket/shots` with the Amazon provider, `gs://…`
with Google's. The videos are an asset too, so that a next DAG can be scheduled on them.

What is uploaded is named by a task here, and not by the DAG's author. So the folder has to be allowed in Airflow's
config, with the storage connection where it needs one: `[kling] upload_allowed_paths = /tmp/kling/shots`.

**To run it**: the connection `segmind_default` (type Segmind) with your API key, that line in Airflow's config, and
some PNG or JPEG files in the folder. Trigger it by hand, let a DAG with `outlets=[Asset("file:///tmp/kling/shots")]`
fill the folder, or create the event of the asset in Airflow's UI.
A video costs about $0.91 on Segmind, a run at most $10, and nothing on the simulator.
"""

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Asset, ObjectStoragePath, task

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.payloads import O1ImageToVideo
from airflow_provider_kling.storage.store import Store

SHOTS = "file:///tmp/kling/shots"
VIDEOS = "file:///tmp/kling/videos"
#: No price is published, $0.91 is the average; the budget counts each video at twice that until its bill is known.
DEAREST = {O1ImageToVideo.slug: 1.82}

with DAG(
    dag_id="kling_product_shots",
    description="Pictures in a bucket become videos in a bucket.",
    schedule=[Asset(SHOTS)],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),  # Airflow 2 wants one
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    doc_md=__doc__,
    tags=["example", "kling"],
):

    @task
    def new_shots() -> list[dict[str, str]]:
        """Return the parameters of a video for each picture that has none."""
        videos = ObjectStoragePath(VIDEOS)
        made = {path.name for path in videos.iterdir()} if videos.exists() else set()
        shots = sorted(ObjectStoragePath(SHOTS).iterdir(), key=str)
        return [
            {"start_image_url": str(shot), "prompt": "A slow turn around the product on a plain ground, soft light"}
            for shot in shots
            if shot.suffix.lower() in {".png", ".jpg", ".jpeg"} and f"{shot.name}.mp4" not in made
        ]

    KlingGenerateOperator.partial(
        task_id="video",
        model=O1ImageToVideo.slug,
        store=Store(VIDEOS, name="{{ task.payload['start_image_url'].split('/')[-1] }}.{ext}"),
        budget=KlingBudget(max_cost_per_dag_run=10.0, prices=DEAREST),
        map_index_template="{{ task.payload['start_image_url'].split('/')[-1] }}",
    ).expand(payload=new_shots())
