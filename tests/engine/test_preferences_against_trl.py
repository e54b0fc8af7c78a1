"""dpo, orpo and kto give TRL's losses, figures and gradients on the same rows and the same model."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ftui.engine import preference_loss
from tests.engine.preference_folder import Ours, gradients, labelled, pairs
from tests.tiny import make_tiny_model

trl = pytest.importorskip("trl")
torch.set_num_threads(1)

# TRL counts all that follows the prompt, we up to the token that ends the turn: here these are the same.
CLOSED = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
UNITS = 6


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("trl") / "base", chat_template=CLOSED)


def theirs(kind, ours, rows, folder, **options):
    """Loss, logged figures and gradients of TRL's trainer on all rows as one batch.

    Its reference is the adapter it was given: the adapter moves after that.
    """
    from datasets import Dataset

    config = {"dpo": trl.DPOConfig, "kto": trl.KTOConfig}[kind]
    trainer = {"dpo": trl.DPOTrainer, "kto": trl.KTOTrainer}[kind](
        model=ours.model,
        args=config(
            output_dir=str(folder / "trl"),
            per_device_train_batch_size=len(rows),
            max_length=256,
            report_to=[],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_dropout=False,
            **options,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=ours.tokenizer,
    )
    batch = trainer.data_collator([trainer.train_dataset[n] for n in range(len(rows))])
    ours.move()
    ours.model.zero_grad()
    ours.model.train()
    loss = trainer._compute_loss(trainer.model, batch, False)
    loss.backward()
    loss = loss.detach()
    logged = {name: values[-1] for name, values in trainer._metrics["train"].items() if values}
    return float(loss), logged, gradients(ours.model)


def same(ours, others):
    loss, figures, grads = ours
    other_loss, other_figures, other_grads = others
    assert loss == pytest.approx(other_loss, abs=1e-5)
    assert figures["loss"] == pytest.approx(other_loss, abs=1e-5)
    for name in figures.keys() & other_figures.keys():
        assert figures[name] == pytest.approx(other_figures[name], abs=1e-4, rel=1e-5), name
    assert grads.keys() == other_grads.keys()
    for name, gradient in grads.items():
        assert torch.allclose(gradient, other_grads[name], atol=1e-5, rtol=1e-4), name
    assert any(float(gradient.abs().max()) > 1e-4 for gradient in grads.values())
    return figures.keys() & other_figures.keys()


def test_dpo(base, tmp_path):
    rows = pairs(UNITS)
    ours = Ours(base, tmp_path, "dpo", rows, beta=0.3)
    others = theirs("dpo", ours, rows, tmp_path, beta=0.3)
    compared = same(ours.loss(list(range(UNITS))), others)
    assert compared >= {
        "rewards/chosen",
        "rewards/rejected",
        "rewards/margins",
        "rewards/accuracies",
        "logps/chosen",
        "logps/rejected",
        "entropy",
        "mean_token_accuracy",
    }


def test_kto(base, tmp_path):
    rows = labelled(UNITS)
    ours = Ours(base, tmp_path, "kto", rows, beta=0.3)
    others = theirs("kto", ours, rows, tmp_path, beta=0.3)
    compared = same(ours.loss(list(range(UNITS))), others)
    assert compared >= {"kl", "rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen"}


def test_orpo(base, tmp_path):
    """TRL's odds ratio, and the likelihood of the chosen replies: TRL's also learns the prompts, which the
    paper's equation 6 does not."""
    from trl.experimental.orpo import ORPOTrainer

    class Stub:
        beta = 0.3

        class accelerator:
            device = "cpu"

    ours = Ours(base, tmp_path, "orpo", pairs(UNITS), beta=0.3)
    ours.move()
    mine = ours.loss(list(range(UNITS)))
    ours.model.zero_grad()
    means, total, tokens = [], 0.0, 0
    for number in range(2 * UNITS):
        ids, weights = ours.rows[number]
        logits = ours.model(input_ids=torch.from_numpy(ids.astype("int64"))[None]).logits
        labels = torch.from_numpy(ids.astype("int64")).where(torch.from_numpy(weights.copy()) > 0, -100)[None]
        means.append(ORPOTrainer.get_batch_logps(logits, labels, average_log_prob=True)[0])
        if number % 2 == 0:
            total = total + functional.cross_entropy(logits[0, :-1], labels[0, 1:], reduction="sum")
            tokens += int((labels[0, 1:] >= 0).sum())
    means = torch.stack(means)
    odds, better, worse, *_ = ORPOTrainer.odds_ratio_loss(Stub(), means[::2], means[1::2])
    loss = total / tokens - odds.mean()
    loss.backward()
    figures = {
        "rewards/chosen": better.mean().item(),
        "rewards/rejected": worse.mean().item(),
        "logps/chosen": means[::2].mean().item(),
        "nll_loss": float(total.detach()) / tokens,
    }
    assert same(mine, (float(loss.detach()), figures, gradients(ours.model))) == figures.keys()


@pytest.mark.parametrize(("good", "bad"), [(10, 10), (11, 10), (10, 40), (40, 10), (0, 5), (5, 0)])
def test_unequal_numbers_of_good_and_bad_replies_are_made_up_for(good, bad):
    desirable, undesirable = preference_loss.kto_weights(good, bad)
    if good and bad:
        assert 1 - 1e-9 <= desirable * good / (undesirable * bad) <= 4 / 3 + 1e-9
        assert 1.0 in (desirable, undesirable)
    else:
        assert (desirable, undesirable) == (1, 1)


def test_orpo_is_finite_where_a_reply_is_certain():
    sure = torch.zeros(1, requires_grad=True)
    losses, *_ = preference_loss.orpo(sure, torch.full((1,), -3.0), 0.1)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(sure.grad).all()
