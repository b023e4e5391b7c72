"""Attacks on what carries cells and results between the session and the host."""

from __future__ import annotations

from sandbox.attacks.attack import Attack, Seen, Verdict, any_end, dies, is_cut, times_out

_FORGE = '''
import json, struct
kernel = get_ipython().kernel
parent = kernel.get_parent("shell")
def pack(channel, parts):
    body = struct.pack("!BH", channel, len(parts)) + struct.pack(f"!{len(parts)}I", *map(len, parts)) + b"".join(parts)
    return struct.pack("!I", len(body)) + body
def put(data):
    data = memoryview(data)
    while data:
        data = data[os.write(3, data):]
def say(channel, kind, content, metadata=b"{}", key=None):
    """Send a message of the running cell, signed, made of any JSON."""
    header = json.dumps(kernel.session.msg_header(kind), default=str).encode()
    above = json.dumps(parent["header"], default=str).encode()
    frames = [header, above, metadata, content]
    import hmac
    sign = hmac.new(kernel.session.key if key is None else key, digestmod="sha256")
    for frame in frames:
        sign.update(frame)
    put(pack(channel, [b"<IDS|MSG>", sign.hexdigest().encode(), *frames]))
SHELL, IOPUB, STDIN, CONTROL = range(4)
def end_early():
    say(SHELL, "execute_reply", b'{"status": "ok"}')
    say(IOPUB, "status", b'{"execution_state": "idle"}')
'''


def _unheard(seen: Seen) -> Verdict:
    """What was signed by nobody is dropped; what the code itself prints is not."""
    held = seen.result.stdout == "genuine\n" and seen.result.error is None
    return Verdict(held, f"stdout: {seen.result.stdout[:80]!r}")


