"""An acceptance sheet as a PDF: the same content gives the same bytes, on every machine.

Latin is set in the Helvetica that every reader of PDF has, Chinese in the STSong-Light that readers bring along
(no font file travels with the product); in a text of both, each part takes its own. Pure.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any, TypeAlias
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)  # fmt: skip

from api.acceptance import Bad, Code, Good, Section, Sheet
from api.sheet_words import Words

CHINESE = "STSong-Light"
MARGIN = 15 * mm
WIDTH = A4[0] - 2 * MARGIN
INK, QUIET, BRAND, LINE, SHADE = map(HexColor, ("#16202a", "#5b6875", "#0b4f6c", "#c9d2da", "#eef3f6"))
GOOD, BAD, GOOD_SHADE, BAD_SHADE = map(HexColor, ("#1a7f45", "#b3261e", "#eaf6ee", "#fdf0ef"))
Flow: TypeAlias = list[Any]
# What Helvetica in its Windows encoding can draw; the rest is the Chinese font's, and what that cannot draw, a mark.
_LATIN = re.compile(r"[\x21-\x7e\xa0-\xff–•€](?:[\x20-\x7e\xa0-\xff–•€]*[\x21-\x7e\xa0-\xff–•€])?")
_FOREIGN = re.compile(r"[^\x20-\x7e\xa0-\xff–•€]+")
_UNDRAWABLE = re.compile(r"[\x00-\x1f\x7f\U00010000-\U0010ffff]")

pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))


def pdf(sheet: Sheet) -> bytes:
    """The file of a sheet."""
    pages = _built(sheet, 0)[1]
    return _built(sheet, pages)[0]


def _built(sheet: Sheet, pages: int) -> tuple[bytes, int]:
    """The file, and how many pages it has. pages: what its foot says of that."""
    paper, words = BytesIO(), Words(sheet.language)
    document = BaseDocTemplate(
        paper, pagesize=A4, title=f"{sheet.title}: {sheet.name}", author="emitwatch", subject=sheet.foot, invariant=1
    )
    frame = Frame(MARGIN, 17 * mm, WIDTH, A4[1] - 31 * mm, 0, 0, 0, 0)

    def foot(canvas: Any, template: Any) -> None:  # noqa: ANN401 - reportlab has no types
        canvas.setStrokeColor(LINE)
        canvas.line(MARGIN, 13 * mm, A4[0] - MARGIN, 13 * mm)
        canvas.setFillColor(QUIET)
        canvas.setFont("Helvetica", 7.5)
        canvas.drawString(MARGIN, 9 * mm, sheet.foot)
        canvas.setFont(_font(sheet.language), 7.5)
        canvas.drawRightString(A4[0] - MARGIN, 9 * mm, words("page", template.page, pages))

    document.addPageTemplates(PageTemplate(frames=[frame], onPage=foot))
    document.build(_story(sheet, words))
    return paper.getvalue(), document.page


def _story(sheet: Sheet, words: Words) -> Flow:
    language = sheet.language
    story: Flow = [
        _text(sheet.title, language, size=20, color=BRAND, bold=True), Spacer(1, 2 * mm),
        _text(sheet.name, language, size=13), Spacer(1, 1 * mm), _text(sheet.made, language, size=8.5, color=QUIET),
        Spacer(1, 4 * mm), _open(sheet, words),
    ]  # fmt: skip
    for section in sheet.sections:
        story += _section(section, language)
    proof = _text(sheet.proof, language, size=8, color=QUIET)
    signed = [_heading(words("signatures"), language), _signatures(words), Spacer(1, 3 * mm), proof]
    return [*story, KeepTogether(signed)]


def _open(sheet: Sheet, words: Words) -> Any:  # noqa: ANN401
    """What is open, in a box of its colour."""
    language, color = sheet.language, BAD if sheet.open else GOOD
    lines: list[Any] = [_text(words("open"), language, size=10.5, color=color, bold=True)]
    lines += [_text(f"• {line}", language, size=8.5) for line in sheet.open or (words("nothing_open"),)]
    box = Table([[line] for line in lines], colWidths=[WIDTH])
    look = [
        ("BACKGROUND", (0, 0), (-1, -1), BAD_SHADE if sheet.open else GOOD_SHADE),
        ("LINEBEFORE", (0, 0), (0, -1), 3, color), ("LEFTPADDING", (0, 0), (-1, -1), 9),
        ("TOPPADDING", (0, 0), (-1, -1), 2.2), ("BOTTOMPADDING", (0, 0), (-1, -1), 2.2),
        ("TOPPADDING", (0, 0), (-1, 0), 5), ("BOTTOMPADDING", (0, -1), (-1, -1), 6),
    ]  # fmt: skip
    box.setStyle(TableStyle(look))
    return box


def _heading(title: str, language: str) -> Any:  # noqa: ANN401
    return _text(title, language, size=11.5, color=BRAND, bold=True, before=5.5 * mm, after=1.6 * mm)


def _section(section: Section, language: str) -> Flow:
    begin: Flow = [CondPageBreak(32 * mm), _heading(section.title, language)]
    if not section.rows:
        return [*begin, _text(section.empty or "–", language, size=8.5, color=QUIET)]
    named = not section.head
    rows = [[_cell(cell, language, head=named and not n) for n, cell in enumerate(row)] for row in section.rows]
    if section.head:
        rows = [[_cell(cell, language, head=True) for cell in section.head], *rows]
    table = Table(rows, colWidths=[share * WIDTH for share in section.widths], repeatRows=0 if named else 1)
    look = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 3), ("RIGHTPADDING", (0, 0), (-1, -1), 3),
        ("TOPPADDING", (0, 0), (-1, -1), 2.4), ("BOTTOMPADDING", (0, 0), (-1, -1), 2.8),
    ]  # fmt: skip
    look += [] if named else [("BACKGROUND", (0, 0), (-1, 0), SHADE), ("LINEABOVE", (0, 0), (-1, 0), 0.8, BRAND)]
    table.setStyle(TableStyle(look))
    return [*begin, table]


def _signatures(words: Words) -> Any:  # noqa: ANN401
    """Two boxes to sign in."""
    names = [words("name"), words("date"), words("signature")]
    head = [_text(words(who), words.language, size=9, bold=True) for who in ("for_plant", "for_regulator")]
    rows = [[_text(name, words.language, size=8, color=QUIET) for _ in head] for name in names]
    table = Table([head, *rows], colWidths=[WIDTH / 2] * 2, rowHeights=[7 * mm, 9 * mm, 9 * mm, 16 * mm])
    look = [
        ("BOX", (0, 0), (0, -1), 0.6, LINE), ("BOX", (1, 0), (1, -1), 0.6, LINE),
        ("BACKGROUND", (0, 0), (-1, 0), SHADE), ("LINEBELOW", (0, 0), (-1, -2), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"), ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]  # fmt: skip
    table.setStyle(TableStyle(look))
    return table


def _cell(cell: str, language: str, *, head: bool) -> Any:  # noqa: ANN401
    color = GOOD if isinstance(cell, Good) else BAD if isinstance(cell, Bad) else QUIET if head else INK
    if isinstance(cell, Code) and not _FOREIGN.search(cell):
        style = ParagraphStyle("code", fontName="Courier", fontSize=7, leading=8.8, textColor=color, wordWrap="CJK")
        return Paragraph(escape(cell), style)
    return _text(cell, language, size=7.6, color=color, bold=head)


def _text(
    text: str, language: str, *, size: float, color: Color = INK, bold: bool = False, before: float = 0,
    after: float = 0,
) -> Any:  # fmt: skip  # noqa: ANN401
    """A paragraph. size: of its letters [pt]. before, after: the space around it [pt]."""
    style = ParagraphStyle(
        "text", fontName=_font(language, bold=bold), fontSize=size, leading=size * 1.28, textColor=color,
        wordWrap="CJK" if language == "zh" else None, spaceBefore=before, spaceAfter=after,
    )  # fmt: skip
    return Paragraph(_marked_up(text, language), style)


def _marked_up(text: str, language: str) -> str:
    """A text as reportlab reads it, every part in a font that has its letters."""
    parts, other = (_LATIN, "Helvetica") if language == "zh" else (_FOREIGN, CHINESE)
    found, end = "", 0
    for part in parts.finditer(text := _UNDRAWABLE.sub("?", text)):
        found += f'{escape(text[end : part.start()])}<font name="{other}">{escape(part[0])}</font>'
        end = part.end()
    return found + escape(text[end:])


def _font(language: str, *, bold: bool = False) -> str:
    return CHINESE if language == "zh" else "Helvetica-Bold" if bold else "Helvetica"
