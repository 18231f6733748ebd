"use strict";
// The published language out of asyncapi.json: topics, their messages and their schemas.
function events(document_, body, contents) {
  const schemas = new Schemas(document_.components.schemas);
  body.replaceChildren(make("h1", {}, document_.info.title), make("p", { class: "soft" }, prose(document_.info.description)));
  const headers = make("div", { class: "inside" }, schemas.table(document_.components.messageTraits.cloudEvent.headers));
  body.append(make("details", { class: "op", id: "headers" }, make("summary", {}, make("span", { class: "path" }, "headers of every message"), make("span", { class: "what" }, "CloudEvents 1.0, binary mode")), headers));
  contents.append(make("a", { href: "#headers" }, "Headers"));
  let producer = "";
  for (const [name, channel] of Object.entries(document_.channels)) {
    const tag = name === "partner" ? "partners" : channel.tags?.[0]?.name;
    if (tag !== producer) contents.append(make("h3", {}, producer = tag));
    contents.append(make("a", { href: `#${name}` }, channel.address));
    body.append(make("section", { id: name }, make("h2", {}, code(channel.address)), make("p", { class: "soft" }, prose(channel.description)),
      Object.values(channel.messages).map((reference) => messageBox(document_.components.messages[reference.$ref.split("/").pop()], name, schemas))));
  }
}

function messageBox(message, channel, schemas) {
  const inside = make("div", { class: "inside" });
  const box = make("details", { class: "op", id: `${channel}/${message.title}` },
    make("summary", {}, make("span", { class: "path" }, message.title), make("span", { class: "what" }, prose(message.summary))), inside);
  box.addEventListener("toggle", () => {
    if (!box.open || inside.childElementCount) return;
    inside.append(make("div", {}, make("span", { class: "tag" }, message.name), make("span", { class: "tag" }, message["x-schema"]), message["x-public"] ? make("span", { class: "tag on" }, "partners may read it, redacted") : null), schemas.table(message.payload));
  });
  return box;
}

readDocument(events);
