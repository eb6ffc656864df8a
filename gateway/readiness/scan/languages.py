"""How other languages write comments, strings and imports: enough to tell one from another."""

from __future__ import annotations

import re
from dataclasses import dataclass

_C_COMMENTS = r"//[^\n]*|/\*.*?(?:\*/|\Z)"
_HASH = r"(?:(?<=[\s;])|(?<![\s\S]))\#[^\n]*"
_DOUBLE = r'"(?:\\.|[^"\\\n])*"'
_SINGLE = r"'(?:\\.|[^'\\\n])*'"
_CHAR = r"'(?:\\[^\n]{1,8}?|[^'\\\n])'"


@dataclass(frozen=True, slots=True)
class Language:
    """``tokens`` matches comments (group ``comment``) and strings (group ``string``); ``imports``
    finds what is imported in code without comments (group 1) by the ``table`` of signals;
    ``quoted`` says that it stands in a string.
    """

    name: str
    tokens: re.Pattern[str]
    imports: re.Pattern[str] | None = None
    table: str = ""
    nested: bool = False


def _tokens(comments: str, *strings: str) -> re.Pattern[str]:
    return re.compile(f"(?P<comment>{comments})|(?P<string>{'|'.join(strings)})", re.DOTALL)


_JVM_IMPORT = re.compile(r"^[ \t]*import\s+(?:static\s+)?([\w.]+)", re.MULTILINE)
_GO = Language(
    "Go",
    _tokens(_C_COMMENTS, _DOUBLE, r"`[^`]*(?:`|\Z)", _CHAR),
    re.compile(
        r"""^[ \t]*(?:import\s+)?\(?[ \t]*(?:[\w.]+[ \t]+)?"([\w.~-]+\.[a-z]+/[^"\s]+)"[ \t;)]*$""",
        re.MULTILINE,
    ),
    "go",
)
_JAVA = Language(
    "Java", _tokens(_C_COMMENTS, r'""".*?(?:"""|\Z)', _DOUBLE, _CHAR), _JVM_IMPORT, "java"
)
_CSHARP = Language(
    "C#",
    _tokens(_C_COMMENTS, r'""".*?(?:"""|\Z)', r'\$?@\$?"(?:""|[^"])*(?:"|\Z)', _DOUBLE, _CHAR),
    re.compile(
        r"^[ \t]*(?:global\s+)?using\s+(?:static\s+)?(?:\w+\s*=\s*)?([\w.]+)\s*;", re.MULTILINE
    ),
    "dotnet",
)
_RUST = Language(
    "Rust",
    _tokens(
        r"//[^\n]*|(?P<nest>/\*)",
        r'b?r(?P<hashes>\#*)".*?(?:"(?P=hashes)|\Z)',
        r'"(?:\\.|[^"\\])*"',
        _CHAR,
    ),
    re.compile(r"^[ \t]*(?:pub\s+)?(?:use|extern\s+crate)\s+(?:::)?([\w:]+)", re.MULTILINE),
    "rust",
    nested=True,
)
_RUBY = Language(
    "Ruby",
    _tokens(r"^=begin\b.*?(?:^=end\b|\Z)|" + _HASH, _DOUBLE, _SINGLE),
    re.compile(r"""^[ \t]*(?:require|gem)[ \t(]+["']([^"']+)["']""", re.MULTILINE),
    "ruby",
)
_PHP = Language(
    "PHP",
    _tokens(_C_COMMENTS + "|" + _HASH, r'"(?:\\.|[^"\\])*"', r"'(?:\\.|[^'\\])*'"),
    re.compile(r"^[ \t]*use\s+(?:function\s+)?\\?([\w\\]+)", re.MULTILINE),
    "php",
)
_PYTHON = Language(
    "Python",
    _tokens(_HASH, r'""".*?(?:"""|\Z)', r"'''.*?(?:'''|\Z)", _DOUBLE, _SINGLE),
    re.compile(r"^[ \t]*(?:from|import)\s+([\w][\w.]*)", re.MULTILINE),
    "python",
)
_GENERIC = Language("script", _tokens(_C_COMMENTS, _DOUBLE, _SINGLE, r"`(?:\\.|[^`\\])*`"))
_TERRAFORM = Language("Terraform", _tokens(_C_COMMENTS + "|" + _HASH, _DOUBLE))

LANGUAGES = {
    ".go": _GO,
    ".java": _JAVA,
    ".kt": Language("Kotlin", _JAVA.tokens, _JVM_IMPORT, "java"),
    ".kts": Language("Kotlin", _JAVA.tokens, _JVM_IMPORT, "java"),
    ".scala": Language("Scala", _JAVA.tokens, _JVM_IMPORT, "java"),
    ".groovy": Language(
        "Groovy", _tokens(_C_COMMENTS, r'""".*?(?:"""|\Z)', r"'''.*?(?:'''|\Z)", _DOUBLE, _SINGLE)
    ),
    ".cs": _CSHARP,
    ".rs": _RUST,
    ".rb": _RUBY,
    ".php": _PHP,
    ".tf": _TERRAFORM,
    ".hcl": _TERRAFORM,
    ".swift": Language("Swift", _tokens(_C_COMMENTS, r'""".*?(?:"""|\Z)', _DOUBLE)),
    ".dart": Language("Dart", _tokens(_C_COMMENTS, _DOUBLE, _SINGLE)),
    ".ex": Language("Elixir", _tokens(_HASH, r'""".*?(?:"""|\Z)', _DOUBLE)),
    ".lua": Language("Lua", _tokens(r"--[^\n]*", _DOUBLE, _SINGLE)),
    ".cpp": Language("C++", _tokens(_C_COMMENTS, _DOUBLE, _CHAR)),
    ".c": Language("C", _tokens(_C_COMMENTS, _DOUBLE, _CHAR)),
    ".vue": _GENERIC,
    ".svelte": _GENERIC,
}
PYTHON_BY_PATTERNS = _PYTHON
SCRIPT_BY_PATTERNS = Language(
    "JavaScript",
    _GENERIC.tokens,
    re.compile(r"""(?:\bfrom|\bimport|\brequire\()\s*\(?["']([^"'\n]+)["']"""),
    "npm",
)
