"""Whose a name is: the description that stands under it says so, and it comes before the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.errors import KlingNameTakenError
from airflow_provider_kling.storage.lineage import read_sidecar

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsspec import AbstractFileSystem

    from airflow_provider_kling.storage.sidecar import Sidecar


@dataclass(frozen=True, slots=True)
class Claim:
    """
    Claims names for the files of one job.

    :param fs: where they are.
    :param request_id: the job.
    :param url: turns a path into what messages show.
    """

    fs: AbstractFileSystem
    request_id: str
    url: Callable[[str], str]

    def make(self, sidecar: str, target: str, description: Sidecar, *, renew: bool) -> None:
        """
        Put the description in its place; of two jobs that want one name at once, one gets it.

        :param target: the file's own name; the file comes after this.
        :param renew: the name is this job's already.
        :raises KlingNameTakenError: it is another's.
        """
        from airflow_provider_kling.storage.part import create, storing

        document = description.to_json()
        with storing(sidecar):
            if renew:
                self.fs.pipe_file(sidecar, document)
                return
            try:
                create(self.fs, sidecar, document)
            except FileExistsError:
                self._take_over(sidecar, description.index)
                self.fs.pipe_file(sidecar, document)
                return
            if self.fs.exists(target):  # although the name was nobody's a moment ago
                self.fs.rm_file(sidecar)
                raise KlingNameTakenError(
                    f"{self.url(target)} is there already, and nothing beside it says whose it is. {self._way_out()}"
                )

    def refuse_foreign(self, there: Sidecar, index: int, sidecar: str) -> None:
        """
        Go on only with a name that is this output's.

        :raises KlingNameTakenError: it is another's.
        """
        if not there.is_of(self.request_id, index):
            raise KlingNameTakenError(
                f"The name {self.url(sidecar).removesuffix('.json')!r} belongs to output {there.index} of request "
                f"{there.request_id} (task {there.task_id} of run {there.run_id}). It is left as it is. "
                f"{self._way_out()}"
            )

    def _take_over(self, sidecar: str, index: int) -> None:
        """Refuse what stands where the description should, unless it is this job's own or nothing at all."""
        there = read_sidecar(self.fs, sidecar)
        if there is not None:
            self.refuse_foreign(there, index, sidecar)
        elif self.fs.size(sidecar):
            raise KlingNameTakenError(
                f"{self.url(sidecar)} is there already, and it is not the description of a file. {self._way_out()}"
            )

    def _way_out(self) -> str:
        return (
            "Move it away, or put {request_id} or another placeholder into name=; then clear this task: it fetches the "
            f"file of request {self.request_id} and pays nothing."
        )
