"use strict";
// Shared by both references: elements without innerHTML, and JSON Schemas as tables.
function make(kind, attributes, ...children) {
  const element = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes || {})) if (value !== undefined && value !== null) element.setAttribute(name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}
const code = (text) => make("code", {}, text);
// Descriptions mark names as in Markdown: `name`.
const prose = (text) => String(text || "").split("`").map((part, at) => (at % 2 ? code(part) : part));

class Schemas {
  constructor(all) { this.all = all || {}; }

  resolve(schema) {
    if (!schema || !schema.$ref) return schema || {};
    const { $ref, ...beside } = schema;
    return { ...(this.all[$ref.split("/").pop()] || {}), ...beside };
  }

  nameOf(schema) {
    if (!schema) return "anything";
    if (schema.$ref) { const target = this.resolve(schema); return target.enum ? this.nameOf(target) : schema.$ref.split("/").pop(); }
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
    const options = schema.anyOf || schema.oneOf;
    if (options) return options.map((option) => this.nameOf(option)).join(" or ");
    if (schema.allOf) return schema.allOf.map((part) => this.nameOf(part)).join(" & ");
    if (schema.type === "array") return `list of ${this.nameOf(schema.items)}`;
    return (schema.format ? `${schema.type} (${schema.format})` : schema.type) || "anything";
  }

  limits(schema) {
    const says = { minLength: "at least # characters", maxLength: "at most # characters", minimum: "≥ #", maximum: "≤ #", exclusiveMinimum: "> #", pattern: "#", minItems: "at least # items", maxItems: "at most # items" };
    const whole = this.resolve((schema.anyOf || []).find((option) => option.type !== "null") || schema);
    const found = Object.entries(says).filter(([name]) => whole[name] !== undefined).map(([name, text]) => text.replace("#", whole[name]));
    if (whole.default !== undefined && whole.default !== null) found.push(`default ${JSON.stringify(whole.default)}`);
    return found.join(", ");
  }

  // Rows of one object, nested objects below their field.
  rows(schema, before = "", depth = 0) {
    const whole = this.resolve(schema);
    const required = new Set(whole.required || []);
    return Object.entries(whole.properties || {}).flatMap(([name, field]) => {
      const path = before + name;
      const inner = this.objectIn(field);
      const about = [this.resolve(field).description || field.description, this.limits(field)].filter(Boolean).join(" · ");
      const row = make("tr", {}, make("td", {}, code(path), required.has(name) ? make("span", { class: "must", title: "required" }, " *") : null), make("td", {}, this.nameOf(field)), make("td", { class: "soft" }, prose(about)));
      return inner && depth < 3 ? [row, ...this.rows(inner.schema, path + inner.mark, depth + 1)] : [row];
    });
  }

  objectIn(field) {
    const options = field.anyOf || [field];
    for (const option of options) {
      const whole = this.resolve(option);
      if (whole.properties) return { schema: whole, mark: "." };
      if (whole.type === "array" && this.resolve(whole.items).properties) return { schema: this.resolve(whole.items), mark: "[]." };
    }
    return null;
  }

  table(schema) {
    const whole = this.resolve(schema);
    const inner = whole.properties ? whole : this.objectIn(whole)?.schema;
    if (!inner) return make("p", { class: "soft" }, this.nameOf(schema));
    return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, make("th", {}, "field"), make("th", {}, "type"), make("th", {}, ""))), make("tbody", {}, this.rows(inner))));
  }

  example(schema, depth = 0) {
    const whole = this.resolve(schema);
    if (whole.default !== undefined && whole.default !== null) return whole.default;
    if (whole.examples) return whole.examples[0];
    if (whole.const !== undefined) return whole.const;
    if (whole.enum) return whole.enum[0];
    if (whole.anyOf) return this.example(whole.anyOf.find((option) => option.type !== "null"), depth);
    if (whole.properties && depth < 4) return Object.fromEntries(Object.entries(whole.properties).filter(([name]) => (whole.required || []).includes(name)).map(([name, field]) => [name, this.example(field, depth + 1)]));
    if (whole.type === "array") return [this.example(whole.items, depth + 1)];
    if (whole.type === "integer" || whole.type === "number") return whole.exclusiveMinimum !== undefined ? whole.exclusiveMinimum + 1 : Math.max(whole.minimum || 1, 1);
    if (whole.type === "boolean") return false;
    if (whole.format === "uuid") return "00000000-0000-4000-8000-000000000000";
    if (whole.format === "date-time") return new Date().toISOString();
    return whole.type === "string" ? "text" : {};
  }
}

async function readDocument(show) {
  const place = document.getElementById("doc");
  const body = document.getElementById("body");
  const answer = await fetch(place.dataset.document).catch(() => null);
  if (!answer || !answer.ok) { body.replaceChildren(make("p", { class: "said bad" }, "The document cannot be read at the moment.")); return; }
  show(await answer.json(), body, document.getElementById("contents"));
  openTarget();
  addEventListener("hashchange", openTarget);
}

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) { if (target.tagName === "DETAILS") target.open = true; target.scrollIntoView(); }
}
