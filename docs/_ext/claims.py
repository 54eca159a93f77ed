"""One page of the reference for all claims, written from the registry."""

from pathlib import Path

from fracture import _registry

PAGE = """# Claims

Each is a file: what is claimed, what is varied, what is measured, and the verdict.
`fracture reproduce NAME` runs one, and `fracture reproduce --list` shows this list.
"""
SECTION = """
## {name}

{said} ({source}).

```{{eval-rst}}
.. automodule:: {module}
   :no-members:
```

```sh
fracture reproduce {name} --size quick
```
"""


def write(app):
    """Write `reference/claims.md`, where it is another one."""
    sections = []
    for entry in _registry.entries().values():
        said, source = _registry.statement(entry.path)
        named = {"name": entry.name, "module": entry.module, "said": said, "source": source}
        sections.append(SECTION.format(**named))
    page, text = Path(app.srcdir) / "reference" / "claims.md", "".join([PAGE, *sections])
    if not page.exists() or page.read_text("utf-8") != text:
        page.write_text(text, "utf-8")


def setup(app):
    """Before pages are looked for."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
