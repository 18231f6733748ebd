"use strict";
// The landing page: health dots, the clock, and tokens for the development roles.
const find = (id) => document.getElementById(id);

async function checkHealth() {
  const dots = [...document.querySelectorAll(".dot[data-service]")];
  const states = await Promise.all(dots.map(async (dot) => {
    const ok = await fetch(`/${dot.dataset.service}/readyz`).then((answer) => answer.ok, () => false);
    dot.className = `dot ${ok ? "ok" : "away"}`;
    dot.title = ok ? "answers" : "does not answer";
    return ok;
  }));
  const up = states.filter(Boolean).length;
  find("whole").textContent = up === states.length ? "all services answer" : `${up} of ${states.length} services answer`;
}

async function showClock() {
  const place = find("now");
  let shift = 0;
  if (place.dataset.clock === "virtual") {
    const answer = await fetch("/contracts/v1/clock").catch(() => null);
    if (!answer || !answer.ok) return;
    shift = new Date((await answer.json()).now) - Date.now();
  }
  const tick = () => { place.textContent = new Date(Date.now() + shift).toISOString().slice(0, 19).replace("T", " "); };
  tick();
  setInterval(tick, 1000);
}

async function copy(text) {
  try { await navigator.clipboard.writeText(text); return true; } catch { return false; }
}

function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64; bytes[8] = (bytes[8] & 63) | 128;
  return [...bytes].map((byte, at) => ([4, 6, 8, 10].includes(at) ? "-" : "") + byte.toString(16).padStart(2, "0")).join("");
}

const OWNER = { customer: "customer_id", partner: "partner_id" };
const FIRST = {
  customer: "/contracts/v1/catalogue/plans", partner: "/notify/v1/events", support: "/contracts/v1/contracts",
  technician: "/backup/v1/protections", finance: "/billing/v1/invoices", admin: "/notify/v1/partners",
};

function owner(role) {
  const kind = OWNER[role];
  find("who").hidden = !kind;
  if (!kind) return null;
  find("whose").firstChild.textContent = `${kind} (yours in this browser; any UUID)`;
  const input = find("owner");
  if (input.dataset.kind !== kind) {
    input.dataset.kind = kind;
    input.value = localStorage.getItem(kind) || uuid();
  }
  localStorage.setItem(kind, input.value.trim());
  return [kind, input.value.trim()];
}

async function signIn(role) {
  document.querySelectorAll("[data-role]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.role === role));
  const form = new URLSearchParams({ grant_type: "client_credentials", role });
  const own = owner(role);
  if (own) form.set(...own);
  const said = find("said");
  const answer = await fetch("/dev-issuer/token", { method: "POST", body: form }).catch(() => null);
  if (!answer || !answer.ok) {
    const problem = answer ? await answer.json().catch(() => ({})) : {};
    said.className = "said bad";
    said.textContent = `No token: ${problem.detail || "the issuer does not answer"}`;
    return;
  }
  const token = (await answer.json()).access_token;
  const copied = await copy(token);
  sessionStorage.setItem("token", token);
  said.className = "said";
  said.textContent = copied ? `The ${role} token is on your clipboard.` : `The ${role} token is in the line below.`;
  const line = find("line");
  line.textContent = `curl -H 'Authorization: Bearer ${token}' ${location.origin}${FIRST[role]}`;
  line.hidden = find("copy-line").hidden = false;
}

document.querySelectorAll("[data-role]").forEach((button) => button.addEventListener("click", () => signIn(button.dataset.role)));
find("owner")?.addEventListener("change", () => document.querySelector("[data-role][aria-pressed=true]")?.click());
find("copy-line")?.addEventListener("click", async () => {
  if (await copy(find("line").textContent)) find("said").textContent = "The line is on your clipboard.";
});
checkHealth();
setInterval(checkHealth, 10000);
showClock();
