"""On paper: nothing stays folded but summaries of layers, nothing is cut off."""

import re
import zlib

import pytest

from .conftest import opening

pytestmark = pytest.mark.browser


def pdf_text(data: bytes) -> str:
    """The text of a PDF that Chromium wrote, without spaces.

    Chromium writes glyphs as `<hex> Tj`, after the font's name and `Tf`; each font has a table from
    glyphs to Unicode.
    """
    found = re.finditer(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", data, re.DOTALL)
    objects = {int(match[1]): match[2] for match in found}

    def stream(reference):
        head, _, body = objects[int(reference)].partition(b"stream\n")
        body = body.rsplit(b"\nendstream", 1)[0]
        return zlib.decompress(body) if b"/FlateDecode" in head else body

    def glyphs(reference):
        table = stream(reference).decode("ascii")
        character = {}
        for first, last, code in re.findall(r"^<(\w+)> <(\w+)> <(\w+)>$", table, re.MULTILINE):
            for i in range(int(first, 16), int(last, 16) + 1):
                character[i] = chr(int(code, 16) + i - int(first, 16))
        for glyph, code in re.findall(r"^<(\w+)> <(\w+)>$", table, re.MULTILINE):
            character[int(glyph, 16)] = bytes.fromhex(code).decode("utf-16-be")
        return character

    characters = {}
    for number, body in objects.items():
        if table := re.search(rb"/ToUnicode (\d+) 0 R", body):
            characters[number] = glyphs(table[1])
    text = []
    for body in objects.values():
        contents = re.search(rb"/Contents (\d+) 0 R", body)
        if not contents:
            continue
        fonts = {name: int(number) for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", body)}
        font = {}
        for name, run in re.findall(rb"/(F\d+) \S+ Tf|<(\w+)> Tj", stream(contents[1])):
            if name:
                font = characters.get(fonts[name], {})
            else:
                text += [font.get(int(run[i : i + 4], 16), "") for i in range(0, len(run), 4)]
    return re.sub(r"\s", "", "".join(text))


@pytest.fixture(scope="module")
def paper(browser, report_file):
    """The page as Chromium prints it, and its text."""
    with opening(browser) as open_file:
        data = open_file(report_file).pdf(prefer_css_page_size=True)
    return data, pdf_text(data)


def test_the_appendix_is_printed_but_for_summaries_of_layers(paper):
    _, text = paper
    assert "PRINTED-LAST" in text and "Doshortcutspay?" in text
    assert "NOT-PRINTED" not in text


def test_a_report_takes_few_pages(paper):
    data, _ = paper
    assert 3 <= len(re.findall(rb"/Type /Page\b", data)) <= 20


def test_what_is_of_use_on_a_screen_only_is_not_printed(paper):
    _, text = paper
    for words in ("Skiptotheresults", "Twofoldsdown", "PDF-of-it"):
        assert words not in text


def test_nothing_is_wider_than_the_paper(open_page, report_file):
    # 210 mm less the margins; what sticks out would shrink the whole page.
    page = open_page(report_file, media="print", width=688)
    wide = page.evaluate("""() => [...document.querySelectorAll('main *')]
        .filter(element => element.checkVisibility())
        .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
        .map(element => element.outerHTML.slice(0, 150))""")
    assert not wide, "\n".join(wide)


def test_figures_and_rows_are_not_split(open_page, report_file):
    page = open_page(report_file, media="print", scripts=True)
    for what in ("figure", "tr"):
        values = page.locator(what).evaluate_all(
            "all => all.map(one => getComputedStyle(one).breakInside)"
        )
        assert set(values) == {"avoid"}, what
