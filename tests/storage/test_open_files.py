"""Files opened for reading, and the descriptions that are read: what is none of them holds nobody and tells nothing."""

from __future__ import annotations

import hashlib
import os

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_kling.payloads.request import Request
from airflow_provider_kling.segmind.errors import KlingPayloadError
from airflow_provider_kling.storage.allowed_paths import UPLOAD_ALLOWED_PATHS, Named
from airflow_provider_kling.storage.asset_events import folder_asset
from airflow_provider_kling.storage.folder import Folder
from airflow_provider_kling.storage.lineage import Lineage, describe
from airflow_provider_kling.storage.open_files import UnfitFileError, open_real, opened
from airflow_provider_kling.storage.sidecar import LARGEST, Input, Made, Sidecar, read_sidecar
from airflow_provider_kling.storage.store import Store
from airflow_provider_kling.uploads.payload_files import attached
from airflow_provider_kling.uploads.source_files import stage


def described(**facts):
    usual = {
        "request_id": "abc", "index": 0, "file": "a.png", "size": 1, "type": "image/png", "sha256": "", "dag_id": "d",
        "run_id": "r", "task_id": "t", "map_index": -1, "stored_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return Sidecar.model_validate({**usual, **facts})


@pytest.mark.attack("A folder above a file becomes a link between the check and the opening", "it is not followed")
@pytest.mark.parametrize("part", ["in", "in/sub", "in/sub/a.png"])
def test_no_part_of_a_real_path_is_followed_as_a_link(tmp_path, part):
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/sub/a.png").write_bytes(b"secret")
    real = str(tmp_path / "in/sub/a.png")
    with open_real(real) as file:
        assert file.read() == b"secret"
    (tmp_path / part).rename(tmp_path / "moved")
    (tmp_path / part).symlink_to(tmp_path / "moved")
    with pytest.raises((OSError, UnfitFileError)):
        open_real(real)


@pytest.mark.parametrize("kind", ["pipe", "device", "directory", "link"])
def test_what_is_no_ordinary_file_is_not_opened(tmp_path, kind):
    path = tmp_path / "a.json"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path = "/dev/zero"
        case "directory":
            path.mkdir()
        case "link":
            (tmp_path / "b.json").write_bytes(described().to_json())
            path.symlink_to(tmp_path / "b.json")
    with pytest.raises(UnfitFileError, match=kind), opened(LocalFileSystem(), str(path)):
        pass
    assert read_sidecar(LocalFileSystem(), str(path)) is None


def test_a_folder_that_may_be_passed_but_not_listed_is_no_hindrance(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(b"x")
    (tmp_path / "in").chmod(0o111)
    with open_real(str(tmp_path / "in/a.png")) as file:
        assert file.read() == b"x"
    (tmp_path / "in").chmod(0o755)


@pytest.mark.attack("A description of more than 1 MiB, on a disk or in an object store", "it is none")
@pytest.mark.parametrize("fs", [LocalFileSystem(), MemoryFileSystem()], ids=["disk", "object store"])
def test_a_description_has_at_most_1_mib(tmp_path, fs):
    path = str(tmp_path / "a.json")
    fs.makedirs(str(tmp_path), exist_ok=True)
    document = described().to_json()
    fs.pipe_file(path, document + b" " * (LARGEST - len(document)))
    assert read_sidecar(fs, path) == described()
    fs.pipe_file(path, document + b" " * (LARGEST + 1 - len(document)))
    assert read_sidecar(fs, path) is None
    assert read_sidecar(fs, str(tmp_path / "b.json")) is None


@pytest.mark.parametrize("file", ["../a.png", "/etc/passwd", "b/a.png", "..\\a.png", "..", ".", ""])
def test_a_description_names_a_file_beside_it_alone(tmp_path, file):
    path = tmp_path / "a.json"
    path.write_bytes(described().model_copy(update={"file": file}).to_json())
    assert read_sidecar(LocalFileSystem(), str(path)) is None


def test_a_description_is_never_larger_than_what_is_read():
    large = {"prompt": "x" * LARGEST}
    far = Input(field="a", url="https://a.b/c.png", made=Made(request_id="b", payload=large))
    near = described(inputs=[far], payload={"prompt": "p"}).fitted()
    assert (near.inputs, near.payload) == ((Input(field="a", url="https://a.b/c.png"),), {"prompt": "p"})
    assert len(described(payload=large).fitted().to_json()) < LARGEST
    assert described(payload={"prompt": "p"}).fitted().payload == {"prompt": "p"}


@pytest.mark.attack("A payload names thousands of files", "it is refused unread")
def test_a_payload_names_at_most_64_files(tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(65)]
    with (
        pytest.raises(KlingPayloadError, match="names 65 files, at most 64"),
        attached(Request("kling-99", {"images": files}, None), {"images": files}),
    ):
        pass


def test_a_file_is_read_where_it_really_is(tmp_path):
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026/a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "latest").symlink_to(tmp_path / "2026")
    for source in (f"{tmp_path}/latest/a.png", f"/{tmp_path}/latest/a.png", f"file:///{tmp_path}/latest/a.png"):
        staged = stage(source)
        staged.copy.close()
        assert staged.source == source
        assert staged.place == f"{tmp_path}/2026/a.png"
        assert staged.sha256 == hashlib.sha256(b"\x89PNG\r\n\x1a\n").hexdigest()


class Log:
    """What a task's logger was told."""

    def __init__(self):
        self.lines = []

    def warning(self, line, *parts):
        self.lines.append(line % parts)


class Rows:
    """Stands for the hook: a history in which each job was made of what the others made."""

    def __init__(self, links):
        self.links, self.asked = links, []

    def find_row(self, request_id, **_):
        from airflow_provider_kling.segmind.history import HistoryRow

        self.asked.append(request_id)
        return HistoryRow.model_validate({"request_id": request_id, "request_body": {"image_urls": self.links}})


@pytest.mark.attack("A history in which thirty jobs were each made of what all others made", "50 looks at the most")
def test_jobs_that_were_made_of_each_other_take_a_bounded_number_of_looks():
    links = {f"https://a.b/{number}.png": {"request_id": str(number)} for number in range(30)}
    hook = Rows(list(links))
    made = describe(
        {"request_id": "x"}, "https://a.b/x.png", None, Lineage(hook, {}, links), payload={"a": list(links)}
    )
    assert len(made.inputs) == 30
    assert len(hook.asked) == len(set(hook.asked)) <= 30
    assert len(made.model_dump_json()) < 1024**2


@pytest.mark.parametrize(
    "known", ["text", {"path": 7}, {"sidecar": 7}, {"sidecar": "nosuch://a/b.json"}, {"sha256": [1]}]
)
def test_what_a_task_told_of_a_file_costs_no_description(known):
    log, link = Log(), "https://a.b/c.png"
    made = describe({"request_id": "x"}, link, None, Lineage(None, {link: known}, {}, None, log), payload={"a": link})
    assert made.inputs == (Input(field="a", url=link),)
    assert log.lines


def test_a_saved_files_description_is_told_by_its_real_path(tmp_path):
    (tmp_path / "2026").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "2026")
    folder = Folder.of(Store(f"{tmp_path}/latest"))
    assert folder.real(f"file://{tmp_path}/latest/a.json") == f"file://{tmp_path}/2026/a.json"
    assert folder.real("s3://my_aws@bucket/a.json") == "s3://my_aws@bucket/a.json"


@pytest.mark.parametrize("written", ["//data/clips", "file:////data/clips"])
def test_two_slashes_before_a_folder_are_one(written):
    assert Store(written).folder().path == "/data/clips"
    assert Store(written).checked(written, None).destination.endswith(("/data/clips", "file:///data/clips"))
    assert folder_asset(written).uri == "file:///data/clips"


@pytest.mark.attack("A link in a folder is named as the author's own pattern, *.png", "it is not followed")
def test_a_link_that_is_named_as_the_pattern_is_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(b"")
    pattern = f"{tmp_path}/in/*.png"
    written = Named(pattern, is_pattern=True)
    assert Named(pattern).refusal(written, UPLOAD_ALLOWED_PATHS) is None
    (tmp_path / "in/*.png").symlink_to(tmp_path / "secret.png")
    assert "a link leads out" in Named(pattern).refusal(written, UPLOAD_ALLOWED_PATHS)
    with pytest.raises(UnfitFileError, match="lies in no folder"):
        stage(pattern, written=written)
