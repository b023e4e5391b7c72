"""The sandbox's kernel under the real front ends: jupyter run, nbclient, papermill, jupyter_server."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import docker
import nbformat
import pytest
import websocket
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from sandbox import SandboxError
from sandbox.container import LABEL
from tests.conftest import PATIENCE, soon

NAME = "tora-sandbox"
FOLDERS = "tora-jupyter-*"
BIN = Path(sys.executable).parent
PROOF = """
import os, socket, sys
try:
    socket.create_connection(("1.1.1.1", 80), 5)
    print("network")
except OSError as error:
    print(error.strerror)
print(os.getuid() > 10_000_000, os.path.exists({host!r}), os.environ.get("TORA_PROOF"), os.listdir(os.curdir))
"""
DOCS = Path(__file__).parents[2] / "docs" / "jupyter.md"
PROVEN = "Operation not permitted\nTrue False None []\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where sockets' directories are made, in this process and those it starts. A short path, as sockets need one."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as name:
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


@pytest.fixture
def jupyter(engine: docker.DockerClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory for what Jupyter itself writes, and to work in."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("TORA_PROOF", "secret")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Front:
    """A kernel manager and a blocking client."""

    def __init__(self, name: str = NAME, path: Path | None = None) -> None:
        specs = KernelSpecManager()
        if path is not None:
            specs.kernel_dirs.insert(0, str(path))
        self.manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def run(self, code: str, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Execute; return the reply's content and the outputs: (type, content)."""
        outputs: list[dict[str, Any]] = []

        def take(message: dict[str, Any]) -> None:
            if message["msg_type"] not in ("status", "execute_input"):
                outputs.append({"type": message["msg_type"], **message["content"]})

        options = {"timeout": PATIENCE, "output_hook": take, "allow_stdin": False} | options
        return self.client.execute_interactive(code, **options)["content"], outputs

    def printed(self, code: str) -> str:
        """What a cell that must succeed has printed."""
        reply, outputs = self.run(code)
        assert reply["status"] == "ok", outputs
        return "".join(output["text"] for output in outputs if output["type"] == "stream")

    def ask(self, request: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        """The content of the reply to another request."""
        number = getattr(self.client, request)(*arguments, **options)
        content: dict[str, Any] = self.reply(number)["content"]
        return content

    def reply(self, number: str) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = self.client.get_shell_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == number:
                return message

    def wait_for(self, kind: str, number: str | None = None) -> dict[str, Any]:
        """The next message of a kind on iopub, of one request if it is named."""
        while True:
            message: dict[str, Any] = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["msg_type"] == kind and number in (None, message["parent_header"].get("msg_id")):
                return message

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel()


@contextmanager
def front(*arguments: Any) -> Iterator[Front]:
    end = Front(*arguments)
    try:
        yield end
    finally:
        end.close()


@pytest.fixture(scope="module")
def shared(engine: docker.DockerClient) -> Iterator[Front]:
    """A front end for the tests that leave its kernel as good as they found it."""
    with front() as end:
        yield end


def containers(engine: docker.DockerClient, pid: int) -> set[str]:
    """The containers of a process."""
    found = engine.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return {str(container.id) for container in found if container.labels[LABEL].startswith(f"{pid}.")}


def spec(path: Path, name: str, **config: Any) -> Path:
    """Write a kernelspec of other settings below `path`, which is returned."""
    (path / name).mkdir()
    provisioner = {"provisioner_name": NAME, "config": config}
    text = json.dumps(
        {"argv": [], "display_name": name, "language": "python"} | {"metadata": {"kernel_provisioner": provisioner}}
    )
    (path / name / "kernel.json").write_text(text)
    return path


def notebook(*cells: str) -> nbformat.NotebookNode:
    metadata = {"kernelspec": {"name": NAME, "display_name": NAME, "language": "python"}}
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=metadata)


def start(*command: Any, **options: Any) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([BIN / command[0], *map(str, command[1:])], **pipes | options)


# The front ends


