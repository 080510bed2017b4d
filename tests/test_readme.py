"""The README's code runs, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import fastdescent as fd
from fastdescent.contracts import JIT

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.skipif(not JIT, reason="ten million steps are too many in plain Python")
def test_python_blocks_run_one_after_another(capsys):
    names: dict[str, object] = {"__name__": "readme"}
    for code in blocks("python"):
        exec(compile(code, "<README>", "exec"), names)
    table = capsys.readouterr().out
    assert "Adam" in table
    assert "%" in table
    assert names["reached"].dims == ("learning_rate", "target")
    # From (1, 2) by 0.25 every coordinate is at 0 after eight steps and stays there.
    assert names["canyon"].loss.values.tolist() == [[0.0], [0.0]]
    # The mean absolute error of normal noise 0.1 is 0.08; 160 samples know it to 5 %.
    assert 0.06 < float(names["robust"].loss.median()) < 0.1
    assert 0.05 < float(names["robust"].validation_loss.median()) < 0.12
    assert float(names["best"].min()) < 0.6
    plt.close("all")


def test_commands_exist():
    for block in blocks("console"):
        for line in block.splitlines():
            command = line.removeprefix("$ ").split()[0]
            if command.startswith("./"):
                assert (ROOT / command).exists(), command


def test_toml_blocks_are_studies():
    for text in blocks("toml"):
        study = fd.Study.from_toml(text)
        assert fd.Study.from_toml(study.to_toml()) == study
        assert len(list(study.pairs())) == 4


@pytest.mark.parametrize("block", ["programs", "engine", "kernels", "training", "formulas"])
def test_measured_blocks_are_filled(block):
    text = README.split(f"<!-- {block}: begin -->")[1].split(f"<!-- {block}: end -->")[0]
    assert len(text.split()) > 20


def test_pictures_exist():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).exists(), path
