"""The slots of the engine: who generates, who waits, when each next token is due."""

import asyncio
import heapq
import time
from collections import Counter, deque
from collections.abc import Iterable

from midstream.rehearsal.engine.outbox import Break, Outbox
from midstream.rehearsal.engine.sequence import Sequence


def due_ns(first_ns: int, position: int, tokens_per_second: float) -> int:
    """When the token at `position` (from 0) is due: computed from the first one, so errors do not add up."""
    return first_ns + int(position * 1e9 / tokens_per_second)


class Job:
    """One choice of one response, from its request to its end."""

    def __init__(self, sequence: Sequence, choice: int, outbox: Outbox) -> None:
        self.sequence = sequence
        self.choice = choice
        self.outbox = outbox
        self.first_ns = 0  # set when it gets a slot

    def block_count(self, block_size: int) -> int:
        """KV blocks it occupies."""
        return -(-(len(self.sequence.prompt_ids) + self.sequence.generated) // block_size)


class Scheduler:
    """Generates for at most `slots` jobs at a time, each at its own pace; the others wait in their order."""

    def __init__(self, *, slots: int, tokens_per_second: float, ttft_s: float) -> None:
        self.running: set[Job] = set()
        self.waiting: deque[Job] = deque()
        self.finished: Counter[str] = Counter()  # by finish_reason, for /metrics
        self.prompt_tokens = 0
        self.generated_tokens = 0
        self._slots = slots
        self._tokens_per_second = tokens_per_second
        self._ttft_ns = round(ttft_s * 1e9)
        self._due: list[tuple[int, int, Job]] = []
        self._serial = 0  # keeps the heap from comparing jobs
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._frozen = False

    def submit(self, jobs: Iterable[Job]) -> None:
        """Queue jobs; they start as slots allow."""
        self.waiting.extend(jobs)
        self._admit()

    def withdraw(self, jobs: Iterable[Job]) -> None:
        """Drop jobs that nobody waits for any more; vLLM counts them as `abort`."""
        for job in jobs:
            if not job.sequence.finished:
                job.sequence.abort()
                self._leave(job, "abort")
        self._admit()

    def abort(self) -> None:
        """End every job with finish_reason `abort`."""
        for job in [*self.running, *self.waiting]:
            job.outbox.put(job.choice, job.sequence.abort())
            self._leave(job, "abort")

    def break_off(self, how: Break) -> None:
        """End every response without a finish_reason."""
        for job in [*self.running, *self.waiting]:
            job.outbox.break_off(how)
        self.freeze()

    def freeze(self) -> None:
        """Generate nothing more, for anyone, and tell nobody."""
        self._frozen = True
        if self._timer is not None:
            self._timer.cancel()

    def _admit(self) -> None:
        while not self._frozen and self.waiting and len(self.running) < self._slots:
            job = self.waiting.popleft()
            job.first_ns = time.monotonic_ns() + self._ttft_ns
            self.running.add(job)
            self.prompt_tokens += len(job.sequence.prompt_ids)
            self._schedule(job)
        self._arm()

    def _schedule(self, job: Job) -> None:
        due = due_ns(job.first_ns, job.sequence.generated, self._tokens_per_second)
        self._serial += 1
        heapq.heappush(self._due, (due, self._serial, job))

    def _arm(self) -> None:
        """Have `_generate` called when the earliest token is due: one timer for all jobs.

        The loop fires up to 1 ms late (epoll's unit), so tokens of one millisecond share a call. Sharing more
        on purpose saved nothing: 160 streams x 20/s took 41 us of CPU an event, 44 on a grid of 2 ms.
        """
        if self._frozen or not self._due:
            return
        earliest_ns = self._due[0][0]
        if self._timer is not None:
            if self._timer_ns <= earliest_ns:
                return
            self._timer.cancel()
        self._timer_ns = earliest_ns
        self._timer = asyncio.get_running_loop().call_at(earliest_ns / 1e9, self._generate)

    def _generate(self) -> None:
        """One token for each job that is due: one even where several are, so that readers run in between."""
        self._timer = None
        now_ns = time.monotonic_ns()
        jobs = []
        while self._due and self._due[0][0] <= now_ns:
            jobs.append(heapq.heappop(self._due)[2])
        for job in jobs:
            if not job.sequence.finished:
                self._advance(job)
        self._admit()

    def _advance(self, job: Job) -> None:
        delta = job.sequence.step()
        self.generated_tokens += len(delta.token_ids)
        job.outbox.put(job.choice, delta)
        if delta.finish_reason is None:
            self._schedule(job)
        else:
            self._leave(job, delta.finish_reason)

    def _leave(self, job: Job, reason: str) -> None:
        self.finished[reason] += 1
        if job in self.running:
            self.running.remove(job)
        else:
            self.waiting.remove(job)
