"""Layout: nothing is cut off at any width, on phones and in dark mode."""

import re

import pytest

pytestmark = pytest.mark.browser

WIDTHS = [390, 768, 1400, 1920]

# Elements that stick out of the page and cannot be scrolled to by themselves.
STICKING_OUT = """
() => [...document.querySelectorAll('main *')]
    .filter(element => element.checkVisibility({visibilityProperty: true}))
    .filter(element => !element.closest('thead') || innerWidth > 640)
    .filter(element => {
        const box = element.getBoundingClientRect();
        return box.right > innerWidth + 1 || box.left < -1;
    })
    .filter(element => !element.closest('.scroll'))
    .map(element => element.outerHTML.slice(0, 150))
"""
# What is wider than it is shown, and cannot be scrolled.
CUT_OFF = """
() => [...document.querySelectorAll('main *')]
    .filter(element => element.checkVisibility() && !element.closest('thead'))
    .filter(element => !['auto', 'visible'].includes(getComputedStyle(element).overflowX)
        && element.scrollWidth > element.clientWidth + 1)
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
    return 1;
}
"""


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_scrolls_downwards_only(open_page, report_file, width):
    page = open_page(report_file, width=width, folds=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("innerWidth") == width  # a phone zooms out where the page does not fit
    assert not page.evaluate(STICKING_OUT)
    assert not page.evaluate(CUT_OFF)


def test_the_first_screen_holds_every_answer_and_its_figure(open_page, report_file):
    page = open_page(report_file)
    boxes = [one.bounding_box() for one in page.locator(".answer").all()]
    assert len(boxes) == 2 and boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
    image = page.locator(".answer img").first.bounding_box()
    assert image["y"] + image["height"] < 900 and image["width"] > 500
    assert page.locator(".trust").bounding_box()["y"] < boxes[0]["y"]


@pytest.mark.parametrize("width", [390, 1400])
def test_letters_of_figures_are_large_enough(open_page, report_file, width):
    page = open_page(report_file, width=width, folds=True)
    scales = page.locator("figure img[width]").evaluate_all(
        "images => images.map(one => one.getBoundingClientRect().width / one.getAttribute('width'))"
    )
    least = 8.5 * 4 / 3 * min(scales)  # CSS pixels; no text of a figure has less than 8.5 points
    assert len(scales) > 5 and least > 9
    shown = page.locator(".answer img").evaluate_all(
        "images => images.map(one => one.parentElement.scrollWidth - one.parentElement.clientWidth)"
    )
    assert max(shown) <= 1  # headline figures need no scrolling


@pytest.mark.parametrize("width", [1400, 1920])
def test_only_what_is_too_wide_can_be_scrolled(open_page, report_file, width):
    page = open_page(report_file, width=width, folds=True)
    page.wait_for_function("document.querySelectorAll('.scroll[tabindex]').length === 1")
    region = page.locator(".scroll[tabindex]")
    assert region.get_attribute("role") == "region"
    assert region.get_attribute("aria-label").startswith("Table 99. A table with links")
    region.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")


def test_rows_are_cards_on_a_phone(open_page, report_file):
    page = open_page(report_file, width=390, folds=True)
    cells = page.locator("main > .scroll td").evaluate_all("""cells => cells.map(cell => ({
        title: cell.dataset.title,
        shown: getComputedStyle(cell, '::before').content,
        left: cell.getBoundingClientRect().left,
        right: cell.getBoundingClientRect().right,
    }))""")
    assert {"Test accuracy, %", "Verdict"} <= {cell["title"] for cell in cells}
    for cell in cells:
        assert cell["shown"] == f'"{cell["title"]}"'
        assert cell["left"] >= 0 and cell["right"] <= 390


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
        assert min(grounds) > 0.9, (scheme, media)
    colour = page.locator("main p").first.evaluate("text => getComputedStyle(text).color")
    assert sum(map(int, re.findall(r"\d+", colour)[:3])) < 300, "pale text on white paper"
