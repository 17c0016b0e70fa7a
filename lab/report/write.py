"""All reports of a run at once: what `siplab run` does at its end and `siplab report` does again."""

from __future__ import annotations

from pathlib import Path

from lab.report.junit import write_junit
from lab.report.matrix import matrix_json
from lab.report.page import write_page
from lab.report.run import Run


def write_reports(run: Run) -> Path:
    """JUnit, matrix.json and index.html; the path of the page."""
    write_junit(run)
    run.write("matrix.json", matrix_json(run))
    return write_page(run)
