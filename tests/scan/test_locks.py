"""What is asked for and what only others need, with the way to it."""

from __future__ import annotations

import json

import pytest

from tests.scan.corpus import findings

UV = """
version = 1
[[package]]
name = "acme"
source = { editable = "." }
dependencies = [{ name = "litellm" }, { name = "httpx" }]
[[package]]
name = "litellm"
dependencies = [{ name = "openai" }]
[[package]]
name = "openai"
[[package]]
name = "httpx"
"""
POETRY = """
[[package]]
name = "chatty"
[package.dependencies]
langchain-openai = "*"
[[package]]
name = "langchain-openai"
[package.dependencies]
openai = ">=1"
[[package]]
name = "openai"
"""
NPM = json.dumps(
    {
        "lockfileVersion": 3,
        "packages": {
            "": {"dependencies": {"chatty": "1"}},
            "node_modules/chatty": {"dependencies": {"openai": "4"}},
            "node_modules/chatty/node_modules/openai": {"version": "4"},
        },
    }
)
YARN = """
chatty@^1:
  version "1"
  dependencies:
    openai "^4"

openai@^4:
  version "4"
"""
PNPM = """
lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      chatty:
        specifier: ^1
        version: 1.0.0
packages:
  chatty@1.0.0:
    resolution: {integrity: x}
  openai@4.0.0:
    resolution: {integrity: y}
snapshots:
  chatty@1.0.0:
    dependencies:
      openai: 4.0.0
  openai@4.0.0: {}
"""
CARGO = """
[[package]]
name = "acme"
dependencies = ["chatty"]
[[package]]
name = "chatty"
source = "registry"
dependencies = ["async-openai"]
[[package]]
name = "async-openai"
source = "registry"
"""
NUGET = json.dumps(
    {
        "dependencies": {
            "net8.0": {
                "Chatty": {"type": "Direct", "dependencies": {"OpenAI": "2"}},
                "OpenAI": {"type": "Transitive"},
            }
        }
    }
)
BOM = json.dumps(
    {
        "bomFormat": "CycloneDX",
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [
            {"bom-ref": "c", "name": "chatty", "purl": "pkg:pypi/chatty@1"},
            {"bom-ref": "o", "name": "openai", "purl": "pkg:pypi/openai@1"},
        ],
        "dependencies": [{"ref": "root", "dependsOn": ["c"]}, {"ref": "c", "dependsOn": ["o"]}],
    }
)
SPDX = json.dumps(
    {
        "spdxVersion": "SPDX-2.3",
        "documentDescribes": ["root"],
        "packages": [
            {"SPDXID": "c", "name": "chatty"},
            {
                "SPDXID": "o",
                "name": "openai",
                "externalRefs": [
                    {"referenceType": "purl", "referenceLocator": "pkg:pypi/openai@1"}
                ],
            },
        ],
        "relationships": [
            {"spdxElementId": "root", "relationshipType": "DEPENDS_ON", "relatedSpdxElement": "c"},
            {"spdxElementId": "o", "relationshipType": "DEPENDENCY_OF", "relatedSpdxElement": "c"},
        ],
    }
)
GEMS = """GEM
  specs:
    chatty (1.0)
      ruby-openai (~> 7)
    ruby-openai (7.0)

DEPENDENCIES
  chatty
"""


@pytest.mark.parametrize(
    ("file", "text", "via"),
    [
        ("uv.lock", UV, ("litellm", "openai")),
        ("poetry.lock", POETRY, ("chatty", "langchain-openai", "openai")),
        ("package-lock.json", NPM, ("chatty", "openai")),
        ("yarn.lock", YARN, ("chatty", "openai")),
        ("pnpm-lock.yaml", PNPM, ("chatty", "openai")),
        ("Cargo.lock", CARGO, ("chatty", "async-openai")),
        ("packages.lock.json", NUGET, ("Chatty", "OpenAI")),
        ("Gemfile.lock", GEMS, ("chatty", "ruby-openai")),
        ("bom.json", BOM, ("chatty", "openai")),
        ("acme.spdx.json", SPDX, ("chatty", "openai")),
    ],
)
def test_the_way_to_a_package_that_only_others_need(
    file: str, text: str, via: tuple[str, ...]
) -> None:
    last = [one for one in findings(file, text) if one.value == via[-1]]

    assert [(one.reach, one.via) for one in last] == [("transitive", via)]


def test_what_is_asked_for_is_direct() -> None:
    found = {one.value: (one.reach, one.via, one.line > 0) for one in findings("uv.lock", UV)}

    assert found["litellm"] == ("channel", (), True)


def test_go_says_itself_what_is_indirect() -> None:
    text = (
        "require (\n\tgithub.com/openai/openai-go v1\n"
        "\tgithub.com/cohere-ai/cohere-go v2 // indirect\n)\n"
    )

    assert [(one.line, one.reach) for one in findings("go.mod", text)] == [
        (2, "direct"),
        (3, "transitive"),
    ]


def test_a_circle_of_packages_ends() -> None:
    row = '[[package]]\nname = "{}"\ndependencies = [{{name = "{}"}}]\n'
    text = row.format("openai", "x") + row.format("x", "openai")

    assert [one.value for one in findings("uv.lock", text)] == ["openai"]
