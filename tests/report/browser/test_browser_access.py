"""For who cannot see the page or has no mouse: axe-core's rules, and the page by keyboard."""

import re

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


@pytest.mark.parametrize("width", [1280, 390])
def test_tab_reaches_the_skip_link_and_then_the_navigation(open_page, sample_file, width):
    page = open_page(sample_file, width=width)
    page.keyboard.press("Tab")
    target = active(page, "it.hash && document.querySelector(it.hash)?.localName")
    assert target == "main"
    box = page.locator(":focus").bounding_box()
    assert box["x"] >= 0
    assert box["y"] >= 0
    page.keyboard.press("Tab")
    assert active(page, "it.closest('nav') !== null")


def test_the_skip_link_moves_the_focus_to_main(open_page, sample_file):
    page = open_page(sample_file)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert active(page, "it.localName") == "main"
    page.keyboard.press("Tab")
    assert active(page, "it.closest('main') !== null && it.localName !== 'main'")


def test_the_focus_is_visible_on_everything_that_can_have_it(open_page, sample_file):
    page = open_page(sample_file, folds=True)
    page.keyboard.press("Tab")  # from here on the focus is one of the keyboard
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        seen = page.evaluate(f"""() => ({FOCUSABLE})().map(element => {{
            element.focus();
            const style = getComputedStyle(element);
            return {{
                name: element.outerHTML.slice(0, 120),
                focused: document.activeElement === element,
                style: style.outlineStyle,
                width: parseFloat(style.outlineWidth),
                colour: style.outlineColor,
            }};
        }})""")
        assert len(seen) > 30
        for one in seen:
            assert one["focused"], one
            assert one["style"] == "auto" or (one["style"] != "none" and one["width"] >= 2), one
            assert not re.fullmatch(r"rgba\(.*[ ,]0\)", one["colour"]), one


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_stands_before_what_has_the_focus(open_page, sample_file, width):
    """Tabbing backwards, elements come into view from above, where a sticky bar would hide them."""
    page = open_page(sample_file, width=width)
    hidden = page.evaluate(f"""() => {{
        const hidden = [];
        const nav = document.querySelector('nav');
        for (const element of ({FOCUSABLE})().reverse()) {{
            if (nav.contains(element)) continue;
            element.focus();
            const box = element.getBoundingClientRect();
            const y = Math.min(box.bottom, innerHeight) - 1;
            // A table that scrolls sideways cuts off the left part of what is only partly in view.
            const table = element.parentElement.closest('.scroll');
            const left = table ? table.getBoundingClientRect().left : 0;
            const x = Math.max(0, Math.min(Math.max(box.left, left) + 4, innerWidth - 1));
            const top = document.elementFromPoint(x, y);
            if (top && nav.contains(top)) hidden.push(element.outerHTML.slice(0, 120));
        }}
        return hidden;
    }}""")
    assert not hidden, "\n".join(hidden)


def test_nothing_has_a_place_of_its_own_in_the_order_of_tab(open_page, report_file):
    page = open_page(report_file)
    places = page.evaluate(f"() => ({FOCUSABLE})().map(element => element.tabIndex)")
    assert set(places) == {0}
