"""Documentation that runs as tests: what a dialect's manual shows, a reader can copy."""

import os
import re
import subprocess
from contextlib import contextmanager

from tests import node_clients
from tests.whole.conftest import DEADLINE_S, ROOT, WATCHWORD

SHOWN = "127.0.0.1:8080"
"""Where a manual's server answers; ours has a port of its own."""
READ_CODE = re.compile(r"input\(.*# watchword inbox last (.*)$", re.MULTILINE)


class Manual:
    """docs/DIALECT.md, and its programs in a terminal where the demo's variables were taken on."""

    def __init__(self, dialect):
        self.dialect = dialect
        self.text = (ROOT / "docs" / f"{dialect}.md").read_text(encoding="utf-8")

    def blocks(self, language):
        return re.findall(rf"```{language}\n(.*?)```", self.text, re.DOTALL)

    @property
    def links(self):
        """File and heading of each."""
        return re.findall(r"\]\(([^)#:]+)(?:#([^)]+))?\)", self.text)

    @contextmanager
    def started(self, house, serving, *command, **environ):
        """A program of the manual, as a process beside the server."""
        program = command[-1].replace(SHOWN, serving["base_url"].removeprefix("http://"))
        line = f'eval "$(watchword demo --dialect {self.dialect})"; exec "$@"'
        path = f"{WATCHWORD.parent}{os.pathsep}{os.environ['PATH']}"
        with subprocess.Popen(
            ["bash", "-euc", line, "reader", *command[:-1], program],
            cwd=house.folder.parent,
            env=house.environment(PATH=path, **environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def python(self, house, serving, command, **environ):
        """What all programs in Python print, one after the other; a person reads each code by the
        command in the comment."""
        program = "\n".join(self.blocks("python"))
        asks = READ_CODE.findall(program)
        assert len(asks) == program.count("input(") == 2
        with self.started(house, serving, *command, "-c", program, **environ) as process:
            for words in asks:
                process.stdin.write(house.inbox(*words.split()) + "\n")
                process.stdin.flush()
            return finished(process).replace("The code: ", "").splitlines()

    def node(self, house, serving, program):
        """What a program in Node prints."""
        modules = str(node_clients.FOLDER / "node_modules")
        command = ("node", "-e", program)
        with self.started(house, serving, *command, NODE_PATH=modules) as process:
            return finished(process).splitlines()


def finished(process):
    """What it printed; in the end it has to be content."""
    printed, complained = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, complained
    return printed


def is_there(file, heading):
    """Whether a page of ours has this heading, or is there where none is named."""
    told = (ROOT / "docs" / file).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", told, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", one).casefold().replace(" ", "-") for one in headings}
    return not heading or heading in anchors
