from keras_vae.models.registry import MODELS


def is_light(imports):
    heavy = ("tensorflow", "keras.", "numpy", "matplotlib", "sklearn")
    return len(imports) > 20 and not any(name in "\n".join(imports) for name in heavy)


def test_help_exits_0_and_lists_every_model_with_its_line(run_script):
    result = run_script("train.py", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    words = " ".join(result.stdout.split())
    for name, model in MODELS.items():
        assert f" {name} {model.about} " in words


def test_help_answers_at_once_because_it_imports_nothing_heavy(run_script):
    result = run_script("train.py", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert is_light(result.stderr.splitlines())


def test_a_bad_flag_exits_2_with_one_sentence_before_tensorflow_starts(run_script):
    result = run_script("train.py", "--latent_dmi", "3", PYTHONPROFILEIMPORTTIME="1")
    *imports, sentence = result.stderr.splitlines()
    assert result.returncode == 2
    assert sentence.startswith("train.py: There is no flag --latent_dmi.")
    assert is_light(imports)


def test_flags_without_effect_exit_2(load_script, capsys):
    train = load_script("train.py")
    assert train.main(["train.py", "--model", "ae", "--beta", "2"]) == 2
    assert "--beta has no effect with --model ae" in capsys.readouterr().err
