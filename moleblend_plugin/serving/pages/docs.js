"use strict";
// Shows openapi.json, as text alone.

const $ = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.type === "array") return `list of ${typeOf(schema.items) || "values"}`;
  return schema.type || "any";
}

function table(caption, heads, rows) {
  const body = rows.map((row) => make("tr", {}, ...row.map((cell, place) =>
    make("td", { "data-label": heads[place] }, cell))));
  return make("div", { class: "table" }, make("table", {}, make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...body)));
}

function operation(path, method, about) {
  const section = make("section", {}, make("h2", {}, make("code", {}, `${method.toUpperCase()} ${path}`), ` ${about.summary || ""}`));
  if (about.description) section.append(make("p", {}, about.description));
  if (about.parameters?.length) {
    section.append(table("Parameters of the query", ["name", "type", "default"], about.parameters.map((one) =>
      [one.name, typeOf(one.schema), one.required ? "required" : JSON.stringify(one.schema.default ?? null)])));
  }
  for (const [type, body] of Object.entries(about.requestBody?.content || {})) {
    section.append(make("h3", {}, "Body ", make("code", {}, type), `: ${body.schema.description || typeOf(body.schema)}`));
    const example = body.example;
    if (example) section.append(make("pre", {}, typeof example === "string" ? example : JSON.stringify(example)));
  }
  section.append(table("Answers", ["status", "body", "meaning"], Object.entries(about.responses).map(([status, answer]) =>
    [status, Object.entries(answer.content || {}).map(([type, body]) => `${type} ${typeOf(body.schema)}`.trim()).join(", "), answer.description || ""])));
  return section;
}

function schema(name, about) {
  return table(name, ["field", "type"], Object.entries(about.properties || {}).map(([field, type]) => [field, typeOf(type)]));
}

async function show() {
  const api = await (await fetch("openapi.json")).json();
  const place = location.origin;
  $("title").textContent = `${api.info.title} ${api.info.version}: the HTTP interface`;
  $("description").textContent = api.info.description;
  $("shell").textContent = [
    `curl ${place}/predict --json '["CCO", "c1ccccc1"]'`,
    `curl ${place}/predict --data-binary @new.csv -H 'Content-Type: text/csv' -H 'Accept: text/csv'`,
  ].join("\n");
  $("python").textContent = [
    "import json, urllib.request",
    "",
    `request = urllib.request.Request("${place}/predict", json.dumps(["CCO"]).encode(), {"Content-Type": "application/json"})`,
    'print(json.load(urllib.request.urlopen(request))["rows"])',
  ].join("\n");
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, about] of Object.entries(methods)) $("paths").append(operation(path, method, about));
  }
  const hidden = ["HTTPValidationError", "ValidationError"];
  const schemas = Object.entries(api.components?.schemas || {}).filter(([name]) => !hidden.includes(name));
  $("schemas").append(make("h2", {}, "Objects"), ...schemas.map(([name, about]) => schema(name, about)));
}

show().catch((error) => { $("status").textContent = `The description cannot be shown: ${error.message}`; });
