"use strict";
// Everything that comes from users or the model is added as text (textContent), never as HTML.

const $ = (id) => document.getElementById(id);
let running = null;  // AbortController of the request that is worked on
let csv = "";
let limits = null;

/** An element with attributes and children; children that are texts stay texts. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function number(value) {
  return String(Number(value.toPrecision(4))).replace("-", "\u2212");
}

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function list(element, texts) {
  element.replaceChildren(...texts.map((text) => make("li", {}, text)));
}

async function problemOf(response) {
  try {
    return (await response.json()).detail || `The server answered ${response.status}.`;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

async function showModel() {
  const response = await fetch("health");
  if (!response.ok) throw new Error(await problemOf(response));
  const model = await response.json();
  limits = model;
  $("model").textContent = model.model;
  document.title = `${model.model} \u2013 moleblend serve`;
  const parts = [`${model.kind} of ${model.targets.join(", ")}`];
  parts.push(model.networks === 1 ? "one network" : `${model.networks} networks`);
  if (model.training_molecules !== null) parts.push(`${model.training_molecules.toLocaleString("en")} training molecules`);
  if (model.interval_level !== null) {
    const words = { regression: "intervals", mixed: "intervals and prediction sets" };
    const what = words[model.kind] ?? "prediction sets";
    parts.push(`${what} at ${number(100 * model.interval_level)} %`);
  }
  parts.push(`up to ${model.max_rows.toLocaleString("en")} rows at a time`);
  $("facts").textContent = `${parts.join("; ")}.`;
  $("version").textContent = `moleblend_plugin ${model.version}.`;
  list($("model-notes"), model.notes);
}

function setRunning(controller) {
  running = controller;
  $("predict").disabled = controller !== null;
  $("stop").hidden = controller === null;
}

/** Send a body and show what comes back. */
async function predict(body, type, name) {
  if (running) return;
  if (limits && (body.size ?? body.length) > limits.max_bytes) {
    say(`${name} is larger than the ${limits.max_bytes.toLocaleString("en")} bytes of one request: send it in parts, or use moleblend predict.`, true);
    return;
  }
  const controller = new AbortController();
  setRunning(controller);
  $("results").hidden = true;
  list($("notes"), []);
  const start = Date.now();
  const elapsed = () => Math.round((Date.now() - start) / 1000);
  say("Predicting\u2026");
  const clock = setInterval(() => { if (running) $("status").textContent = `Predicting\u2026 ${elapsed()} s`; }, 5000);
  try {
    const query = new URLSearchParams({ name, csv: "true" });
    if ($("column").value.trim()) query.set("smiles_column", $("column").value.trim());
    const response = await fetch(`predict?${query}`, {
      method: "POST", body, headers: { "Content-Type": type }, signal: controller.signal,
    });
    if (!response.ok) {
      say(await problemOf(response), true);
      return;
    }
    showResults(await response.json(), elapsed());
  } catch (error) {
    say(error.name === "AbortError" ? "Stopped." : "The server does not answer: is moleblend serve still running?", true);
  } finally {
    clearInterval(clock);
    setRunning(null);
  }
}

function picture(path, query, alt) {
  return make("picture", {},
    make("source", { media: "(prefers-color-scheme: dark)", srcset: `${path}?${query}&dark=true` }),
    make("img", { src: `${path}?${query}`, alt, loading: "lazy", width: 240, height: 170 }));
}

function drawing(smiles, words) {
  if (smiles.length > 2000) return null;
  const drawn = picture("drawing", new URLSearchParams({ smiles }), `${words} ${smiles}`);
  drawn.lastChild.addEventListener("error", () => drawn.remove());
  return drawn;
}

/** A button that shows and hides what each atom adds to the prediction of a target. */
function atoms(smiles, target) {
  const button = make("button", { type: "button", class: "atoms", "aria-expanded": "false" }, "Atoms");
  button.setAttribute("aria-label", `Atoms that raise or lower ${target} of ${smiles}`);
  const place = make("div", { hidden: "" });
  button.addEventListener("click", () => {
    place.hidden = !place.hidden;
    button.setAttribute("aria-expanded", String(!place.hidden));
    if (place.firstChild) return;
    const wait = make("small", {}, "Computing\u2026");
    const drawn = picture("explanation.svg", new URLSearchParams({ smiles, target }), `Contributions of atoms to ${target}: ${smiles}`);
    const image = drawn.lastChild;
    image.loading = "eager";
    image.addEventListener("load", () => {
      wait.textContent = "Orange atoms raise it; blue ones, with a dashed line, lower it.";
    });
    image.addEventListener("error", async () => {
      const response = await fetch(image.currentSrc).catch(() => null);
      wait.textContent = response ? await problemOf(response) : "The server does not answer.";
      drawn.remove();
    });
    place.append(drawn, wait);
  });
  return make("div", {}, button, place);
}

function showResults(found, seconds) {
  csv = found.csv;
  const columns = { input: found.columns.filter((column) => column.role === "input") };
  const targets = new Map();
  for (const column of found.columns) {
    if (column.target === null) columns[column.role] ??= column.name;
    else if (column.class_name !== null) addClass(targets, column);
    else targets.set(column.target, { ...targets.get(column.target), [column.role]: column.name });
  }
  const near = "training_smiles" in columns;
  const heads = ["Row", "Structure", "Input", ...targets.keys(), ...(near ? ["Nearest training molecule"] : [])];
  $("head").replaceChildren(...heads.map((text) => make("th", { scope: "col", class: "target" }, text)));
  const width = targets.size + (near ? 1 : 0);
  $("rows").replaceChildren(...found.rows.map((row, place) =>
    rowOf(row, place, found.molecules[place], columns, targets, near, width)));
  $("results").hidden = false;
  const bad = found.rows.filter((row) => row[columns.reason]).length;
  const far = near ? found.rows.filter((row) => row[columns.outside_domain]).length : 0;
  const count = found.rows.length;
  const parts = [`${(count - bad).toLocaleString("en")} of ${count.toLocaleString("en")} rows predicted in ${seconds} s`];
  if (bad) parts.push(`${bad} without a prediction, with the reason`);
  if (far) parts.push(`${far} outside the model's domain`);
  say(`${parts.join("; ")}.`);
  list($("notes"), found.notes);
}

