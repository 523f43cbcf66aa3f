// What the reader does to a chart: pointer, touch and arrow keys read values; dragging zooms, double click or the
// key 0 go back; buttons choose the x axis, values or differences, and the arms.
"use strict";

// The x value under an event, kept within what is shown.
function valueUnder(chart, event) {
  const box = chart.svg.getBoundingClientRect(), [low, high] = chart.x;
  const across = (event.clientX - box.left) * chart.width / box.width - margin.left;
  const share = Math.min(1, Math.max(0, across / (chart.width - margin.left - margin.right)));
  return low + share * (high - low);
}

const shownXs = (chart) => chart.xs().filter((x) => x >= chart.x[0] && x <= chart.x[1]);

function setCursor(chart, x) {
  const xs = shownXs(chart);
  chart.cursor = x === null || !xs.length ? null : xs[nearest(xs, x)];
  chart.drawCursor();
}

function setView(chart, view) {
  const least = 1e-4 * (chart.whole[1] - chart.whole[0]); // nearer there is nothing to see
  if (view && view[1] - view[0] < least) return;
  chart.view = view;
  if (view && chart.cursor !== null && (chart.cursor < view[0] || chart.cursor > view[1])) chart.cursor = null;
  chart.draw();
}

// Around the cursor; 0.5 shows half of what was shown.
function zoom(chart, factor) {
  const { x, whole } = chart, middle = chart.cursor ?? (x[0] + x[1]) / 2, half = factor * (x[1] - x[0]) / 2;
  const view = [Math.max(whole[0], middle - half), Math.min(whole[1], middle + half)];
  setView(chart, view[1] - view[0] >= whole[1] - whole[0] ? null : view);
}

// Buttons of which one is pressed: it sets chart[member].
function addChoice(chart, bar, member, names) {
  const group = htmlNode(bar, "span", "choice"), buttons = {};
  group.setAttribute("role", "group");
  const mark = () => {
    for (const value in buttons) buttons[value].setAttribute("aria-pressed", chart[member] === value);
  };
  for (const value in names) {
    buttons[value] = htmlNode(group, "button", `${member}-${value}`, names[value]);
    buttons[value].onclick = () => {
      chart[member] = value;
      if (member === "unit") chart.cursor = chart.view = null;
      mark();
      chart.draw();
    };
  }
  mark();
}

function addButtons(chart, figure) {
  const bar = htmlNode(figure, "div", "controls");
  figure.insertBefore(bar, chart.plot);
  addChoice(chart, bar, "unit", { steps: "steps", tokens: "tokens" });
  if (chart.data.first) addChoice(chart, bar, "shown", { value: "loss", difference: "minus " + chart.data.first });
  htmlNode(bar, "button", "zoom", "zoom in").onclick = () => zoom(chart, 0.5);
  htmlNode(bar, "button", "reset", "reset").onclick = () => setView(chart, null);
}

function makeLegendButtons(chart, items) {
  items.forEach((item, place) => {
    const button = document.createElement("button");
    button.append(...item.childNodes);
    button.setAttribute("aria-pressed", "true");
    button.title = "show or hide this arm";
    button.onclick = () => {
      if (!chart.hidden.delete(place)) chart.hidden.add(place);
      button.setAttribute("aria-pressed", !chart.hidden.has(place));
      chart.draw();
    };
    item.append(button);
  });
}

function listenToPointer(chart) {
  const { svg } = chart;
  let from = null; // where a drag began
  svg.onpointerdown = (event) => {
    if (event.pointerType !== "touch" && event.button === 0) from = valueUnder(chart, event);
    if (event.pointerType !== "touch" && event.isTrusted) svg.setPointerCapture(event.pointerId);
    setCursor(chart, valueUnder(chart, event));
  };
  svg.onpointermove = (event) => {
    if (from !== null) chart.dragged = [from, valueUnder(chart, event)];
    setCursor(chart, valueUnder(chart, event));
  };
  svg.onpointerup = () => {
    const view = chart.dragged && chart.dragged.sort((a, b) => a - b), least = 0.01 * (chart.x[1] - chart.x[0]);
    from = chart.dragged = null;
    if (view && view[1] - view[0] > least) setView(chart, view);
    else chart.drawCursor();
  };
  svg.onpointercancel = () => { from = chart.dragged = null; chart.drawCursor(); };
  svg.onpointerleave = (event) => { if (event.pointerType !== "touch" && from === null) setCursor(chart, null); };
  svg.ondblclick = () => setView(chart, null);
}

function listenToKeys(chart) {
  const { svg } = chart;
  svg.setAttribute("tabindex", "0");
  svg.onblur = () => setCursor(chart, null);
  svg.onkeydown = (event) => {
    const xs = shownXs(chart), last = xs.length - 1, i = xs.indexOf(chart.cursor), far = event.shiftKey ? 10 : 1;
    const moves = { ArrowRight: i + far, ArrowLeft: i < 0 ? last : i - far, Home: 0, End: last };
    const acts = { "+": () => zoom(chart, 0.5), "-": () => zoom(chart, 2), 0: () => setView(chart, null),
      Escape: () => setCursor(chart, null) };
    if (event.key in moves) setCursor(chart, xs[Math.min(last, Math.max(0, moves[event.key]))] ?? null);
    else if (event.key in acts) acts[event.key]();
    else return;
    event.preventDefault();
  };
}

document.querySelectorAll("figure.chart").forEach((figure) => {
  const chart = new Chart(figure);
  addButtons(chart, figure);
  makeLegendButtons(chart, figure.querySelectorAll(".legend li"));
  listenToPointer(chart);
  listenToKeys(chart);
  figure.classList.add("ready");
  new ResizeObserver(() => { if (chart.plot.clientWidth !== chart.width) chart.draw(); }).observe(chart.plot);
  chart.draw();
});
