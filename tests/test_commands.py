import shlex
import subprocess
import sys
from pathlib import Path

from keras_vae.commands import command

ROOT = Path(__file__).resolve().parent.parent


def test_a_command_runs_in_a_shell_that_knows_no_environment(tmp_path):
    shell = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    line = command("generate.py", "--help")
    found = subprocess.run(
        ["sh", "-c", line], cwd=Path.cwd(), env=shell, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert "generate.py" in found.stdout


def test_an_activated_environment_has_the_short_command(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert command("train.py").split() == ["python", "scripts/train.py"]


def test_paths_with_spaces_are_one_word(tmp_path):
    words = shlex.split(command("evaluate.py", "--run", tmp_path / "my run"))
    assert words[-2:] == ["--run", str(tmp_path / "my run")]