/** A column of one of several classes: its name under the class, under the target. */
function addClass(targets, column) {
  const own = targets.get(column.target) ?? {};
  own.classes ??= new Map();
  own.classes.set(column.class_name, { ...own.classes.get(column.class_name), [column.role]: column.name });
  targets.set(column.target, own);
}

/** The likeliest class, and the probability of each, the highest first. */
function classOf(cell, row, value, names) {
  const probabilities = [...names.classes].map(([name, of]) => [name, row[of.calibrated ?? of.probability]]);
  probabilities.sort((one, other) => other[1] - one[1]);
  const items = probabilities.map(([name, share]) => make("li", {}, `${name} ${number(share)}`));
  cell.append(make("span", { class: "value" }, value), make("ul", { class: "classes" }, ...items));
  if ([...names.classes.values()][0].calibrated) cell.append(make("small", {}, "calibrated probabilities"));
  if (names.set && row[names.set] !== null) cell.append(make("small", {}, `set: ${row[names.set].replaceAll("|", " or ")}`));
}

function rowOf(row, place, smiles, columns, targets, near, width) {
  const cells = make("dl", { class: "cells" });
  for (const { name } of columns.input) {
    const text = row[name];
    if (text === null || text === "") continue;
    cells.append(make("dt", {}, name), make("dd", { class: text === smiles || /smiles/i.test(name) ? "smiles" : "" }, text));
  }
  const line = make("tr", {},
    make("td", { class: "number", "data-label": "Row" }, String(place + 1)),
    make("td", {}, smiles === null ? "" : drawing(smiles, "Structure of")),
    make("td", {}, cells));
  if (row[columns.reason] && smiles === null) {
    line.append(make("td", { colspan: width, class: "bad" }, `No prediction: ${row[columns.reason]}`));
    return line;
  }
  for (const [target, names] of targets) line.append(valueOf(row, target, names, row[columns.reason], smiles));
  if (near) line.append(nearest(row, columns));
  return line;
}

function valueOf(row, target, names, reason, smiles) {
  const cell = make("td", { "data-label": target });
  const value = row[names.value];
  if (value === null) {
    cell.append(make("span", { class: "bad" }, `No prediction: ${reason}`));
    return cell;
  }
  if (names.classes) {
    classOf(cell, row, value, names);
    if (smiles !== null && smiles.length <= 2000) cell.append(atoms(smiles, target));
    return cell;
  }
  const calibrated = names.calibrated ? row[names.calibrated] : null;
  cell.append(make("span", { class: "value" }, number(calibrated ?? value)));
  if (names.low && row[names.low] !== null) {
    cell.append(make("small", { class: "number" }, `${number(row[names.low])} to ${number(row[names.high])}`));
  }
  if (calibrated !== null) cell.append(make("small", {}, `calibrated; the networks say ${number(value)}`));
  if (names.set && row[names.set] !== null) cell.append(make("small", {}, `class ${row[names.set].replaceAll("|", " or ")}`));
  if (names.members_sd && row[names.members_sd] !== null) {
    cell.append(make("small", {}, `sd of members ${number(row[names.members_sd])}`));
  }
  if (smiles !== null && smiles.length <= 2000) cell.append(atoms(smiles, target));
  return cell;
}

function nearest(row, columns) {
  const cell = make("td", { class: "near", "data-label": "Nearest training molecule" });
  if (row[columns.outside_domain]) cell.append(make("span", { class: "warn" }, "\u26a0 outside the domain"));
  const smiles = row[columns.training_smiles];
  if (smiles === null) return cell;
  const picture = drawing(smiles, "Nearest training molecule");
  if (picture) cell.append(picture);
  cell.append(make("small", {}, `similarity ${row[columns.similarity].toFixed(2)}, training row ${row[columns.training_row]}`));
  return cell;
}

function predictText() {
  const text = $("smiles").value;
  if (!text.trim()) {
    say("Type or paste SMILES first, or choose a file.", true);
    $("smiles").focus();
    return;
  }
  predict(new Blob([text]), "text/plain", "pasted.smi");
}

function predictFile(file) {
  if (!file) return;
  $("drop-text").textContent = file.name;
  predict(file, "application/octet-stream", file.name);
}

$("form").addEventListener("submit", (event) => { event.preventDefault(); predictText(); });
$("smiles").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); predictText(); }
});
$("file").addEventListener("change", () => { predictFile($("file").files[0]); $("file").value = ""; });
$("stop").addEventListener("click", () => running?.abort());
$("download").addEventListener("click", () => {
  const link = make("a", { href: URL.createObjectURL(new Blob([csv], { type: "text/csv" })), download: "predictions.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
const holdsFiles = (event) => event.dataTransfer.types.includes("Files");  // text is dropped as everywhere
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  $("drop").classList.remove("over");
  predictFile(event.dataTransfer.files[0]);
});

showModel().catch((error) => say(error.message, true));
