"""Tab completion: `eval "$(python -m runner --completion bash)"`, or zsh, switches it on, for both ways to start a run.

The shell function that `script` returns calls `main` for every TAB. Answers come from file names and from sources that
are read as text: importing Hydra, timm or torch would take longer than a person waits.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from runner.config import flags, groups, keys
from runner.core import ConfigError
from runner.help import COMMANDS, PROGRAM
from runner.stages import order

_BASH = """\
_{program}() {{
    mapfile -t COMPREPLY < <(
        {python} -c {code} "$COMP_WORDBREAKS" "${{COMP_LINE:0:COMP_POINT}}" 2>/dev/null
    )
    [[ ${{#COMPREPLY[@]}} -eq 1 && ${{COMPREPLY[0]}} == *[=/.] ]] && compopt -o nospace
}}
_{program}_python() {{
    if [[ " ${{COMP_WORDS[*]}}" == *" -m runner"* ]]; then
        compopt +o default
        _{program}
    elif [[ -n $_{program}_other ]]; then
        "$_{program}_other" "$@"
    fi
}}
[[ $(complete -p python 2>/dev/null) =~ -F\\ ([^ ]+) && ${{BASH_REMATCH[1]}} != _{program}_python ]] &&
    _{program}_other=${{BASH_REMATCH[1]}}
complete -o nosort -F _{program} {program}
complete -o nosort -o default -F _{program}_python python python3
"""
_ZSH = """\
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit }}
_{program}() {{
    local -a found
    found=("${{(@fQ)$({python} -c {code} "" "$LBUFFER" 2>/dev/null)}}")
    compadd -V unfinished -S "" -- ${{(M)found:#*[=/.]}}
    compadd -V finished -- ${{found:#*[=/.]}}
}}
_{program}_python() {{
    if [[ "$words" == *" -m runner"* ]]; then
        _{program}
    elif (( $+functions[_python] )); then
        _python "$@"
    else
        _default "$@"
    fi
}}
compdef _{program} {program}
compdef _{program}_python python python3
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH}
_ESCAPED = re.compile(r"([\s'\"\\$&;|<>()*?#!`])")
_ARCHES = re.compile(r"\n@register_model\b.*\n(?:[@ )].*\n)*def (\w+)\(")
"""The decorator by which timm and torchvision list a network."""
_LIBRARIES = ("timm", "torchvision")
_WORDS = {
    "weights": ("auto", "random"),
    "stages": order.STAGES,
    "force": ("true", "false", *order.STORED),
    "bool": ("true", "false"),
}


def script(arguments: Sequence[str]) -> str:
    """Return the shell code that switches completion on; `arguments` are those of `--completion SHELL`.

    Raises:
        ConfigError: it is another shell.
    """
    shell = arguments[-1]
    if shell not in _SCRIPTS:
        raise ConfigError(f"--completion {shell}: there is none for that", f"choose from {', '.join(_SCRIPTS)}")
    # With -c, the working folder comes first on sys.path; a runner.py in it must not be run.
    code = f"import sys; sys.path[0] = {str(Path(__file__).parents[1])!r}; from runner import completion as c; c.main()"
    return _SCRIPTS[shell].format(program=PROGRAM, python=shlex.quote(sys.executable), code=shlex.quote(code))


def main() -> None:
    """Print what the shell may put in the place of the last word, one candidate a line.

    Takes from sys.argv the characters at which the shell breaks words, and the line up to the cursor.
    """
    breaks, line = sys.argv[1:]
    words, is_quoted = split(line)
    word = words[-1]
    kept = max((word.rfind(each) for each in "=:" if each in breaks), default=-1) + 1
    for each in candidates(_typed(words[:-1]), word):
        print(each[kept:] if is_quoted else _ESCAPED.sub(r"\\\1", each[kept:]))


def split(line: str) -> tuple[list[str], bool]:
    """Return the words of an unfinished command line, the last one maybe empty, and whether a quote is open in it."""
    for closing in ("", "'", '"'):
        try:
            *before, last = shlex.split(f"{line}\0{closing}")
        except ValueError:
            continue
        return [*before, last.removesuffix("\0")], bool(closing)
    return [""], False


def candidates(typed: Sequence[str] | None, word: str) -> list[str]:
    """Return what the word may become.

    `typed` are the arguments before it, the first of which may be the name of a command; None if the word is the module
    of `python -m`.
    """
    if typed is None:
        return _starting(word, ["runner", *(f"runner.{name}" for name in COMMANDS)])
    last = typed[-1] if typed else ""
    if last in groups.CONFIG_DIR_FLAGS:
        return _paths("", word, only_folders=True)
    if last in flags.VALUES or last in flags.SHORT:
        choices = flags.VALUES.get(flags.SHORT.get(last, last), ())
        if choices:
            return _starting(word, choices)
    if word.startswith("-"):
        return _starting(word, sorted([*flags.OURS, *flags.VALUES, *flags.SWITCHES]))
    key, equals, value = word.partition("=")
    if equals:
        return _values(key.lstrip("+"), f"{key}=", value, typed)
    beside = _paths("", word) if typed[:1] and typed[0] in COMMANDS else []
    return [*(_starting(word, COMMANDS) if not typed else []), *_keys(word), *beside]


def _typed(words: Sequence[str]) -> list[str] | None:
    """Return the arguments after the console script's name or after `-m runner`; first a command, if any."""
    for index, word in enumerate(words):
        if Path(word).name == PROGRAM:
            return list(words[index + 1 :])
        if word == "-m" and words[index + 1 : index + 2]:
            command = words[index + 1].partition(".")[2]
            return [*([command] if command else []), *words[index + 2 :]]
    return None


def _keys(word: str) -> list[str]:
    """Return the keys that begin so, up to the next dot."""
    typed = word.lstrip("+~")
    sign = word.removesuffix(typed)
    holders = {name.rpartition(".")[0] for name in keys.known()}
    next_ones = {
        f"{name}." if name in holders or key.annotation.startswith("dict[") else f"{name}="
        for name, key in keys.known().items()
        if name.startswith(typed) and "." not in name[len(typed) :]
    }
    chosen = {f"{name}=" for name in groups.names() if name.startswith(typed)}
    return [sign + name for name in sorted(next_ones | chosen)]


def _values(key: str, head: str, value: str, typed: Sequence[str]) -> list[str]:
    """Return the words that may follow `head`, KEY=, and what is typed of a list or of a sweep's values."""
    if key in keys.PATHS and key != "weights":
        return _paths(head, value)
    start = max(value.rfind(","), value.rfind("[")) + 1
    names = _names(key, typed)
    found = [head + value[:start] + name for name in names if name.startswith(value[start:])]
    return [*found, *(_paths(head, value) if key == "weights" else [])]


def _names(key: str, typed: Sequence[str]) -> Iterable[str]:
    if key in groups.names():
        config_dir, _ = groups.split_config_dir(typed)
        return [*groups.ordered(groups.files(key, config_dir)), *(["auto"] if key == "soc" else [])]
    if key == "model.arch":
        chosen = [library for library in _LIBRARIES if f"model={library}" in typed]
        return sorted({name for library in chosen or _LIBRARIES for name in _arches(library)})
    if key in _WORDS:
        return _WORDS[key]
    found = keys.known().get(key)
    return () if found is None else found.choices or _WORDS.get(found.annotation, ())


def _arches(library: str) -> list[str]:
    """Return the names of a library's networks, without importing it."""
    place = importlib.util.find_spec(library)
    folders = (place.submodule_search_locations if place else None) or ()
    files = (path for folder in folders for path in Path(folder, "models").rglob("*.py"))
    return [name for path in files for name in _ARCHES.findall(path.read_text(encoding="utf-8"))]


def _paths(head: str, typed: str, only_folders: bool = False) -> list[str]:
    folder, slash, name = typed.rpartition("/")
    try:
        entries = sorted(os.scandir(folder + slash or "."), key=lambda entry: entry.name)
    except OSError:
        return []
    return [
        f"{head}{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in entries
        if entry.name.startswith(name)
        and (entry.is_dir() or not only_folders)
        and (name.startswith(".") or not entry.name.startswith("."))
    ]


def _starting(word: str, choices: Iterable[str]) -> list[str]:
    return [choice for choice in choices if choice.startswith(word)]
