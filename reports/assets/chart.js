"use strict";
// Drawing blocks of the timeline: SVG elements, scales, line panels. No state; lanes.js and timeline.js use these.

const SECOND = 1e9;
const SERIES = [
  { key: "send_ok", name: "acknowledged", colour: "var(--ok)", panel: "rate", area: true },
  { key: "read", name: "read", colour: "var(--read)", panel: "rate" },
  { key: "send_info", name: "unknown", colour: "var(--info)", panel: "rate" },
  { key: "send_fail", name: "refused", colour: "var(--fail)", panel: "rate" },
  { key: "p50", name: "p50", colour: "var(--p50)", panel: "latency" },
  { key: "p99", name: "p99", colour: "var(--p99)", panel: "latency" },
  { key: "p999", name: "p99.9", colour: "var(--p999)", panel: "latency" },
  { key: "max", name: "max", colour: "var(--max)", panel: "latency" },
];

function svgElement(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function clockText(ns, digits) {
  const seconds = ns / SECOND, sign = seconds < 0 ? "-" : "", whole = Math.abs(seconds);
  const rest = (whole % 60).toFixed(digits || 0);
  return sign + String(Math.floor(whole / 60)).padStart(2, "0") + ":" + rest.padStart(digits ? 3 + digits : 2, "0");
}

function figure(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Math.abs(value) >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en-US");
  return value.toPrecision(3).replace(/\.?0+$/, "");
}

function shortFigure(value) {
  if (value >= 1e6) return figure(value / 1e6) + " M";
  return value >= 1e3 ? figure(value / 1e3) + " k" : figure(value);
}

// Steps of 1, 2 or 5 times a power of ten: about `wanted` of them fit into `span`.
function niceStep(span, wanted) {
  const raw = span / Math.max(1, wanted), power = Math.pow(10, Math.floor(Math.log10(raw)));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= raw) || raw;
}

function timeStep(spanNs, wanted) {
  const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
  const raw = spanNs / SECOND / Math.max(1, wanted);
  return (steps.find((s) => s >= raw) || 7200) * SECOND;
}

// A line panel over the visible buckets. `values(series)` gives its numbers; a null breaks the line.
function drawLines(group, frame, series, options) {
  const { x, top, height, left, right } = frame;
  const visible = series.map((s) => ({ ...s, points: options.points(s) }));
  const numbers = visible.flatMap((s) => s.points.map((p) => p[1])).filter((v) => v !== null && (!options.log || v > 0));
  const peak = Math.max(options.log ? 10 : 1, ...numbers), most = options.log ? peak : ceiling(numbers, peak);
  const least = options.log ? Math.max(0.01, Math.min(1, ...numbers)) : 0;
  const y = options.log
    ? (v) => top + height - (height * (Math.log10(Math.max(v, least)) - Math.log10(least))) / (Math.log10(most * 1.3) - Math.log10(least))
    : (v) => Math.max(top, top + height - (height * v) / (most * 1.08));
  for (const tick of ticks(least, most, options.log)) {
    group.append(svgElement("line", { class: "grid", x1: left, x2: right, y1: y(tick), y2: y(tick) }));
    group.append(svgElement("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, shortFigure(tick)));
  }
  for (const s of visible) {
    let path = "", open = false, first = null, last = null;
    for (const [t, v] of s.points) {
      if (v === null || (options.log && v <= 0)) { open = false; continue; }
      path += (open ? "L" : "M") + x(t).toFixed(1) + " " + y(v).toFixed(1);
      open = true; first = first === null ? x(t) : first; last = x(t);
    }
    if (!path) continue;
    if (s.area && first !== last) {
      const base = top + height, fill = path + `L${last.toFixed(1)} ${base}L${first.toFixed(1)} ${base}Z`;
      group.append(svgElement("path", { d: fill, style: `fill:${s.colour};opacity:.14` }));
    }
    group.append(svgElement("path", { class: "series", d: path, style: `stroke:${s.colour}` }));
  }
  if (!options.log) noteThePeak(group, frame, visible, most * 1.08);
}

// One note a panel: the highest of what the axis cut off.
function noteThePeak(group, frame, visible, top) {
  let peak = { value: top };
  for (const s of visible) for (const [t, v] of s.points) if (v !== null && v > peak.value) peak = { value: v, t, name: s.name };
  if (!peak.name) return;
  const end = frame.x(peak.t) > frame.right - 130;
  const place = { class: "note", x: frame.x(peak.t) + (end ? -8 : 8), y: frame.top + 11, "text-anchor": end ? "end" : "start" };
  group.append(svgElement("text", place, `${peak.name} up to ${shortFigure(peak.value)}`));
}

// A short burst (the final drain) must not flatten the rest: the axis ends above the usual values and a note names the peak.
function ceiling(numbers, peak) {
  const sorted = numbers.filter((v) => v > 0).sort((a, b) => a - b);
  const usual = sorted.length ? sorted[Math.floor((sorted.length - 1) * 0.95)] : peak;
  return peak > 2.5 * usual ? usual * 1.3 : peak;
}

function ticks(least, most, log) {
  if (!log) {
    const step = niceStep(most, 4);
    return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
  }
  const out = [];
  for (let p = Math.ceil(Math.log10(least)); Math.pow(10, p) <= most * 1.3; p++) out.push(Math.pow(10, p));
  return out;
}