ATTACKS = [
    Attack(
        "a flood in one line",
        "print a line of 50 MB",
        'print("x" * 50_000_000)',
        is_cut,
    ),
    Attack(
        "a flood of lines",
        "print 200,000 times",
        "for number in range(200_000):\n    print(number)",
        is_cut,
    ),
    Attack(
        "a flood past Python",
        "write 50 MB to descriptor 1",
        "for _ in range(800):\n    os.write(1, bytes(1 << 16))",
        is_cut,
    ),
    Attack(
        "a flood of pictures",
        "display 30 large pictures",
        """
from IPython.display import display
for _ in range(30):
    display({"image/png": "A" * 3_900_000}, raw=True)
print("x" * 1_000_000)
""",
        lambda seen: (
            Verdict(seen.result.truncated or seen.result.state_lost, f"{len(seen.result.displays)} pictures kept")
            if sum(len(text) for kept in seen.result.displays for text in kept.values()) < 10_000_000
            else Verdict(False, "all pictures were kept")
        ),
    ),
    Attack(
        "a value without an end",
        "return a value whose text is 20 MB",
        '"x" * 20_000_000',
        is_cut,
    ),
    Attack(
        "half escapes",
        "print 100,000 beginnings of terminal escapes, which take long to remove",
        'print("\\x90" * 50_000 + "\\x1b]" * 25_000)\nprint("\\x9b" + "0" * 50_000)',
        any_end,
    ),
    Attack(
        "a fake end",
        "forge the reply and the idle status of the cell, then go on for ever",
        _FORGE + "end_early()\nwhile True:\n    pass",
        any_end,
        then=("1",),
    ),
    Attack(
        "not reading",
        "forge the cell's end, read nothing any more, and be sent cells of 4 MB",
        _FORGE + "end_early()\nwhile True:\n    time.sleep(1)",
        any_end,
        then=("#" * 3_900_000, "#" * 3_900_000),
    ),
    Attack(
        "forged output",
        "forge output, errors and values of the cell: it is the session's own and as bounded as any",
        _FORGE
        + """
for number in range(3000):
    say(IOPUB, "stream", json.dumps({"name": "stdout", "text": "y" * 5000}).encode())
say(IOPUB, "error", json.dumps({"ename": "E" * 10**6, "evalue": "v" * 10**6, "traceback": ["t\\n" * 10**6]}).encode())
""",
        is_cut,
    ),
    Attack(
        "messages that cannot be",
        "sign replies and outputs of absurd values: infinite numbers, wrong types, deep nesting, invalid UTF-8",
        _FORGE
        + """
deep = b"[" * 100_000 + b"]" * 100_000
absurd = [b"Infinity", b"-1e999", b"NaN", b"null", b"1" * 5000, b'"x"', b"[]", b"{", b'{"a":' * 999, b"\\xff", deep]
for value in absurd:
    for left in (b"{}", b'{"threads": %s, "processes": %s}' % (value, value), value):
        metadata = b'{"left": %s}' % left
        say(IOPUB, "stream", b'{"name": %s, "text": %s}' % (value, value), metadata)
        say(IOPUB, "execute_result", b'{"data": %s, "metadata": %s}' % (value, value), metadata)
        say(IOPUB, "display_data", b'{"data": {"text/plain": %s}}' % value, metadata)
        say(IOPUB, "error", b'{"ename": %s, "evalue": %s, "traceback": %s}' % (value, value, value), metadata)
        say(IOPUB, "execute_input", b'{"execution_count": %s, "code": %s}' % (value, value), metadata)
        say(IOPUB, "status", value, metadata)
        say(STDIN, "input_request", value, metadata)
        say(CONTROL, "shutdown_reply", value, metadata)
        say(SHELL, "execute_reply", b'{"status": %s}' % value, metadata)
""",
        any_end,
    ),
    Attack(
        "a bomb in JSON",
        "send messages of 15 MB that are costly to read",
        _FORGE
        + """
for _ in range(3):
    say(IOPUB, "stream", b'{"name": "stdout", "text": [' + b"{}," * 5_000_000 + b"0]}")
say(IOPUB, "error", b'{"ename": "", "evalue": "", "traceback": ["' + b"\\\\n" * 7_000_000 + b'"]}')
""",
        any_end,
    ),
    Attack(
        "messages without the key",
        "send messages that are unsigned, or signed with another key",
        _FORGE
        + """
for key in (b"", b"0" * 32):
    say(IOPUB, "stream", b'{"name": "stdout", "text": "BREACH"}', key=key)
    say(SHELL, "execute_reply", b'{"status": "ok"}', key=key)
    say(IOPUB, "status", b'{"execution_state": "idle"}', key=key)
put(pack(IOPUB, [b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"]))
put(pack(IOPUB, []))
time.sleep(0.3)
print("genuine")
""",
        _unheard,
    ),
    Attack(
        "garbage",
        "write random bytes to the line to the host",
        "while True:\n    os.write(3, b'\\x00\\x00\\x00\\x09' + os.urandom(1 << 16))",
        dies("no kernel sends"),
    ),
    Attack(
        "a message too long",
        "announce a message of 4 GB",
        "os.write(3, b'\\xff' * 4)\ntime.sleep(60)",
        dies("no kernel sends"),
    ),
    Attack(
        "a message without an end",
        "send 15 MB of a message and no more",
        _FORGE + "put(struct.pack('!I', 16 << 20) + bytes(15 << 20))\ntime.sleep(60)",
        times_out,
        timeout=2,
    ),
    Attack(
        "a flood of messages",
        "send tiny messages as fast as possible",
        _FORGE + "tiny = pack(IOPUB, []) * 9000\nwhile True:\n    put(tiny)",
        dies("sent more than"),
    ),
    Attack(
        "a flood from a child",
        "end the kernel and let a child of it write to the line for ever",
        _FORGE
        + """
if os.fork() == 0:
    os.setsid()
    tiny = pack(IOPUB, [bytes(60_000)])
    while True:
        put(tiny)
time.sleep(0.1)
os._exit(3)
""",
        dies(""),
    ),
    Attack(
        "a forged stack",
        "fill the pipe for the stack of an overdue cell with absurd ones",
        """
import fcntl
os.set_blocking(4, True)
fcntl.fcntl(4, 1031, 1 << 20)
signal.signal(signal.SIGRTMIN + 3, signal.SIG_IGN)
line = b'  File "<ipython-input-' + b"9" * 5000 + b'-0a>", line ' + b"9" * 5000 + b" in f\\n"
line += b'  File "' + b"/site/" * 5000 + b'", line 1 in f\\n'
for _ in range(3):
    if os.fork() == 0:
        while True:
            os.write(4, line)
while True:
    pass
""",
        times_out,
        timeout=1,
    ),
]