def test_the_kernelspec_is_installed() -> None:
    found = KernelSpecManager().get_kernel_spec(NAME)
    own = Path(__file__).parents[2] / "sandbox" / "kernelspec" / "kernel.json"
    assert found.to_dict() | json.loads(own.read_text()) == found.to_dict()
    assert found.interrupt_mode == "signal"


def test_jupyter_run(engine: docker.DockerClient, jupyter: Path, folder: Path) -> None:
    (jupyter / "file.py").write_text(PROOF.format(host=str(jupyter)))
    process = start("jupyter", "run", "--kernel", NAME, "file.py")
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, err, process.returncode) == (PROVEN, "", 0)
    assert soon(lambda: not containers(engine, process.pid))
    assert not list(folder.glob(FOLDERS)) and not list((jupyter / "runtime").glob("kernel-*"))


def test_jupyter_run_says_that_a_script_failed(jupyter: Path) -> None:
    (jupyter / "file.py").write_text("print(1)\n1 / 0\n")
    process = start("jupyter", "run", "--kernel", NAME, "file.py")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode and out == "1\n" and "ZeroDivisionError" in err


def test_nbclient(engine: docker.DockerClient, jupyter: Path, folder: Path) -> None:
    book = notebook(
        PROOF.format(host=str(jupyter)),
        "import sympy; x = sympy.Symbol('x'); sympy.factor(x**2 - 1)",
        "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
        "1 / 0",
        "input('?')",
        "import asyncio; await asyncio.sleep(0.01); print(x)",
        "from IPython.display import display\nh = display('old', display_id=True)\nh.update('new')",
    )
    before = containers(engine, os.getpid()), set(threading.enumerate())
    NotebookClient(book, kernel_name=NAME, allow_errors=True, timeout=PATIENCE, iopub_timeout=PATIENCE).execute()
    outputs = [cell["outputs"] for cell in book["cells"]]
    assert "".join(output["text"] for output in outputs[0]) == PROVEN
    assert outputs[1][0]["data"]["text/plain"] == "(x - 1)*(x + 1)" or "text/latex" in outputs[1][0]["data"]
    assert base64.b64decode(outputs[2][0]["data"]["image/png"]).startswith(b"\x89PNG")
    assert outputs[3][0]["ename"] == "ZeroDivisionError"
    assert outputs[4][0]["ename"] == "StdinNotImplementedError"
    assert outputs[5][0]["text"] == "x\n"
    assert outputs[6][0]["data"]["text/plain"] == "'new'"
    assert containers(engine, os.getpid()) <= before[0] and set(threading.enumerate()) <= before[1]
    assert not list(folder.glob(FOLDERS))


def test_nbclient_stops_at_an_error_and_interrupts_what_takes_too_long(jupyter: Path) -> None:
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        NotebookClient(notebook("1 / 0", "print(1)"), kernel_name=NAME).execute()
    book = notebook("while True: pass", "print('on')")
    options = {"interrupt_on_timeout": True, "allow_errors": True, "iopub_timeout": PATIENCE}
    seconds = {"while True: pass": 2, "print('on')": PATIENCE}
    NotebookClient(book, kernel_name=NAME, timeout_func=lambda cell: seconds[cell["source"]], **options).execute()
    assert book["cells"][0]["outputs"][0]["ename"] == "KeyboardInterrupt"
    assert book["cells"][1]["outputs"][0]["text"] == "on\n"


def test_papermill(engine: docker.DockerClient, jupyter: Path, folder: Path) -> None:
    book = notebook("number = 1", "print(number * 7)")
    book["cells"][0]["metadata"]["tags"] = ["parameters"]
    nbformat.write(book, jupyter / "in.ipynb")
    process = start("papermill", "in.ipynb", "out.ipynb", "-p", "number", 6, "--no-progress-bar")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert nbformat.read(jupyter / "out.ipynb", 4)["cells"][-1]["outputs"][0]["text"] == "42\n"
    assert soon(lambda: not containers(engine, process.pid)) and not list(folder.glob(FOLDERS))


