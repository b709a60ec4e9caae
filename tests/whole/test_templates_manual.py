"""Documentation runs as tests: docs/templates.md, typed into a terminal from its top."""

import os
import re
import subprocess

from tests.whole.conftest import DEADLINE_S, ROOT, WATCHWORD, environment

MANUAL = (ROOT / "docs/templates.md").read_text(encoding="utf-8")
STEPS = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", MANUAL, re.DOTALL)
END = "---- what this step prints ends here"


def test_the_manual_prints_what_it_says(tmp_path):
    """Every step, in one shell, one after the other."""
    assert len(STEPS) == MANUAL.count("```sh") == MANUAL.count("```text") == 6
    script = "".join(f"{typed}\necho '{END}'\n" for typed, _ in STEPS)
    path = f"{WATCHWORD.parent}{os.pathsep}{os.environ['PATH']}"
    shell = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment(PATH=path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert shell.stdout.split(f"{END}\n")[:-1] == [printed for _, printed in STEPS]
