"""Documentation runs as tests: docs/backup.md, typed into a terminal from its top."""

import os
import re
import subprocess

from tests.whole.conftest import DEADLINE_S, ROOT, WATCHWORD, environment
from tests.whole.manual import is_there

MANUAL = (ROOT / "docs/backup.md").read_text(encoding="utf-8")
STEPS = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", MANUAL, re.DOTALL)
END = "---- what this step prints ends here"
OWN = re.compile(r"\b[0-9a-f]{32}\b|\d+ (?=KiB|records)|\d{4}-\d\d-\d\dT[\d:]+Z")
"""What is another one each time: fingerprints, sizes, instants."""


def test_the_manual_prints_what_it_says(tmp_path):
    """Every step, in one shell, one after the other."""
    assert len(STEPS) == MANUAL.count("```sh") == 3
    script = "watchword demo >/dev/null 2>&1\n" + "".join(
        f"{typed}\necho '{END}'\n" for typed, _ in STEPS
    )
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
    printed = [OWN.sub("*", one) for one in shell.stdout.split(f"{END}\n")[:-1]]
    assert printed == [OWN.sub("*", told) for _, told in STEPS]


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\(([\w-]*\.md)?(?:#([\w-]+))?\)", MANUAL)
    assert links
    assert all(is_there(file or "backup.md", heading) for file, heading in links)