class Server:
    """A real jupyter_server, over its REST interface and its websockets, as JupyterLab uses them."""

    def __init__(self, runtime: Path, **env: str) -> None:
        options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token=t"]
        self.process = start("jupyter", "server", *options, env=os.environ | env, stderr=subprocess.DEVNULL)
        file = runtime / f"jpserver-{self.process.pid}.json"
        assert soon(lambda: file.exists() and file.stat().st_size)
        self.address = f"127.0.0.1:{json.loads(file.read_text())['port']}"
        assert soon(self.answers)

    def answers(self) -> bool:
        with suppress(OSError):
            return bool(self.call("GET", "api"))
        return False

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://{self.address}/{path}", data, {"Authorization": "token t"}, method=method)
        with urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"null")

    def connect(self, kernel: str) -> websocket.WebSocket:
        url = f"ws://{self.address}/api/kernels/{kernel}/channels?session_id=s"
        return websocket.create_connection(url, header={"Authorization": "token t"}, timeout=PATIENCE)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        assert self.process.stdout
        self.process.stdout.close()


@pytest.fixture
def server(jupyter: Path) -> Iterator[Server]:
    found = Server(jupyter / "runtime")
    try:
        yield found
    finally:
        found.stop()


def send(socket: websocket.WebSocket, code: str) -> str:
    number = os.urandom(8).hex()
    header = {"msg_id": number, "msg_type": "execute_request", "version": "5.3", "username": "u", "session": "s"}
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "buffers": []}
    socket.send(json.dumps(message | {"channel": "shell"}))
    return number


def until(socket: websocket.WebSocket, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(socket.recv())
        if enough(message):
            return message


def printed(socket: websocket.WebSocket, code: str) -> str:
    """What a cell prints, or the name of its error."""
    number, text, waits = send(socket, code), "", {"execute_reply", "idle"}
    while waits:
        message = until(socket, lambda found: found["parent_header"].get("msg_id") == number)
        content = message["content"]
        text += (
            content["text"]
            if message["msg_type"] == "stream"
            else content.get("ename", "")
            if message["channel"] == "iopub"
            else ""
        )
        waits -= {message["msg_type"], content.get("execution_state", "")}
    return text


def test_jupyter_server(engine: docker.DockerClient, server: Server, jupyter: Path, folder: Path) -> None:
    kernel = server.call("POST", "api/kernels", {"name": NAME})["id"]
    socket = server.connect(kernel)
    assert printed(socket, PROOF.format(host=str(jupyter))) == PROVEN
    number = send(socket, "kept = 1\nprint('runs')\nwhile True: pass")
    until(socket, lambda message: message["msg_type"] == "stream")
    server.call("POST", f"api/kernels/{kernel}/interrupt")
    reply = until(socket, lambda message: message["msg_type"] == "execute_reply")
    assert (reply["parent_header"]["msg_id"], reply["content"]["ename"]) == (number, "KeyboardInterrupt")
    assert printed(socket, "print(kept)") == "1\n"
    server.call("POST", f"api/kernels/{kernel}/restart")
    socket.close()
    socket = server.connect(kernel)
    assert printed(socket, "print(kept)") == "NameError"

    # A kernel that dies is started anew, and says why it died.
    send(socket, "import os; os._exit(3)")
    waits = {"status 3", "restarting"}  # which come by different ways
    while waits:
        content = until(socket, lambda message: message["channel"] == "iopub")["content"]
        waits = {word for word in waits if word not in f"{content.get('text')} {content.get('execution_state')}"}
    assert printed(socket, "print(2)") == "2\n"

    # The second kernel shares the container and nothing else.
    other = server.call("POST", "api/kernels", {"name": NAME})["id"]
    assert len(containers(engine, server.process.pid)) == 1
    assert printed(server.connect(other), "print(kept)") == "NameError"
    server.call("DELETE", f"api/kernels/{other}")
    assert printed(socket, "print(3)") == "3\n"
    server.call("DELETE", f"api/kernels/{kernel}")
    assert server.call("GET", "api/kernels") == []
    assert not containers(engine, server.process.pid) and not list(folder.glob(FOLDERS))


def test_a_server_that_is_stopped_leaves_nothing(engine: docker.DockerClient, jupyter: Path, folder: Path) -> None:
    server = Server(jupyter / "runtime")
    try:
        kernel = server.call("POST", "api/kernels", {"name": NAME})["id"]
        send(server.connect(kernel), "while True: pass")
        assert containers(engine, server.process.pid) and list(folder.glob(FOLDERS))
    finally:
        server.stop()
    assert soon(lambda: not containers(engine, server.process.pid))
    assert not list(folder.glob(FOLDERS))


def test_without_docker_the_front_end_says_so(jupyter: Path, folder: Path) -> None:
    missing = {"DOCKER_HOST": f"unix://{jupyter}/none.sock"}
    (jupyter / "file.py").write_text("print(1)")
    process = start("jupyter", "run", "--kernel", NAME, "file.py", env=os.environ | missing)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode and not out
    assert "no Docker Engine answers; start it" in err.strip().splitlines()[-1]
    server = Server(jupyter / "runtime", **missing)
    try:
        session = {"kernel": {"name": NAME}, "name": "n", "path": "n.ipynb", "type": "notebook"}
        with pytest.raises(HTTPError) as raised:
            server.call("POST", "api/sessions", session)
        assert json.loads(raised.value.read())["message"].startswith("no Docker Engine answers; start it")
    finally:
        server.stop()
    assert not list(folder.glob(FOLDERS))


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL))
def test_the_examples_of_the_docs(jupyter: Path, example: str) -> None:
    nbformat.write(notebook("print(6 * 7)"), jupyter / "notebook.ipynb")
    (jupyter / "example.py").write_text(example)
    process = start("python", "example.py")
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "42\n", "")


