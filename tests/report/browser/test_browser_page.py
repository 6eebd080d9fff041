"""What the page does by itself: it asks for nothing, links open folds, downloads are the files."""

import re
import urllib.parse
import urllib.request

import pytest

pytestmark = pytest.mark.browser


def test_nothing_is_asked_for_and_nothing_complains(open_page, report_file):
    page = open_page(report_file, folds=True)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.emulate_media(color_scheme="dark")
    page.pdf()
    assert page.complaints == []
    assert report_file.stat().st_size < 3_000_000


def test_a_request_to_the_outside_is_a_complaint(open_page, tmp_path):
    file = tmp_path / "bad.html"
    file.write_text(
        "<img src='http://example.org/a.png'><script>console.warn('a warning')</script>"
    )
    page = open_page(file)
    page.wait_for_load_state()
    assert "http://example.org/a.png" in page.complaints and "a warning" in page.complaints


def test_links_lead_somewhere_and_ids_are_unique(open_page, report_file):
    page = open_page(report_file)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids)), sorted({one for one in ids if ids.count(one) > 1})
    links = page.evaluate("[...document.links].map(one => one.getAttribute('href'))")
    inside = [urllib.parse.unquote(link[1:]) for link in links if link.startswith("#")]
    assert inside and set(inside) <= set(ids), sorted(set(inside) - set(ids))
    others = [link for link in links if not link.startswith("#")]
    assert all(re.match(r"data:|https?://\w", link) for link in others), others


def test_every_figure_and_caption_has_an_address(open_page, report_file):
    page = open_page(report_file)
    bare = page.evaluate("""() => [...document.querySelectorAll('main figure, main .caption')]
        .filter(part => !part.id && !part.textContent.includes('Table 99'))
        .map(part => part.outerHTML.slice(0, 100))""")
    assert not bare


@pytest.mark.parametrize("target", ["inner", "fold", "figure-extra"])
def test_a_link_opens_the_folds_that_hold_its_target(open_page, report_file, target):
    page = open_page(report_file)
    for _ in range(2):  # the second time the address is the same already
        page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = false)")
        page.locator(f".contents a[href='#{target}']").click()
        page.wait_for_function(f"document.querySelector('#{target}').checkVisibility()")
        assert page.locator(f"#{target}").evaluate("one => one.closest('details').open")
        top = page.locator(f"#{target}").evaluate("one => one.getBoundingClientRect().top")
        assert -1 <= top < 900
        page.evaluate("scrollTo(0, 0)")
    page.goto(f"{report_file.as_uri()}#{target}")
    page.reload()
    assert page.locator(f"#{target}").evaluate("one => one.closest('details').open")


def test_every_image_loads_and_is_described(open_page, report_file):
    page = open_page(report_file, folds=True)
    images = page.evaluate("""() => Promise.all([...document.images].map(async image => {
        await image.decode().catch(() => {});
        return [image.alt, image.naturalWidth, image.closest('figure') !== null];
    }))""")
    assert len(images) > 5
    for alt, width, in_figure in images:
        assert len(alt.strip()) > 10 and width > 0 and in_figure, alt


def test_downloads_are_the_files(open_page, report, report_file):
    page = open_page(report_file, folds=True)
    links = page.locator("a[download]").evaluate_all(
        "links => links.map(a => [a.download, a.href])"
    )
    assert {"extra.csv", "extra.tex", "extra.pdf"} <= {name for name, _ in links}
    for name, address in links:
        with urllib.request.urlopen(address) as content:  # a data: URI, so nothing is fetched
            assert content.read() == report[1].files[name], name
    with page.expect_download() as download:
        page.locator("a[download='extra.csv']").click()
    assert download.value.path().read_bytes() == b"a,b\n1,2\n"
