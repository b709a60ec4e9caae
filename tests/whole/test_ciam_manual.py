"""Documentation runs as tests: what docs/ciam.md shows, a reader can copy."""

import json
import re
import sys
from collections import Counter

import pytest

from tests import captcha_solver
from tests.whole.conftest import ROOT, House, eventually
from tests.whole.manual import READ_CODE, Manual, finished, is_there

MANUAL = Manual("ciam")
TRIES = 12
"""Our solver misses now and then, and a captcha is answered once."""
WALKTHROUGH = 3
"""The first blocks for the shell belong together."""
PRINTED = """\
200 60 600
200
SUCCESS 432000
['aud', 'auth_time', 'exp', 'iat', 'iss', 'sid', 'since', 'sub']
200
200
IDAAS.SDK.PARAM.0016
200
SUCCESS
"""


@pytest.fixture
def house(tmp_path):
    """The data folder that a reader has who says nothing of it."""
    return House(tmp_path / "watchword-data")


def newest_code(house, words, *, sent):
    """What the command in a comment prints once so many messages came."""
    to = words.split()[1]
    eventually(
        lambda: len(json.loads(house.run("inbox", "list", "--json", "--to", to).stdout)) == sent,
        f"{sent} messages to {to}",
    )
    return house.run("inbox", "last", *words.split()).stdout


def test_the_programs_in_python_run_as_written(house):
    """All of them, one after the other; a person reads each code by the command in the comment."""
    program = "\n".join(MANUAL.blocks("python"))
    sent: Counter[str] = Counter()
    with (
        house.serving() as serving,
        MANUAL.started(house, serving, sys.executable, "-c", program) as process,
    ):
        for words in READ_CODE.findall(program):
            sent[words] += 1
            process.stdin.write(newest_code(house, words, sent=sent[words]))
            process.stdin.flush()
        assert finished(process).replace("The code: ", "") == PRINTED
    assert sent.total() == program.count("input(")


def dragged(folder):
    """How far to the right a person sees that the strip must go."""
    captcha = json.loads((folder / "captcha.json").read_text())
    for name in ("original", "jigsaw"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    return captcha_solver.solve(captcha["originalImageBase64"], captcha["jigsawImageBase64"])


def shell_printed(house, serving):
    """What the lines for the shell print, when somebody has answered the captcha."""
    get, *rest = MANUAL.blocks("sh")[:WALKTHROUGH]
    script = "\n".join(["set -eo pipefail", get, "echo drawn >&2", *rest])
    with MANUAL.started(house, serving, "bash", "-c", script) as process:
        assert process.stderr.readline() == "drawn\n"
        process.stdin.write(f"{dragged(house.folder.parent):.0f}\n")
        process.stdin.flush()
        return finished(process).splitlines()


def test_the_lines_for_the_shell_run_as_written(house):
    with house.serving() as serving:
        for _ in range(TRIES):
            printed = shell_printed(house, serving)
            if "CAPTCHA.0002" not in printed[1]:
                break
    captcha, passed, *rest = printed
    assert list(json.loads(captcha)) == list(json.loads(shown('null,"captchaOriginalPath')))
    assert "---" in json.loads(passed)["captcha_token"]
    assert "HTTP/1.1 200 OK" in rest[0]
    assert "x-resend-after: 60" in rest
    assert json.loads(rest[-4]) == json.loads(shown("CAPTCHA.0003"))
    assert "is your sign-in code" in rest[-3]
    assert rest[-2] == "200"
    assert rest[-1] == shown("CAPTCHA.0008")


def test_the_calls_of_aj_captcha_answer_as_written(house):
    (calls,) = MANUAL.blocks("sh")[WALKTHROUGH:]
    with (
        house.serving() as serving,
        MANUAL.started(house, serving, "bash", "-euo", "pipefail", "-c", calls) as process,
    ):
        got, checked = finished(process).splitlines()
    told = json.loads(shown("blockPuzzle"))
    assert list(json.loads(got)) == list(told)
    assert list(json.loads(got)["repData"]) == list(told["repData"])
    assert checked == shown("6110")


def test_the_exchange_of_the_readme_works_as_written(house):
    """It prints what the page shows below it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ((lines, told),) = re.findall(r"```sh\n([^`]*dialect ciam[^`]*)```\n\n((?:    .*\n)+)", readme)
    script = lines.replace(".venv/bin/watchword", "watchword")
    with (
        house.serving() as serving,
        MANUAL.started(house, serving, "bash", "-euo", "pipefail", "-c", script) as process,
    ):
        printed = finished(process).splitlines()
    assert printed == [line.strip() for line in told.splitlines()]


def shown(word):
    """The line of an exchange in the manual that has this word."""
    (line,) = (
        line.strip()
        for line in MANUAL.text.splitlines()
        if line.startswith("    {") and word in line
    )
    return line


@pytest.mark.parametrize(("file", "heading"), MANUAL.links)
def test_what_the_manual_links_to_is_there(file, heading):
    assert is_there(file, heading)
