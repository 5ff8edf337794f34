// The two charts of a job: the loss and the metric that counts, over the epochs, each attempt marked. Drawn with uPlot.
//
// The history comes from the server, already cut where an attempt went on from a checkpoint; what the
// stream brings is added. A new attempt makes the history be fetched again.

import { words } from "./words.js";

const uPlot = globalThis.uPlot; // its own script on the page runs before this one

const HEIGHT = 230;
const ENOUGH_EPOCHS = 8;
const PATIENCE_MS = 10_000; // with a server that takes a request and does not answer it
const job = document.getElementById("job");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

let history = { progress: [], epochs: [], marks: [] };

// Running means start anew with each epoch. Once there are enough epochs their ends make the clearer curve,
// and running means are shown for the first epoch and the one that is not over.
function progressToShow() {
  if (history.epochs.length < ENOUGH_EPOCHS) return history.progress;
  const over = history.epochs[history.epochs.length - 1].epoch;
  return history.progress.filter((row) => row.epoch <= 1 || row.epoch > over);
}

// ---- data: one row of x, with nulls where a series has no value

function table(metric) {
  const rows = new Map();
  const put = (epoch, column, value) => {
    if (value === undefined || value === null) return;
    const x = Math.round(epoch * 1e6) / 1e6;
    if (!rows.has(x)) rows.set(x, [null, null]);
    rows.get(x)[column] = value;
  };
  for (const row of progressToShow()) put(row.epoch, 0, row[metric]);
  for (const row of history.epochs) {
    put(row.epoch, 0, row[metric]);
    put(row.epoch, 1, row[`val_${metric}`]);
  }
  const xs = [...rows.keys()].sort((a, b) => a - b);
  return [xs, xs.map((x) => rows.get(x)[0]), xs.map((x) => rows.get(x)[1])];
}

// ---- numbers on an axis: short, and the axis as wide as the longest

function compact(value) {
  const size = Math.abs(value);
  if (value !== 0 && (size >= 1e5 || size < 1e-3)) return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
  return String(Number(value.toPrecision(6)));
}

function width(plot, labels, index, cycle) {
  const axis = plot.axes[index];
  if (cycle > 1) return axis._size; // uPlot measures again until nothing changes
  plot.ctx.font = axis.font[0];
  const widest = Math.max(0, ...(labels ?? []).map((label) => plot.ctx.measureText(label).width));
  return Math.ceil(widest / (devicePixelRatio || 1)) + 14;
}

// ---- drawing

function drawMarks(plot) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.strokeStyle = colour("--mark");
  ctx.fillStyle = colour("--mark");
  ctx.lineWidth = ratio;
  ctx.setLineDash([4 * ratio, 4 * ratio]);
  ctx.textAlign = "left";
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  let freeFrom = -Infinity; // labels that would overlap are left out, their lines are not
  for (const mark of history.marks) {
    const x = Math.round(plot.valToPos(mark.epoch, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const text = words("mark", { number: mark.attempt });
    const wide = ctx.measureText(text).width;
    const left = x + wide + 6 * ratio > bbox.left + bbox.width ? x - wide - 4 * ratio : x + 4 * ratio;
    if (left > freeFrom) {
      ctx.fillText(text, left, bbox.top + 11 * ratio);
      freeFrom = left + wide + 6 * ratio;
    }
  }
  ctx.restore();
}

function chart(element, metric) {
  const readout = element.parentElement.querySelector(".readout");
  const axis = {
    stroke: () => colour("--muted"),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { stroke: () => colour("--line"), width: 1, size: 4 },
    font: "12px system-ui, sans-serif",
  };
  const series = (label, name, points) => ({
    label,
    stroke: () => colour(name),
    width: 2,
    spanGaps: true,
    // A single point has no line that would show it.
    points: { show: (plot, index) => points || plot.data[index].filter((value) => value !== null).length === 1, size: 5, fill: () => colour(name) },
  });
  const readable = (value) => (Math.abs(value) >= 1e5 ? compact(value) : value.toFixed(4));
  const showValues = (plot) => {
    const at = plot.cursor.idx;
    const value = (column) => (plot.data[column][at] == null ? "" : readable(plot.data[column][at]));
    const parts = at == null ? [] : [words("epochs", { number: plot.data[0][at].toFixed(2) }), value(1), value(2)];
    if (readout) readout.textContent = parts.filter(Boolean).join(" · ");
  };
  const plot = new uPlot(
    {
      width: Math.max(240, element.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: false, range: (_, low, high) => [0, Math.max(1, high || 1)] } },
      axes: [{ ...axis, size: 32, label: words("epoch"), labelSize: 18, labelGap: -2, labelFont: axis.font }, { ...axis, size: width, values: (_, ticks) => ticks.map(compact) }],
      series: [{}, series(words("training"), "--train", false), series(words("validation"), "--val", true)],
      hooks: { draw: [drawMarks], setCursor: [showValues] },
    },
    table(metric),
    element,
  );
  new ResizeObserver(() => plot.setSize({ width: Math.max(240, element.clientWidth), height: HEIGHT })).observe(element);
  const draw = () => {
    const rows = table(metric);
    element.classList.toggle("blank", rows[0].length === 0);
    plot.setData(rows);
  };
  return { redraw: draw, recolour: () => plot.redraw(false, true) };
}

const charts = [...document.querySelectorAll("[data-metric]")].map((element) => chart(element, element.dataset.metric));

let pending = 0;

function redraw() {
  if (pending) return;
  pending = requestAnimationFrame(() => {
    pending = 0;
    for (const one of charts) one.redraw();
    document.getElementById("marks-note").hidden = !history.marks.length;
  });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const one of charts) one.recolour();
});

// ---- what the page calls

let whole = false; // whether the history was fetched when it was last wanted

export async function reload() {
  whole = false;
  try {
    const answer = await fetch(job.dataset.history, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) return;
    history = await answer.json();
  } catch {
    return; // nobody answers; the page says so, and the next good answer has it fetched again
  }
  whole = true;
  redraw();
}

document.addEventListener("refreshed", () => whole || reload());

// An event may be sent again after a break, so a row counts only if it goes beyond what is there.
function add(rows, row) {
  if (rows.length && row.step <= rows[rows.length - 1].step) return;
  rows.push(row);
  redraw();
}

export function addProgress(row) {
  if (row.phase !== "train" || !row.batches) return;
  add(history.progress, { step: row.step, epoch: row.step / row.batches, ...row.logs });
}

export function addEpoch(row) {
  add(history.epochs, { step: row.step, epoch: row.epoch + 1, ...row.logs });
}

await reload();
