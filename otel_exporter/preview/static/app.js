// The page: what is chosen is in its address; every panel asks for its own rows.

import { PANELS } from "./panels.js";
import { typed } from "./values.js";

const RANGES = { "now-1h": "Last hour", "now-6h": "Last 6 hours", "now-24h": "Last 24 hours", "now-7d": "Last 7 days", "now-14d": "Last 14 days", "now-30d": "Last 30 days", "now-90d": "Last 90 days" };
const SECONDS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800, M: 2592000, y: 31536000 };
const ALL = "$__all";
const at = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

/** `now-7d`, `now+1d`, `now-1M/M` (the start of that month, in UTC; its end when `end`), or milliseconds. */
function moment(text, end = false) {
  if (/^\d+$/.test(text)) return Number(text);
  const found = /^now(?:([+-]\d+)([smhdwMy]))?(?:\/([hdMy]))?$/.exec(text);
  if (!found) return Date.parse(text);
  const [, count = "0", unit = "s", round] = found;
  const time = new Date();
  if (unit === "M") time.setUTCMonth(time.getUTCMonth() + Number(count));
  else time.setTime(time.getTime() + 1000 * Number(count) * SECONDS[unit]);
  if (!round) return time.getTime();
  const parts = [time.getUTCFullYear(), time.getUTCMonth(), time.getUTCDate(), time.getUTCHours()];
  const kept = { y: 1, M: 2, d: 3, h: 4 }[round];
  if (end) parts[kept - 1] += 1;
  return Date.UTC(parts[0], kept > 1 ? parts[1] : 0, kept > 2 ? parts[2] : 1, kept > 3 ? parts[3] : 0) - (end ? 1 : 0);
}

async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error((await response.json()).error);
  return response.json();
}

