"""A trainer's outside without its inside: the same files, requests and exit codes, no model.

`python fake_trainer.py STEPS [TRAIT...]`, started by the supervisor like the real one. Traits:
loading  stays in its load stage until asked to stop        deaf     ignores requests and SIGTERM
worker   starts a child that would outlive it               slow     takes a fifth of a second a step
fail     ends with a failure event                          raise    ends with a traceback
mute     ends well without an `end` event                   blank    prints and writes nothing at all
starting, training, evaluating, saving: stays in that phase, after step 7 but for the first, until asked to stop
or until there is a file `go` in the run directory
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ftui.runs.rundir import EXIT_FAILED, EXIT_FINISHED, EXIT_STOPPED, EventWriter, RunDir

_HELD_STEP = 7


def main() -> int:
    steps, traits = int(sys.argv[1]), set(sys.argv[2:])
    rundir = RunDir(Path(os.environ["FTUI_RUN_DIR"]))
    if "deaf" in traits:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "worker" in traits:
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    if "blank" in traits:
        time.sleep(1000)
    done = max((int(path.name.partition("-")[2]) for path in rundir.checkpoints.glob("step-*")), default=0)
    events = EventWriter(rundir)
    events.emit("attempt", pid=os.getpid(), resumed_from=f"step-{done}" if done else "", step=done)
    if "raise" in traits:
        raise RuntimeError("the model went away")
    while "loading" in traits:
        events.emit("heartbeat", stage="load")
        if "stop" in rundir.requests() and "deaf" not in traits:
            events.emit("end", outcome="stopped", step=0, message="", hint="", adapter="")
            return EXIT_STOPPED
        time.sleep(0.02)
    if "starting" in traits:
        hold(rundir, events, "load")
    events.emit("plan", steps=steps, epochs=1, batch_size=1, micro_batch=1, tokens_per_step=10)
    for step in range(done + 1, steps + 1):
        time.sleep(0.2 if "slow" in traits else 0.01)
        loss = 1 / step
        figures = {"step": step, "steps": steps, "loss": loss, "tokens_per_second": 100.0}
        events.emit("step", **figures, learning_rate=1e-4, grad_norm=1.0, num_tokens=step, step_time=0.01)
        rundir.write_status(stage="train", **figures)
        if step == _HELD_STEP and "training" in traits:
            hold(rundir, events, "train")
        if step == _HELD_STEP and "evaluating" in traits:
            events.emit("progress", stage="evaluate", done=1, total=9, unit="rows", note="")
            hold(rundir, events, "evaluate")
            events.emit("eval", step=step, eval_loss=loss, eval_seconds=0.1)
        if step == _HELD_STEP and "saving" in traits:
            half = rundir.checkpoints / f".saving-step-{step}"
            half.mkdir(parents=True)
            (half / "optimizer.pt").write_bytes(b"half of")
            hold(rundir, events, "checkpoint")
            half.rename(rundir.checkpoints / f"step-{step}")
        if step % 5 == 0:
            save(rundir, events, step)
        if "fail" in traits and step == 3:
            events.emit(
                "end", outcome="failed", step=step, message="loss is not a number", hint="", adapter=""
            )
            return EXIT_FAILED
        if "stop" in rundir.requests() and "deaf" not in traits:
            events.emit("stopping", reason="asked to")
            save(rundir, events, step)
            events.emit("end", outcome="stopped", step=step, message="", hint="", adapter="")
            return EXIT_STOPPED
    if "mute" not in traits:
        rundir.adapter.mkdir()
        events.emit("end", outcome="finished", step=steps, message="", hint="", adapter=str(rundir.adapter))
    return EXIT_FINISHED


def hold(rundir: RunDir, events: EventWriter, stage: str) -> None:
    while not (rundir.path / "go").exists() and "stop" not in rundir.requests():
        events.emit("heartbeat", stage=stage)
        rundir.write_status(stage=stage)
        time.sleep(0.02)


def save(rundir: RunDir, events: EventWriter, step: int) -> None:
    (rundir.checkpoints / f"step-{step}").mkdir(parents=True, exist_ok=True)
    (rundir.checkpoints / f"step-{step}" / "complete").touch()
    events.emit("checkpoint", step=step, path=f"checkpoints/step-{step}", bytes=0, seconds=0.0, best=False)


if __name__ == "__main__":
    sys.exit(main())
