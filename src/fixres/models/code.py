"""The user's code: the files that an import loads, found without running any of them.

    files("/home/me/code", "package.module")

These are the module, the `__init__.py` of its packages, and what they import in turn, at module
level or inside functions. Imports are followed within the folder `path`, or without `path` within
the module's package. A file that imports by other means than a statement (importlib, pkgutil,
exec …) may load any module of its package, so all of them count.

Not found: files that the code opens, installed packages, and modules in folders that the code adds
to sys.path, unless the module is in the folder of the file that imports it.
"""

import ast
import importlib.util
import os
from collections.abc import Iterator
from functools import cache
from importlib.machinery import all_suffixes
from pathlib import Path

from fixres import jobs
from fixres.jobs import JobError

BY_OTHER_MEANS = {"import_module", "__import__", "exec", "exec_module", "load_module", "run_path"}
BY_OTHER_MEANS |= {"run_module", "iter_modules", "walk_packages", "spec_from_file_location"}


def files(path: str, module: str) -> list[Path]:
    """The files that importing a module loads: its own file first, then the others by name.

    Empty if there is no such module. Raises SyntaxError if a file that is imported by a statement
    is not valid Python.
    """
    root, top = _root(path, module), module.partition(".")[0]
    everywhere = path and root.name not in ("site-packages", "dist-packages")
    own = file_of(path, module)
    found: set[Path] = set()
    seen: set[str] = set()
    todo = [(module, True)] if own.is_file() else []  # names, and whether a statement imports them
    while todo:
        name, by_statement = todo.pop()
        if name in seen or not (everywhere or name.partition(".")[0] == top):
            continue
        seen.add(name)
        for _, file, package in _loaded(root, name):
            if file not in found:
                found.add(file)
                todo += _imported(file, package, root, by_statement)
    return [own, *sorted(found - {own})] if found else []


def digest(path: str, module: str) -> str:
    """A digest of these files, or "" if there is no such module."""
    own, *others = files(path, module) or [None]
    if own is None:
        return ""
    root = _root(path, module)
    named = ((os.path.relpath(file, root), file.read_bytes()) for file in others)
    return jobs.digest(own.read_bytes(), *(part for pair in named for part in pair))


@cache
def check(source: str, path: str, planned: str) -> None:
    """Raise JobError if the code of python:package.module:function changed since the planning.

    Checked only once, before the code is loaded, so that a later edit does not stop a long
    training. The next plan notices the edit.
    """
    if digest(path, source.split(":")[1]) != planned:
        raise JobError(
            f"{source}: its code changed after this job was planned. Run the same command again."
        )


def file_of(path: str, module: str) -> Path:
    """The file of a module in the folder `path`, or without `path` where Python finds the module.

    If there is no such module, the file that was expected.
    """
    root = _root(path, module)
    own = [file for name, file, _ in _loaded(root, module) if name == module]
    return own[0] if own else Path(root, *module.split(".")).with_suffix(".py")


def _root(path: str, module: str) -> Path:
    """The folder that holds the module's outermost package."""
    if path:
        return Path(path)
    try:  # only for the outermost name: Python would run the packages to find their contents
        found = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        found = None
    places = list(found.submodule_search_locations or ()) if found else []
    place = places[0] if places else found.origin if found else None
    return Path(place).parent if place else Path()


def _loaded(root: Path, module: str) -> Iterator[tuple[str, Path, str]]:
    """What importing a dotted name loads: name, file, and the file's package."""
    folder, above = root, ""
    for part in module.split("."):
        name = f"{above}.{part}".lstrip(".")
        for suffix in all_suffixes():
            if (package := folder / part / f"__init__{suffix}").is_file():
                yield name, package, name
            elif (file := folder / f"{part}{suffix}").is_file():
                yield name, file, above
        folder, above = folder / part, name


def _imported(file: Path, package: str, root: Path, strict: bool) -> Iterator[tuple[str, bool]]:
    """The modules that a file may import: their names, and whether a statement imports them.

    Parameters
    ----------
    package : the file's package, or "".
    strict : whether the file must be valid Python.
    """
    if file.suffix != ".py":
        return
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes(), str(file))))
    except (SyntaxError, ValueError, RecursionError) as error:
        if strict:
            raise _with_place(error, file) from None
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            origin = ".".join(filter(None, [*above, node.module]))
            names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
            if node.names[0].name == "*":
                yield from _modules_in(Path(root, *origin.split(".")), root, "*.py")
        else:
            continue
        for name in names:
            yield name, strict
            if package and not getattr(node, "level", 0):  # its folder: see sys.path, above
                yield f"{package}.{name}", False
    if {_named(node) for node in nodes} & BY_OTHER_MEANS:
        top = package.partition(".")[0]
        yield from _modules_in(root / top, root, "**/*.py" if top else "*.py")


def _named(node: ast.AST) -> str:
    """The name that a node of the syntax tree uses or imports; "" for most nodes."""
    kinds = {ast.Name: "id", ast.Attribute: "attr", ast.alias: "name"}
    return getattr(node, kinds.get(type(node), ""), "")


def _modules_in(folder: Path, root: Path, pattern: str) -> Iterator[tuple[str, bool]]:
    """The modules in a folder, none of them imported by a statement."""
    for file in sorted(folder.glob(pattern)):
        parts = file.relative_to(root).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), False


def _with_place(error: Exception, file: Path) -> SyntaxError:
    """The error with the name of the file."""
    if isinstance(error, SyntaxError) and error.filename:
        return error
    return SyntaxError(str(error), (str(file), 1, None, None))
