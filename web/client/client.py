"""The Python API: everything that the pages can do, over HTTP.

    with Client("http://127.0.0.1:8080") as keepfit:
        job = keepfit.submit({"name": "first", "data": {"name": "mnist-5k"}})
        job = keepfit.wait(job.id)
        keepfit.download(job.id, "model.keras", Path("first.keras"))

Knows the JSON API only, so it works from another machine too. While the service is being started
again, calls are tried again for some seconds: each may safely be made twice, a submit because it
carries an idempotency key.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from keepfit.shared.actors import VIA, How
from keepfit.shared.errors import KeepfitError
from keepfit.shared.jobs.states import ENDS, JobState

PAGE_SIZE = 200
"""Jobs that one answer brings; the most that the API gives."""
RESTING = ENDS | {JobState.PAUSED}
"""States in which nothing happens by itself."""
AGAIN_S = 0.25
"""Between two tries, and between two looks at a job."""


T = TypeVar("T")


class ServiceUnreachable(KeepfitError):
    """No Keepfit answers at the address."""


class WrongAddress(KeepfitError):
    """What was given as an address is none."""


class RequestRefused(KeepfitError):
    """Keepfit has answered with an error; the message is its own."""

    def __init__(self, message: str, status: int, fields: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.fields = fields
        """What is wrong with each field of a spec."""


@dataclass(frozen=True)
class Job:
    """A job as it was at the moment of asking."""

    id: str
    name: str
    kind: str
    state: JobState
    attempt: int
    reason: str
    url: str
    progress: Mapping[str, Any]
    result: Mapping[str, Any]
    raw: Mapping[str, Any] = field(repr=False)
    """Everything that the API has said."""

    @property
    def recovering(self) -> bool:
        """Waits to go on after an attempt that was cut short."""
        return self.state is JobState.QUEUED and self.attempt > 0

    @property
    def metrics(self) -> Mapping[str, float]:
        """Final metrics on the test data; empty before the job has succeeded."""
        return self.result.get("metrics") or {}

    @property
    def weights_sha256(self) -> str:
        """The digest of the final weights; empty before the job has succeeded."""
        return str(self.result.get("weights_sha256") or "")


@dataclass(frozen=True)
class ServerEvent:
    """One event of a job's stream."""

    id: str
    type: str
    data: Mapping[str, Any]


class Client:
    """Speaks to one Keepfit."""

    def __init__(self, base_url: str, patience_s: float = 10.0, via: How = How.API) -> None:
        """``patience_s``: how long a call is tried again while nobody answers. Raises WrongAddress.

        ``via``: what speaks through this client, which is kept with what it does.
        """
        _check_address(base_url)
        self.base_url = base_url.rstrip("/")
        self.patience_s = patience_s
        timeout = httpx.Timeout(15.0, connect=3.0)
        self._http = httpx.Client(base_url=self.base_url, timeout=timeout, headers={VIA: via.value})

    def submit(self, spec: Mapping[str, Any] | BaseModel, key: str | None = None) -> Job:
        """Submit a job. The same ``key`` with the same spec is the same job, however often it is sent."""
        content = spec.model_dump(mode="json", exclude_unset=True) if isinstance(spec, BaseModel) else dict(spec)
        headers = {"Idempotency-Key": key or uuid.uuid4().hex, "Content-Type": "application/json"}
        # Not `json=`: that fails over nan and text that is none, of which the service says which field has it.
        return _read(self._call("POST", "/api/v1/jobs", content=json.dumps(content), headers=headers), _job)

    def job(self, job_id: str) -> Job:
        """The job as it is now."""
        return _read(self._call("GET", _path(job_id)), _job)

    def jobs(
        self, limit: int | None = 50, offset: int = 0, state: str | None = None, kind: str | None = None
    ) -> list[Job]:
        """The newest jobs, the latest first; with ``limit=None`` all of them.

        ``offset``: how many of the newest to pass over. ``state``, ``kind``: only such jobs, as in
        ``state="failed"``, ``kind="train"``.
        """
        return list(islice(self.each_job(offset, state, kind), limit))

    def each_job(self, offset: int = 0, state: str | None = None, kind: str | None = None) -> Iterator[Job]:
        """Every job, the newest first, fetched page by page as it is asked for."""
        asked = {name: value for name, value in (("state", state), ("kind", kind)) if value}
        while True:
            params = asked | {"limit": PAGE_SIZE, "offset": offset}
            answer = self._call("GET", "/api/v1/jobs", params=params)
            page = _read(answer, lambda content: [_job(raw) for raw in content["jobs"]])
            yield from page
            if len(page) < PAGE_SIZE:
                return
            offset += PAGE_SIZE

    def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """Wait until the job has ended or is paused. Raises TimeoutError."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (job := self.job(job_id)).state not in RESTING:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"job {job_id} is still {job.state} after {timeout_s:g} s")
            time.sleep(AGAIN_S)
        return job

    def pause(self, job_id: str) -> Job:
        """Have the job stop at a checkpoint."""
        return self._wish(job_id, "pause")

    def resume(self, job_id: str) -> Job:
        """Have a job go on that is paused, cancelled or failed."""
        return self._wish(job_id, "resume")

    def cancel(self, job_id: str) -> Job:
        """Give the job up."""
        return self._wish(job_id, "cancel")

    def prioritise(self, job_id: str, priority: int) -> Job:
        """Have the job wait before others (up to 9) or behind them (down to -9)."""
        return _read(self._call("POST", _path(job_id, "priority"), json={"priority": priority}), _job)

    def drill(self, job_id: str) -> None:
        """Have the job's worker kill itself, to see the job recover."""
        self._call("POST", _path(job_id, "drill"), json={})

    def evaluate(self, job_id: str, data: str | None = None, key: str | None = None) -> Job:
        """Measure the job's model on the data set ``data`` (by default its own); a job of its own."""
        body = {"data": {"name": data}} if data else {}
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return _read(self._call("POST", _path(job_id, "evaluations"), json=body, headers=headers), _job)

    def deletion(self, job_id: str) -> Mapping[str, Any]:
        """What deleting the job would take with it (``jobs``, ``bytes``, ``running``); nothing is changed."""
        return _read(self._call("GET", _path(job_id, "deletion")), dict)

    def delete(self, job_id: str, cancel: bool = False) -> Mapping[str, Any]:
        """Delete the job and its evaluations for good; ``cancel``: also if they run. Again: the same answer."""
        params = {"cancel": "true"} if cancel else {}
        return _read(self._call("DELETE", _path(job_id), params=params), dict)

    def history(self, job_id: str) -> Mapping[str, Any]:
        """The curves over all attempts."""
        return _read(self._call("GET", _path(job_id, "history")), dict)

    def health(self) -> Mapping[str, Any]:
        """How the service is."""
        return _read(self._call("GET", "/health"), dict)

    def download(self, job_id: str, name: str, target: str | os.PathLike[str]) -> Path:
        """Write ``model.keras`` or ``weights.h5`` of the job to ``target``; whole or not at all. Raises OSError."""
        target = Path(target)
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            with self._http.stream("GET", _path(job_id, "files", name)) as response:
                _check(response)
                with part.open("wb") as file:
                    for block in response.iter_bytes():
                        file.write(block)
            part.replace(target)
        except httpx.RequestError as exc:
            raise self._unreachable(exc) from exc
        finally:
            part.unlink(missing_ok=True)
        return target

    def events(self, job_id: str, after: str = "") -> Iterator[ServerEvent]:
        """What happens to the job: all of it from the beginning, or after the event ``after``. Never ends by itself."""
        seen, silent_since = after or "0", time.monotonic()
        while True:
            try:
                for event in self._stream(job_id, seen):
                    silent_since = time.monotonic()
                    seen = event.id or seen
                    yield event
            except httpx.RequestError as exc:
                if time.monotonic() - silent_since > self.patience_s:
                    raise self._unreachable(exc) from exc
            time.sleep(AGAIN_S)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def __enter__(self) -> Self:
        """Nothing connects yet."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Give the connections back."""
        self.close()

    def _wish(self, job_id: str, action: str) -> Job:
        return _read(self._call("POST", _path(job_id, action), json={}), _job)

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                response = self._http.request(method, path, **request)
            except httpx.RequestError as exc:
                if time.monotonic() > deadline:
                    raise self._unreachable(exc) from exc
                time.sleep(AGAIN_S)
                continue
            _check(response)
            return response

    def _stream(self, job_id: str, after: str) -> Iterator[ServerEvent]:
        # A living stream says something at least every second or two.
        timeout = httpx.Timeout(10.0, connect=3.0)
        headers = {"Last-Event-ID": after, "Accept": "text/event-stream"}
        with self._http.stream("GET", _path(job_id, "events"), headers=headers, timeout=timeout) as response:
            _check(response)
            yield from _parse(response.iter_lines())

    def _unreachable(self, exc: Exception) -> ServiceUnreachable:
        return ServiceUnreachable(
            "No Keepfit answers at {url} ({why}). Start it with `keepfit up`, or name its address with --url.",
            url=self.base_url,
            why=exc,
        )


