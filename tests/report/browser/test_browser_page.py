"""What the page is by itself: whole without scripts or a network, every part with an address."""

import csv
import io
import re
import urllib.parse
import urllib.request

import pytest

pytestmark = pytest.mark.browser

LARGEST = 2_000_000  # bytes

# The text of the page; what scripts add to tables' headers is buttons around the same words.
TEXT = """
() => {
    const body = document.body.cloneNode(true);
    body.querySelectorAll('script, style, noscript, template').forEach(one => one.remove());
    const clean = text => text.replace(/[^\\S\\n]*\\n\\s*/g, '\\n').trim();
    return clean(body.textContent).split('\\n');
}
"""


def use_it_all(page):
    """Opens every fold, sorts by every column, prints, and changes the scheme at the far end."""
    page.evaluate("""() => {
        document.querySelectorAll('summary, th button').forEach(one => one.click());
        scrollTo(0, document.body.scrollHeight);
    }""")
    page.emulate_media(color_scheme="dark")
    page.pdf()


def test_the_page_is_small_enough_to_send(report_file):
    assert report_file.stat().st_size <= LARGEST


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_nothing_is_asked_for_and_nothing_complains(watch_page, report_file, scripts):
    page, watch = watch_page(report_file, scripts=scripts)
    use_it_all(page)
    assert watch.complaints() == []
    # What a browser may do unasked, or only when it is online.
    hints = "link[rel~=preconnect], link[rel~=dns-prefetch], link[rel~=prefetch], base"
    assert page.locator(hints).count() == 0


def test_the_watch_sees_what_it_should(watch_page, tmp_path):
    """Otherwise the test above could not fail."""
    file = tmp_path / "bad.html"
    file.write_text(
        "<meta http-equiv=Content-Security-Policy content=\"img-src 'none'\">"
        "<link rel=stylesheet href=http://example.org/a.css><img src='data:image/gif;base64,R0'>"
        "<script>console.warn('a warning'); throw new Error('an error')</script>"
    )
    page, watch = watch_page(file)
    page.wait_for_load_state()
    said = "\n".join(watch.complaints())
    for what in ("example.org/a.css", "Content Security Policy", "a warning", "an error"):
        assert what in said


def test_without_scripts_the_text_is_the_same(open_page, report_file):
    def text(scripts):
        page = open_page(report_file, scripts=scripts)
        return page.evaluate(TEXT)

    assert text(scripts=True) == text(scripts=False)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_every_fold_opens(open_page, sample_file, scripts):
    page = open_page(sample_file, scripts=scripts)
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = false)")
    page.locator("summary:visible").first.click()
    assert page.locator("details[open]").count() == 1
    shut = page.evaluate("""() => [...document.querySelectorAll('details')]
        .filter(fold => {  // in the order of the document: outer ones first
            if (!fold.open) fold.querySelector(':scope > summary').click();
            const inside = [...fold.children].filter(one => one.localName !== 'summary');
            return !fold.open || !inside.length || !inside.every(one => one.checkVisibility());
        })
        .map(fold => fold.outerHTML.slice(0, 150))""")
    assert not shut, "\n".join(shut)


@pytest.mark.parametrize(("width", "scripts"), [(1280, False), (390, True), (390, False)])
def test_the_navigation_leads_there(open_page, sample_file, scripts, width):
    page = open_page(sample_file, scripts=scripts, width=width)
    links = page.locator("nav a:visible")
    assert links.count() >= 5
    for link in links.all():
        address = link.get_attribute("href")
        link.click()
        assert page.evaluate("location.hash") == address
        place = page.evaluate("""() => {
            const box = document.querySelector(':target').getBoundingClientRect();
            const nav = document.querySelector('nav').getBoundingClientRect();
            const covered = nav.right > box.left + 1 && nav.top < box.bottom ? nav.bottom : 0;
            const end = document.documentElement.scrollHeight - innerHeight - scrollY < 2;
            return {top: box.top, covered, end, height: innerHeight};
        }""")
        assert place["top"] >= min(place["covered"], place["height"]) - 1, address
        assert place["top"] < place["height"] / 2 or place["end"], address


