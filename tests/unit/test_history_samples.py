"""The replies of the first step are kept however long a run goes on: later ones are compared with them."""

from __future__ import annotations

from ftui.runs.history import History


def sample(step: int, prompt: str) -> dict[str, object]:
    return {"type": "sample", "step": step, "prompt": prompt, "reply": f"{prompt} at {step}"}


def test_the_first_replies_and_the_newest_are_kept_and_no_more_than_some():
    history = History()
    history.feed(sample(step, prompt) for step in range(400) for prompt in "abcd")
    steps = [event["step"] for event in history.samples]
    assert steps[:4] == [0, 0, 0, 0]
    assert steps[-1] == 399
    assert steps == sorted(steps)
    assert len(steps) == history.samples.maxlen


def test_of_more_prompts_than_can_be_kept_the_newest_stay():
    history = History()
    history.feed(sample(0, str(number)) for number in range(1000))
    assert history.samples[-1]["prompt"] == "999"
    assert len(history.samples) == history.samples.maxlen
