"""Jinja2 as configuration files need it: an undefined name is an error, nothing is escaped, and errors are one line."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateNotFound, TemplateSyntaxError

from lab.errors import PlanError, Where


class Templates:
    """The templates in one vendor's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            autoescape=False,  # noqa: S701  configuration files, not HTML
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def render(self, name: str, context: Mapping[str, object]) -> str:
        """The template file `name`; PlanError with file and line where it cannot be filled."""
        file = str(self._folder / name)
        try:
            template = self._environment.get_template(name)
        except TemplateNotFound as error:
            raise PlanError(f"template {error.name} does not exist", where=Where(file), remedy="see `files:` in vendor.yaml") from error
        except TemplateSyntaxError as error:
            raise _syntax(error, error.filename or file) from error
        return _fill(template, context, file)

    def render_value(self, name: str, text: str, context: Mapping[str, object]) -> str:
        """A value of vendor.yaml that is a template itself; `name` says which, in errors."""
        file = str(self._folder / "vendor.yaml")
        try:
            template = self._environment.from_string(text)
        except TemplateSyntaxError as error:
            raise PlanError(f"{name}: {error.message}", where=Where(file)) from error
        try:
            return _fill(template, context, file)
        except PlanError as error:
            raise PlanError(f"{name}: {error.what}", where=Where(file)) from error


def _syntax(error: TemplateSyntaxError, file: str) -> PlanError:
    return PlanError(f"template: {error.message}", where=Where(file, error.lineno))


def _fill(template: Template, context: Mapping[str, object], file: str) -> str:
    """Rendering runs the template author's code: whatever it raises is that file's mistake, and becomes the one line."""
    try:
        return template.render(context)
    except TemplateSyntaxError as error:  # of an included template
        raise _syntax(error, error.filename or file) from error
    except Exception as error:
        where = _where(error, file)
        raise PlanError(f"template: {error or type(error).__name__}", where=where, remedy=_names(context)) from error


def _where(error: Exception, file: str) -> Where:
    """Jinja2 puts template lines into the traceback: the innermost one is the place."""
    folder = str(Path(file).parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(folder)]
    return Where(frames[-1].filename, frames[-1].lineno or 0) if frames else Where(file)


def _names(context: Mapping[str, object]) -> str:
    return f"a template knows {', '.join(sorted(context))}"
