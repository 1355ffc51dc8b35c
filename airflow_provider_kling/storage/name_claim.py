"""The claim to a file's name: the description beside it says whose it is, and is written before the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.errors import KlingNameTakenError
from airflow_provider_kling.storage.sidecar import bare, read_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.storage.folder import Folder
    from airflow_provider_kling.storage.sidecar import Sidecar


@dataclass(frozen=True, slots=True)
class Owner:
    """
    The task instance that a file belongs to, by the names of its description.

    :param loop: the iteration, where the task is in a Task Loop (Airflow 3.4).
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    loop: int | None = None

    @classmethod
    def of(cls, context: Context) -> Owner:
        """Return the running task instance."""
        ti, loop = context["ti"], _loop(context)
        return cls(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index, loop)

    def saved(self, there: Sidecar) -> bool:
        """Whether it has saved the file that is described."""
        return self == Owner(there.dag_id, there.run_id, there.task_id, there.map_index, there.loop)


@dataclass(frozen=True, slots=True)
class NameClaim:
    """
    Claims names for the files of one job.

    A name is free for a job if nothing has it, if the job's own file has it, or if the same task instance has saved a
    file of another job under it: the task was cleared, so the new file replaces that one.

    :param folder: where they are.
    :param owner: the task instance that saves them.
    :param request_id: the job; None before it is submitted.
    :param way_out: what a person can do about a name that is taken.
    """

    folder: Folder
    owner: Owner
    request_id: str | None
    way_out: str

    def refuse_taken(self, sidecar: str, targets: Iterable[str]) -> None:
        """
        Refuse a name that is taken, as far as can be seen before there is a file.

        :param sidecar: the path of the description.
        :param targets: the paths that the file may get; without a description none of them may exist.
        :raises KlingNameTakenError: the name is another's.
        """
        if self._look(sidecar, index=0) is None:
            for target in targets:
                if self.folder.fs.exists(target):
                    raise self._undescribed(target)

    def make(self, sidecar: str, target: str, description: Sidecar, there: Sidecar | None) -> None:
        """
        Write the description; of two jobs that want one name at once, one gets it.

        :param target: the file's own name; the file comes after this.
        :param there: the description under the name, which is this job's or one that it may replace.
        :raises KlingNameTakenError: it is another's.
        """
        from airflow_provider_kling.storage.partial_file import create, replace, storing

        document, fs = description.to_json(), self.folder.fs
        with storing(sidecar):
            if there is not None:
                if target.rpartition("/")[2] != there.file and fs.exists(target):
                    raise self._undescribed(target)
                replace(fs, sidecar, document)
                return
            try:
                create(fs, sidecar, document)
            except FileExistsError:
                # An empty one was left by a task that died as it wrote it, before there was a file.
                if self._look(sidecar, description.index, description.url) is None and fs.exists(target):
                    raise self._undescribed(target) from None
                replace(fs, sidecar, document)
                return
            if fs.exists(target):  # although the name was free a moment ago
                fs.rm_file(sidecar)
                raise self._undescribed(target)

    def is_own(self, there: Sidecar, index: int, link: str | None) -> bool:
        """
        Whether it describes this output of this job.

        A request id alone is no proof: what a task was told to save may name anybody's.

        :param link: of the file.
        """
        return there.is_of(self.request_id, index) and (self.owner.saved(there) or bare(link or "") == there.url)

    def refuse_foreign(self, there: Sidecar, index: int, sidecar: str, link: str | None) -> None:
        """
        Refuse a name unless it is this output's, or the same task instance gave it to another job's file.

        :param link: of the file; None before it is known.
        :raises KlingNameTakenError: it is another's.
        """
        if not self.is_own(there, index, link) and not self.is_former(there):
            raise KlingNameTakenError(
                f"The name {self.folder.url(sidecar).removesuffix('.json')!r} belongs to output {there.index} of "
                f"request {there.request_id} (task {there.task_id} of run {there.run_id}, DAG {there.dag_id}). It is "
                f"left as it is. {self.way_out}"
            )

    def is_former(self, there: Sidecar) -> bool:
        """Whether the same task instance saved it for another job, before it was cleared."""
        return there.request_id != self.request_id and self.owner.saved(there)

    def _look(self, sidecar: str, index: int, link: str | None = None) -> Sidecar | None:
        """Return the description under a name, if the name is free; refuse other content, unless it is empty."""
        there = read_sidecar(self.folder.fs, sidecar)
        if there is not None:
            self.refuse_foreign(there, index, sidecar, link)
        elif self.folder.fs.exists(sidecar) and not self._is_empty_file(sidecar):
            raise KlingNameTakenError(
                f"{self.folder.url(sidecar)} is there already, and it is not the description of a file. {self.way_out}"
            )
        return there

    def _is_empty_file(self, path: str) -> bool:
        found = self.folder.fs.info(path)
        return found["type"] == "file" and not found["size"]

    def _undescribed(self, target: str) -> KlingNameTakenError:
        return KlingNameTakenError(
            f"{self.folder.url(target)} is there already, and nothing beside it says whose it is. {self.way_out}"
        )


def _loop(context: Context) -> int | None:
    loop: Any = context.get("loop")  # from Airflow 3.4 on
    return None if loop is None else int(loop.index)
