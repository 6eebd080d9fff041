"""What is seen: on small screens, far down the page, and in the dark."""

import re

import pytest

pytestmark = pytest.mark.browser

# Elements that stick out to the right of the page and cannot be scrolled to by themselves.
STICKING_OUT = """
width => [...document.querySelectorAll('body *')]
    .filter(element => element.checkVisibility({visibilityProperty: true}))
    .filter(element => element.getBoundingClientRect().right > width + 1)
    .filter(element => {
        for (let one = element.parentElement; one; one = one.parentElement)
            if (['auto', 'scroll'].includes(getComputedStyle(one).overflowX)) return false;
        return true;
    })
    .map(element => element.outerHTML.slice(0, 150))
"""

# From 0 (black) to 1 (white): what an element stands on.
GROUND = """
element => {
    for (let one = element; one; one = one.parentElement) {
        const colour = getComputedStyle(one).backgroundColor;
        const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
        if (a === 1) return (r + g + b) / 765;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? 0 : 1;
}
"""


@pytest.mark.parametrize("widths", [(390, 360), (768, 1280)], ids=["phones", "screens"])
def test_the_page_scrolls_downwards_only(open_page, report_file, widths):
    page = open_page(report_file, width=widths[0])
    for folds in (False, True):
        page.evaluate(
            "open => document.querySelectorAll('details').forEach(fold => fold.open = open)", folds
        )
        for width in widths:
            page.set_viewport_size({"width": width, "height": 850})
            sticking = page.evaluate(STICKING_OUT, width)
            assert not sticking, f"{width} px: " + "\n".join(sticking)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            # A phone zooms out where the page does not fit or does not name its width.
            assert page.evaluate("innerWidth") == width


def test_wide_tables_scroll_in_a_place_of_their_own(open_page, report_file):
    page = open_page(report_file, width=390, folds=True)
    tables = page.evaluate(
        """width => [...document.querySelectorAll('table')]
        .filter(table => table.getBoundingClientRect().width > width - 8)
        .map(table => {
            let region = table;
            while (region && !['auto', 'scroll'].includes(getComputedStyle(region).overflowX))
                region = region.parentElement;
            if (!region) return {name: table.outerHTML.slice(0, 100)};
            region.scrollLeft = 1e6;
            const cells = [...table.rows].map(row => row.cells[row.cells.length - 1]);
            const end = Math.max(...cells.map(cell => cell.getBoundingClientRect().right));
            return {
                name: table.outerHTML.slice(0, 100),
                own: region.querySelectorAll('table').length === 1,
                reached: end <= width,
                keyboard: region.tabIndex === 0,
            };
        })""",
        390,
    )
    assert tables, "no table is wider than the screen: nothing was tested"
    for table in tables:
        assert table.get("own"), table
        assert table["reached"], table
        assert table["keyboard"], table


@pytest.mark.parametrize(("width", "scripts"), [(1280, False), (390, True), (390, False)])
def test_the_navigation_stays_in_sight(open_page, sample_file, width, scripts):
    page = open_page(sample_file, width=width, folds=True, scripts=scripts)
    for share in (0.5, 1):
        page.evaluate("y => scrollTo(0, y * document.documentElement.scrollHeight)", share)
        seen = page.evaluate("""() => {
            const nav = document.querySelector('nav');
            const controls = [...nav.querySelectorAll('a, summary, button')];
            const box = nav.getBoundingClientRect();
            const shown = (Math.min(box.right, innerWidth) - Math.max(box.left, 0))
                * (Math.min(box.bottom, innerHeight) - Math.max(box.top, 0));
            return {
                down: scrollY,
                share: shown / innerWidth / innerHeight,
                controls: controls.filter(control => {
                    const box = control.getBoundingClientRect();
                    const x = box.left + Math.min(box.width, 20) / 2, y = box.top + box.height / 2;
                    return control.contains(document.elementFromPoint(x, y));
                }).length,
            };
        }""")
        assert seen["down"] > 500
        assert seen["controls"] > 0
        assert seen["share"] < 0.35, "the navigation leaves too little of the page"


def test_the_page_is_dark_in_the_dark_and_figures_stand_on_a_light_card(open_page, report_file):
    page = open_page(report_file, folds=True)
    for scheme, media, darkest, lightest in (
        ("light", "screen", 0.9, 1),
        ("dark", "screen", 0, 0.2),
        ("dark", "print", 0.9, 1),  # paper is white whatever the screen
    ):
        page.emulate_media(color_scheme=scheme, media=media)
        assert darkest <= page.locator("body").evaluate(GROUND) <= lightest, (scheme, media)
        grounds = page.locator("figure img").evaluate_all(f"images => images.map({GROUND})")
        assert grounds
        assert min(grounds) > 0.9, (scheme, media)
    colour = page.locator("main p").first.evaluate("text => getComputedStyle(text).color")
    assert sum(map(int, re.findall(r"\d+", colour)[:3])) < 300, "pale text on white paper"
