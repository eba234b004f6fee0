import dataclasses
import os
import signal

import pytest

from keras_vae.cli import flags
from keras_vae.training.options import Options, option


@dataclasses.dataclass(frozen=True)
class Example(Options):
    count: int = option(3, "how many", group="Numbers", minimum=1)
    name: str | None = option(None, "called what")
    rate: float = option(0.5, "how fast")
    maybe: float | None = option(None, "or not")
    widths: tuple[int, ...] = option((7, 9), "how wide", minimum=1)
    loud: bool = option(False, "whether")
    colour: str = option("red", "which", choices={"red": "as a rose", "blue": "sky"})
    shape: str = option("round", "of what shape", alias="form")
    size: str = option("m", "how big", choices={"m": "medium " * 12, "l": "large"})


def parse(*arguments):
    return flags.parse(Example, ["example.py", *arguments])


def test_only_what_was_given_is_returned_in_its_type():
    assert parse() == {}
    assert parse("--count", "7", "--loud") == {"count": 7, "loud": True}
    assert parse("--noloud", "--name=x y") == {"loud": False, "name": "x y"}
    assert parse("--count=3") == {"count": 3}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "5", 5),
        ("rate", "1e-2", 0.01),
        ("maybe", "-2", -2.0),
        ("widths", "500,300", (500, 300)),
        ("widths", "500, 300", (500, 300)),
        ("name", "a,b c", "a,b c"),
    ],
)
def test_text_is_read_as_the_type_of_the_option(name, text, value):
    assert parse(f"--{name}={text}") == {name: value}


@pytest.mark.parametrize(
    ("name", "text"),
    [("count", "5.0"), ("count", ""), ("rate", "nan"), ("widths", "5,,3")],
)
def test_text_of_another_type_is_refused(name, text):
    with pytest.raises(ValueError, match=f"^--{name}: expected "):
        parse(f"--{name}={text}")


def test_a_flag_is_read_by_its_former_name_too():
    assert parse("--form=square") == {"shape": "square"}
    assert parse("--form=square", "--shape=flat") == {"shape": "flat"}
    with pytest.raises(ValueError, match="^--shape: expected "):
        parse("--form=")


def test_a_flagfile_is_read_and_what_follows_it_wins(tmp_path):
    path = tmp_path / "flags.txt"
    path.write_text("# ten\n--count=10\n--loud\n")
    assert parse(f"--flagfile={path}", "--count=4") == {"count": 4, "loud": True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cuont", "3"], "no flag --cuont. Did you mean 'count'"),
        (["--flagfil", "3"], "Did you mean 'flagfile'"),
        (["--count", "x"], "--count: expected an integer, at least 1, got 'x'"),
        (["--count", "0"], "--count: expected an integer, at least 1, got 0"),
        (["--count"], "Missing value for flag --count"),
        (["--name", "--loud"], "--name has no value: --loud comes right after"),
        (["--loud", "true"], "Unexpected argument 'true'"),
        (["--loud=maybe"], "--loud=maybe: expected true or false"),
        (["--noloud=x"], "--noloud=x does not take an argument"),
        (["--colour", "blu"], "Did you mean 'blue'"),
        (["--flagfile"], "--flagfile"),
        (["--flagfile=/nowhere"], "--flagfile cannot be read: .*/nowhere"),
        (["--flagfile=/"], "--flagfile cannot be read: .*directory"),
        (["3"], "Unexpected argument '3'"),
    ],
)
def test_bad_flags_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse(*arguments)
    assert "\n" not in str(caught.value)


def test_a_flagfile_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "flags.bin"
    path.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ValueError, match="--flagfile"):
        parse(f"--flagfile={path}")


def run(main, *arguments):
    return flags.run_main(main, Example, "Does it.", ["dir/example.py", *arguments])


@pytest.mark.parametrize("flag", ["--help", "-h", "-help", "--helpfull"])
def test_help_lists_every_option_and_choice_and_exits_0(capsys, flag):
    assert run(lambda given: pytest.fail("ran"), "--count=nonsense", flag) == 0
    out = capsys.readouterr().out
    assert "Does it." in out
    assert "Numbers" in out
    for field in dataclasses.fields(Example):
        assert f"--{field.name}" in out
        assert field.metadata["help"] in out
    assert "blue  sky" in out
    assert "  --count (3)\n" in out
    assert "  --widths (7,9)\n" in out


def test_a_long_line_of_a_choice_goes_on_below_its_beginning():
    text = flags.help_text(Example, "Does it.", "keras-vae example")
    assert "\n      m  medium" in text
    assert "\n         medium" in text
    assert "\n      l  large\n" in text


@pytest.mark.parametrize(
    ("called", "shown"),
    [
        ("dir/example.py", "python dir/example.py"),
        ("my dir/example.py", "python 'my dir/example.py'"),
        ("keras-vae example", "keras-vae example"),
    ],
)
def test_help_names_the_program_as_it_was_called(called, shown):
    text = flags.help_text(Example, "As in keras-vae example --loud.", called)
    usage, _, description, *_ = text.splitlines()
    assert usage == f"usage: {shown} [--flag value ...]"
    assert description == f"As in {shown} --loud."


def test_main_gets_what_was_given():
    seen = []
    assert run(seen.append, "--count=5") == 0
    assert seen == [{"count": 5}]


def test_what_stops_a_command_is_said_and_ends_in_1(capsys):
    assert run(raising(flags.Stopped("The loss is NaN."))) == 1
    assert capsys.readouterr().err == "example.py: The loss is NaN.\n"


def raising(error):
    def main(given):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("a is\n  wrong"), "example.py: a is wrong\n"),
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied.\n"),
        (ConnectionError("no network"), "example.py: no network\n"),
        (ValueError(), "example.py: ValueError\n"),
    ],
)
def test_bad_input_ends_in_one_sentence_and_code_2(capsys, error, sentence):
    assert run(raising(error)) == 2
    captured = capsys.readouterr()
    assert captured.err.endswith(sentence)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_an_error_of_the_program_itself_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError()))


def test_the_traceback_of_bad_input_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("KERAS_VAE_TRACEBACK", "1")
    with pytest.raises(ValueError, match="why"):
        run(raising(ValueError("why")))


def test_ctrl_c_ends_in_130_and_sigterm_in_143():
    # A process that was started in the background may ignore it: that is not the case.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run(lambda given: os.kill(os.getpid(), signal.SIGINT)) == 130
    finally:
        signal.signal(signal.SIGINT, ours)
    before = signal.getsignal(signal.SIGTERM)
    assert run(lambda given: os.kill(os.getpid(), signal.SIGTERM)) == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_saves_on_ctrl_c_saves_on_sigterm():
    saved = []

    def main(given):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            saved.append("state")
            raise

    assert run(main) == 143
    assert saved == ["state"]
