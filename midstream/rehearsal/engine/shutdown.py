"""How the server ends after SIGTERM: vLLM's ways, and one of other servers."""

import asyncio
import logging
import signal
import socket
from types import FrameType
from typing import assert_never

import uvicorn

from midstream.rehearsal.engine.app import Application
from midstream.rehearsal.engine.defects import Defects
from midstream.rehearsal.engine.keep_alive import StaleKeepAlive
from midstream.rehearsal.engine.options import OnSigterm, Options
from midstream.rehearsal.engine.outbox import Break
from midstream.rehearsal.engine.scheduler import Scheduler
from midstream.rehearsal.engine.texts import Texts

log = logging.getLogger("engine")


class EngineServer(uvicorn.Server):
    """Uvicorn, with loading before it and vLLM's shutdown in place of its own. The exit code is always 0.

    Once `should_exit` is set, uvicorn closes idle connections and waits for the others, as it does in vLLM:
    streams that hang keep the process alive until their clients let go or SIGKILL comes.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._scheduler = Scheduler(
            slots=options.max_num_seqs, tokens_per_second=options.tokens_per_second, ttft_s=options.ttft_s
        )
        self._defects = Defects(options)
        self._texts = Texts(options, self._scheduler, self._defects, on_idle=self._end)
        self._terminating = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                Application(options, self._scheduler, self._texts),
                host=options.host,
                port=options.port,
                loop="asyncio",
                # httptools is vLLM's choice, hence its bytes
                http=StaleKeepAlive if options.stale_keep_alive else "httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load, then bind the port: a vLLM that is not ready refuses connections."""
        if self._options.load_s:
            log.info("loading for %g s", self._options.load_s)
            await self._load()
        if self._options.from_usr1:
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._defects.begin)
        if not self.should_exit:
            await super().startup(sockets)

    async def _load(self) -> None:
        try:
            await asyncio.wait_for(self._terminating.wait(), self._options.load_s)
        except TimeoutError:
            return

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """A signal came. It is not recorded, because uvicorn would raise it again and exit by it."""
        asyncio.get_running_loop().call_soon_threadsafe(self._terminate, sig)

    def _terminate(self, sig: int) -> None:
        if self._terminating.is_set():
            self.force_exit = sig == signal.SIGINT  # a person who presses Ctrl-C twice means it
            return
        self._terminating.set()
        timeout_s = self._options.shutdown_timeout_s
        name = signal.Signals(sig).name
        log.info("%s: %d texts open, shutdown timeout %g s", name, self._texts.open, timeout_s)
        if not self.started:
            self._end()
        elif timeout_s:
            self._texts.drain()
            asyncio.get_running_loop().call_later(timeout_s, self._give_up)
        else:
            self._close_port()
            self._texts.drain()
            self._break_texts()
            self._end()

    def _break_texts(self) -> None:
        how = self._options.on_sigterm
        match how:
            case OnSigterm.ABORT:
                self._scheduler.abort()
            case OnSigterm.HANG:
                self._scheduler.freeze()
            case OnSigterm.ERROR:
                self._scheduler.break_off(Break.ERROR)
            case OnSigterm.CUT:
                self._scheduler.break_off(Break.CUT)
            case _:
                assert_never(how)

    def _give_up(self) -> None:
        """The time to drain is over: what is still open goes silent (`drain-deadline-hang`)."""
        if not self.should_exit:
            log.info("shutdown timeout over: %d texts open", self._texts.open)
            self._scheduler.freeze()
            self._close_port()
            self._end()

    def _close_port(self) -> None:
        for server in self.servers:
            server.close()

    def _end(self) -> None:
        self.should_exit = True
