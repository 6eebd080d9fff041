"""On paper: nothing stays folded, nothing is cut off."""

import re
import zlib

import pytest

pytestmark = pytest.mark.browser


def pdf_text(data: bytes) -> str:
    """The text of a PDF that Chromium wrote, without spaces.

    Chromium writes every glyph as `<hex> Tj`, after the font's name and `Tf`; each font has a table
    from glyphs to Unicode.
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
        for name, glyph in re.findall(rb"/(F\d+) \S+ Tf|<(\w+)> Tj", stream(contents[1])):
            if name:
                font = characters.get(fonts[name], {})
            else:
                text.append(font.get(int(glyph, 16), ""))
    return re.sub(r"\s", "", "".join(text))


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_every_fold_is_printed_open(open_page, sample_file, scripts):
    page = open_page(sample_file, scripts=scripts)
    marks = page.evaluate("""() => [...document.querySelectorAll('details')].map((fold, i) => {
        fold.open = false;
        const last = fold.appendChild(document.createElement('p'));
        last.textContent = `mark${i}kram`;
        return last.textContent;
    })""")
    assert marks
    text = pdf_text(page.pdf(format="A4"))
    title = page.locator("h1").inner_text()
    assert re.sub(r"\s", "", title) in text, "the PDF was not read rightly"
    assert [mark for mark in marks if mark not in text] == []


def test_after_printing_the_folds_are_as_before(open_page, sample_file):
    page = open_page(sample_file)
    page.locator("summary:visible").last.click()
    states = "[...document.querySelectorAll('details')].map(fold => fold.open)"
    before = page.evaluate(states)
    page.pdf()
    assert page.evaluate(states) == before


def test_all_that_is_in_a_fold_has_a_place_on_paper(paper):
    shut = paper.evaluate("""() => [...document.querySelectorAll('details > :not(summary)')]
        .filter(one => !one.checkVisibility() || one.getBoundingClientRect().height === 0)
        .map(one => one.outerHTML.slice(0, 150))""")
    assert not shut, "\n".join(shut)


def test_nothing_is_wider_than_the_paper(paper):
    # On paper nothing can be scrolled: what a region hides is lost.
    wide = paper.evaluate(
        """width => [...document.querySelectorAll('body *')]
        .filter(element => element.checkVisibility({visibilityProperty: true}))
        .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
        .map(element => element.outerHTML.slice(0, 150))"""
    )
    assert not wide, "\n".join(wide)
    lost = paper.evaluate("""() => [...document.querySelectorAll('main *')]
        .filter(element => element.checkVisibility())
        .filter(element => getComputedStyle(element).overflowX !== 'visible')
        .filter(element => element.scrollWidth > element.clientWidth + 1)
        .map(element => element.outerHTML.slice(0, 150))""")
    assert not lost, "\n".join(lost)


def test_what_is_of_use_on_a_screen_only_is_not_printed(paper):
    assert paper.locator("main h2:visible").count() > 0
    for what in ("nav", "a[href='#main']"):
        assert paper.locator(what).count() > 0
        assert paper.locator(f"{what}:visible").count() == 0, what