# The protocol


def test_what_front_ends_ask_for(shared: Front) -> None:
    shared.run("number = 41\ndef triple(n):\n    'Three times as much.'\n    return 3 * n")
    info = shared.ask("kernel_info")
    assert info["language_info"]["name"] == "python" and info["status"] == "ok"
    assert "debugger" not in info["supported_features"]
    assert "number" in shared.ask("complete", "num", 3)["matches"]
    assert "Three times as much." in shared.ask("inspect", "triple", 6)["data"]["text/plain"]
    assert [shared.ask("is_complete", code)["status"] for code in ("1", "for i in x:", "1 +* 2")] == [
        "complete",
        "incomplete",
        "invalid",
    ]
    assert shared.ask("comm_info")["comms"] == {}
    assert shared.ask("history", hist_access_type="tail", n=5)["status"] == "ok"
    reply, _ = shared.run("pass", user_expressions={"next": "number + 1"})
    assert reply["user_expressions"]["next"]["data"]["text/plain"] == "42"


def test_the_heart_beats(shared: Front) -> None:
    assert soon(shared.client.hb_channel.is_beating)
    assert shared.manager.is_alive()


def test_input(shared: Front) -> None:
    def answer(message: dict[str, Any]) -> None:
        asked.append(message["content"])
        shared.client.input("Ada")

    asked: list[dict[str, Any]] = []
    code = "from getpass import getpass\nprint(input('name? ') + getpass('word? '))"
    _, outputs = shared.run(code, allow_stdin=True, stdin_hook=answer)
    assert asked == [{"prompt": "name? ", "password": False}, {"prompt": "word? ", "password": True}]
    assert outputs[-1]["text"] == "AdaAda\n"


