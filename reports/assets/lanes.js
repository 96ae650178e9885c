"use strict";
// Lanes of the timeline: faults, brokers, partitions. Each row function draws one lane into `group` at frame.top.

const STATES = { up: "up", down: "down", paused: "paused", cut: "cut off" };
const LIGHT_LEADERS = new Set([2, 5]);

function lanePatterns() {
  const defs = svgElement("defs");
  const hatch = (id, colour, angle) => {
    const p = svgElement("pattern", { id, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${angle})` });
    p.append(svgElement("rect", { width: 7, height: 7, style: "fill:var(--soft)" }));
    p.append(svgElement("rect", { width: 3, height: 7, style: `fill:${colour}` }));
    return p;
  };
  defs.append(hatch("hatch-cut", "var(--n2)", 45), hatch("hatch-paused", "var(--n4)", 90));
  return defs;
}

function leaderColour(node) {
  return node >= 1 && node <= 7 ? `var(--n${node})` : "var(--muted)";
}

function spanBox(frame, from, to, height, shift) {
  const a = Math.max(frame.left, frame.x(from)), b = Math.min(frame.right, frame.x(to));
  return b <= a ? null : { x: a, y: frame.top + (shift || 0), width: Math.max(1, b - a), height };
}

function drawBrokerLane(group, frame, lane) {
  const height = frame.height - 6;
  for (const span of lane.spans) {
    const box = spanBox(frame, span.from_ns, span.to_ns, height, 3);
    if (!box) continue;
    const looks = { up: "", down: "fill:var(--ink);opacity:.8", paused: "fill:url(#hatch-paused)", cut: "fill:url(#hatch-cut)" };
    group.append(svgElement("rect", { ...box, rx: 2, class: span.state, style: looks[span.state] || "" }));
    if (span.controller) group.append(svgElement("rect", { x: box.x, y: box.y + height - 3, width: box.width, height: 3, class: "controller" }));
    const word = span.state === "up" ? (span.controller ? "controller" : "") : STATES[span.state] || span.state;
    if (word && box.width > word.length * 7 + 8) {
      const tone = span.state === "down" ? "fill:var(--bg);font-weight:600" : "fill:var(--ink);font-weight:600;paint-order:stroke;stroke:var(--panel);stroke-width:3px";
      group.append(svgElement("text", { x: box.x + box.width / 2, y: box.y + height / 2 + 3, "text-anchor": "middle", style: tone }, word));
    }
  }
}

// The bar is as high as the ISR is full; its colour is the leader, its number the epoch; the line is the high watermark.
function drawPartitionLane(group, frame, lane, replicas) {
  const full = frame.height - 5, words = [];
  for (const span of lane.spans) {
    const share = Math.max(0.25, Math.min(1, (span.isr || []).length / replicas));
    const box = spanBox(frame, span.from_ns, span.to_ns, full * share, 2 + full * (1 - share));
    if (!box) continue;
    const known = span.leader > 0;
    group.append(svgElement("rect", { ...box, rx: 2, style: known ? `fill:${leaderColour(span.leader)};opacity:.85` : "fill:none;stroke:var(--muted);stroke-dasharray:3 3" }));
    const text = known ? `n${span.leader} e${span.leader_epoch}` : "no leader";
    if (box.width > text.length * 6.5 + 8 && box.height > 11) {
      words.push(svgElement("text", { x: box.x + 5, y: frame.top + full - 2, class: LIGHT_LEADERS.has(span.leader) ? "dark" : known ? "on" : "" }, text));
    }
  }
  drawHighWatermark(group, frame, lane, full);
  group.append(...words);
}

function drawHighWatermark(group, frame, lane, full) {
  const marks = (lane.hw || []).filter(([t]) => frame.x(t) >= frame.left && frame.x(t) <= frame.right);
  if (marks.length < 2) return;
  const most = Math.max(1, ...lane.hw.map((m) => m[1]));
  const path = marks.map(([t, v], i) => (i ? "L" : "M") + frame.x(t).toFixed(1) + " " + (frame.top + 2 + full - (full * v) / most).toFixed(1));
  group.append(svgElement("path", { class: "hw", d: path.join("") }));
}

// Where a fault and its label stand. Labels go inside when they fit, else behind the band.
function faultPlace(frame, fault, t1) {
  const heal = fault.heal_ns > 0 ? fault.heal_ns : t1, settled = Math.max(heal, fault.converged_ns || 0);
  const from = frame.x(fault.begin_ns), to = frame.x(heal), after = frame.x(settled), wide = faultText(fault).length * 6.6 + 10;
  const inside = Math.min(to, frame.right) - Math.max(from, frame.left) > wide;
  const before = !inside && after + wide > frame.right;
  return { heal, settled, inside, before, from: before ? from - wide : from, to: inside || before ? after : after + wide, after };
}

// Faults are packed into rows so that neither bands nor labels overlap; a very busy trial gives up on labels instead.
function packFaults(frame, faults, t1) {
  const begun = faults.filter((f) => f.begin_ns > 0).sort((a, b) => a.begin_ns - b.begin_ns);
  const pack = (labels) => {
    const rows = [];
    for (const fault of begun) {
      const place = faultPlace(frame, fault, t1), from = labels ? place.from : frame.x(fault.begin_ns), to = labels ? place.to : place.after;
      let row = rows.find((r) => r.end < from);
      if (!row) rows.push((row = { end: 0, faults: [], labels }));
      row.faults.push(fault);
      row.end = Math.max(row.end, to);
    }
    return rows;
  };
  const labelled = pack(true);
  return labelled.length <= 6 ? labelled : pack(false);
}

function drawFaultLane(group, frame, row, t1) {
  const height = frame.height - 5;
  for (const fault of row.faults) {
    const place = faultPlace(frame, fault, t1);
    const settle = spanBox(frame, place.heal, place.settled, height, 2), box = spanBox(frame, fault.begin_ns, place.heal, height, 2);
    if (settle) group.append(svgElement("rect", { ...settle, class: "settle" }));
    if (!box) continue;
    group.append(svgElement("rect", { ...box, rx: 2, class: "faultrow" + (fault.verified ? "" : " missed") }));
    if (!row.labels) continue;
    const style = place.inside ? `fill:${fault.verified ? "#fff" : "var(--ink)"};font-weight:600` : "fill:var(--ink)";
    const at = place.inside ? box.x + 5 : place.before ? box.x - 5 : place.after + 5;
    group.append(svgElement("text", { x: at, y: frame.top + height - 2, style, "text-anchor": place.before ? "end" : "start" }, faultText(fault)));
  }
}

function faultText(fault) {
  const target = Array.isArray(fault.resolved) ? fault.resolved.join(", ") : fault.resolved || (fault.targets || []).join(", ");
  return `${fault.id} ${String(fault.kind).split(".").pop().replace(/_/g, " ")} ${target}`;
}
