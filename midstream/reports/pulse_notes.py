"""What pulses on kept connections met, in a sentence: whether it matters depends on the clients."""

from midstream.checks.check import seconds
from midstream.checks.reachability import kept_silence, pulses_of
from midstream.cohorts import NS_PER_S
from midstream.dark import was_answered
from midstream.run import Run


def pulse_notes(run: Run) -> tuple[str, ...]:
    """The longest silence on kept connections after a cutover, with how the pulses in it ended."""
    if not run.timeline.cutovers:
        return ()
    silence = kept_silence(run)
    if not silence.least_ns:
        return ()
    within = (
        pulse
        for pulse in pulses_of(run, fresh=False)
        if silence.from_ns <= pulse.opened_ns <= silence.from_ns + silence.least_ns
    )
    endings = sorted({pulse.ending.value for pulse in within if not was_answered(pulse)})
    since_s = (silence.from_ns - run.timeline.cutovers[0].at.seen_ns) / NS_PER_S
    return (
        f"clients that keep their connections got no answer for {seconds(silence.least_ns)} "
        f"({', '.join(endings)}, from T8 {since_s:+.1f} s); --max-kept-blackout SECONDS makes it a check",
    )
