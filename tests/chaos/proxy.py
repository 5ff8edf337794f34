"""A TCP proxy between one process and the queue server, whose line can be cut, dropped or slowed.

    proxy = Proxy(server_port).start()
    proxy.black_hole()        # bytes are held back, as when a cable is out; nobody is told
    proxy.reset()             # every connection is reset, and each new one too
    proxy.delay(0.2)          # each block of bytes comes late
    proxy.heal()

Runs in a thread of its own. After a black hole the bytes that were held back go through, as TCP
would send them again.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Self

BLOCK = 65_536
_LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER: close sends a reset."""


class Proxy:
    """Listens on a free port and passes bytes to ``target`` on 127.0.0.1."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._open = asyncio.Event()
        self._open.set()
        self._closing = asyncio.Event()
        self._refusing, self._late_s = False, 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def start(self) -> Self:
        """Listen."""
        self._thread.start()
        self._do(self._listen())
        return self

    def heal(self) -> None:
        """Pass everything again."""
        self._do(self._set(open_=True))

    def black_hole(self) -> None:
        """LeaseState all bytes back, of old connections and new ones."""
        self._do(self._set(open_=False))

    def reset(self) -> None:
        """Reset every connection, and each new one until ``heal``."""
        self._do(self._set(open_=True, refusing=True))

    def delay(self, seconds: float) -> None:
        """Pass each block ``seconds`` late."""
        self._do(self._set(open_=True, late_s=seconds))

    def close(self) -> None:
        """Drop all connections and end the thread."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _set(self, open_: bool, refusing: bool = False, late_s: float = 0.0) -> None:
        self._refusing, self._late_s = refusing, late_s
        if open_:
            self._open.set()
        else:
            self._open.clear()
        if refusing:
            self._drop_all()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        self._refusing = True
        self._closing.set()
        self._open.set()
        self._drop_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _drop_all(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        finally:
            self._writers.discard(writer)
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        if self._refusing:
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:  # the server is down, so the caller sees its connection fail
            return
        self._writers.add(back)
        try:
            pumps = [asyncio.ensure_future(self._pump(reader, back)), asyncio.ensure_future(self._pump(there, writer))]
            _, left = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in left:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._writers.discard(back)
            _reset(back)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # either side may vanish at any time; then this pump ends
            while block := await reader.read(BLOCK):
                await self._open.wait()
                if self._late_s:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._closing.wait(), self._late_s)
                writer.write(block)
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    if writer.is_closing():
        return
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):  # closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()
