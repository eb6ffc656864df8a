"""docs/clients.md: what changes in an app, in the very lines that the apps of these tests run.

python -m tests.clients.page > docs/clients.md

``page.md`` has the words, and ``{{FILE REGION MODEL}}`` where the lines of a region stand, which
are those between ``# docs: REGION`` and ``# docs: end`` (``//`` in JavaScript), for that model.
"""

from __future__ import annotations

import re
import textwrap

from tests.clients.suites import HERE, SUITES

ADDRESS = "http://127.0.0.1:8080"
SAID = (
    ('f"{URL}/v1"', f'"{ADDRESS}/v1"'),
    ("`${URL}/v1`", f'"{ADDRESS}/v1"'),
    ("=URL", f'="{ADDRESS}"'),
    (": URL", f': "{ADDRESS}"'),
    ("{url}", ADDRESS),
    ("KEY", '"unused"'),
    ('f"openai/{model}"', '"openai/MODEL"'),
    ('f"anthropic/{model}"', '"anthropic/MODEL"'),
    ("model=model", 'model="MODEL"'),
    ("model_name=model", 'model_name="MODEL"'),
    ("{model}", "MODEL"),
    ("return ", "answer = "),
    ("messages=ASKED, **fields", "messages=messages"),
)
"""What an app is given from outside, and what a reader is shown in its place."""
LANGUAGES = {".py": "python", ".js": "js"}


def report() -> str:
    """The page."""
    template = (HERE / "page.md").read_text()
    page = re.sub(r"^\{\{(\S+) (\S+) (\S+)\}\}$", _shown, template, flags=re.MULTILINE)
    return page.replace("{{clients}}", _clients())


def _clients() -> str:
    """Each client, and the package by which it was tested."""
    lines = ["| client | tested with |", "|---|---|"]
    lines += [f"| {suite.client} | {', '.join(suite.packages)} |" for suite in SUITES]
    return "\n".join(lines)


def _shown(found: re.Match[str]) -> str:
    file, region = HERE / found[1], found[2]
    begin, end = rf"^ *(?:#|//) docs: {region}\n", r"^ *(?:#|//) docs: end$"
    regions = re.findall(f"{begin}(.*?){end}", file.read_text(), re.DOTALL | re.MULTILINE)
    if len(regions) != 1:
        raise ValueError(f"{file.name} has {len(regions)} regions {region}")
    text = textwrap.dedent(regions[0])
    for word, said in SAID:
        text = text.replace(word, said)
    text = text.replace("MODEL", found[3])
    language = LANGUAGES[file.suffix]
    if written := re.fullmatch(r'\w+ = """\\\n(.*)"""\n', text, re.DOTALL):
        language, text = "yaml", written[1]
    return f"```{language}\n{text}```"


if __name__ == "__main__":
    print(report(), end="")
