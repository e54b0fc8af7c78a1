"""A checkpoint gives back what was saved, whatever the family; the right one is kept, and the right one is used."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from ftui.engine import checkpoint, loop, milestones, pack
from ftui.engine.adapter import attach, save_adapter
from ftui.engine.optim import page_again
from ftui.engine.train import main
from ftui.runs.rundir import EXIT_FAILED, EXIT_FINISHED, EXIT_STOPPED
from tests.engine.run_folder import events, losses, make_run
from tests.engine.stopping import stopped_after
from tests.engine.test_model import FAMILIES, load, recipe
from tests.tiny import make_tiny_model

pytestmark = pytest.mark.usefixtures("trainer_in_process")
torch.set_num_threads(1)


def finished(run):
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    return run


# These families' files name or cut some weights in another way than the model holds them.
@pytest.mark.parametrize("family", ["mixtral", "gpt-neox", "falcon"])
def test_a_whole_model_comes_back_bit_for_bit(family, tmp_path):
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(FAMILIES[family]).save_pretrained(tmp_path / "base")
    wanted = recipe(quantization={"bits": 16}, adapter={"method": "full"})
    trained, fresh = (attach(load(tmp_path / "base", wanted), wanted, tmp_path / "start") for _ in range(2))
    for parameter in trained.parameters():
        parameter.data += torch.randn_like(parameter) / 100
    save_adapter(trained, tmp_path / "saved", tmp_path / "base")
    checkpoint.load_weights(tmp_path / "saved", fresh)
    for (name, one), (_, other) in zip(trained.named_parameters(), fresh.named_parameters(), strict=True):
        assert torch.equal(one, other), name


def test_a_full_disk_is_said_to_be_full_where_torch_does_not(tmp_path, monkeypatch):
    def refused(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def save():
        with checkpoint.writing(tmp_path):
            torch.save(torch.zeros(1000), "/dev/full")

    with pytest.raises(checkpoint.NotSaved, match="inline_container"):  # there is room again by now
        save()
    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(checkpoint.NotSaved, match="the disk is full"):
        save()
    assert not list(tmp_path.iterdir())


def test_a_disk_that_has_become_read_only_is_said_to_be(tmp_path, monkeypatch):
    def refused(path, *arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(checkpoint.NotSaved, match="Read-only"), checkpoint.writing(tmp_path):
        torch.save(torch.zeros(1000), "/dev/full")


def test_the_newest_is_known_by_its_number_not_its_name(tmp_path):
    for step in (999_999, 1_000_000):
        folder = tmp_path / f"step-{step:06d}"
        folder.mkdir()
        (folder / "complete").touch()
    assert checkpoint.newest(tmp_path).name == "step-1000000"


def test_a_paged_optimizer_is_paged_again_after_a_resume():
    parameter = torch.nn.Parameter(torch.zeros(4))

    class Paged(torch.optim.SGD):
        is_paged = True

        def get_state_buffer(self, p, dtype):
            page = torch.zeros_like(p, dtype=dtype)
            page.is_paged = True
            return page

    optimizer = Paged([parameter])
    optimizer.state[parameter] = {"state1": torch.arange(4, dtype=torch.uint8), "step": 3}
    page_again(optimizer)
    state = optimizer.state[parameter]
    assert state["state1"].is_paged
    assert state["state1"].tolist() == [0, 1, 2, 3]
    assert state["step"] == 3


def test_an_evaluation_made_up_for_after_a_stop_can_still_be_the_best(tiny, tmp_path, monkeypatch):
    values = {
        "training": {"max_steps": 6},
        "evaluation": {"every": 3},
        "checkpoints": {"keep": 1},
    }
    run = make_run(tmp_path, tiny, values)
    measure = milestones.validation_sums

    def interrupted(parts, *arguments, **options):
        if parts.progress.step == 3:
            run.request("stop")
            options["tell"](0)
        return measure(parts, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(milestones, "validation_sums", interrupted)
        assert main([str(run.path)]) == EXIT_STOPPED
    run.clear("stop")
    with monkeypatch.context() as patched:  # from here on it only gets worse
        patched.setattr(
            milestones,
            "evaluation",
            lambda figures, counts, seconds: {"eval_loss": 1.0 + len(events(run, "eval"))},
        )
        finished(run)
    assert [event["step"] for event in events(run, "eval")] == [0, 3, 6]
    assert checkpoint.best(run.checkpoints).name == "step-000003"
    assert events(run, "end")[-1]["adapter_step"] == 6
    assert "lowest at step 3" in events(run, "notice")[-1]["message"]


def test_a_run_resumed_after_memory_ran_short_keeps_what_fitted(tiny, tmp_path, monkeypatch):
    expected = losses(finished(make_run(tmp_path / "enough", tiny)))
    run = make_run(tmp_path / "scarce", tiny)

    def scarce(documents, **options):
        if len(documents) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pack.collate(documents, **options)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "collate", scarce)
        stopped_after(run, 3, monkeypatch)
    finished(run)
    assert events(run, "plan")[-1]["micro_batch"] == 1
    assert losses(run) == pytest.approx(expected, rel=1e-5)


def test_rows_that_an_older_version_encoded_are_encoded_anew(tiny, tmp_path, monkeypatch):
    expected = losses(finished(make_run(tmp_path / "whole", tiny)))
    run = make_run(tmp_path / "older", tiny)
    stopped_after(run, 3, monkeypatch)
    cache = run.path / "cache"
    (tally,) = cache.glob("tally*.json")
    tally.rename(cache / "tally.json")
    (cache / "train" / "index.npz").write_bytes(b"of another version")
    finished(run)
    assert losses(run) == pytest.approx(expected, rel=1e-6)


def test_a_base_that_changed_under_a_run_is_refused(tmp_path, monkeypatch):
    base = make_tiny_model(tmp_path / "base")
    run = make_run(tmp_path / "run", base)
    stopped_after(run, 3, monkeypatch)
    make_tiny_model(base, seed=1)
    assert main([str(run.path)]) == EXIT_FAILED
    end = events(run, "end")[-1]
    assert "not those this run began with" in end["message"]
    assert str(base) in end["message"]


def test_a_base_without_a_chat_template_is_recorded_too(tmp_path):
    base = make_tiny_model(tmp_path / "base")
    for path in (base / "chat_template.jinja", base / "tokenizer_config.json"):
        if path.suffix == ".jinja":
            path.unlink(missing_ok=True)
        else:
            config = json.loads(path.read_text())
            config.pop("chat_template", None)
            path.write_text(json.dumps(config))
    values = {"training": {"objective": "pretrain", "max_steps": 1}}
    run = finished(make_run(tmp_path / "run", base, values, [{"text": "the quick brown fox " * 9}] * 9))
    manifest = json.loads(run.manifest_path.read_text())
    assert len(manifest["base_fingerprint"]) == 64
    assert manifest["base_path"] == str(base)
    assert manifest["template_sha256"] == ""
