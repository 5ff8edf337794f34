"""One connection of the web server: how long its client may take, and how it becomes a stream without a thread.

A stream's thread sends the headers, hands the connection to a listener of the hub (``handing_over``) and is free.
From then on whoever has something to tell rings: the hub, or a page's thread for one who has much to catch up with.
A client that does not take what was sent is told nothing more until it does; its listener goes on where it was.
"""

import threading
import time
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.task import ErrorTask, WSGITask

from keepfit.web.hub import Listener
from keepfit.web.security import HEADERS

REQUEST_S, IDLE_S, UNREAD_S = 20.0, 30.0, 60.0
"""For a request to arrive whole; for the next one to begin; for a client to take anything of its answer."""
TASK = "keepfit.task"
"""Under which name a request's environment holds its task."""


class _RefusalTask(ErrorTask):
    """What is no request at all is answered in plain words, with the headers of every other answer."""

    def execute(self) -> None:
        error = self.request.error
        said = f"{error.reason}: {error.body}\n".encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "text/plain; charset=utf-8"), *HEADERS.items()]
        self.set_close_on_finish()
        self.content_length = len(said)
        self.write(said)


class _Task(WSGITask):
    """One request. If its answer is a listener, it lasts as long as that listens."""

    listener: Listener | None = None

    def get_environment(self) -> dict[str, Any]:
        """What the application gets to know."""
        return super().get_environment() | {TASK: self}  # type: ignore[no-any-return]

    def finish(self) -> None:
        """The end of the answer, or for a stream its beginning."""
        if self.listener is None:
            super().finish()
            return
        try:
            self.write(b"")  # the headers
        except ClientDisconnected:
            self.listener.close()
            raise
        self.close_on_finish = False
        self.channel.listen(self, self.listener)

    def end(self) -> None:
        """The end of a stream."""
        super().finish()


def handing_over(app: WSGIApplication) -> WSGIApplication:
    """``app``, whose streams are handed to their tasks."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        found = app(environ, start_response)
        if not isinstance(found, Listener):
            return found
        environ[TASK].listener = found
        return ()

    return answer


class Channel(HTTPChannel):
    """One connection, which knows since when it waits for the rest of a request, and what it listens to."""

    task_class = _Task
    error_task_class = _RefusalTask
    waits_since = 0.0
    """When the request that is not whole yet began; 0 between two of them."""
    stream: _Task | None = None
    listener: Listener | None = None

    def received(self, data: bytes) -> bool:
        """Some bytes of a request, or of several."""
        if self.listener is not None:  # it was told that there is no next one
            return False
        taken: bool = super().received(data)
        self.waits_since = 0.0 if self.request is None else self.waits_since or time.time()
        return taken

    def listen(self, stream: _Task, listener: Listener) -> None:
        """Be told what ``listener`` hears, from now on."""
        self.stream, self.listener = stream, listener
        self._turn, self._rung = threading.Lock(), False
        listener.ring = self.ring
        self.ring()
        if not self.connected:  # it hung up before anybody knew that it listens
            listener.close()

    def ring(self) -> None:
        """Send what there is to be told; called from any thread, and while another one is sending."""
        self._rung = True
        while self._rung and self._turn.acquire(blocking=False):
            try:
                self._rung = False
                if not self.total_outbufs_len:  # else its reader is slow: when it has taken that, or at the next beat
                    self._send()
            finally:
                self._turn.release()

    def _send(self) -> None:
        assert self.stream is not None
        assert self.listener is not None
        try:
            if told := b"".join(self.listener.take()):
                self.stream.write(told)
            if self.listener.ended:
                self.stream.end()
        except ClientDisconnected:
            self.listener.close()
        except Exception:
            self.listener.close()
            self.will_close = True
            self.server.pull_trigger()
            raise
        else:
            if self.listener.ended:
                self.listener.close()
                self.close_when_flushed = True
                self.server.pull_trigger()
            elif self.listener.more:
                self._go_on()

    def handle_write(self) -> None:
        """The socket takes something again."""
        with self.outbuf_lock:  # waitress takes it that nobody else writes where there is no request, but a stream's do
            super().handle_write()
        self._go_on()

    def _go_on(self) -> None:
        """Have a page's thread send more to one who has not heard all and has taken what was sent."""
        if self.listener is not None and self.listener.more and not self.total_outbufs_len:
            self.server.add_task(self)

    def service(self) -> None:
        """Answer a request, or go on with a stream."""
        if self.listener is None:
            super().service()
        else:
            self.ring()

    def handle_close(self) -> None:
        """The connection is at its end."""
        super().handle_close()
        if self.listener is not None:
            self.listener.close()

    def overdue(self, now: float) -> bool:
        """Whether its client has had its time."""
        if self.total_outbufs_len:
            return bool(now - self.last_activity > UNREAD_S)
        if self.busy:  # a stream may last for ever
            return False
        if self.waits_since:
            return now - self.waits_since > REQUEST_S
        return bool(now - self.last_activity > IDLE_S)

    @property
    def busy(self) -> bool:
        """Whether it is being answered."""
        return bool(self.requests) or self.listener is not None
