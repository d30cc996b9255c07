// Values as people read them, and rows as series.

const SHORT = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]];
const BYTES = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];

function scaled(value, steps, digits = 2) {
  const step = steps.find(([size]) => Math.abs(value) >= size);
  return step ? `${trimmed(value / step[0], digits)} ${step[1]}` : trimmed(value, digits);
}

function trimmed(value, digits) {
  return Number(value.toFixed(digits)).toLocaleString("en-US", { maximumFractionDigits: digits });
}

function dollars(value) {
  const size = Math.abs(value);
  if (size >= 1e4) return `${value < 0 ? "-" : ""}$${scaled(size, SHORT)}`;
  const digits = size === 0 || size >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(size)));
  return `${value < 0 ? "-" : ""}$${size.toFixed(digits)}`;
}

function milliseconds(value) {
  const size = Math.abs(value);
  if (size >= 86400e3) return `${trimmed(value / 86400e3, 1)} d`;
  if (size >= 3600e3) return `${trimmed(value / 3600e3, 1)} h`;
  if (size >= 60e3) return `${trimmed(value / 60e3, 1)} min`;
  return size >= 1000 ? `${trimmed(value / 1000, 2)} s` : `${trimmed(value, 1)} ms`;
}

const UNITS = {
  currencyUSD: dollars,
  percentunit: (value) => `${trimmed(100 * value, 1)} %`,
  percent: (value) => `${trimmed(value, 1)} %`,
  ms: milliseconds,
  s: (value) => milliseconds(1000 * value),
  bytes: (value) => scaled(value, BYTES),
  decbytes: (value) => scaled(value, BYTES),
  none: (value) => trimmed(value, 3),
  reqps: (value) => `${scaled(value, SHORT)} req/s`,
};

/** A number in its unit; a text as it is; "" for nothing. */
export function shown(value, unit) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return Array.isArray(value) || typeof value === "object" ? JSON.stringify(value) : String(value);
  return (UNITS[unit] ?? ((number) => scaled(number, SHORT)))(value);
}

const bare = (type) => type.replace(/^(?:LowCardinality|Nullable)\((.*)\)$/, "$1").replace(/^Nullable\((.*)\)$/, "$1");
export const isTime = (type) => /^Date/.test(bare(type));
export const isNumber = (type) => /^U?Int|^Float|^Decimal|^Bool/.test(bare(type));

/** A cell as a number, a moment in text, or what it is. */
export function typed(answer) {
  const numbers = answer.types.map(isNumber);
  for (const row of answer.rows)
    row.forEach((value, place) => {
      if (numbers[place] && typeof value === "string") row[place] = Number(value);
    });
  return answer;
}

/** Long rows as series: the first time column, texts name a series, every other number is one. */
export function series(answer) {
  const time = answer.types.findIndex(isTime);
  const labels = answer.types.flatMap((type, place) => (place !== time && !isNumber(type) && !isTime(type) ? [place] : []));
  const numbers = answer.types.flatMap((type, place) => (isNumber(type) ? [place] : []));
  const found = new Map();
  for (const row of answer.rows)
    for (const place of numbers) {
      const said = labels.map((label) => row[label]);
      const key = JSON.stringify([place, ...said]);
      if (!found.has(key))
        found.set(key, {
          field: answer.columns[place],
          labels: Object.fromEntries(labels.map((label) => [answer.columns[label], row[label]])),
          x: [],
          y: [],
        });
      const one = found.get(key);
      one.x.push(row[time]);
      one.y.push(row[place]);
    }
  return [...found.values()];
}

/** What a panel says of one field: its defaults, and what is different for its name. */
export function settings(panel, name) {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const result = { unit: defaults.unit, min: defaults.min, max: defaults.max, ...defaults.custom, displayName: defaults.displayName };
  for (const { matcher, properties } of overrides)
    if (matcher.id === "byName" && matcher.options === name)
      for (const { id, value } of properties) result[id.replace(/^custom\./, "")] = value;
  return result;
}

/** The colour of a value by the panel's thresholds. */
export function threshold(panel, value) {
  const { thresholds, color } = panel.fieldConfig?.defaults ?? {};
  if (color?.mode !== "thresholds" || typeof value !== "number") return "";
  const step = (thresholds?.steps ?? []).filter((each) => each.value === null || value >= each.value).at(-1);
  return { green: "#2f9e62", orange: "#e88a1a", yellow: "#d9a400", red: "#d8434e" }[step?.color] ?? "";
}
