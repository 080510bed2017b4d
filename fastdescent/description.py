r"""Parts described in plain text, from their docstrings, for the command line.

Examples
--------
>>> formula(r"\theta_t = \theta_{t-1} - \frac{\eta g_t}{\sqrt{v_t} + \epsilon}")
'theta_t = theta_{t-1} - (eta g_t) / (sqrt(v_t) + epsilon)'
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from fastdescent.errors import FastdescentError
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, Part

__all__ = ["describe", "formula", "headline"]

_WIDTH = 88
_GAP = "   "  # between equations on one line

# LaTeX command -> plain text; every other command is its own name.
_SIGNS = {
    "le": "<=",
    "leq": "<=",
    "ge": ">=",
    "geq": ">=",
    "ne": "!=",
    "approx": "~=",
    "pm": "+-",
    "mp": "-+",
    "cdot": "*",
    "odot": "*",
    "times": "*",
    "leftarrow": "<-",
    "gets": "<-",
    "to": "->",
    "sim": "~",
    "in": "in",
    "ldots": "...",
    "cdots": "...",
    "dots": "...",
    "infty": "inf",
    "lfloor": "floor(",
    "rfloor": ")",
    "lceil": "ceil(",
    "rceil": ")",
    "langle": "<",
    "rangle": ">",
    "lvert": "|",
    "rvert": "|",
    "lVert": "||",
    "rVert": "||",
    "bmod": "mod",
    "nabla": "grad ",
    "top": "T",
    "varepsilon": "epsilon",
    "|": "||",
    "\\": "\n",
    "quad": "\t",
    "qquad": "\t",
    ",": " ",
    ";": " ",
    ":": " ",
    " ": " ",
    "!": "",
}
# Commands that only change how their argument looks, or the size of a bracket.
_SILENT = {
    *("left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr", "bigg", "Bigg"),
    *("mathrm", "mathcal", "mathbf", "mathbb", "text", "operatorname", "displaystyle", "limits"),
}
_ACCENTS = {"hat", "bar", "tilde", "widehat", "dot", "ddot"}
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\s+|[A-Za-z]+|[0-9.]+|.", re.DOTALL)
_SIMPLE = re.compile(
    r"[A-Za-z0-9.]+(_[A-Za-z0-9]+)?(\^[A-Za-z0-9]+)?|[a-z]*\([^()]*\)|\|+[A-Za-z0-9_]+\|+"
)
_FUNCTION = re.compile(r"(cos|sin|tan|tanh|exp|log|ln)\s*$")


def formula(latex: str) -> str:
    r"""Return a formula in LaTeX as plain ASCII text, which may have several lines.

    Examples
    --------
    >>> formula(r"f(x, y) = x^2 + k y^2, \quad k \ge 1")
    'f(x, y) = x^2 + k y^2,   k >= 1'
    """
    text = _Formula(latex).read()
    text = re.sub(r" *\t[ \t]*", "\t", re.sub(r" {2,}", " ", text))
    text = re.sub(r"\bif (?=with|otherwise)", "", text)
    text = re.sub(r" +(?=[,)\]])|(?<=[(\[]) +", "", text)
    lines = [line.strip().replace("\t", _GAP) for line in text.split("\n")]
    return "\n".join(line for line in lines if line)


class _Formula:
    """A reader of the little LaTeX that docstrings need."""

    def __init__(self, latex: str) -> None:
        self._tokens: list[str] = _TOKEN.findall(latex)
        self._at = 0
        self._cases = False

    def read(self, until: str = "") -> str:
        """Return everything up to the token `until` as text."""
        text = ""
        while self._at < len(self._tokens) and self._tokens[self._at] != until:
            text = _joined(text, self._next(text))
        self._at += 1
        return text

    def _next(self, before: str) -> str:
        token = self._tokens[self._at]
        self._at += 1
        if token.startswith("\\"):
            return self._command(token[1:].rstrip("*"), before)
        if token == "{":
            return self.read("}")
        if token in "^_":
            return token + self._script(token)
        if token == "&":
            return "\tif " if self._cases else " "
        return " " if token.isspace() else token

    def _command(self, name: str, before: str) -> str:
        if name in ("frac", "tfrac", "dfrac"):
            fraction = f"{_bracketed(self._argument())} / {_bracketed(self._argument())}"
            return f"({fraction})" if _FUNCTION.search(before) or self._goes_on() else fraction
        if name == "sqrt":
            return f"sqrt({self._argument()})"
        if name in _ACCENTS:
            return f"{self._argument()}_{name.removeprefix('wide')}"
        if name in ("begin", "end"):
            self._cases = self._argument() == "cases" and name == "begin"
            return ""
        return "" if name in _SILENT else _SIGNS.get(name, name)

    def _goes_on(self) -> bool:
        """Return whether a factor follows, which must not be read into a denominator."""
        rest = "".join(self._tokens[self._at :]).lstrip()
        ends = (
            "+",
            "-",
            "=",
            ",",
            ")",
            "]",
            "}",
            "&",
            "\\\\",
            "\\right",
            "\\quad",
            "\\qquad",
            "\\end",
        )
        return bool(rest) and not rest.startswith(ends)

    def _argument(self) -> str:
        while self._at < len(self._tokens) and self._tokens[self._at].isspace():
            self._at += 1
        if self._at == len(self._tokens):
            return ""
        token = self._tokens[self._at]
        if len(token) > 1 and token.isalnum():
            self._tokens[self._at] = token[1:]  # LaTeX takes one character
            return token[0]
        return self._next("").strip()

    def _script(self, kind: str) -> str:
        text = self._argument()
        if len(text) == 1 or text.isalnum() or re.fullmatch(r"\([^()]*\)", text):
            return text
        return f"({text})" if kind == "^" else f"{{{text}}}"


def _joined(before: str, after: str) -> str:
    """Put two pieces together, apart where they would become one word."""
    apart = before[-1:].isalnum() and after[:1].isalnum()
    return f"{before} {after}" if apart else before + after


def _bracketed(text: str) -> str:
    return text if _SIMPLE.fullmatch(text) else f"({text})"


def headline(part: type[Part]) -> str:
    """Return the first line of a part's docstring, without what a dataclass would make up.

    Examples
    --------
    >>> from fastdescent.landscapes import Ravine
    >>> headline(Ravine)
    'A ravine: a quadratic valley, steep across and flat along.'
    """
    return _prose(_document(part).partition("\n")[0])


def describe(part: type[Part]) -> str:
    r"""Return what there is to know about a part as plain text.

    Parameters
    ----------
    part : subclass of Part
        A registered part.

    Returns
    -------
    str
        Its docstring with the formula in ASCII, and its parameters with their defaults and
        allowed ranges.

    Examples
    --------
    >>> from fastdescent.landscapes import Ravine
    >>> print(describe(Ravine).split("\n\nReferences")[0])
    Ravine (landscape)
    A ravine: a quadratic valley, steep across and flat along.
    <BLANKLINE>
        f(x, y) = x^2 + k y^2
    <BLANKLINE>
    The eigenvalues are 2 and 2 k, so k is the condition number.  Gradient descent converges
    for learning rates below 1 / k, at best by (k - 1) / (k + 1) a step.  k = 10 and 15 are
    the two ravines of the course notes.
    <BLANKLINE>
    Dimension 2, domain [-10, 10] in each coordinate.
    <BLANKLINE>
    Parameters
        condition_number = 10.0
            number in [1, inf), or a sequence of them
            Ratio k of the two eigenvalues, >= 1, dimensionless.
    """
    sections = _sections(_document(part))
    blocks = [f"{part.__name__} ({part.kind})\n{_prose(sections.pop('', ''))}"]
    if issubclass(part, Landscape):
        blocks.append(_place(part))
    explained = _explanations(sections.pop("Parameters", ""))
    fields = [_field(part, field, explained) for field in part._fields()]
    if fields:
        blocks.append("\n".join(["Parameters", *fields]))
    blocks += [
        f"{name}\n{textwrap.indent(_prose(sections[name]), '    ')}"
        for name in ("References", "Examples")
        if name in sections
    ]
    return "\n\n".join(block for block in blocks if block)


def _document(part: type[Part]) -> str:
    text = inspect.cleandoc(part.__dict__.get("__doc__") or "")
    return "" if text.startswith(f"{part.__name__}(") else text  # a dataclass made it up


def _sections(document: str) -> dict[str, str]:
    """Split a docstring at its underlined headings; what comes first has the heading ""."""
    pieces = re.split(r"(?m)^(\w[\w ]*)\n-{3,}\n", document)
    return {"": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


def _prose(text: str) -> str:
    """Return text with its formulas in ASCII and without markup."""
    out = []
    for piece in re.split(r"(?ms)(^\.\. math::.*?(?=\n\S|\Z))", text):
        if piece.startswith(".. math::"):
            lines = formula(piece.removeprefix(".. math::"))
            wrapped = [_wrapped(line) for line in lines.split("\n")]
            out.append("\n".join(wrapped) + "\n")
        else:
            plain = re.sub(r":math:`([^`]+)`", _inline, piece)
            out.append(re.sub(r"(?<!`)`([^`]+)`(?!`)|``([^`]+)``", r"\1\2", plain))
    return "".join(out).strip()


def _inline(found: re.Match[str]) -> str:
    return " ".join(formula(found[1]).split())


def _wrapped(line: str) -> str:
    """Break a long formula where it has a gap, and only then inside an equation."""
    lines = [""]
    for piece in line.split(_GAP):
        longer = f"{lines[-1]}{_GAP}{piece}" if lines[-1] else piece
        if len(longer) <= _WIDTH or lines[-1].endswith(":"):
            lines[-1] = longer
        else:
            lines.append(piece)
    return "\n".join(
        textwrap.fill(
            text,
            _WIDTH + 8,
            initial_indent="    ",
            subsequent_indent="        ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for text in lines
        if text
    )


def _explanations(section: str) -> dict[str, str]:
    """Return what a section "Parameters" says about each name."""
    pieces = re.split(r"(?m)^(\S[^:\n]*) : [^\n]*\n", section)
    explained = {}
    for names, text in zip(pieces[1::2], pieces[2::2], strict=True):
        for name in names.split(","):
            explained[name.strip()] = inspect.cleandoc(text).strip()
    return explained


def _field(part: type[Part], field: dataclasses.Field[Any], explained: dict[str, str]) -> str:
    required = field.default is dataclasses.MISSING
    lines = [f"    {field.name}" + ("" if required else f" = {field.default!r}")]
    allowed = " ".join(_allowed(part, field))
    if required:
        allowed = f"required; {allowed}" if allowed else "required"
    told = [allowed, *_prose(explained.get(field.name, "")).splitlines()]
    return "\n".join([*lines, *(f"        {line}" for line in told if line)])


def _allowed(part: type[Part], field: dataclasses.Field[Any]) -> Iterator[str]:
    said = field.metadata
    if "range" in said:
        yield f"number in {said['range']}, or a sequence of them"
        if part.schedulable:
            yield "(an axis of the result), or a schedule"
    if said.get("integer") is not None:
        yield f"integer in {said['integer']}"
    if said.get("number") is not None:
        yield f"number in {said['number']}"
    if said.get("choices"):
        yield "one of " + ", ".join(map(repr, said["choices"]))


def _place(part: type[Landscape]) -> str:
    """Say where a landscape lives, as it is with its default parameters."""
    try:
        landscape = part()
        domain = landscape.domain
    except (FastdescentError, TypeError):
        return ""
    same = bool((domain == domain[0]).all())
    where = f"{_interval(domain[0])} in each coordinate" if same else _box(domain)
    return f"Dimension {landscape.dim}, domain {where}."


def _interval(bounds: FloatArray) -> str:
    return f"[{bounds[0]:g}, {bounds[1]:g}]"


def _box(domain: FloatArray) -> str:
    return " x ".join(_interval(bounds) for bounds in domain)
