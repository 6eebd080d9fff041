"""Sorting tables: by value, by keyboard, and back again."""

import re

import pytest

pytestmark = pytest.mark.browser

NOTHING = {"", "-", "–", "—"}
UNITS = {"k": 1e3, "M": 1e6, "G": 1e9, "minutes": 60, "hours": 3600}
NUMBER = re.compile(r"<?([+−-]?\d[\d,]*(?:\.\d+)?(?:e[+−-]?\d+)?)\s*(\w*)")

# Of every table with buttons, for every button: the rows and the headers' aria-sort before, and
# after each of three presses. Columns whose numbers stand to the right are numeric.
PRESSED = """
() => [...document.querySelectorAll('table:has(thead button)')].map(table => {
    const heads = [...table.tHead.querySelectorAll('th')];
    const state = () => ({
        rows: [...table.tBodies[0].rows].map(row =>
            [...row.cells].map(cell => cell.localName + ' ' + cell.textContent.trim())),
        sort: heads.map(head => head.getAttribute('aria-sort') ?? 'none'),
    });
    return {
        name: (table.id || table.caption?.id) + ': ' + table.caption?.textContent.trim(),
        columns: heads.map((head, column) => {
            const button = head.querySelector('button');
            if (!button) return null;
            const cell = table.tBodies[0].rows[0].cells[column];
            const states = [state()];
            for (let press = 0; press < 3; press++) {
                button.click();
                states.push(state());
            }
            return {
                title: head.textContent.trim(),
                numeric: ['right', 'end'].includes(getComputedStyle(cell).textAlign),
                states,
            };
        }),
    };
})
"""


def worth(text):
    """The number that a cell begins with."""
    found = NUMBER.match(text)
    value = float(found[1].replace("−", "-").replace(",", ""))
    if text.startswith("<"):
        value *= 1 - 1e-9
    return value * UNITS.get(found[2], 1)


def natural(text):
    """By letters, and by value where digits stand among them."""
    parts = re.findall(r"\d+|\D", text.casefold())
    return [
        (1, int(part), "") if part.isdigit() else (2 if part.isalpha() else 0, 0, part)
        for part in parts
    ]


def letters(text):
    """As dictionaries do: case and signs matter least."""
    return re.sub(r"\W", "", text.casefold()), text.casefold()


def in_order(cells, numeric, sort):
    """Whether a column is sorted; numbers by value, and cells without one at the end either way."""
    if numeric:
        told = [text for text in cells if NUMBER.match(text)]
        if told != cells[: len(told)]:
            return False
        keys = [worth]
    else:  # where a sign stands in the alphabet is left open
        told = [text for text in cells if text[:1].isalnum()]
        keys = [natural, letters, str.casefold]
        if all(NUMBER.match(text) for text in told):
            keys.append(worth)  # such as "2 of 3"
    for key in keys:
        values = [key(text) for text in told]
        if values == sorted(values, reverse=sort == "descending"):
            return True
    return False


def faults(table):
    """What is wrong with what the buttons of a table do."""
    for i, column in enumerate(table["columns"]):
        if column is None:
            continue
        where = f"{table['name']}: {column['title']}"
        before, *after, restored = column["states"]
        if restored != before or set(before["sort"]) != {"none"}:
            yield f"{where}: the third press does not restore it"
        if {state["sort"][i] for state in after} != {"ascending", "descending"}:
            yield f"{where}: aria-sort does not tell both orders"
            continue
        for state in after:
            if state["sort"].count("none") != len(state["sort"]) - 1:
                yield f"{where}: other columns claim to be sorted too"
            if sorted(state["rows"]) != sorted(before["rows"]):
                yield f"{where}: the rows are torn apart"
            cells = [row[i].split(" ", 1)[1].strip() for row in state["rows"]]
            if not in_order(cells, column["numeric"], state["sort"][i]):
                yield f"{where}: not {state['sort'][i]}: {cells}"


def test_tables_sort_by_value_both_ways_and_come_back(open_page, report_file):
    tables = open_page(report_file, folds=True).evaluate(PRESSED)
    assert tables, "no table can be sorted"
    found = [fault for table in tables for fault in faults(table)]
    assert not found, "\n".join(found)


def test_the_sample_holds_what_is_hard_to_sort(open_page, sample_file):
    """Otherwise the test above would prove less than it seems to."""
    cells = open_page(sample_file, folds=True).evaluate("""() =>
        [...document.querySelectorAll('table:has(thead button) tbody tr > *')].map(cell => ({
            text: cell.textContent.trim(),
            head: cell.localName === 'th',
            numeric: ['right', 'end'].includes(getComputedStyle(cell).textAlign),
        }))""")
    assert any(cell["head"] for cell in cells)
    assert any(not cell["numeric"] and not cell["head"] for cell in cells)
    numbers = [cell["text"] for cell in cells if cell["numeric"]]
    assert any(text.startswith("−") for text in numbers)
    assert any("±" in text for text in numbers)
    assert any(text in NOTHING for text in numbers)


def test_tables_of_results_can_be_sorted(shown):
    """Those with means and deviations, and the longest: all runs."""
    without = shown.evaluate("""() => {
        const tables = [...document.querySelectorAll('main table')];
        const rows = table => table.tBodies[0].rows.length;
        const most = Math.max(...tables.map(rows));
        return tables
            .filter(table => rows(table) > 1)
            .filter(table => rows(table) === most || / ± /.test(table.tBodies[0].textContent))
            .filter(table => !table.tHead.querySelector('button'))
            .map(table => table.caption.textContent);
    }""")
    assert not without, "\n".join(without)


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_sorting_works_by_keyboard(open_page, sample_file, key):
    page = open_page(sample_file)
    button = page.locator("th button:visible").first
    head = button.locator("xpath=ancestor::th")
    assert button.evaluate("button => button.tabIndex") == 0
    button.focus()
    seen = []
    for _ in range(3):
        page.keyboard.press(key)
        seen.append(head.get_attribute("aria-sort") or "none")
        assert button.evaluate("button => button === document.activeElement")
    assert sorted(seen[:2]) == ["ascending", "descending"]
    assert seen[2] == "none"


def test_without_scripts_there_are_no_buttons_that_do_nothing(open_page, report_file):
    assert open_page(report_file, scripts=False).locator("button:visible").count() == 0
