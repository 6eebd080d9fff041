"""For who cannot see the page or has no mouse: axe-core's rules, and the page by keyboard."""

from itertools import pairwise

import pytest
from axe_playwright_python.sync_playwright import Axe

pytestmark = pytest.mark.browser

VIEWS = {
    "wide-light": {"folds": True},
    "wide-dark": {"folds": True, "scheme": "dark"},
    "narrow": {"width": 390},
    "print": {"media": "print"},
}

# Most of axe's time goes into colours, text by text, and a report repeats itself: of a list's
# entries and a table's rows that are built the same, part by part, two stay.
THIN_OUT = """
() => document.querySelectorAll('main tbody, main dl, main ul').forEach(list => {
    const seen = {};
    for (const entry of [...list.children]) {
        const all = [entry, ...entry.querySelectorAll('*')];
        const build = all.map(one => [one.localName, one.className, one.textContent.trim() === '']);
        seen[build] = (seen[build] ?? 0) + 1;
        if (seen[build] > 2) entry.remove();
    }
})
"""

# What Tab can reach and is shown, in the order of the document.
FOCUSABLE = """
() => [...document.querySelectorAll(
    'a[href], button, input, select, summary, [tabindex]:not([tabindex="-1"])')]
  .filter(element => !element.disabled && element.checkVisibility({visibilityProperty: true}))
"""


def active(page, expression):
    """A fact about the element that has the focus."""
    return page.evaluate(f"() => {{ const it = document.activeElement; return {expression}; }}")


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(open_page, report_file, view):
    page = open_page(report_file, **VIEWS[view])
    page.evaluate(THIN_OUT)
    # A rule of the Web Content Accessibility Guidelines 2.2, which axe leaves out unless asked.
    rules = {"target-size": {"enabled": view != "print"}}
    found = Axe().run(page, options={"resultTypes": ["violations"], "rules": rules})
    assert found.response["passes"], "axe did not look at the page"
    lines = [
        f"{rule['id']}: {' '.join(node['target'])}: {rule['help']}\n    {node['failureSummary']}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]
    assert not lines, "\n".join(lines)


def test_headings_are_in_order(open_page, report_file):
    page = open_page(report_file)
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map(one => +one.localName[1])"
    )
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.locator("html[lang=en]").count() == page.locator("main").count() == 1


def test_tab_reaches_the_skip_link_first_and_it_moves_the_focus(open_page, report_file):
    page = open_page(report_file)
    page.keyboard.press("Tab")
    assert active(page, "it.hash") == "#main"
    box = page.locator(":focus").bounding_box()
    assert box["x"] >= 0 and box["y"] >= 0
    page.keyboard.press("Enter")
    assert active(page, "it.localName") == "main"
    page.keyboard.press("Tab")
    assert active(page, "it.closest('main') !== null && it.localName !== 'main'")


def test_the_focus_is_visible_on_everything_that_can_have_it(open_page, report_file):
    page = open_page(report_file, folds=True)
    page.keyboard.press("Tab")  # from here on the focus is one of the keyboard
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        seen = page.evaluate(f"""() => ({FOCUSABLE})().map(element => {{
            element.focus();
            const style = getComputedStyle(element);
            return {{
                name: element.outerHTML.slice(0, 120),
                focused: document.activeElement === element,
                width: style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth),
                order: element.tabIndex,
            }};
        }})""")
        assert len(seen) > 10
        for one in seen:
            assert one["focused"] and one["width"] >= 2 and one["order"] == 0, one
