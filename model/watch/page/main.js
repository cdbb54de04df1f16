// @ts-check
/**
 * Puts the page together: one state (step, head, position), and parts that show it.
 *
 * @module
 */
import { Chart } from "./chart.js";
import { readColours, themeSwitch } from "./colours.js";
import { byId, count, el } from "./dom.js";
import { openFrames, PATTERNS, SCORE_HELP, SCORE_NAMES } from "./frames.js";
import { HeadGrid } from "./head_grid.js";
import { LargeHead } from "./large_head.js";
import { Player } from "./player.js";
import { Predictions } from "./predictions.js";
import { ScoreMap } from "./score_map.js";

/** @import { PageData } from "./wire.d.ts" */

/** @type {PageData} */
const data = JSON.parse(byId("data", HTMLScriptElement).textContent ?? "");
const frames = await openFrames(data);
const { steps, model, prompt } = data;

byId("name", HTMLElement).textContent = data.name;
byId("facts", HTMLElement).textContent = [
  `${model.layers} layers × ${model.heads} heads, width ${model.width}, ${count(data.parameters)} parameters`,
  `${data.tokenizer} tokenizer`,
  data.source,
  `prompt of ${prompt.length} tokens`,
].join(" · ");

let colours = readColours();
const state = { index: steps.length - 1, head: strongest(), position: Math.max(0, prompt.length - 2) };

const player = new Player(steps, (index) => update({ index }));
const go = (/** @type {number} */ index) => {
  player.stop();
  player.go(index);
};
const charts = makeCharts(go);
byId("charts", HTMLElement).append(...charts.map(({ element }) => element));
byId("charts", HTMLElement).hidden = charts.length === 0;
const onPosition = (/** @type {number} */ position) => update({ position });
const grid = new HeadGrid(byId("grid", HTMLElement), frames, (head) => update({ head }));
const large = new LargeHead(byId("large", HTMLElement), frames, onPosition);
const predictions = new Predictions(
  { tokens: byId("tokens", HTMLElement), detail: byId("detail", HTMLElement) },
  frames,
  { onPick: onPosition, onStep: go },
);
const scoreMap = new ScoreMap(
  {
    choices: byId("choices", HTMLElement),
    help: byId("score-help", HTMLElement),
    map: byId("scores", HTMLElement),
  },
  frames,
  (index, head) => {
    update({ head });
    go(index);
  },
);
byId("patterns", HTMLElement).append(
  ...PATTERNS.map((name) =>
    el("span", { style: `--colour: var(--${name})`, title: SCORE_HELP[name] }, SCORE_NAMES[name])
  ),
);
themeSwitch(byId("theme", HTMLButtonElement), () => {
  colours = readColours();
  update({});
});
listenToKeys();
player.go(state.index);
document.documentElement.dataset.ready = "";

