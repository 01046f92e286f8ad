// Sorts tables, and shows where a number comes from. The switch is style.css alone.
"use strict";
document.documentElement.classList.add("scripted");
const { pages, cells } = JSON.parse(document.getElementById("cells").textContent);

// --- sorting: up, down, as printed ----------------------------------------------------------------

// The number of a table cell in the chosen view, or the text of a name. Empty cells come last.
function keyOf(cell) {
  if (cell.dataset.cell === undefined) {
    const words = cell.textContent.trim(), number = parseFloat(words);
    return words === "" ? null : Number.isNaN(number) ? words : number;
  }
  const [, , , , ours, , , paper] = cells[cell.dataset.cell];
  if (document.getElementById("show-paper").checked) return paper;
  if (document.getElementById("show-less").checked) return ours === null || paper === null ? null : ours - paper;
  return ours;
}

function compare(a, b) {
  if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b);
  return typeof a === "number" ? -1 : 1;
}

function sort(head) {
  const row = head.parentElement, column = [...row.children].indexOf(head);
  const body = head.closest("table").tBodies[0];
  const lines = [...body.rows];
  lines.forEach((line, i) => { line.dataset.printed ??= i; });
  const next = { ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")] ?? "ascending";
  for (const other of row.children) other.removeAttribute("aria-sort");
  lines.sort((x, y) => x.dataset.printed - y.dataset.printed);
  if (next !== "none") {
    head.setAttribute("aria-sort", next);
    const keys = new Map(lines.map((line) => [line, keyOf(line.cells[column])]));
    const known = lines.filter((line) => keys.get(line) !== null);
    known.sort((x, y) => (next === "ascending" ? 1 : -1) * compare(keys.get(x), keys.get(y)));
    lines.splice(0, lines.length, ...known, ...lines.filter((line) => keys.get(line) === null));
  }
  body.append(...lines);
}

// --- where a number comes from --------------------------------------------------------------------

function element(kind, words, ...inside) {
  const made = document.createElement(kind);
  if (words) made.textContent = words;
  made.append(...inside);
  return made;
}

function numbers(what, ours, low, high, paper) {
  const said = (x) => (x === null ? "–" : String(x));
  const between = low === null ? "" : ` (95% interval ${said(low)} to ${said(high)})`;
  return `${what}. Ours: ${said(ours)}${between}. The paper: ${said(paper)}.`;
}

// A run as a description: its name, then its seed and digests, from the list of all runs.
function described(run) {
  const row = document.getElementById(`run-${run}`);
  const [name, seed, metrics, perImage] = [...row.cells].map((c) => c.textContent);
  const facts = [seed === "–" ? "no seed" : `seed ${seed}`, `digest of metrics.json ${metrics}`];
  if (perImage !== "–") facts.push(`of what it found on each image ${perImage}`);
  return { file: row.dataset.file, parts: [element("dt", "", element("code", name)), element("dd", facts.join(" · "))] };
}

function show(number) {
  const [page, row, column, what, ours, low, high, paper, kTest, runs, remark] = cells[number];
  document.getElementById("cell-title").textContent = `${pages[page]}, row ${row}, column ${column}`;
  const body = document.getElementById("cell-body");
  body.replaceChildren(element("p", numbers(what, ours, low, high, paper)));
  if (remark) body.append(element("p", remark));
  if (runs.length) {
    const found = runs.map(described);
    const seeds = new Set(runs).size;
    const mean = seeds > 1 && kTest !== null ? `, the mean of ${seeds} runs` : "";
    const at = kTest === null ? "Measured on:" : `Measured at k_test ${kTest} px${mean}:`;
    const files = found.map(({ file }) => `results/${file}`);
    body.append(
      element("p", at), element("dl", "", ...found.flatMap(({ parts }) => parts)),
      element("p", "The same again, from the configuration at the end of this page:"),
      element("pre", `snakemake ${files.join(" ")}`),
      element("p", `Suite: ${document.getElementById("suite").textContent}`),
    );
  }
  document.getElementById("cell").showModal();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.cell, button.sort");
  if (event.target.id === "cell") event.target.close(); // a click beside the dialog
  else if (button?.classList.contains("sort")) sort(button.closest("th"));
  else if (button) show(button.parentElement.dataset.cell);
});
