from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from tilth.errors import InputError, UsageError
from tilth.models.nano import Nano
from tilth.train import SFTConfig, sft
from tilth.train.base import open_base
from tilth.train.config import check_method, need_torch
from tilth.train.loop import batches, schedule
from tilth.train.record import RECORD
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION

torch = pytest.importorskip("torch", reason="training needs torch (extra `train`)")
pytestmark = pytest.mark.train
ROWS = STORY.problems(60, 4, **SUBTRACTION)
SHORT = SFTConfig(max_steps=12, per_device_train_batch_size=8, warmup_steps=2, save_steps=5)


def file_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sft") / "model"
    assert sft(ROWS, folder, config=SHORT).losses
    return folder


def test_training_lowers_the_loss_and_writes_a_model_that_answers(tmp_path: Path) -> None:
    done = sft(ROWS[:8], tmp_path / "m", base="nano:student", config=SFTConfig(max_steps=120, save_steps=0))
    assert done.losses[-1] < 0.5 * done.losses[0] and done.parameters == 139_904 and done.rows == 8
    answers = Nano(tmp_path / "m").complete([r["prompt"] for r in ROWS[:8]])
    assert sum(a[0] == r["completion"] for a, r in zip(answers, ROWS[:8], strict=True)) >= 6


def test_the_same_training_gives_the_same_bytes_and_another_seed_gives_others(trained: Path, tmp_path: Path) -> None:
    sft(ROWS, tmp_path / "again", config=SHORT)
    assert file_hash(tmp_path / "again") == file_hash(trained)
    sft(ROWS, tmp_path / "other", config=SFTConfig.of({**SHORT.as_dict(), "seed": 1}))
    assert file_hash(tmp_path / "other") != file_hash(trained)


def test_an_interrupted_training_goes_on_and_ends_with_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(step: int, loss: float) -> None:
        if step == 8:
            raise StopError

    with pytest.raises(StopError):
        sft(ROWS, tmp_path / "m", config=SHORT, tell=stop)
    assert not (tmp_path / "m").exists()
    steps: list[int] = []
    sft(ROWS, tmp_path / "m", config=SHORT, tell=lambda step, loss: steps.append(step))
    assert steps[0] == 6 and file_hash(tmp_path / "m") == file_hash(trained)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_finished_training_is_left_alone_and_another_one_refused(trained: Path) -> None:
    before = (trained / RECORD).stat().st_mtime_ns
    assert sft(ROWS, trained, config=SHORT).fresh is False and (trained / RECORD).stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="other rows"):
        sft(ROWS[:10], trained, config=SHORT)


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("my life's work")
    with pytest.raises(UsageError, match="no training"):
        sft(ROWS, tmp_path, config=SHORT)
    assert (tmp_path / "thesis.tex").exists()


def test_transformers_opens_the_folder_and_computes_the_same(trained: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(trained).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained)
    ours = Nano(trained)
    assert type(model).__name__ == "LlamaForCausalLM"
    for row in ROWS[:10]:
        ids = ours.tokenizer.prompt_ids(row["prompt"])
        text = f"{row['prompt']}\n"
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids[1:]
        assert tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) == text
        chat = tokenizer.apply_chat_template([{"role": "user", "content": row["prompt"]}], tokenize=False)
        assert chat == f"<s>{text}"
        with torch.no_grad():
            theirs = model(torch.tensor([ids])).logits[0].float().numpy()
        assert abs(theirs - ours.llama.logits(torch.tensor([ids]).numpy())[0]).max() < 2e-3
        out = model.generate(torch.tensor([ids]), max_new_tokens=24, do_sample=False)[0][len(ids) :]
        decoded = tokenizer.decode(out, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert decoded == ours.complete([row["prompt"]], max_tokens=24)[0][0]


def test_messages_train_like_prompt_and_completion(tmp_path: Path) -> None:
    turns = [
        {"messages": [{"role": "user", "content": r["prompt"]}, {"role": "assistant", "content": r["completion"]}]}
        for r in ROWS[:10]
    ]
    config = SFTConfig(max_steps=3, save_steps=0)
    sft(turns, tmp_path / "a", config=config)
    sft(ROWS[:10], tmp_path / "b", config=config)
    assert file_hash(tmp_path / "a") == file_hash(tmp_path / "b")


def test_a_word_never_seen_is_spelled_and_a_foreign_letter_is_refused(tmp_path: Path) -> None:
    config = SFTConfig(max_steps=1, save_steps=0)
    sft([{"prompt": "What is a zebra?", "completion": "An animal."}], tmp_path / "a", config=config)
    row = {"prompt": "Qu'est-ce qu'un zèbre?", "completion": "Un animal."}
    with pytest.raises(InputError, match="cannot read"):
        sft([row], tmp_path / "b", config=config)
    sft([row], tmp_path / "c", base="nano:scratch", config=config)


@pytest.mark.parametrize(
    ("row", "hint"),
    [({"prompt": "x"}, "'completion'"), ({"completion": "x"}, "'prompt'"), ({"prompt": "Ann " * 300,
    "completion": "x"}, "tokens")],
)  # fmt: skip
def test_a_row_that_cannot_be_learned_is_named(tmp_path: Path, row: dict[str, str], hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        sft([ROWS[0], row], tmp_path / "m", config=SHORT)
    assert "row 2" in str(caught.value)


def test_options_name_the_nearest_field_and_check_their_type() -> None:
    with pytest.raises(UsageError, match="did you mean 'learning_rate'"):
        SFTConfig.of({"learning_rat": 1e-3})
    with pytest.raises(UsageError, match="with trainer=trl also those of TRL"):
        SFTConfig.of({"gradient_accumulation_steps": 2})
    with pytest.raises(UsageError, match="int"):
        SFTConfig.of({"max_steps": "many"})
    with pytest.raises(UsageError, match="at least 1"):
        SFTConfig.of({"steps": 0})
    assert SFTConfig.of({"steps": 7, "lr": 1, "batch": 4}).learning_rate == 1.0


def test_a_method_that_is_none_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'dpo'"):
        check_method("dppo")


def test_missing_torch_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'tilth\[train\]'"):
        need_torch()


def test_unknown_bases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nano:student"):
        open_base("llama-70b")
    config = {"model_type": "llama"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError):
        open_base(str(tmp_path))


def test_every_epoch_holds_every_row_once_in_a_new_order() -> None:
    order = batches(list(range(50)), 8, seed=3)
    epochs = [[i for _ in range(7) for i in next(order)] for _ in range(3)]
    assert all(sorted(e) == list(range(50)) for e in epochs) and epochs[0] != epochs[1]


def test_the_rate_warms_up_and_decays_to_a_twentieth() -> None:
    rates = [schedule(s, 10, 100) for s in range(100)]
    assert rates[0] == 0.1 and rates[10] == 1.0 and rates[-1] == pytest.approx(0.05, abs=0.01)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_face_of_the_room_imports_no_torch() -> None:
    import subprocess

    code = "import sys, tilth.train, tilth.evaluate, tilth.models.nano; print('torch' in sys.modules)"
    env = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True).stdout
        == "False\n"
    )