/** @param {Partial<typeof state>} changes */
function update(changes) {
  Object.assign(state, changes);
  const { index, head, position } = state;
  for (const chart of charts) chart.show(index);
  grid.show(index, head, colours);
  large.show(state, colours);
  predictions.show(index, position);
  scoreMap.show(state, colours);
  byId("sample", HTMLElement).replaceChildren(
    el("span", { class: "quiet" }, prompt.map((token) => data.texts[token]).join("")),
    data.samples[index],
  );
  const [train] = nearest(data.loss.train, steps[index]);
  byId("now", HTMLElement).replaceChildren(
    el("b", {}, steps[index] < 0 ? "one model" : `step ${count(steps[index])}`),
    ` ${steps.length > 1 ? `of ${count(steps[steps.length - 1])}` : ""}`,
    ` · ${
      train === undefined
        ? `prompt's loss ${frames.promptLoss(index).toFixed(2)}`
        : `loss ${train.toFixed(2)}`
    }`,
  );
}

/**
 * The value nearest to a step, if there is one.
 *
 * @param {PageData["loss"]["train"]} points
 * @param {number} step
 * @returns {number[]}
 */
function nearest(points, step) {
  if (points.length === 0) return [];
  return [
    points.reduce((best, point) => Math.abs(point[0] - step) < Math.abs(best[0] - step) ? point : best)[1],
  ];
}

/** The head that follows some pattern but the first token most at the end: one worth looking at. */
function strongest() {
  const last = steps.length - 1;
  let best = { head: 0, score: 0 };
  for (let head = 0; head < frames.heads; head++) {
    for (const name of ["induction", "same", "previous"]) {
      const score = frames.score(last, head, name);
      if (score > best.score) best = { head, score };
    }
  }
  return best.head;
}

/** @param {(index: number) => void} onPick @returns {Chart[]} */
function makeCharts(onPick) {
  if (steps.length < 2) return [];
  const { train, validation } = data.loss;
  /** @param {(index: number) => number | null} value @returns {[number, number][]} */
  const over = (value) =>
    steps.flatMap((step, index) => {
      const y = value(index);
      return y === null || Number.isNaN(y) ? [] : [/** @type {[number, number]} */ ([step, y])];
    });
  /** @param {string} name @param {number} index */
  const highest = (name, index) => {
    let best = 0;
    for (let head = 0; head < frames.heads; head++) {
      best = Math.max(best, frames.score(index, head, name) || 0);
    }
    return best;
  };
  const hasRepeats = data.repeatLoss[0][1] !== null;
  return [
    new Chart({
      title: "Loss",
      steps,
      curves: [
        { name: "each step", colour: "--previous", points: train, faint: true },
        { name: "training, smoothed", colour: "--previous", points: smooth(train) },
        { name: "validation", colour: "--same", points: validation, dots: true },
        { name: "this prompt", colour: "--entropy", points: over((index) => frames.promptLoss(index)) },
      ],
      onPick,
    }),
    new Chart({
      title: "Strongest head of each kind",
      steps,
      curves: PATTERNS.map((name) => ({
        name: SCORE_NAMES[name],
        colour: `--${name}`,
        points: hasRepeats || name !== "same" && name !== "induction"
          ? over((index) => highest(name, index))
          : [],
      })),
      range: [0, 1],
      onPick,
    }),
    ...data.tensors.length > 0 ? [tensorChart(onPick)] : [],
    ...hasRepeats
      ? [
        new Chart({
          title: "Loss on random tokens that repeat: does it copy?",
          steps,
          curves: [
            { name: "first time", colour: "--entropy", points: over((index) => data.repeatLoss[index][0]) },
            { name: "repeated", colour: "--induction", points: over((index) => data.repeatLoss[index][1]) },
          ],
          onPick,
        }),
      ]
      : [],
  ];
}

/** Curves that a chart can tell apart. */
const MOST_CURVES = 5;

/** How large the parameters are that the snapshots hold: those that change most. @param {(index: number) => void} onPick */
function tensorChart(onPick) {
  /** @param {readonly number[]} rms */
  const change = (rms) => Math.abs(Math.log((rms[rms.length - 1] + 1e-9) / (rms[0] + 1e-9)));
  const most = [...data.tensors].sort((a, b) => change(b.rms) - change(a.rms)).slice(0, MOST_CURVES);
  return new Chart({
    title: `Root mean square of ${
      data.tensors.length > MOST_CURVES ? `${MOST_CURVES} of ` : ""
    }${data.tensors.length} tensors`,
    steps,
    curves: most.map(({ name, rms }, i) => ({
      name,
      colour: `--${PATTERNS[i]}`,
      points: rms.map((value, index) => /** @type {[number, number]} */ ([steps[index], value])),
    })),
    onPick,
  });
}

/** Exponential mean whose weights follow the curve's length. @param {PageData["loss"]["train"]} points */
function smooth(points) {
  const keep = 1 - 1 / Math.max(1, points.length / 60);
  let [sum, weight] = [0, 0];
  return points.map(([step, value]) => {
    sum = keep * sum + value;
    weight = keep * weight + 1;
    return /** @type {[number, number]} */ ([step, sum / weight]);
  });
}

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { key, target } = event;
    const onButton = target instanceof HTMLButtonElement;
    /** @type {Readonly<Record<string, () => void>>} */
    const actions = {
      ArrowLeft: () => go(state.index - 1),
      ArrowRight: () => go(state.index + 1),
      Home: () => go(0),
      End: () => go(steps.length - 1),
      "[": () => update({ head: (state.head + frames.heads - 1) % frames.heads }),
      "]": () => update({ head: (state.head + 1) % frames.heads }),
      ...onButton ? {} : { " ": () => player.toggle() },
    };
    if (!Object.hasOwn(actions, key)) return;
    event.preventDefault();
    actions[key]();
  });
}
