"""Sections as Markdown and as plain text: for a repository's documentation and for a terminal."""

from collections.abc import Sequence

from qcgen.report.protocol import Band, Bullets, Cell, Facts, Section, Table, Text


def render_markdown(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The tables, facts and sentences of a page; charts are left out, their tables are there."""
    parts = [f"# {title}", subtitle]
    for section in sections:
        parts += [f"## {section.title}", section.lead, *_blocks(section)]
        parts += [_table(table) for table in section.tables()]
    return "\n\n".join(part for part in parts if part) + "\n"


def cell_text(cell: Cell) -> str:
    """What a person reads in a cell."""
    return cell if isinstance(cell, str) else cell.text


def _blocks(section: Section) -> list[str]:
    found = []
    for block in section.blocks:
        if isinstance(block, Band):
            found.append(
                "\n".join([f"**{block.answer}** {block.sentence}", "", *(f"- {one}" for one in block.reasons)])
            )
        elif isinstance(block, Bullets):
            found.append("\n".join(f"- **{lead}**: {said}" for lead, said in block.items))
        elif isinstance(block, Facts):
            found.append("\n".join(f"- {name}: {value}" for name, value in block.pairs))
        elif isinstance(block, Text):
            found.append(block.text)
    return found


def _table(table: Table) -> str:
    head = "| " + " | ".join(column.title for column in table.columns) + " |"
    rule = "|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|"
    rows = ["| " + " | ".join(_escaped(cell_text(cell)) for cell in row) + " |" for row in table.rows]
    said = [f"**{table.caption}**", "\n".join([head, rule, *rows])]
    return "\n\n".join([*said, table.note] if table.note else said)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
