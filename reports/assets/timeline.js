"use strict";
// The timeline: what is visible, the layout of panels and lanes on one axis, pointer and keyboard.

const Timeline = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const host = document.getElementById("chart"), tip = document.getElementById("tooltip"), said = document.getElementById("said");
  const lanes = data.lanes || {}, brokers = lanes.brokers || [], partitions = lanes.partitions || [];
  const faults = data.faults || [], flags = data.violations || [];
  const start = data.t0_ns || 0, end = data.t1_ns || start + SECOND, bucket = data.bucket_ns || SECOND;
  const FEW = 6, REPLICAS = Math.max(1, ...partitions.flatMap((p) => p.spans.map((s) => (s.isr || []).length)));
  const hidden = new Set(), state = { from: start, to: end, cursor: null, drag: null, all: partitions.length <= FEW };
  let frame = null;

  const valuesOf = (s) => ((s.panel === "rate" ? data.series : data.latency_ms) || {})[s.key] || [];
  const has = (s) => valuesOf(s).some((v) => v);
  const series = SERIES.filter(has);

  function pointsOf(s) {
    const values = valuesOf(s), first = Math.max(0, Math.floor((state.from - start) / bucket) - 1);
    const last = Math.min(values.length - 1, Math.ceil((state.to - start) / bucket) + 1), points = [];
    for (let i = first; i <= last; i++) {
      const v = values[i] === undefined ? null : values[i];
      points.push([start + (i + 0.5) * bucket, v === null ? null : s.panel === "rate" ? (v * SECOND) / bucket : v]);
    }
    return points;
  }

  function draw(width) {
    const total = width || host.clientWidth - 10, narrow = total < 560;
    if (total < 150) return;  // not laid out yet: the observer calls again
    const left = narrow ? 52 : 92, right = total - 12;
    const x = (t) => left + ((t - state.from) / (state.to - state.from)) * (right - left);
    const svg = svgElement("svg", {}), body = svgElement("g", { "clip-path": "url(#plot)" }), chrome = svgElement("g");
    svg.append(lanePatterns(), body, chrome);
    frame = { x, left, right, top: 26, rows: [] };
    for (const panel of panels(narrow)) place(panel, body, chrome);
    const bottom = frame.top;
    decorate(svg, body, chrome, bottom, total);
    svg.setAttribute("viewBox", `0 0 ${total} ${bottom + 40}`);
    svg.setAttribute("width", total);
    svg.setAttribute("height", bottom + 40);
    host.replaceChildren(svg);
    frame.bottom = bottom;
    drawCursor();
  }

  function panels(narrow) {
    const shown = (name) => series.filter((s) => s.panel === name && !hidden.has(s.key)), list = [];
    const lines = (name, title, height, log) => list.push({ title, height, lines: true, draw: (g, f) => drawLines(g, f, shown(name), { points: pointsOf, log }) });
    if (series.some((s) => s.panel === "rate")) lines("rate", "Operations per second", narrow ? 120 : 150, false);
    if (series.some((s) => s.panel === "latency")) lines("latency", "Produce latency, milliseconds (log scale)", narrow ? 105 : 130, true);
    packFaults(frame, faults, end).forEach((row, i) => list.push({ title: i ? "" : "Faults: solid until healed, pale until converged", name: "", height: 22, row: "fault", draw: (g, f) => drawFaultLane(g, f, row, end) }));
    brokers.forEach((lane, i) => list.push({ title: i ? "" : "Brokers: up, down, paused or cut off; the dark foot marks the controller", name: `n${lane.node}`, height: 22, lane, row: "broker", draw: (g, f) => drawBrokerLane(g, f, lane) }));
    (state.all ? partitions : partitions.slice(0, FEW)).forEach((lane, i) => list.push({ title: i ? "" : "Partitions: leader by colour, epoch, height = in-sync replicas, line = high watermark", name: `${lane.topic}/${lane.partition}`, height: 24, lane, row: "partition", draw: (g, f) => drawPartitionLane(g, f, lane, REPLICAS) }));
    return list;
  }

  function place(panel, body, chrome) {
    if (panel.title) {
      const words = frame.right < 560 ? panel.title.split(/[:(,]/)[0] : panel.title;
      chrome.append(svgElement("text", { class: "title", x: 8, y: frame.top + 14 }, words));
      frame.top += 22;
    }
    const own = { ...frame, height: panel.height };
    const target = svgElement("g");
    panel.draw(target, own);
    if (panel.lines) {  // tick labels stand outside the plot, so the clip must not cut them
      for (const text of [...target.querySelectorAll("text")]) chrome.append(text);
    }
    body.append(target);
    if (panel.name) chrome.append(svgElement("text", { class: "rowname", x: frame.left - 6, y: frame.top + panel.height / 2 + 4, "text-anchor": "end" }, panel.name));
    frame.rows.push({ top: frame.top, bottom: frame.top + panel.height, panel });
    frame.top += panel.height + (panel.lines ? 14 : 1);
  }

  function decorate(svg, body, chrome, bottom, total) {
    const { x, left, right } = frame, clip = svgElement("clipPath", { id: "plot" });
    clip.append(svgElement("rect", { x: left, y: 0, width: right - left, height: bottom + 6 }));
    svg.querySelector("defs").append(clip);
    const charts = frame.rows.filter((r) => r.panel.lines);
    for (const fault of faults.filter((f) => f.verified && f.begin_ns > 0)) {
      for (const row of charts) {
        const a = x(fault.begin_ns), b = x(fault.heal_ns > 0 ? fault.heal_ns : end);
        body.prepend(svgElement("rect", { class: "shade", x: a, width: Math.max(1, b - a), y: row.top, height: row.bottom - row.top }));
      }
    }
    const step = timeStep(state.to - state.from, (right - left) / 90), digits = step < 1e7 ? 3 : step < 1e8 ? 2 : step < SECOND ? 1 : 0;
    for (let t = Math.ceil((state.from - start) / step) * step + start; t <= state.to; t += step) {
      body.prepend(svgElement("line", { class: "grid", x1: x(t), x2: x(t), y1: 26, y2: bottom }));
      chrome.append(svgElement("text", { x: x(t), y: bottom + 16, "text-anchor": "middle" }, clockText(t - start, digits)));
    }
    chrome.append(svgElement("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
    chrome.append(svgElement("text", { x: right, y: bottom + 33, "text-anchor": "end" }, "time since the start, minutes:seconds"));
    for (const [from, to] of unionOf(flags)) {
      body.prepend(svgElement("rect", { class: "window", x: x(from), width: Math.max(2, x(to) - x(from)), y: 22, height: bottom - 22 }));
    }
    for (const group of flagGroups()) drawFlag(chrome, group);
  }

  // Violations often share a moment: their windows are drawn once.
  function unionOf(list) {
    const out = [];
    for (const flag of list.filter((f) => f.from_ns).sort((a, b) => a.from_ns - b.from_ns)) {
      const last = out[out.length - 1], to = flag.to_ns || flag.from_ns;
      if (last && flag.from_ns <= last[1]) last[1] = Math.max(last[1], to); else out.push([flag.from_ns, to]);
    }
    return out;
  }

  // Flags that would cover each other share one: { first, last, at }.
  function flagGroups() {
    const groups = [];
    flags.forEach((flag, index) => {
      if (!flag.from_ns) return;
      const at = frame.x((flag.from_ns + (flag.to_ns || flag.from_ns)) / 2), near = groups.find((g) => Math.abs(g.at - at) < 30);
      if (near) near.members.push(index); else if (at >= frame.left && at <= frame.right) groups.push({ at, members: [index] });
    });
    return groups;
  }

  function drawFlag(chrome, group) {
    const [index] = group.members, many = group.members.length > 1;
    const text = many ? `${index + 1} +${group.members.length - 1}` : String(index + 1), wide = many ? 16 + text.length * 5 : 18;
    chrome.append(svgElement("line", { class: "flagline", x1: group.at, x2: group.at, y1: 20, y2: 30 }));
    const box = svgElement("g", { class: "violation-flag", tabindex: 0, role: "link", "aria-label": `Violation ${index + 1}: ${flags[index].title}` });
    box.append(svgElement("rect", { class: "flagbox", x: group.at - wide / 2, y: 3, width: wide, height: 18, rx: 3 }));
    box.append(svgElement("text", { class: "on", x: group.at, y: 16, "text-anchor": "middle", style: "pointer-events:none;fill:var(--panel)" }, text));
    const follow = () => { location.hash = `violation-${index + 1}`; };
    box.addEventListener("click", follow);
    box.addEventListener("keydown", (e) => { if (e.key === "Enter") follow(); });
    chrome.append(box);
  }

  const timeAt = (px) => state.from + ((px - frame.left) / (frame.right - frame.left)) * (state.to - state.from);
  const clamp = (t) => Math.min(end, Math.max(start, t));
  const spanAt = (lane, t) => (lane.spans || []).find((s) => t >= s.from_ns && t < s.to_ns);

  function show(from, to) {
    const least = bucket / 5, middle = (from + to) / 2, half = Math.max(least, to - from) / 2;
    state.from = clamp(middle - half);
    state.to = Math.max(state.from + least, clamp(middle + half));
    draw();
  }

  function zoom(factor) {
    const at = state.cursor === null ? (state.from + state.to) / 2 : state.cursor, span = (state.to - state.from) * factor;
    const share = (at - state.from) / (state.to - state.from);
    show(at - span * share, at + span * (1 - share));
  }

  function drawCursor() {
    const svg = host.querySelector("svg");
    if (!svg) return;
    svg.querySelectorAll(".cursor, .select").forEach((e) => e.remove());
    if (state.drag) {
      const a = Math.min(state.drag.from, state.drag.to), b = Math.max(state.drag.from, state.drag.to);
      svg.append(svgElement("rect", { class: "select", x: frame.x(a), width: frame.x(b) - frame.x(a), y: 22, height: frame.bottom - 22 }));
    }
    if (state.cursor === null || state.cursor < state.from || state.cursor > state.to) { tip.hidden = true; return; }
    svg.append(svgElement("line", { class: "cursor", x1: frame.x(state.cursor), x2: frame.x(state.cursor), y1: 22, y2: frame.bottom }));
  }

  // What the cursor reads: [colour, name, value] rows, the same for the tooltip and for the screen reader.
  function reading(row) {
    const t = state.cursor, i = Math.floor((t - start) / bucket), rows = [];
    if (!row || row.panel.lines) {
      for (const s of series.filter((s) => !hidden.has(s.key))) {
        const v = valuesOf(s)[i];
        rows.push([s.colour, s.name, s.panel === "rate" ? figure(((v || 0) * SECOND) / bucket) + "/s" : v ? figure(v) + " ms" : "–"]);
      }
    }
    for (const lane of brokers) {
      const span = spanAt(lane, t);
      if (span && (span.state !== "up" || (row && row.panel.row === "broker"))) rows.push(["var(--muted)", `n${lane.node}`, STATES[span.state] + (span.controller ? ", controller" : "")]);
    }
    if (row && row.panel.row === "partition") {
      const lane = row.panel.lane, span = spanAt(lane, t), marks = (lane.hw || []).filter((m) => m[0] <= t);
      rows.push([span ? leaderColour(span.leader) : "var(--muted)", `${lane.topic}/${lane.partition}`, span && span.leader > 0 ? `leader n${span.leader}, epoch ${span.leader_epoch}` : "no leader"]);
      if (span) rows.push(["transparent", "in sync", (span.isr || []).map((n) => "n" + n).join(" ")]);
      if (marks.length) rows.push(["transparent", "high watermark", figure(marks[marks.length - 1][1])]);
    }
    const active = faults.filter((f) => f.begin_ns > 0 && f.begin_ns <= t && t < (f.heal_ns > 0 ? f.heal_ns : end));
    return { rows, active: active.map(faultText) };
  }

  function tell(row, px, py) {
    const { rows, active } = reading(row), when = clockText(state.cursor - start, 2);
    const table = rows.map(([c, n, v]) => `<tr><td><i style="--c:${c}"></i>${escapeText(n)}</td><td>${escapeText(v)}</td></tr>`).join("");
    tip.innerHTML = `<b>${when}</b><table>${table}</table>${active.map((f) => `<b class="fault">${escapeText(f)}</b>`).join("<br>")}`;
    tip.hidden = false;
    const room = host.offsetWidth, wide = tip.offsetWidth;
    tip.style.left = Math.max(0, px + 18 + wide > room ? px - wide - 14 : px + 18) + "px";
    tip.style.top = host.offsetTop + Math.max(0, py + 14) + "px";
    return `${when}. ${rows.map(([, n, v]) => `${n} ${v}`).join(", ")}. ${active.length ? "Active: " + active.join(", ") : "No fault active."}`;
  }

  const escapeText = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

  function local(event) {
    const box = host.querySelector("svg").getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  function listenPointer() {
    host.addEventListener("pointermove", (event) => {
      const [px, py] = local(event), inside = px >= frame.left && px <= frame.right;
      if (state.drag) state.drag.to = clamp(timeAt(Math.min(frame.right, Math.max(frame.left, px))));
      state.cursor = inside ? timeAt(px) : null;
      drawCursor();
      if (inside) tell(frame.rows.find((r) => py >= r.top && py <= r.bottom), px, py); else tip.hidden = true;
    });
    host.addEventListener("pointerdown", (event) => {
      if (event.button || event.target.closest(".violation-flag")) return;
      const [px] = local(event);
      if (px < frame.left || px > frame.right) return;
      state.drag = { from: timeAt(px), to: timeAt(px), x: px };
      host.setPointerCapture(event.pointerId);
    });
    host.addEventListener("pointerup", (event) => {
      const drag = state.drag;
      state.drag = null;
      if (drag && Math.abs(local(event)[0] - drag.x) > 6) show(Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)); else drawCursor();
    });
    host.addEventListener("pointercancel", () => { state.drag = null; drawCursor(); });
    host.addEventListener("pointerleave", () => { if (!state.drag) { state.cursor = null; drawCursor(); } });
    host.addEventListener("dblclick", () => show(start, end));
  }

  function listenKeys() {
    host.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: -1, ArrowRight: 1 };
      if (event.key in moves) {
        const from = state.cursor === null ? (state.from + state.to) / 2 : state.cursor;
        state.cursor = clamp(from + moves[event.key] * (event.shiftKey ? 10 : 1) * Math.max(bucket, (state.to - state.from) / 120));
        if (state.cursor < state.from || state.cursor > state.to) show(state.cursor - (state.to - state.from) / 2, state.cursor + (state.to - state.from) / 2);
        drawCursor();
        said.textContent = tell(null, frame.x(state.cursor), 20);
      } else if (event.key === "+" || event.key === "=") zoom(0.5);
      else if (event.key === "-") zoom(2);
      else if (event.key === "0" || event.key === "Home") show(start, end);
      else if (event.key === "Escape") { state.cursor = null; drawCursor(); }
      else return;
      event.preventDefault();
    });
  }

  function legend() {
    const box = document.getElementById("legend");
    let panel = series.length ? series[0].panel : "";
    for (const s of series) {
      if (s.panel !== panel) { box.append(document.createElement("hr")); panel = s.panel; }
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.series = s.key;
      button.setAttribute("aria-pressed", "true");
      button.innerHTML = `<i style="--c:${s.colour}"></i>${escapeText(s.name)}`;
      button.addEventListener("click", () => {
        const on = hidden.delete(s.key) || (hidden.add(s.key), false);
        button.setAttribute("aria-pressed", String(on));
        draw();
      });
      box.append(button);
    }
  }

  function more() {
    const line = document.getElementById("more-partitions"), button = line.querySelector("button");
    if (partitions.length <= FEW) return;
    line.hidden = false;
    const label = () => { button.textContent = state.all ? `Show only ${FEW} partitions` : `Show all ${partitions.length} partitions`; };
    button.addEventListener("click", () => { state.all = !state.all; label(); draw(); });
    label();
  }

  legend(); more(); listenPointer(); listenKeys();
  document.getElementById("zoom-in").addEventListener("click", () => zoom(0.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(2));
  document.getElementById("zoom-all").addEventListener("click", () => show(start, end));
  let drawn = 0;
  new ResizeObserver(() => { if (host.clientWidth !== drawn) { drawn = host.clientWidth; draw(); } }).observe(host);
  window.addEventListener("beforeprint", () => { state.all = true; state.cursor = null; draw(1000); });
  window.addEventListener("afterprint", () => draw());
  draw();

  return {
    show,
    showViolation(index) {
      const flag = flags[index];
      if (!flag || !flag.from_ns) return;
      const margin = Math.max(SECOND, ((flag.to_ns || flag.from_ns) - flag.from_ns) * 0.25);
      show(flag.from_ns - margin, (flag.to_ns || flag.from_ns) + margin);
    },
    range: () => [(state.from - start) / SECOND, (state.to - start) / SECOND],
  };
})();