def test_a_question_can_be_interrupted_and_its_late_answer_is_for_nobody(shared: Front) -> None:
    number = shared.client.execute("input('first? ')", allow_stdin=True)
    assert shared.client.get_stdin_msg(timeout=PATIENCE)["content"]["prompt"] == "first? "
    shared.manager.interrupt_kernel()
    assert shared.reply(number)["content"]["ename"] == "KeyboardInterrupt"
    shared.client.input("late")
    shared.printed("pass")
    _, outputs = shared.run(
        "print(input('second? '))", allow_stdin=True, stdin_hook=lambda _: shared.client.input("in time")
    )
    assert outputs[-1]["text"] == "in time\n"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("print(1)\nwhile True: pass", "KeyboardInterrupt"),
        ("import time; print(1); time.sleep(60)", "KeyboardInterrupt"),
        ("import asyncio; print(1); await asyncio.sleep(60)", "CancelledError"),
        ("import subprocess; print(1, flush=True); subprocess.run(['sleep', '60'])", "KeyboardInterrupt"),
    ],
)
def test_interrupt(shared: Front, code: str, error: str) -> None:
    shared.run("kept = 5")
    number = shared.client.execute(code)
    shared.wait_for("stream", number)
    shared.manager.interrupt_kernel()
    assert shared.reply(number)["content"]["ename"] == error
    assert shared.printed("print(kept)") == "5\n"


def test_an_interrupt_while_nothing_runs_does_nothing(shared: Front) -> None:
    shared.manager.interrupt_kernel()
    assert shared.printed("print(1)") == "1\n"


def test_an_error_aborts_the_cells_that_wait_and_no_other_request(shared: Front) -> None:
    line = "get_ipython().kernel.line"
    await_next = f"import time\nwhile not ({line}.arrived or {line}.readable()): time.sleep(0.01)"
    first = shared.client.execute(f"{await_next}\n1 / 0")
    second, info = shared.client.execute("print('never')"), shared.client.kernel_info()
    assert [shared.reply(number)["content"]["status"] for number in (first, second, info)] == ["error", "aborted", "ok"]
    first = shared.client.execute(f"{await_next}\n1 / 0", stop_on_error=False)
    second = shared.client.execute("print('runs')")
    assert [shared.reply(number)["content"]["status"] for number in (first, second)] == ["error", "ok"]


def test_threads_and_tasks_go_on_from_cell_to_cell(shared: Front) -> None:
    shared.run(
        "import asyncio, threading\nrun = threading.Event()\nthread = threading.Thread(target=run.wait)\nthread.start()"
    )
    shared.run("done = []\nasync def later():\n    await asyncio.sleep(0.05)\n    done.append(1)")
    shared.run("task = asyncio.create_task(later())")
    assert soon(lambda: shared.printed("print(done)") == "[1]\n")
    assert shared.printed("print(thread.is_alive())\nrun.set()") == "True\n"


def test_late_output_arrives(shared: Front) -> None:
    code = "import threading\nthreading.Timer(0.3, print, ['late']).start()"
    number = shared.client.execute(code)
    shared.reply(number)
    assert shared.wait_for("stream", number)["content"]["text"] == "late\n"


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("%matplotlib inline", ""),
        ("%cd -q /tmp", ""),
        ("!id -u > number\nprint(int(open('number').read()) == __import__('os').getuid())", "True\n"),
        ("%%writefile -a made.py\nmade = 3", "Writing made.py\n"),
        ("%run made.py\nprint(made)", "3\n"),
        ("%%bash\necho $((6 * 7))", "42\n"),
        ("%%capture out\nprint(1)", ""),
    ],
)
def test_magics(shared: Front, code: str, printed: str) -> None:
    assert shared.printed(code) == printed


def test_every_one_of_many_outputs_arrives(shared: Front) -> None:
    reply, outputs = shared.run("from IPython.display import display\nfor i in range(6000): display(i)")
    assert reply["status"] == "ok"
    assert [output["data"]["text/plain"] for output in outputs] == [str(i) for i in range(6000)]


def test_long_output_is_cut(shared: Front) -> None:
    text = shared.printed("print('x' * 5_000_000)")
    assert 100_000 <= len(text) < 101_000 and "characters cut" in text


