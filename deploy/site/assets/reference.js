"use strict";
// An API reference out of openapi.json, with requests that can be tried, made here so that it works without the internet.
const PLACES = { path: "in the path", query: "in the query", header: "in the header" };

function reference(document_, body, contents) {
  const schemas = new Schemas(document_.components?.schemas);
  const base = document_.servers?.[0]?.url || "";
  const groups = new Map();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] || "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push({ path, method, operation });
    }
  }
  const intro = make("div", {}, make("h1", {}, document_.info.title), make("p", { class: "soft" }, prose(document_.info.description)), tokenField());
  body.replaceChildren(intro);
  for (const [tag, operations] of groups) {
    contents.append(make("h3", {}, tag));
    body.append(make("section", {}, make("h2", {}, tag), operations.map((one) => {
      contents.append(make("a", { href: `#${one.operation.operationId}`, title: `${one.method.toUpperCase()} ${one.path}` }, one.operation.summary || one.path));
      return operationBox(one, base, schemas);
    })));
  }
}

function tokenField() {
  const field = make("input", { id: "token", placeholder: "paste a bearer token, or sign in on the landing page", autocomplete: "off", spellcheck: "false", class: "mono" });
  field.value = sessionStorage.getItem("token") || "";
  field.addEventListener("change", () => sessionStorage.setItem("token", field.value.trim()));
  return make("label", {}, "Bearer token for trying requests", field);
}

function operationBox({ path, method, operation }, base, schemas) {
  const inside = make("div", { class: "inside" });
  const box = make("details", { class: "op", id: operation.operationId },
    make("summary", {}, make("span", { class: `verb ${method}` }, method.toUpperCase()), make("span", { class: "path" }, base + path), make("span", { class: "what" }, operation.summary || "")), inside);
  box.addEventListener("toggle", () => { if (box.open && !inside.childElementCount) inside.append(...details(path, method, operation, base, schemas)); });
  return box;
}

function details(path, method, operation, base, schemas) {
  const parts = [];
  if (operation.description) parts.push(make("p", {}, prose(operation.description)));
  if (operation["x-callers"]) parts.push(make("div", {}, make("h4", {}, "Callers"), operation["x-callers"].map((name) => make("span", { class: "tag on" }, name))));
  const parameters = (operation.parameters || []);
  if (parameters.length) parts.push(make("div", {}, make("h4", {}, "Parameters"), parameterTable(parameters, schemas)));
  for (const [type, content] of Object.entries(operation.requestBody?.content || {})) parts.push(make("div", {}, make("h4", {}, `Body · ${type}`), schemas.table(content.schema)));
  for (const [status, answer] of Object.entries(operation.responses).filter(([status]) => status < "400")) {
    const schema = Object.values(answer.content || {})[0]?.schema;
    parts.push(make("div", {}, make("h4", {}, `Answer ${status}`), schema ? schemas.table(schema) : make("p", { class: "soft" }, answer.description || "nothing")));
  }
  const refusals = Object.entries(operation.responses).filter(([status]) => status >= "400");
  if (refusals.length) parts.push(make("div", {}, make("h4", {}, "Refusals"), refusalTable(refusals)));
  parts.push(trial(path, method, operation, base, schemas));
  return parts;
}

function parameterTable(parameters, schemas) {
  return make("table", {}, make("tbody", {}, parameters.map((one) => make("tr", {},
    make("td", {}, code(one.name), one.required ? make("span", { class: "must" }, " *") : null),
    make("td", {}, `${schemas.nameOf(one.schema)}, ${PLACES[one.in] || one.in}`),
    make("td", { class: "soft" }, prose([one.description, schemas.limits(one.schema || {})].filter(Boolean).join(" · ")))))));
}

function refusalTable(refusals) {
  const rows = refusals.flatMap(([status, answer]) => {
    const examples = Object.entries(answer.content?.["application/problem+json"]?.examples || {});
    if (!examples.length) return [make("tr", {}, make("td", {}, status), make("td", {}, ""), make("td", {}, answer.description || ""))];
    return examples.map(([name, example]) => make("tr", {}, make("td", {}, status), make("td", {}, code(name), example.value.clause ? make("span", { class: "tag" }, `clause ${example.value.clause}`) : null), make("td", { class: "soft" }, example.value.title)));
  });
  return make("div", { class: "scroll" }, make("table", {}, make("tbody", {}, rows)));
}

function trial(path, method, operation, base, schemas) {
  const inputs = new Map();
  const fields = (operation.parameters || []).filter((one) => one.name !== "Idempotency-Key").map((one) => {
    const input = make("input", { class: "mono", placeholder: schemas.nameOf(one.schema) });
    inputs.set(one, input);
    return make("label", {}, one.name, input);
  });
  const json = operation.requestBody?.content?.["application/json"];
  const form = operation.requestBody?.content?.["multipart/form-data"];
  const raw = !json && !form && operation.requestBody;
  const text = json ? make("textarea", { spellcheck: "false" }) : null;
  if (text) text.value = JSON.stringify(schemas.example(json.schema), null, 2);
  const formInputs = form ? Object.entries(schemas.resolve(form.schema).properties || {}).map(([name, field]) => {
    const isFile = field.format === "binary" || field.contentMediaType || (field.anyOf || []).some((option) => option.format === "binary" || option.contentMediaType);
    return [name, make("input", isFile ? { type: "file" } : { class: "mono", placeholder: schemas.nameOf(field) })];
  }) : [];
  const file = raw ? make("input", { type: "file" }) : null;
  const shown = make("pre", { hidden: "" });
  const button = make("button", { type: "button" }, "Send");
  button.addEventListener("click", async () => {
    let url = base + path;
    const query = new URLSearchParams();
    const headers = {};
    for (const [one, input] of inputs) {
      if (one.in === "path") url = url.replace(`{${one.name}}`, input.value.split("/").map(encodeURIComponent).join("/")).replace(`{${one.name}:path}`, input.value);
      else if (input.value && one.in === "query") query.append(one.name, input.value);
      else if (input.value) headers[one.name] = input.value;
    }
    const token = document.getElementById("token").value.trim();
    if (token) headers.authorization = `Bearer ${token}`;
    if (method === "post") headers["idempotency-key"] = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    let content;
    if (text) { headers["content-type"] = "application/json"; content = text.value; }
    if (form) { content = new FormData(); for (const [name, input] of formInputs) { const value = input.type === "file" ? input.files[0] : input.value; if (value) content.append(name, value); } }
    if (file) content = file.files[0];
    button.disabled = true;
    const answer = await fetch(query.size ? `${url}?${query}` : url, { method: method.toUpperCase(), headers, body: content }).catch((error) => error);
    button.disabled = false;
    shown.hidden = false;
    if (!(answer instanceof Response)) { shown.textContent = `No answer: ${answer.message}`; return; }
    const said = await answer.text();
    let pretty = said;
    try { pretty = JSON.stringify(JSON.parse(said), null, 2); } catch { /* not JSON */ }
    shown.textContent = `${answer.status} ${answer.statusText}\n\n${pretty.slice(0, 20000)}`;
  });
  return make("div", {}, make("h4", {}, "Try it"), make("div", { class: "row" }, fields), text, make("div", { class: "row" }, formInputs.map(([name, input]) => make("label", {}, name, input))), file, make("p", {}, button), shown);
}

readDocument(reference);
