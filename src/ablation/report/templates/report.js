// A link to a folded part opens it.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) {
    if (part.localName === "details") part.open = true;
  }
  target?.scrollIntoView();
}
addEventListener("hashchange", reveal);
addEventListener("click", (event) => {
  if (event.target.closest?.("a")?.hash === location.hash && location.hash) reveal();
});
reveal();

// What is too wide for the page scrolls, by keyboard too.
const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => {
  const wide = target.scrollWidth > target.clientWidth + 1;
  const what = target.querySelector("table")?.ariaLabel ?? target.querySelector("img")?.alt;
  const set = (name, value) =>
    wide ? target.setAttribute(name, value) : target.removeAttribute(name);
  set("tabindex", "0");
  set("role", "region");
  set("aria-label", what);
}));
document.querySelectorAll(".scroll").forEach((part) => sizes.observe(part));