ACTIVE = """
from IPython.display import HTML, Javascript, SVG, display
from comm import create_comm
display(HTML("<b onclick='x'>"), Javascript("x"), {"text/plain": "plain", "image/svg+xml": "<svg/>"}, raw=False)
display({"text/plain": "plain", "text/html": "<b>", "text/markdown": "b"}, raw=True)
create_comm(target_name="jupyter.widget", data={})
get_ipython().payload_manager.write_payload(dict(source="page", data={"text/html": "<b>", "text/plain": "paged"}))
"""


def test_nothing_that_a_browser_would_run_comes_out(shared: Front) -> None:
    reply, outputs = shared.run(ACTIVE)
    assert {output["type"] for output in outputs} == {"display_data"}
    assert {kind for output in outputs for kind in output["data"]} == {"text/plain"}
    assert reply["payload"] == [{"source": "page", "data": {"text/plain": "paged"}}]


def test_forged_and_broken_messages_harm_nobody(shared: Front) -> None:
    code = """
import os
kernel = get_ipython().kernel
outlets, codec = kernel.outlets.values(), kernel.session
for outlet in outlets:
    for parts in ([], [b""], [b"x"] * 9, [b"<IDS|MSG>"] * 9, [b"a", b"<IDS|MSG>", b"", b"[]", b"1", b"{}", b"null"]):
        outlet.send_multipart(parts)
    for parent, content in ((b"1", b"{}"), (b"[]", b"{}"), (b"{}", b"1"), (b"{}", b'{"execution_state": []}')):
        parts = [codec.pack(codec.msg_header("status")), parent, b"{}", content]
        outlet.send_multipart([b"x", b"<IDS|MSG>", codec.sign(parts), *parts])
    codec.send(outlet, "display_data", {"data": {"text/html": "<b>"}}, ident=[b"", b"unknown"])
print("done")
"""
    _, outputs = shared.run(code)
    assert outputs[-1].get("text") == "done\n"
    assert not [output for output in outputs if "text/html" in output.get("data", {})]
    assert shared.printed("print(1)") == "1\n"


# Settings


def test_settings_of_a_kernelspec(engine: docker.DockerClient, jupyter: Path, folder: Path) -> None:
    path = spec(jupyter, "other", memory_mib=200, processes=20, files_mib=3, isolation="container", active_outputs=True)
    code = "import os, resource\nprint(resource.getrlimit(resource.RLIMIT_NPROC)[0], os.statvfs('.').f_blocks >> 8)"
    before = containers(engine, os.getpid())
    with front("other", path) as end:
        (container,) = containers(engine, os.getpid()) - before
        assert end.printed(code) == "20 3\n"
        _, outputs = end.run(ACTIVE)
        assert {"comm_open", "display_data"} == {output["type"] for output in outputs}
        assert {"text/html", "application/javascript", "text/markdown"} <= {
            kind for output in outputs if output["type"] == "display_data" for kind in output["data"]
        }
        end.manager.restart_kernel()
        end.client.wait_for_ready(timeout=PATIENCE)
        assert end.printed(code) == "20 3\n"
        assert soon(lambda: container not in containers(engine, os.getpid()))
        assert len(containers(engine, os.getpid()) - before) == 1
    assert not list(folder.glob(FOLDERS))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"memory": 5}, "no such setting: memory"),
        ({"memory_mib": 5}, "memory_mib: Input should be greater than or equal to 128"),
        ({"isolation": "none"}, "isolation: 'none' is not a valid Isolation"),
    ],
)
def test_a_wrong_setting_is_refused(jupyter: Path, folder: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        Front("wrong", spec(jupyter, "wrong", **config))
    assert not list(folder.glob(FOLDERS))


# Ends

MANY = f"""
import gc, os, threading
from contextlib import ExitStack
from jupyter_client.manager import run_kernel

for _ in range(4):
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(run_kernel(kernel_name={NAME!r})).execute_interactive("pass")
    assert threading.active_count() == 1
    gc.collect()
    print(len(os.listdir("/proc/self/fd")))
"""


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        ("import os; os._exit(3)", 3, "it exited with status 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, "it was killed by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", -11, "it was killed by SIGSEGV"),
        (
            "while True: get_ipython().kernel.outlets[1].send_multipart([b'x' * 1_000_000])",
            1,
            "it sent more than 64 MiB in answer to one request",
        ),
    ],
)
def test_death_is_noticed_and_explained(jupyter: Path, code: str, status: int, why: str) -> None:
    with front() as end:
        number = end.client.execute(code)
        assert end.wait_for("stream", number)["content"] == {"name": "stderr", "text": f"\n[the kernel ended: {why}]\n"}
        assert soon(lambda: not end.manager.is_alive())
        assert end.manager.provisioner._kernel.ended.result() == status
        assert soon(lambda: not end.client.hb_channel.is_beating())
        end.manager.restart_kernel()
        end.client.wait_for_ready(timeout=PATIENCE)
        assert end.printed("print(1)") == "1\n"


