// Draws a chart of the page anew, in the unit, zoom and choice of arms that curves_input.js sets. Without script
// the drawing that the page came with stands.
"use strict";

const margin = { left: 64, right: 22, top: 10, bottom: 40 };
const mostDots = 40; // points of a line that are drawn one by one

function svgNode(parent, name, attributes, words) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (words !== undefined) node.textContent = words;
  return parent.appendChild(node);
}

function htmlNode(parent, name, className, words = "") {
  const node = document.createElement(name);
  node.className = className;
  node.textContent = words;
  return parent.appendChild(node);
}

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= 0.999999 * rough);
  const values = [];
  for (let i = Math.ceil(low / step); i * step <= high; ++i) values.push(i * step);
  return values;
}

const short = (value, digits = 6) => String(Number(value.toPrecision(digits)));

function tickText(value) {
  for (const [least, unit, letter] of [[1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e4, 1e3, "K"]])
    if (Math.abs(value) >= least) return short(value / unit, 4) + letter;
  return short(value);
}

function nearest(values, wanted) {
  let best = 0;
  values.forEach((value, i) => { if (Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = i; });
  return best;
}

class Chart {
  constructor(figure) {
    this.data = JSON.parse(figure.querySelector("script").textContent);
    this.plot = figure.querySelector(".plot");
    this.svg = this.plot.querySelector("svg");
    this.unit = "steps"; // or "tokens"
    this.shown = "value"; // or "difference"
    this.hidden = new Set(); // places of arms
    this.view = null; // [low, high] of x; null: all
    this.cursor = null; // the x whose values are told
    this.dragged = null; // [from, to] while zooming
    this.tip = htmlNode(this.plot, "div", "tip");
    this.tip.setAttribute("role", "status");
  }

  lines() { return this.data.lines.filter((line, i) => !this.hidden.has(i) && line[this.shown]); }
  xs() { return [...new Set(this.lines().flatMap((line) => line[this.unit]))].sort((a, b) => a - b); }

  setRanges() {
    const xs = this.xs();
    this.whole = xs.length ? [xs[0], xs[xs.length - 1]] : [0, 1];
    if (this.whole[0] === this.whole[1]) this.whole = [this.whole[0] - 1, this.whole[0] + 1];
    const x = this.x = this.view || this.whole;
    const from = this.view ? x[0] : x[0] + this.data.settled * (x[1] - x[0]);
    let low = Infinity, high = -Infinity;
    for (const line of this.lines())
      line[this.unit].forEach((at, i) => {
        if (at < from || at > x[1]) return;
        for (const part of ["mean", "low", "high"]) {
          const value = line[this.shown][part][i];
          if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
        }
      });
    if (this.shown === "difference") [low, high] = [Math.min(low, 0), Math.max(high, 0)];
    if (low > high) [low, high] = [0, 1];
    // Values that are all but equal get a hundredth of their size, so that ticks differ.
    const size = Math.max(Math.abs(low), Math.abs(high)), span = high - low;
    const space = span > 1e-6 * size ? 0.05 * span : Math.max(1e-9, 0.01 * size);
    this.y = [low - space, high + space];
  }

  draw() {
    this.setRanges();
    const { x, y } = this, width = this.width = Math.max(260, this.plot.clientWidth);
    const height = this.height = Math.min(360, Math.max(240, 0.42 * width));
    const box = [margin.left, margin.top, width - margin.left - margin.right, height - margin.top - margin.bottom];
    this.px = (value) => box[0] + (value - x[0]) / (x[1] - x[0]) * box[2];
    this.py = (value) => box[1] + (y[1] - value) / (y[1] - y[0]) * box[3];
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    // Where all arms have one step alone they stand side by side.
    const apart = this.xs().length === 1 ? 14 : 0;
    this.lines().forEach((line, i, all) => { line.shift = apart * (i - (all.length - 1) / 2); });
    this.drawAxes();
    // An inner drawing clips what lies outside the axes.
    const place = { x: box[0], y: box[1], width: box[2], height: box[3], viewBox: box.join(" ") };
    const frame = svgNode(this.svg, "svg", place);
    for (const line of this.lines()) this.drawBand(frame, line);
    for (const line of this.lines()) this.drawLine(frame, line);
    this.overlay = svgNode(frame, "g", {});
    this.drawCursor();
  }

  drawAxes() {
    const end = this.width - margin.right, base = this.height - margin.bottom;
    const differs = this.shown === "difference";
    for (const value of ticks(...this.y, 5)) {
      const kind = differs && Math.abs(value) < 1e-12 ? "grid zero" : "grid";
      svgNode(this.svg, "path", { class: kind, d: `M${margin.left} ${this.py(value)}H${end}` });
      svgNode(this.svg, "text", { x: margin.left - 6, y: this.py(value) + 4, "text-anchor": "end" }, short(value));
    }
    const xs = this.xs();
    for (const value of xs.length === 1 ? xs : ticks(...this.x, this.width / 100))
      svgNode(this.svg, "text", { x: this.px(value), y: base + 16, "text-anchor": "middle" }, tickText(value));
    svgNode(this.svg, "path", { class: "grid", d: `M${margin.left} ${base}H${end}` });
    const middle = { x: (margin.left + end) / 2, y: this.height - 6, "text-anchor": "middle" };
    svgNode(this.svg, "text", middle, this.unit);
    const turned = { transform: `translate(13 ${base / 2}) rotate(-90)`, "text-anchor": "middle" };
    svgNode(this.svg, "text", turned, this.data.y + (differs ? ", minus " + this.data.first : ""));
  }

  points(line, part) {
    return line[this.unit].map((at, i) => [at, line[this.shown][part][i]]).filter((point) => point[1] !== null)
      .map(([at, value]) => `${(this.px(at) + line.shift).toFixed(1)} ${this.py(value).toFixed(1)}`);
  }

  drawBand(frame, line) {
    const edge = [...this.points(line, "high"), ...this.points(line, "low").reverse()];
    if (edge.length > 2) svgNode(frame, "path", { class: `band a${line.look}`, d: `M${edge.join("L")}Z` });
    else if (edge.length) svgNode(frame, "path", { class: `whisker a${line.look}`, d: `M${edge.join("L")}` });
  }

  drawLine(frame, line) {
    const points = this.points(line, "mean");
    if (!points.length) return;
    svgNode(frame, "path", { class: `line a${line.look}`, d: `M${points.join("L")}` });
    if (points.length > mostDots) return;
    for (const [cx, cy] of points.map((point) => point.split(" ")))
      svgNode(frame, "circle", { class: `dot a${line.look}`, cx, cy, r: 3 });
  }

  drawCursor() {
    const base = this.height - margin.bottom;
    this.overlay.replaceChildren();
    if (this.dragged) {
      const [a, b] = this.dragged.map(this.px).sort((p, q) => p - q);
      svgNode(this.overlay, "rect", { class: "drag", x: a, y: margin.top, width: b - a, height: base - margin.top });
    }
    this.tip.hidden = this.cursor === null;
    if (this.cursor === null) return;
    svgNode(this.overlay, "path", { class: "cursor", d: `M${this.px(this.cursor)} ${margin.top}V${base}` });
    this.tip.replaceChildren();
    htmlNode(this.tip, "strong", "", `${this.cursor.toLocaleString("en")} ${this.unit}`);
    for (const line of this.lines()) this.tellValue(line);
    const toTheRight = this.px(this.cursor) < this.width / 2; // on the side where the pointer is not
    this.tip.style.left = toTheRight ? "auto" : margin.left + 6 + "px";
    this.tip.style.right = toTheRight ? margin.right + "px" : "auto";
  }

  tellValue(line) {
    const i = nearest(line[this.unit], this.cursor), { mean, low, high } = line[this.shown];
    const row = htmlNode(this.tip, "div", ""), swatch = svgNode(row, "svg", { class: "swatch", viewBox: "0 0 34 10" });
    svgNode(swatch, "path", { class: `line a${line.look}`, d: "M1 5H33" });
    row.append(` ${line.arm} `);
    htmlNode(row, "b", "", mean[i] === null ? "–" : short(mean[i], 5));
    if (low[i] !== null) row.append(` [${short(low[i], 5)}, ${short(high[i], 5)}]`);
    if (mean[i] === null) return;
    const place = { cx: this.px(line[this.unit][i]) + line.shift, cy: this.py(mean[i]), r: 4 };
    svgNode(this.overlay, "circle", { class: `dot a${line.look}`, ...place });
  }
}