def _check_address(url: str) -> None:
    try:
        found = httpx.URL(url)
        good = found.scheme in {"http", "https"} and bool(found.host) and (found.port or 1) <= 65_535
    except httpx.InvalidURL:
        good = False
    if not good:
        raise WrongAddress("{url} is not the address of a Keepfit; one looks like http://127.0.0.1:8080.", url=url)


def _path(job_id: str, *more: str) -> str:
    """The address of a job, or of a part of it."""
    if job_id in {"", ".", ".."} or "/" in job_id:  # quoting does not help: a server reads %2F as a slash
        raise RequestRefused(f"There is no job {job_id}.", 404, {})
    return "/".join(["/api/v1/jobs", *(quote(part, safe="", errors="replace") for part in (job_id, *more))])


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    response.read()
    try:
        error = response.json()["error"]
        message, fields = str(error["message"]), dict(error.get("fields") or {})
    except (ValueError, KeyError, TypeError):
        message, fields = _not_ours(response), {}
    raise RequestRefused(message, response.status_code, fields)


def _not_ours(response: httpx.Response) -> str:
    return f"{response.request.url} answers {response.status_code}; that is no Keepfit, or one being changed."


def _read(response: httpx.Response, form: Callable[[Any], T]) -> T:
    """What ``response`` says, in the form of ``form``. Raises RequestRefused for what no Keepfit of today says."""
    try:
        return form(response.json())
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise RequestRefused(f"{_not_ours(response)} Or it is of another version.", response.status_code, {}) from exc


def _job(raw: Mapping[str, Any]) -> Job:
    return Job(
        id=raw["id"],
        name=raw["name"],
        kind=raw["kind"],
        state=JobState(raw["state"]),
        attempt=raw["attempt"],
        reason=raw["reason"],
        url=raw["url"],
        progress=raw["progress"] or {},
        result=raw["result"] or {},
        raw=raw,
    )


def _parse(lines: Iterator[str]) -> Iterator[ServerEvent]:
    """The events in the lines of a text/event-stream."""
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if line == "":
            if "data" in found:
                kind = found.get("event", "message")
                yield ServerEvent(found.get("id", ""), kind, json.loads(found["data"]))
            found = {}
        elif name == "data" and "data" in found:
            found["data"] += "\n" + value.removeprefix(" ")
        elif name:
            found[name] = value.removeprefix(" ")