def test_a_container_taken_away_is_replaced(engine: docker.DockerClient, jupyter: Path) -> None:
    before = containers(engine, os.getpid())
    with front("other", spec(jupyter, "other", memory_mib=500)) as end:
        (container,) = containers(engine, os.getpid()) - before
        engine.containers.get(container).remove(force=True)
        assert soon(lambda: not end.manager.is_alive())
        end.manager.restart_kernel()
        end.client.wait_for_ready(timeout=PATIENCE)
        assert end.printed("print(1)") == "1\n"


def test_restart(engine: docker.DockerClient, jupyter: Path) -> None:
    with front() as end:
        end.run("kept = 1; open('file', 'w').write('x')")
        for now in (False, True):
            end.manager.restart_kernel(now=now)
            end.client.wait_for_ready(timeout=PATIENCE)
            assert end.printed("import os; print('kept' in globals(), os.listdir())") == "False []\n"
        end.client.execute(
            "import signal\nwhile True:\n    try:\n        while True: pass\n    except KeyboardInterrupt: pass"
        )
        end.wait_for("execute_input")
        end.manager.restart_kernel()  # of one that does not let itself be interrupted
        end.client.wait_for_ready(timeout=PATIENCE)
        assert end.printed("print(1)") == "1\n"


def test_nothing_is_left_after_many_kernels(engine: docker.DockerClient, jupyter: Path, folder: Path) -> None:
    (jupyter / "front.py").write_text(MANY)
    process = start("python", "front.py")
    out, err = process.communicate(timeout=PATIENCE)
    first, *_, last = map(int, out.split())
    assert (process.returncode, err, first) == (0, "", last)


def test_a_killed_front_end_leaves_nothing(engine: docker.DockerClient, jupyter: Path, folder: Path) -> None:
    (jupyter / "file.py").write_text("while True: pass")
    process = start("jupyter", "run", "--kernel", NAME, "file.py")
    assert soon(lambda: containers(engine, process.pid) and list(folder.glob("*/k-*")))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert soon(lambda: not containers(engine, process.pid))
    (left,) = folder.glob(FOLDERS)
    assert left.stat().st_mode & 0o777 == 0o700
    os.utime(left)
    with front() as end:  # it may be one that is just being made
        (own,) = set(folder.glob(FOLDERS)) - {left}
        os.utime(left, (0, 0))
        os.utime(own, (0, 0))  # as old, but held
        with front():
            assert own.exists() and not left.exists()
        assert end.printed("print(1)") == "1\n"


def test_a_front_end_that_just_ends_leaves_nothing(engine: docker.DockerClient, jupyter: Path, folder: Path) -> None:
    (jupyter / "front.py").write_text(
        "from jupyter_client.manager import KernelManager\n"
        f"manager = KernelManager(kernel_name={NAME!r})\n"
        "manager.start_kernel()\n"
    )
    process = start("python", "front.py")
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert soon(lambda: not containers(engine, process.pid))
    assert not list(folder.glob(FOLDERS))