def test_links_lead_somewhere_and_ids_are_unique(shown):
    ids = shown.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids)), sorted({one for one in ids if ids.count(one) > 1})
    links = shown.evaluate("[...document.links].map(one => one.getAttribute('href'))")
    inside = [urllib.parse.unquote(link[1:]) for link in links if link.startswith("#")]
    assert inside
    assert set(inside) <= set(ids), sorted(set(inside) - set(ids))
    others = [link for link in links if not link.startswith("#")]
    assert all(re.match(r"data:|https?://\w", link) for link in others), others


def test_every_section_figure_and_table_has_an_address_and_shows_it(shown):
    """The address is of the part or of what names it; in a fold it need not be shown."""
    parts = shown.evaluate("""() =>
        [...document.querySelectorAll('main section, main figure, main table')].map(part => {
            const naming = document.getElementById(part.getAttribute('aria-labelledby'));
            const ids = [part.id, naming?.id, part.caption?.id].filter(Boolean);
            return {
                name: part.outerHTML.slice(0, 150),
                ids: ids.length,
                shown: part.closest('details') !== null || ids.some(id =>
                    part.querySelector(`a[href="#${CSS.escape(id)}"]`)?.checkVisibility()),
            };
        })""")
    assert parts
    for part in parts:
        assert part["ids"], part
        assert part["shown"], part


def test_a_link_to_a_table_in_a_fold_opens_the_fold(open_page, sample_file):
    page = open_page(sample_file, scripts=False)
    ids = page.evaluate("""() => [...document.querySelectorAll('details table')]
        .map(table => table.closest('[id]').id)""")
    assert ids
    for name in ids:
        page.goto(f"{sample_file.as_uri()}#{urllib.parse.quote(name)}")
        assert page.locator(":target").is_visible(), name


def test_every_image_loads_and_is_described(shown):
    images = shown.evaluate("""() => Promise.all([...document.images].map(async image => {
        image.loading = 'eager';
        await image.decode().catch(() => {});
        return {
            alt: image.alt.trim(),
            figure: image.closest('figure')?.querySelectorAll('img').length === 1,
            source: image.currentSrc.slice(0, 60),
            width: image.naturalWidth,
            height: image.naturalHeight,
        };
    }))""")
    assert any(image["figure"] for image in images)
    for image in images:
        assert image["width"] > 0, image
        assert image["height"] > 0, image
        assert len(image["alt"]) > (20 if image["figure"] else 0), image


def table_of(link):
    """The rows that a download link holds."""
    with urllib.request.urlopen(link) as answer:  # a data: URI, so nothing is fetched
        return list(csv.reader(io.StringIO(answer.read().decode("utf-8"), newline="")))


def test_every_figure_offers_its_numbers(shown):
    """Figures made of many images show data as it is, and have no numbers."""
    figures = shown.evaluate("""() => [...document.querySelectorAll('figure')]
        .filter(figure => figure.querySelectorAll('img').length === 1)
        .map(figure => ({
            name: figure.outerHTML.slice(0, 100),
            links: [...figure.querySelectorAll('a[download]')]
                .filter(link => link.download.endsWith('.csv'))
                .map(link => ({href: link.href, name: link.download})),
        }))""")
    assert figures
    names = []
    for figure in figures:
        assert figure["links"], f"no numbers: {figure['name']}"
        for link in figure["links"]:
            assert link["href"].startswith("data:text/csv"), figure["name"]
            header, *rows = table_of(link["href"])
            assert rows, figure["name"]
            assert all(re.search("[a-z]", word, re.IGNORECASE) for word in header), header
            assert len(set(header)) == len(header)
            assert {len(row) for row in rows} == {len(header)}, figure["name"]
            names.append(link["name"])
    assert len(set(names)) == len(names), "two downloads would have the same name"


def test_a_click_saves_the_numbers(open_page, sample_file):
    page = open_page(sample_file)
    link = page.locator("figure a[download$='.csv']:visible").first
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == link.get_attribute("download")
    with download.value.path().open(encoding="utf-8", newline="") as saved:
        assert list(csv.reader(saved)) == table_of(link.get_attribute("href"))
