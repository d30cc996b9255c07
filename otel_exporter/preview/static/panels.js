// One function a kind of panel: (element, panel, answer, page) draws it.

import { isNumber, isTime, series, settings, shown, threshold } from "./values.js";

const COLOURS = ["#3b82f6", "#f2a33a", "#2f9e62", "#d8434e", "#9061d8", "#18a3a8", "#d95fa4", "#8a8f2b", "#7a8699", "#b5651d", "#5b6ee1"];

function make(tag, text = "", name = "") {
  const element = document.createElement(tag);
  if (text !== "") element.textContent = text;
  if (name) element.className = name;
  return element;
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["text", "dim", "line"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function draw(element, traces, layout) {
  const { dim, line } = theme();
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
  const right = layout.legend?.orientation !== "h";
  Plotly.newPlot(
    element,
    traces,
    {
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { color: dim, size: 11 },
      margin: { l: 46, r: 12, t: 6, b: right ? 26 : 34 },
      hovermode: "x unified",
      colorway: COLOURS,
      ...layout,
      xaxis: { ...axis, ...layout.xaxis },
      yaxis: { ...axis, rangemode: "tozero", ...layout.yaxis },
    },
    { displayModeBar: false, responsive: true },
  );
}

function named(one, panel) {
  const wanted = settings(panel, one.field).displayName;
  if (wanted) return wanted.replace(/\$\{__field\.labels\.(\w+)\}/g, (_, label) => one.labels[label] ?? "");
  return Object.values(one.labels).join(" ") || one.field;
}

function timeseries(element, panel, answer, page) {
  const all = series(answer);
  const bars = settings(panel, "").drawStyle === "bars";
  const stacked = settings(panel, "").stacking?.mode === "normal";
  const byField = new Map(all.map((one) => [one.field, one]));
  const traces = all.map((one) => {
    const how = settings(panel, one.field);
    const unit = how.unit;
    const text = one.y.map((value) => shown(value, unit));
    const trace = { name: named(one, panel), x: one.x, y: one.y, customdata: text, hovertemplate: "%{customdata}" };
    if (how["axisPlacement"] === "right") trace.yaxis = "y2";
    if (bars) return { ...trace, type: "bar" };
    const points = one.x.length < 3 ? "lines+markers" : "lines";
    if (how.fillBelowTo && byField.has(how.fillBelowTo)) return { ...trace, type: "scatter", mode: "lines", line: { width: 0 }, fill: "tonexty" };
    return { ...trace, type: "scatter", mode: points, line: { width: how.lineWidth ?? 2 }, ...(stacked ? { stackgroup: "all" } : {}) };
  });
  // A band is filled towards the trace before it.
  traces.sort((a, b) => (a.line?.width === 0 ? 0 : 1) - (b.line?.width === 0 ? 0 : 1) || (a.fill ? 1 : 0) - (b.fill ? 1 : 0));
  const unit = panel.fieldConfig?.defaults?.unit;
  const right = panel.options?.legend?.placement === "right";
  draw(element, traces, {
    barmode: stacked ? "stack" : "group",
    legend: right ? {} : { orientation: "h", y: -0.15 },
    xaxis: { type: "date", range: [new Date(page.from).toISOString(), new Date(Math.max(page.to, ...lastTimes(all))).toISOString()] },
    yaxis: unit === "percentunit" ? { tickformat: ".0%" } : unit === "currencyUSD" ? { tickprefix: "$" } : {},
    yaxis2: { overlaying: "y", side: "right", showgrid: false, rangemode: "tozero" },
    showlegend: traces.length > 1 || all.some((one) => Object.keys(one.labels).length),
  });
}

const lastTimes = (all) => all.flatMap((one) => (one.x.length ? [Date.parse(one.x.at(-1))] : []));

function stat(element, panel, answer) {
  const place = answer.types.findLastIndex(isNumber);
  const values = place < 0 ? [] : answer.rows.map((row) => row[place]).filter((value) => value !== null);
  const reduce = panel.options?.reduceOptions?.calcs?.[0];
  const value = place < 0 ? answer.rows.at(-1)?.at(-1) : values.length ? (reduce === "sum" ? values.reduce((sum, each) => sum + each, 0) : values.at(-1)) : null;
  const box = make("div", "", "stat");
  const text = shown(value, settings(panel, answer.columns[place]).unit);
  const number = make("b", text === "" ? "–" : text);
  number.style.color = threshold(panel, value);
  box.append(number);
  if (panel.options?.graphMode === "area" && values.length > 2) box.append(spark(values));
  element.append(box);
}

function spark(values) {
  const most = Math.max(...values, 1e-12);
  const points = values.map((value, place) => `${(100 * place) / (values.length - 1)},${30 - (28 * value) / most}`).join(" ");
  const box = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  box.setAttribute("viewBox", "0 0 100 30");
  box.setAttribute("preserveAspectRatio", "none");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  for (const [name, value] of Object.entries({ points, fill: "none", stroke: COLOURS[0], "stroke-width": 1, "vector-effect": "non-scaling-stroke" }))
    line.setAttribute(name, value);
  box.append(line);
  return box;
}

function table(element, panel, answer, page) {
  const how = answer.columns.map((name) => settings(panel, name));
  const numbers = answer.types.map(isNumber);
  const most = answer.columns.map((_, place) => Math.max(...answer.rows.map((row) => (numbers[place] ? row[place] : 0)), 1e-12));
  const box = make("table");
  const head = make("tr");
  answer.columns.forEach((name, place) => head.append(make("th", name.replaceAll("_", " "), numbers[place] ? "number" : "")));
  box.append(make("thead"), make("tbody"));
  box.tHead.append(head);
  for (const row of answer.rows.slice(0, 500)) {
    const line = make("tr");
    row.forEach((value, place) => {
      const text = isTime(answer.types[place]) && value ? String(value).replace("T", " ").replace(/\.\d+Z$|Z$/, "") : shown(value, how[place].unit);
      const cell = make("td", "", numbers[place] ? "number" : "");
      if (how[place].cellOptions?.type === "gauge" && typeof value === "number") cell.append(bar(value / most[place]));
      const link = how[place].links?.[0];
      if (link && text !== "") {
        const anchor = make("a", text);
        anchor.href = page.address(link.url, value, Object.fromEntries(answer.columns.map((name, at) => [name, row[at]])));
        anchor.title = link.title;
        cell.append(anchor);
      } else cell.append(text);
      cell.title = text;
      line.append(cell);
    });
    box.tBodies[0].append(line);
  }
  element.append(box);
}

function bar(share, colour = "") {
  const box = make("span", "", "bar");
  const fill = make("i");
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  if (colour) fill.style.background = colour;
  box.append(fill);
  return box;
}

function barchart(element, panel, answer) {
  const x = Math.max(0, answer.columns.indexOf(panel.options?.xField));
  const traces = answer.types.flatMap((type, place) =>
    place !== x && isNumber(type)
      ? [{
          type: "bar",
          name: answer.columns[place],
          x: answer.rows.map((row) => String(row[x])),
          y: answer.rows.map((row) => row[place]),
          customdata: answer.rows.map((row) => shown(row[place], settings(panel, answer.columns[place]).unit)),
          hovertemplate: "%{customdata}",
        }]
      : [],
  );
  draw(element, traces, { showlegend: traces.length > 1, legend: { orientation: "h", y: -0.2 }, xaxis: { type: "category" } });
}

function bargauge(element, panel, answer) {
  const value = answer.types.findIndex(isNumber);
  const text = answer.types.findIndex((type) => !isNumber(type) && !isTime(type));
  const limit = panel.fieldConfig?.defaults?.max ?? Math.max(...answer.rows.map((row) => row[value] ?? 0), 1e-12);
  for (const row of answer.rows.slice(0, panel.options?.reduceOptions?.limit ?? 20)) {
    const line = make("div", "", "meter");
    line.append(make("span", String(text < 0 ? answer.columns[value] : row[text])));
    line.append(bar((row[value] ?? 0) / limit, threshold(panel, row[value])));
    line.append(make("span", shown(row[value], settings(panel, answer.columns[value]).unit)));
    element.append(line);
  }
}

function xychart(element, panel, answer) {
  const numbers = answer.types.flatMap((type, place) => (isNumber(type) ? [place] : []));
  const label = answer.types.findIndex((type) => !isNumber(type));
  const [x, ...others] = numbers;
  const traces = others.slice(0, 1).map((y) => ({
    type: "scatter",
    mode: "markers",
    x: answer.rows.map((row) => row[x]),
    y: answer.rows.map((row) => row[y]),
    text: answer.rows.map((row) => (label < 0 ? "" : String(row[label]))),
    hovertemplate: "%{text}<br>%{x}<br>%{y}<extra></extra>",
  }));
  draw(element, traces, {
    hovermode: "closest",
    showlegend: false,
    xaxis: { title: { text: answer.columns[x].replaceAll("_", " ") } },
    yaxis: { title: { text: answer.columns[others[0]]?.replaceAll("_", " ") } },
  });
}

function traces(element, panel, answer) {
  const at = Object.fromEntries(answer.columns.map((name, place) => [name, place]));
  const spans = answer.rows.map((row) => ({ start: Number(row[at.startTime]), name: row[at.operationName], service: row[at.serviceName], ms: Number(row[at.duration]) }));
  const first = Math.min(...spans.map((span) => span.start));
  const last = Math.max(...spans.map((span) => span.start + span.ms));
  for (const span of spans.sort((a, b) => a.start - b.start)) {
    const line = make("div", "", "meter");
    const box = bar(Math.max(0.004, span.ms / Math.max(1, last - first)));
    box.firstChild.style.left = `${(100 * (span.start - first)) / Math.max(1, last - first)}%`;
    line.append(make("span", `${span.service}: ${span.name}`), box, make("span", shown(span.ms, "ms")));
    element.append(line);
  }
}

export const PANELS = { timeseries, stat, table, barchart, bargauge, xychart, traces };
