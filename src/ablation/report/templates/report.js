// Everything is there without this script. It lets tables be sorted, and opens folds for print.
"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  if (rows.length < 2) continue;

  const compare = (place, sign) => {
    const numeric = rows.some((row) => row.cells[place].dataset.value !== undefined);
    const value = (row) => {
      const cell = row.cells[place];
      if (!numeric) return cell.textContent;
      return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
    };
    return (one, other) => {
      const a = value(one);
      const b = value(other);
      if (a === null || b === null) return (a === null) - (b === null); // what is missing goes last
      return sign * (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
    };
  };

  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      for (const one of heads) one.removeAttribute("aria-sort");
      if (before === "descending") {
        body.append(...rows);
        return;
      }
      const down = before === "ascending";
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...rows.slice().sort(compare(place, down ? -1 : 1)));
    });
  });
}

let opened = [];
addEventListener("beforeprint", () => {
  opened = Array.from(document.querySelectorAll("details:not([open])"));
  for (const fold of opened) fold.open = true;
});
addEventListener("afterprint", () => {
  for (const fold of opened) fold.open = false;
});