async function ask(kind, name, interval = 60) {
  const body = { uid: page.board.uid, kind, name, from: page.from, to: page.to, interval, variables: page.variables };
  const response = await fetch("/preview/query", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return typed(answer);
}

const page = {
  board: null,
  from: 0,
  to: 0,
  variables: {},
  /** A dashboard's link with its time, variables and the clicked value filled in. */
  address(url, value, fields = {}) {
    const filled = url
      .replaceAll("${__url_time_range}", `from=${this.from}&to=${this.to}`)
      .replaceAll("${datasource:queryparam}", "")
      .replace(/\$\{__value\.(?:text|raw|numeric|time)\}/g, encodeURIComponent(value ?? ""))
      .replace(/\$\{__data\.fields\.(?:"([^"]+)"|(\w+))\}/g, (_, quoted, bare) => encodeURIComponent(fields[quoted ?? bare] ?? ""))
      .replace(/\$\{(\w+):queryparam\}/g, (_, name) => [this.variables[name] ?? []].flat().map((each) => `var-${name}=${encodeURIComponent(each)}`).join("&"));
    return filled.startsWith("/d/") ? filled : "#";
  },
};

function go(changes) {
  for (const [name, values] of Object.entries(changes)) {
    query.delete(name);
    for (const value of [values].flat()) query.append(name, value);
  }
  location.search = query.toString();
}

async function variable(one) {
  const name = one.name;
  const said = query.getAll(`var-${name}`).filter((value) => value !== "");
  const box = document.createElement("label");
  box.append(one.label ?? name);
  if (one.type === "textbox") {
    const input = document.createElement("input");
    input.value = page.variables[name] = said[0] ?? one.query ?? "";
    input.onchange = () => go({ [`var-${name}`]: input.value });
    box.append(input);
    return box;
  }
  const options = one.type === "custom" ? fixed(one) : (await ask("variable", name)).rows.map((row) => [row[0], row[0]]);
  if (one.multi) {
    page.variables[name] = said.length ? said : ALL;
    box.append(several(name, options, said));
    return box;
  }
  const select = document.createElement("select");
  for (const [text, value] of options) select.add(new Option(text, value));
  if (said[0] && !options.some(([, value]) => value === said[0])) select.add(new Option(said[0], said[0]));
  select.value = page.variables[name] = said[0] ?? options[0]?.[1] ?? "";
  select.onchange = () => go({ [`var-${name}`]: select.value });
  box.append(select);
  return box;
}

const fixed = (one) => one.query.split(",").map((part) => part.split(" : ").map((word) => word.trim())).map(([text, value]) => [text, value ?? text]);

function several(name, options, said) {
  const box = document.createElement("details");
  box.className = "choice";
  const summary = document.createElement("summary");
  summary.textContent = said.length ? said.join(", ") : "All";
  const list = document.createElement("div");
  for (const [text, value] of options) {
    const line = document.createElement("label");
    const tick = document.createElement("input");
    tick.type = "checkbox";
    tick.value = value;
    tick.checked = said.includes(value);
    line.append(tick, String(text));
    list.append(line);
  }
  box.append(summary, list);
  box.ontoggle = () => {
    const chosen = [...list.querySelectorAll("input:checked")].map((tick) => tick.value);
    if (!box.open && chosen.join("\n") !== said.join("\n")) go({ [`var-${name}`]: chosen });
  };
  return box;
}

function interval(panel, width) {
  const found = /^(\d+)([smhdw])$/.exec(panel.interval ?? "1m");
  const least = found ? Number(found[1]) * SECONDS[found[2]] : 60;
  const bars = panel.fieldConfig?.defaults?.custom?.drawStyle === "bars";
  const wanted = (page.to - page.from) / 1000 / Math.max(20, width / (bars ? 14 : 4));
  return [60, 300, 900, 3600, 7200, 21600, 43200, 86400, 604800].find((step) => step >= wanted && step >= least) ?? 604800;
}

async function fill(panel, body) {
  try {
    const answer = await ask("panel", `${panel.id}:${panel.targets[0].refId}`, interval(panel, body.clientWidth));
    body.replaceChildren();
    if (!answer.rows.length) body.append(message(panel.fieldConfig?.defaults?.noValue ?? "no data"));
    else PANELS[panel.type](body, panel, answer, page);
    body.dataset.rows = answer.rows.length;
  } catch (error) {
    body.replaceChildren(message(error.message, "failed"));
    body.dataset.failed = "yes";
  }
}

function message(text, kind = "") {
  const box = document.createElement("div");
  box.className = `message ${kind}`;
  box.textContent = text;
  return box;
}

function place(panel) {
  const { x, y, w, h } = panel.gridPos;
  const box = document.createElement(panel.type === "row" ? "h2" : "section");
  box.style.gridArea = panel.type === "row" ? `${y + 1} / 1 / span 1 / -1` : `${y + 1} / ${x + 1} / span ${h} / span ${w}`;
  if (panel.type === "row") {
    box.textContent = panel.title;
    at("grid").append(box);
    return [];
  }
  if (h <= 5) box.className = "small";
  const title = document.createElement("h3");
  title.textContent = panel.title;
  title.title = panel.description ?? "";
  const body = document.createElement("div");
  body.className = "body";
  body.dataset.panel = panel.title;
  body.append(message("…"));
  box.append(title, body);
  at("grid").append(box);
  return PANELS[panel.type] ? [[panel, body]] : [];
}

async function open() {
  const menu = await get("/preview/dashboards");
  const uid = location.pathname.split("/")[2] ?? "tokentide-spend";
  for (const { uid: other, title } of menu) {
    const anchor = document.createElement("a");
    anchor.textContent = title;
    anchor.href = `/d/${other}${location.search && `?${new URLSearchParams([...query].filter(([name]) => name === "from" || name === "to"))}`}`;
    if (other === uid) anchor.setAttribute("aria-current", "page");
    at("menu").append(anchor);
  }
  page.board = await get(`/preview/dashboards/${uid}`);
  document.title = `${page.board.title} · Tokentide`;
  at("about").textContent = page.board.description ?? "";
  const from = query.get("from") ?? page.board.time.from;
  page.from = moment(from);
  page.to = moment(query.get("to") ?? page.board.time.to, true);
  for (const [value, text] of Object.entries(from in RANGES ? RANGES : { [from]: `${new Date(page.from).toISOString().slice(0, 16)} …`, ...RANGES })) at("range").add(new Option(text, value, false, value === from));
  at("range").onchange = () => go({ from: at("range").value, to: "now" });
  for (const one of page.board.templating.list.filter((each) => each.type !== "datasource" && each.hide !== 2)) at("variables").append(await variable(one));
  const listed = page.board.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
  const waiting = listed.flatMap(place);
  await Promise.all([1, 2, 3, 4].map(async () => { while (waiting.length) await fill(...waiting.shift()); }));
  document.body.dataset.done = "yes";
}

function dress() {
  const chosen = localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = chosen;
  at("theme").onclick = () => {
    localStorage.setItem("theme", chosen === "dark" ? "light" : "dark");
    location.reload();
  };
}

dress();
open().catch((error) => {
  at("grid").replaceChildren(message(error.message, "failed"));
  document.body.dataset.done = "failed";
});
