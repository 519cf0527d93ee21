"""The report as one HTML page that needs no network."""

import base64
import re
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 14px; }
th, td { padding: 0.3rem 0.7rem; border: 1px solid #ccc; text-align: left; }
td { white-space: nowrap; } th { background: #f2f2f2; } code { background: #f2f2f2; }
"""


def html(markdown: str, folder: Path) -> str:
    """Return a Markdown text as a page: images of a folder are embedded, links to its files become plain text."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)

    def embedded(found: re.Match[str]) -> str:
        return f'src="data:image/png;base64,{base64.b64encode((folder / found[1]).read_bytes()).decode()}"'

    body = re.sub(r'src="([^":]+)"', embedded, body)
    body = re.sub(r'<a href="[^":]+">(.*?)</a>', r"\1", body)
    title = markdown.splitlines()[0].removeprefix("# ")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}</body></html>\n'


def with_note(page: str, note: str) -> str:
    """Return a page with another paragraph at its end."""
    return page.replace("</body>", f"<p>{note}</p>\n</body>")
