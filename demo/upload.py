"""Upload files with `SegmindHook`: `python -m demo.upload ANSWER.json FILE…`, inside an Airflow environment."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.segmind.errors import SegmindError

if __name__ == "__main__":
    answer, *files = map(Path, sys.argv[1:])
    try:
        answer.write_text(json.dumps(SegmindHook().upload(files)))
    except SegmindError as error:
        sys.exit(str(error))
