"""`tora run`: a script in the sandbox, from the shell."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from tests.conftest import Tora

pytestmark = pytest.mark.usefixtures("engine")


def test_output_and_status_are_the_scripts(tora: Tora, tmp_path: Path) -> None:
    script = "import sys\nprint('out')\nprint('\\x1b[31merr', file=sys.stderr)\n5\nsys.exit(3)\n"
    (tmp_path / "script.py").write_text(script)
    done = tora("run", "script.py")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)


def test_an_exception_is_shown_with_the_scripts_own_frames(tora: Tora) -> None:
    done = tora("run", "-", input="def f():\n    return 1 / 0\nif __name__ == '__main__':\n    f()\n")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert "line 2 in f" in done.stderr


def test_a_script_that_takes_too_long_is_ended(tora: Tora) -> None:
    done = tora("run", "-", "--timeout", "0.5", input="print('begun')\nwhile True: pass\n")
    assert (done.stdout, done.returncode) == ("begun\n", 124)
    assert "line 2 `while True: pass`" in done.stderr


def test_it_sees_neither_files_nor_environment(tora: Tora, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    code = f"import os\nprint(os.path.exists({str(tmp_path / 'secret.txt')!r}), 'MY_KEY' in os.environ)"
    assert tora("run", "-", input=code, env={"MY_KEY": "x"}).stdout == "False False\n"


def test_figures_are_written(tora: Tora, tmp_path: Path) -> None:
    code = "import matplotlib.pyplot as plt\nfor n in range(2):\n    plt.plot([1, n])\n    plt.show()\n"
    done = tora("run", "-", "--figures", "plots", "--isolation", "container", input=code)
    assert done.returncode == 0, done.stderr
    pictures = sorted((tmp_path / "plots").iterdir())
    assert [picture.name for picture in pictures] == ["figure-1.png", "figure-2.png"]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["nowhere.py"], "tora: nowhere.py cannot be read: No such file"),
        (["-", "--isolation", "none"], "tora: --isolation none: use shared or container"),
        (["-", "--memory", "1"], "tora: --memory 1: input should be greater than or equal to 128"),
        (["-", "--timeout", "0"], "tora: --timeout 0.0: input should be greater than 0"),
    ],
)
def test_bad_input_is_one_line(tora: Tora, options: list[str], line: str) -> None:
    done = tora("run", *options, input="")
    assert done.returncode == 2
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_without_an_engine_one_line_says_so(tora: Tora, engine: docker.DockerClient) -> None:
    done = tora("run", "-", input="1", env={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("tora: no Docker Engine answers; start it")
