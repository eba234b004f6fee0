import importlib
import re
from pathlib import Path

import pytest

import keras_vae.cli
from keras_vae.cli import program

ROOT = Path(__file__).resolve().parents[2]
PLACE = Path(keras_vae.cli.__file__).parent


def called(*arguments):
    return program.main(["/somewhere/bin/keras-vae", *arguments])


def test_every_command_is_a_module_and_every_other_module_serves_them():
    modules = {path.stem for path in PLACE.glob("*.py")}
    assert modules - program.COMMANDS.keys() == {"__init__", "flags", "program"}
    assert program.COMMANDS.keys() <= modules


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_the_commands_with_a_line_each(capsys, flag):
    assert called(flag) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: keras-vae COMMAND [--flag value ...]\n")
    for name, about in program.COMMANDS.items():
        assert re.search(rf"^  {name} +{about}$", out, re.MULTILINE)


def test_without_a_command_they_are_listed_and_the_code_is_2(capsys):
    assert called() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert all(name in said.err for name in program.COMMANDS)


def test_a_mistyped_command_is_answered_with_the_nearest_one(capsys):
    assert called("trian", "--epochs=3") == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("keras-vae: ") and sentence.count("\n") == 1
    assert "'trian'" in sentence and "Did you mean 'train'?" in sentence


def test_a_command_gets_its_flags_and_its_code_is_returned(capsys):
    assert called("benchmark", "--epochs=1") == 2
    assert capsys.readouterr().err.startswith("keras-vae benchmark: --epochs: ")


@pytest.mark.parametrize("name", program.COMMANDS)
def test_the_help_of_every_command_has_one_form(capsys, name):
    assert called(name, "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []  # a terminal's columns
    usage, _, about, blank, *rest = lines
    assert usage == f"usage: keras-vae {name} [--flag value ...]"
    assert about.endswith(".") and blank == ""
    text = "\n".join(rest) + "\n"
    assert re.match(rf"Examples:\n    keras-vae {name}\b", text)
    section = r"(?:\n[A-Z][^\n]*\n(?:  --\w+(?: \([^\n]*\))?\n(?:      +\S[^\n]*\n)+)+)"
    _, *sections = re.split(rf"({section}+)\Z", text)
    assert sections[0].endswith(
        "\nOther\n  --flagfile\n      a file with a flag on each line\n"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["trian"]])
def test_the_answer_comes_before_anything_heavy_is_imported(run_python, arguments):
    result = run_python("-X", "importtime", "-m", "keras_vae", *arguments)
    assert "keras_vae.cli.program" in result.stderr
    for heavy in ("tensorflow", "keras.", "numpy", "matplotlib", "sklearn"):
        assert heavy not in result.stderr


def test_as_a_module_it_is_named_as_it_was_called(run_python):
    result = run_python("-m", "keras_vae", "report", "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("usage: python -m keras_vae report ")
    assert "\n    python -m keras_vae report --run " in result.stdout


@pytest.mark.parametrize("name", program.COMMANDS)
def test_the_script_of_a_command_is_the_command(load_script, name):
    command = importlib.import_module(f"keras_vae.cli.{name}")
    assert load_script(f"{name}.py").main is command.main
