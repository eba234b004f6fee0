import pytest

PROGRAMS = ("evaluate.py", "encode.py", "anomaly.py")


def is_light(imports):
    heavy = ("tensorflow", "keras.", "numpy", "matplotlib", "sklearn")
    return len(imports) > 20 and not any(name in "\n".join(imports) for name in heavy)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_answers_at_once_because_it_imports_nothing_heavy(run_script, program):
    result = run_script(program, "--help", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    assert f"{program} [--flag value ...]" in result.stdout
    assert is_light(result.stderr.splitlines())


@pytest.mark.parametrize(
    ("program", "flags", "sentence"),
    [
        ("evaluate.py", [], "--run must be given"),
        (
            "evaluate.py",
            ["--run", "r", "--num_importance_samples", "0"],
            "--num_importance_samples: expected an integer, at least 1",
        ),
        ("encode.py", ["--run", "r", "--part", "tets"], "Did you mean 'test'?"),
        ("anomaly.py", ["--epoch", "3"], "There is no flag --epoch."),
    ],
)
def test_bad_flags_exit_2_with_one_sentence(
    load_script, capsys, program, flags, sentence
):
    assert load_script(program).main([program, *flags]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_a_run_that_is_not_there_exits_2(load_script, capsys, tmp_path):
    for program in ("evaluate.py", "encode.py"):
        place = str(tmp_path / "missing")
        assert load_script(program).main([program, "--run", place]) == 2
        assert "there is no folder" in capsys.readouterr().err
