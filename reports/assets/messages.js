"use strict";
// Messages around the violation: a lane a client or broker, time to the right, an arrow a message. Drawn on a canvas, only
// what is in view, so that thousands of messages stay quick. Nothing is fetched; the data stands in #messages-data.

const Messages = (() => {
  const source = document.getElementById("messages-data");
  if (!source) return null;
  const data = JSON.parse(source.textContent);
  const host = document.getElementById("message-lanes"), canvas = host.querySelector("canvas"), tip = document.getElementById("message-tip");
  const said = document.getElementById("message-said"), pen = canvas.getContext("2d");
  const LEFT = 46, TOP = 34, HEAD = 34, FOOT = 26, LABELS = 400, HEADS = 3000, LEAST_US = 200;
  const ROW = Math.max(84, Math.min(150, 600 / data.lanes.length));  // few lanes leave room for words between them
  const quiet = data.apis.map((name) => /heartbeat|^ping$|^Metadata$|^ApiVersions$|\(idle\)/i.test(name));
  const state = { from: 0, to: data.length_us, off: new Set(data.apis.map((_, i) => i).filter((i) => quiet[i])), partition: -1, chosen: -1, cursor: null, drag: null };
  let colours = {}, width = 0, drawn = [], labelled = [], frame = 0;

  const height = () => TOP + 2 * HEAD + ROW * (data.lanes.length - 1) + FOOT;
  const x = (t) => LEFT + ((t - state.from) / (state.to - state.from)) * (width - LEFT - 8);
  const timeAt = (px) => state.from + ((px - LEFT) / (width - LEFT - 8)) * (state.to - state.from);
  const y = (lane) => TOP + HEAD + ROW * lane;
  const clamp = (t) => Math.min(data.length_us, Math.max(0, t));
  const when = (us) => clockText((us + data.t0_us) * 1000, 6);
  const fits = (m) => !state.off.has(m[4]) && (state.partition < 0 || !m[6].length || m[6].includes(state.partition));

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ink", "muted", "rule", "panel", "soft", "violated", "band", "accent", "held", "unknown", "n1", "n2", "n3", "n4", "n5", "n6", "n7"]) {
      colours[name] = style.getPropertyValue("--" + name).trim();
    }
  }
  const PALETTE = ["n1", "n3", "n6", "n4", "n5", "n2", "n7"];
  const colourOf = (api) => colours[PALETTE[api % PALETTE.length]];

  // Whoever sends is drawn where the arrow leaves, whoever receives where it ends; a lost one ends half-way, in a cross.
  function ends(m) {
    const lost = m[1] < 0, x0 = x(m[0]), y0 = y(m[2]), y1 = y(m[3]);
    if (!lost) return [x0, y0, x(m[1]), y1, false];
    return [x0, y0, x0 + 14, y0 + (y1 - y0) * 0.55, true];
  }

  function visible() {
    const out = [];
    for (let i = 0; i < data.messages.length; i++) {
      const m = data.messages[i];
      if (m[0] > state.to) break;
      if (Math.max(m[1], m[0]) >= state.from && fits(m)) out.push(i);
    }
    return out;
  }

  function draw() {
    frame = 0;
    width = host.clientWidth;
    if (width < 150) return;  // not laid out yet: the observer calls again
    const ratio = window.devicePixelRatio || 1, tall = height();
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(tall * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(tall * ratio);
      canvas.style.height = tall + "px";
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, tall);
    pen.font = "11.5px system-ui, sans-serif";
    drawn = visible();
    drawGround(tall);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, 0, width - LEFT, tall);
    pen.clip();
    drawFocus(tall);
    for (const i of drawn) drawMessage(data.messages[i], i === state.chosen);
    const taken = drawMarks();
    labelled = [];
    if (drawn.length <= LABELS) drawLabels(taken);
    if (state.drag) { pen.globalAlpha = 0.18; pen.fillStyle = colours.accent; pen.fillRect(x(Math.min(state.drag.from, state.drag.to)), 0, Math.abs(x(state.drag.to) - x(state.drag.from)), tall - FOOT); pen.globalAlpha = 1; }
    pen.restore();
  }

  const redraw = () => { if (!frame) frame = requestAnimationFrame(draw); };

  function drawGround(tall) {
    pen.textBaseline = "middle";
    for (const [lane, from, to, word] of data.bands) {
      const a = Math.max(LEFT, x(from)), b = Math.min(width, x(to));
      if (b <= a) continue;
      pen.globalAlpha = 0.16;
      pen.fillStyle = colours.band;
      pen.fillRect(a, y(lane) - 17, b - a, 34);
      pen.globalAlpha = 1;
      pen.fillStyle = colours.violated;
      if (b - a > word.length * 7) { pen.textAlign = "left"; pen.fillText(word, a + 4, y(lane) + 10); }
    }
    data.lanes.forEach((name, lane) => {
      pen.strokeStyle = colours.muted;
      pen.lineWidth = name[0] === "n" ? 1.6 : 1;
      line(LEFT, y(lane), width, y(lane));
      pen.fillStyle = colours.ink;
      pen.textAlign = "right";
      pen.font = "600 12px system-ui, sans-serif";
      pen.fillText(name, LEFT - 8, y(lane));
      pen.font = "11.5px system-ui, sans-serif";
    });
    const step = timeStep((state.to - state.from) * 1000, (width - LEFT) / 110) / 1000, digits = step < 1e3 ? 6 : step < 1e6 ? 3 : 0;
    pen.textAlign = "center";
    for (let t = Math.ceil((state.from + data.t0_us) / step) * step - data.t0_us; t <= state.to; t += step) {
      pen.strokeStyle = colours.rule;
      pen.lineWidth = 1;
      line(x(t), TOP - 8, x(t), tall - FOOT);
      pen.fillStyle = colours.muted;
      if (x(t) > LEFT + 20 && x(t) < width - 24) pen.fillText(clockText((t + data.t0_us) * 1000, digits), x(t), tall - FOOT + 14);
    }
  }

  function drawFocus(tall) {
    const marked = new Set();
    for (const found of data.focus) {
      const [index, from, to] = found, a = x(from), flag = x(momentOf(found)), place = Math.round(flag / 12);
      pen.globalAlpha = 0.07;
      pen.fillStyle = colours.violated;
      if (!marked.size) pen.fillRect(a, TOP - 14, Math.max(2, x(to) - a), tall - FOOT - TOP + 14);
      pen.globalAlpha = 1;
      if (marked.has(place)) continue;  // violations of one moment share a flag
      marked.add(place);
      pen.fillRect(flag - 9, 4, 18, 16);
      pen.strokeStyle = colours.violated;
      line(flag, 20, flag, tall - FOOT);
      pen.fillStyle = colours.panel;
      pen.textAlign = "center";
      pen.fillText(String(index + 1), flag, 12.5);
    }
  }

  function line(x0, y0, x1, y1) {
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
  }

  function drawMessage(m, chosen) {
    const [x0, y0, x1, y1, lost] = ends(m);
    pen.strokeStyle = chosen ? colours.ink : lost ? colours.violated : colourOf(m[4]);
    pen.lineWidth = chosen ? 2.6 : 1.2;
    pen.globalAlpha = chosen ? 1 : m[5] ? 0.45 : 0.95;
    pen.setLineDash(m[5] ? [5, 3] : []);
    line(x0, y0, x1, y1);
    pen.setLineDash([]);
    if (lost) {
      line(x1 - 4, y1 - 4, x1 + 4, y1 + 4);
      line(x1 - 4, y1 + 4, x1 + 4, y1 - 4);
    } else if (drawn.length <= HEADS) {
      const angle = Math.atan2(y1 - y0, x1 - x0);
      pen.fillStyle = pen.strokeStyle;
      pen.beginPath();
      pen.moveTo(x1, y1);
      pen.lineTo(x1 - 8 * Math.cos(angle - 0.36), y1 - 8 * Math.sin(angle - 0.36));
      pen.lineTo(x1 - 8 * Math.cos(angle + 0.36), y1 - 8 * Math.sin(angle + 0.36));
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  // What it says in one line; of several partitions the chosen one, else the first.
  function label(m) {
    const say = data.texts[m[7]], name = data.apis[m[4]] + (m[5] ? " reply" : "");
    if (m[6].length < 2) return say || name;
    const at = Math.max(0, m[6].indexOf(state.partition)), words = m[9] ? " " + data.texts[m[9][at]] : "";
    return `${say || name} ${data.partitions[m[6][at]]}${words} +${m[6].length - 1}`;
  }

  // A label stands beside its arrow, where it covers none that stands already; else it is left out, and a hover tells.
  function drawLabels(taken) {
    const middle = data.focus.length ? momentOf(data.focus[0]) : 0;
    const rank = (m) => (m[8] ? 0 : m[6].includes(state.partition) ? 1 : 2);
    const order = drawn.slice().sort((a, b) => rank(data.messages[a]) - rank(data.messages[b]) ||
      Math.abs(data.messages[a][0] - middle) - Math.abs(data.messages[b][0] - middle));
    for (const i of order) {
      const m = data.messages[i], [x0, y0, x1, y1, lost] = ends(m);
      if (lost) stand(taken, "lost: " + data.texts[m[8] || 0], [[x1 + 8, y1], [x1 + 8, y1 + 13]], colours.violated, 1);
      const text = label(m), places = [0.5, 0.36, 0.64, 0.23, 0.77].map((at) => [x0 + (x1 - x0) * at + 5, y0 + (y1 - y0) * at]);
      stand(taken, text, lost ? places.slice(0, 2).concat(places.slice(3, 4)) : places, colours.ink, m[5] ? 0.8 : 1);
    }
  }

  function stand(taken, text, places, colour, alpha) {
    const wide = pen.measureText(text).width;
    for (const [px, py] of places) {
      const left = Math.min(px, width - wide - 6);
      if (left < LEFT || data.lanes.some((_, lane) => Math.abs(y(lane) - py) < 10)) continue;
      if (taken.some((box) => left < box[1] + 6 && left + wide + 6 > box[0] && Math.abs(box[2] - py) < 13)) continue;
      taken.push([left, left + wide, py]);
      labelled.push({ text, box: taken[taken.length - 1] });
      pen.textAlign = "left";
      pen.lineWidth = 4;
      pen.lineJoin = "round";
      pen.strokeStyle = colours.panel;
      pen.strokeText(text, left, py);
      pen.fillStyle = colour;
      pen.globalAlpha = alpha;
      pen.fillText(text, left, py);
      pen.globalAlpha = 1;
      return;
    }
  }

  const MARKS = { lead: ["n2", "▲"], follow: ["muted", "▽"], isr: ["n3", "◆"], hw: ["accent", "|"], cut: ["violated", "✂"], raft: ["n4", "●"], node: ["ink", "■"] };

  // Returns the places of the words, for labels to keep off.
  function drawMarks() {
    const taken = [], free = data.lanes.map(() => [-1e9, -1e9]);
    for (const [lane, from, to, word] of data.bands) if (x(to) > LEFT && x(from) < width) taken.push([Math.max(LEFT, x(from)), Math.max(LEFT, x(from)) + word.length * 7, y(lane) + 10]);
    for (const mark of data.marks) {
      const [t, lane, kind, text, partition] = mark;
      if (t < state.from || t > state.to || (state.partition >= 0 && partition >= 0 && partition !== state.partition)) continue;
      const [colour, glyph] = MARKS[kind] || MARKS.node, px = x(t);
      pen.fillStyle = colours[colour];
      pen.textAlign = "center";
      pen.fillText(glyph, px, y(lane));
      const wide = pen.measureText(text).width, row = free[lane].findIndex((end) => end < Math.min(px, width - wide - 10));
      if (row < 0 || (kind === "hw" && row > 0)) continue;
      const left = Math.min(px + 6, width - wide - 4), line = y(lane) - 11 - row * 12;
      free[lane][row] = px + wide + 14;
      pen.textAlign = "left";
      pen.lineWidth = 3;
      pen.strokeStyle = colours.panel;
      pen.strokeText(text, left, line);
      pen.fillStyle = kind === "cut" ? colours.violated : colours.ink;
      pen.fillText(text, left, line);
      taken.push([left, left + wide, line]);
    }
    return taken;
  }

  function show(from, to) {
    const half = Math.max(LEAST_US, to - from) / 2, middle = (from + to) / 2;
    state.from = Math.max(0, Math.min(middle - half, data.length_us - 2 * half));
    state.to = Math.max(state.from + LEAST_US, Math.min(data.length_us, state.from + 2 * half));
    tip.hidden = true;
    redraw();
  }

  function zoom(factor, at) {
    const t = at === undefined ? (state.from + state.to) / 2 : at, share = (t - state.from) / (state.to - state.from), span = (state.to - state.from) * factor;
    show(t - span * share, t + span * (1 - share));
  }

  const pan = (share) => { const by = (state.to - state.from) * share; show(state.from + by, state.to + by); };

  function words(m) {
    const end = m[1] < 0 ? `lost: ${data.texts[m[8]] || "never arrived"}` : `${((m[1] - m[0]) / 1000).toFixed(3)} ms later`;
    const order = m[6].map((_, i) => i).sort((a, b) => (m[6][b] === state.partition) - (m[6][a] === state.partition));
    const each = m[6].length > 1 ? order.slice(0, 8).map((i) => `${data.partitions[m[6][i]]} ${m[9] ? data.texts[m[9][i]] : ""}`) : [];
    if (m[6].length > 8) each.push(`and ${m[6].length - 8} more partitions`);
    const about = m[6].length === 1 && !data.texts[m[7]].includes(data.partitions[m[6][0]]) ? data.partitions[m[6][0]] : "";
    return [`${data.apis[m[4]]}${m[5] ? " reply" : ""}`, `${data.lanes[m[2]]} → ${data.lanes[m[3]]}`, `sent ${when(m[0])}, ${end}`, data.texts[m[10]], about, data.texts[m[7]], ...each].filter(Boolean);
  }

  function nearest(px, py) {
    let best = -1, least = 9;
    for (const i of drawn) {
      const [x0, y0, x1, y1] = ends(data.messages[i]), dx = x1 - x0, dy = y1 - y0;
      const along = Math.min(1, Math.max(0, ((px - x0) * dx + (py - y0) * dy) / (dx * dx + dy * dy || 1)));
      const off = Math.hypot(px - x0 - along * dx, py - y0 - along * dy);
      if (off < least) { least = off; best = i; }
    }
    return best;
  }

  function markAt(px, py) {
    return data.marks.filter((m) => m[0] >= state.from && m[0] <= state.to && Math.abs(x(m[0]) - px) < 7 && Math.abs(y(m[1]) - py) < 10);
  }

  function tell(lines, px, py) {
    tip.replaceChildren(...lines.map((text, i) => Object.assign(document.createElement(i ? "div" : "b"), { textContent: text })));
    tip.hidden = false;
    tip.style.left = Math.max(0, px + 18 + tip.offsetWidth > width ? px - tip.offsetWidth - 14 : px + 18) + "px";
    tip.style.top = host.offsetTop + py + 16 + "px";
  }

  function choose(index) {
    state.chosen = index;
    const m = data.messages[index], [x0, y0, x1, y1] = ends(m);
    if (m[0] < state.from || Math.max(m[0], m[1]) > state.to) { const half = (state.to - state.from) / 2; show(m[0] - half, m[0] + half); draw(); }
    tell(words(m), Math.max(LEFT, (x0 + x1) / 2), (y0 + y1) / 2);
    said.textContent = words(m).join(". ");
    redraw();
  }

  function step(by) {
    draw();
    if (!drawn.length) return;
    const at = drawn.indexOf(state.chosen), next = at < 0 ? (by > 0 ? 0 : drawn.length - 1) : at + by;
    if (next >= 0 && next < drawn.length) return choose(drawn[next]);
    const all = data.messages.map((_, i) => i).filter((i) => fits(data.messages[i])), place = all.indexOf(state.chosen) + by;
    if (place >= 0 && place < all.length) choose(all[place]);
  }

  const local = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };

  function listen() {
    canvas.addEventListener("pointermove", (event) => {
      const [px, py] = local(event);
      if (state.drag) { state.drag.to = clamp(timeAt(px)); tip.hidden = true; return redraw(); }
      const marks = markAt(px, py), found = marks.length ? -1 : nearest(px, py);
      if (marks.length) tell([`${data.lanes[marks[0][1]]} at ${when(marks[0][0])}`, ...marks.slice(0, 8).map((m) => m[3])], px, py);
      else if (found >= 0) tell(words(data.messages[found]), px, py);
      else tip.hidden = true;
      if (found !== state.chosen) { state.chosen = found; redraw(); }
    });
    canvas.addEventListener("pointerdown", (event) => {
      const [px] = local(event);
      if (event.button || px < LEFT) return;
      state.drag = { from: timeAt(px), to: timeAt(px), x: px };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", (event) => {
      const drag = state.drag;
      state.drag = null;
      if (drag && Math.abs(local(event)[0] - drag.x) > 6) show(Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)); else redraw();
    });
    canvas.addEventListener("pointercancel", () => { state.drag = null; redraw(); });
    canvas.addEventListener("pointerleave", () => { if (!state.drag) { tip.hidden = true; state.chosen = -1; redraw(); } });
    canvas.addEventListener("dblclick", () => show(0, data.length_us));
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey) return;  // the page scrolls until somebody works here
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX / 800); else zoom(Math.exp(event.deltaY / 400), clamp(timeAt(local(event)[0])));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const keys = { ArrowLeft: () => pan(event.shiftKey ? -1 : -0.2), ArrowRight: () => pan(event.shiftKey ? 1 : 0.2), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => show(0, data.length_us), Home: focus, n: () => step(1), p: () => step(-1), Escape: () => { state.chosen = -1; tip.hidden = true; redraw(); } };
      if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
      keys[event.key]();
      event.preventDefault();
    });
  }

  function filters() {
    const counts = data.apis.map(() => 0), box = document.getElementById("message-apis");
    for (const m of data.messages) counts[m[4]]++;
    const order = data.apis.map((_, i) => i).sort((a, b) => quiet[a] - quiet[b] || counts[b] - counts[a]);
    readColours();
    for (const i of order) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.api = data.apis[i];
      button.append(Object.assign(document.createElement("i"), { style: `--c:var(--${PALETTE[i % PALETTE.length]})` }), `${data.apis[i]} ${figure(counts[i])}`);
      button.setAttribute("aria-pressed", String(!state.off.has(i)));
      button.addEventListener("click", () => {
        const on = state.off.delete(i) || (state.off.add(i), false);
        button.setAttribute("aria-pressed", String(on));
        redraw();
      });
      box.append(button);
    }
    const select = document.getElementById("message-partition");
    select.parentElement.hidden = !data.partitions.length;
    const violated = new Set(data.focus.map((f) => f[3]));
    data.partitions.map((name, i) => [name, i]).sort((a, b) => a[0].localeCompare(b[0], "en", { numeric: true })).forEach(([name, i]) => select.append(new Option(name + (violated.has(i) ? " (violated)" : ""), i)));
    choosePartition(data.focus.length ? data.focus[0][3] : -1);
    select.addEventListener("change", () => { state.partition = Number(select.value); redraw(); });
  }

  function choosePartition(index) {
    if (index >= 0) state.partition = index;
    document.getElementById("message-partition").value = String(state.partition);
  }

  // The moment of a violation: its end, or what of it lies within the messages kept.
  const momentOf = (found) => (found[2] <= data.length_us ? found[2] : Math.max(0, found[1]));

  // Around a violation, as wide as some forty messages: so many can be read.
  function focus(index) {
    const found = typeof index === "number" ? data.focus.find((f) => f[0] === index) : data.focus[0];
    if (found) choosePartition(found[3]);
    const times = data.messages.filter(fits).map((m) => m[0]), at = found ? momentOf(found) : data.length_us / 2;
    if (!times.length) return show(0, data.length_us);
    const place = times.findIndex((t) => t > at), middle = place < 0 ? times.length : place;
    show(Math.min(at, times[Math.max(0, middle - 28)]) - 500, Math.max(at, times[Math.min(times.length - 1, middle + 12)]) + 500);
  }

  filters();
  listen();
  for (const [id, act] of [["message-in", () => zoom(0.5)], ["message-out", () => zoom(2)], ["message-back", () => pan(-0.5)], ["message-on", () => pan(0.5)], ["message-all", () => show(0, data.length_us)], ["message-focus", focus]]) {
    document.getElementById(id).addEventListener("click", () => act());
  }
  const recolour = () => { readColours(); redraw(); };
  new MutationObserver(recolour).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  new ResizeObserver(() => { if (host.clientWidth !== width) redraw(); }).observe(host);
  focus();
  draw();

  return {
    focus,
    has: (index) => data.focus.some((f) => f[0] === index),
    range: () => [state.from, state.to],
    shown: () => { draw(); return drawn.length; },
    chosen: () => state.chosen,
    partition: () => data.partitions[state.partition] || "all",
    labels: () => { draw(); return labelled; },
    drawTime: () => { const began = performance.now(); draw(); return performance.now() - began; },
  };
})();
