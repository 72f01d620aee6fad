"""Turning a template and its data into one self-contained file."""

import base64
import hashlib
import json
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from markupsafe import Markup

from backtrail import files
from backtrail.errors import ReportTemplateError
from backtrail.reports import formatting
from backtrail.reports.settings import ReportConfig
from backtrail.reports.vendor import chart_library

__all__ = ["embedded_json", "write_page"]

_TEMPLATES = Path(__file__).parent / "templates"
# What a page may do: run its own scripts, known by their hash, and nothing else; no request at all.
_POLICY = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
_UNSAFE_IN_SCRIPT = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def embedded_json(value: object) -> Markup:
    """Return JSON that cannot end the script element it stands in.

    Raises:
        ValueError: If a number is not finite.
    """
    text = json.dumps(
        value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True
    )
    for character, escape in _UNSAFE_IN_SCRIPT.items():
        text = text.replace(character, escape)
    return Markup(text)


def _folders(templates: Path | None) -> list[Path]:
    """Return where templates, styles and scripts are looked for, the user's own before ours."""
    return [*([] if templates is None else [templates]), _TEMPLATES]


def _environment(templates: Path | None) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_folders(templates)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        metric=formatting.metric_text,
        metric_label=formatting.metric_label,
        metric_tone=formatting.metric_tone,
        day=formatting.day_text,
        percent=formatting.percent_text,
        json=embedded_json,
    )
    environment.globals["no_value"] = formatting.NO_VALUE
    return environment


@lru_cache(maxsize=1)
def _own_environment() -> Environment:
    return _environment(None)


@lru_cache(maxsize=32)
def _own_source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _source(name: str, templates: Path | None) -> str:
    if templates is not None and (templates / name).is_file():
        return (templates / name).read_text(encoding="utf-8")
    return _own_source(name)


def _style(templates: Path | None) -> str:
    """Return the style of a page; `theme.css` of the user's own is added at its end."""
    style = _source("style.css", templates)
    added = None if templates is None else templates / "theme.css"
    return f"{style}\n{added.read_text(encoding='utf-8')}" if added and added.is_file() else style


@lru_cache(maxsize=32)
def _script_hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def write_page(
    out: Path,
    template: str,
    *,
    data: object,
    scripts: tuple[str, ...] = (),
    charts: bool = True,
    config: ReportConfig | None = None,
    sources: str = "",
    **values: object,
) -> Path:
    """Write a page as one file that holds its style, scripts and data and asks for nothing.

    Args:
        out: The file; replaced whole by a rename.
        template: Name of the template.
        data: What the page's scripts read; finite numbers only.
        scripts: Names of script files, run in this order after the shared one.
        charts: Put the chart library and its attribution on the page.
        config: Theme, and templates that take the place of ours; ours when None.
        sources: What else may be run as a script, in the words of the content security policy.
        values: What the template shows; a name it uses and does not get is an error.

    Returns:
        `out`.

    Raises:
        ReportTemplateError: If a template of the user's own cannot be rendered.
    """
    settings = config or ReportConfig()
    own = settings.templates
    library = chart_library() if charts else None
    shared = [library.script] if library else []
    shared += [_source(name, own) for name in ("parquet.js", "page.js")]
    further = [_source(name, own) for name in scripts]
    hashes = [_script_hash(script) for script in (*shared, *further)]
    policy = " ".join([*hashes, sources]).strip()
    environment = _own_environment() if own is None else _environment(own)
    try:
        page = environment.get_template(template).render(
            policy=_POLICY.format(scripts=policy),
            style=Markup(_style(own).replace("</", "<\\/")),
            theme=settings.theme,
            shared=[Markup(script) for script in shared],
            scripts=[Markup(script) for script in further],
            notice=library.notice if library else None,
            data=embedded_json(data),
            **values,
        )
    except TemplateError as error:
        if own is None:
            raise
        raise ReportTemplateError(
            f"{template} cannot be rendered with the templates of {own}: "
            f"{type(error).__name__}: {error}; mend or remove the file, or leave out "
            "reports.templates"
        ) from error
    # A lone surrogate in a name has no UTF-8 form; it is shown as a replacement.
    files.write_bytes(out, page.encode("utf-8", errors="replace"))
    return out
