// @ts-check
/**
 * The form that starts a job. Fields that are left empty are chosen by the server.
 *
 * @module
 */
import { ApiProblem, callJson } from "../shared/api.js";
import { el, setText } from "../shared/dom.js";
import { Field } from "../shared/field.js";

/** @typedef {import("../wire.d.ts").Job} Job */

const FIRST = [
  new Field("name", "Name", {
    hint: "Also the model's name in the playground",
    placeholder: "made from the time",
  }),
  new Field("preset", "Model", {
    choices: ["nano", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"],
    empty: "what suits the adapter",
    value: "nano",
    hint: "nano learns in minutes, gpt2 has 124M parameters",
  }),
  new Field("data", "Text", { choices: ["moby-dick", "shakespeare"], value: "moby-dick" }),
  new Field("steps", "Steps", { kind: "whole", placeholder: "400 for nano, otherwise 1000", min: 1 }),
  new Field("learningRate", "Learning rate", { kind: "number", placeholder: "0.003 for nano", min: 0 }),
  new Field("microBatch", "Sequences at once", { kind: "whole", placeholder: "16 for nano", min: 1 }),
  new Field("sampleEvery", "Steps between samples", {
    kind: "whole",
    placeholder: "100; 0 for none",
    min: 0,
  }),
  new Field("saveEvery", "Steps between checkpoints", { kind: "whole", placeholder: "100 for nano", min: 0 }),
];

const MORE = [
  new Field("layers", "Blocks", { kind: "whole", placeholder: "as in the model", min: 1 }),
  new Field("width", "Channels", { kind: "whole", placeholder: "as in the model", min: 1 }),
  new Field("heads", "Attention heads", { kind: "whole", placeholder: "as in the model", min: 1 }),
  new Field("context", "Context, tokens", { kind: "whole", placeholder: "as in the model", min: 1 }),
  new Field("tokenizer", "Tokenizer", { choices: ["bytes", "gpt2"], empty: "as the model wants" }),
  new Field("batchTokens", "Tokens of a step", { kind: "whole", placeholder: "one micro batch", min: 1 }),
  new Field("seed", "Seed", { kind: "whole", placeholder: "1337", min: 0 }),
  new Field("dtype", "Products in", { choices: ["f32", "f16", "bf16"], empty: "f32" }),
  new Field("mode", "Compiler", { choices: ["fused", "eager"], empty: "fused" }),
  new Field("tune", "Measure kernels first", { choices: ["always", "never"], empty: "when it pays" }),
  new Field("memory", "Most memory", { placeholder: "all that there is, or 4GB" }),
  new Field("schedule", "Learning rate falls", {
    choices: ["cosine", "linear", "constant"],
    empty: "cosine",
  }),
  new Field("warmup", "Steps of warm-up", { kind: "whole", placeholder: "3.75% of the job", min: 0 }),
  new Field("minLearningRate", "Learning rate at the end", {
    kind: "number",
    placeholder: "a tenth",
    min: 0,
  }),
  new Field("evalEvery", "Steps between validations", { kind: "whole", placeholder: "50", min: 0 }),
  new Field("evalBatches", "Batches of a validation", { kind: "whole", placeholder: "8", min: 1 }),
  new Field("earlyStop", "End after validations without a best", {
    kind: "whole",
    placeholder: "never",
    min: 1,
  }),
  new Field("reference", "Curve to compare with", {
    choices: ["none", "fineweb-edu-124M", "fineweb-124M"],
    empty: "what suits the job",
  }),
  new Field("keepLast", "Newest checkpoints that stay", { kind: "whole", placeholder: "all", min: 1 }),
  new Field("keepEvery", "Checkpoints at multiples stay", { kind: "whole", placeholder: "none", min: 1 }),
];

/**
 * Opens the form.
 *
 * @param {(job: Job) => unknown} onJob Called with the job that was made.
 */
export function openNewJob(onJob) {
  const fields = [...FIRST, ...MORE];
  for (const field of fields) field.refuse("");
  const problem = el("p", { class: "job-error", role: "alert", hidden: true });
  const start = el("button", { class: "button primary" }, "Start");
  const cancel = el("button", { type: "button", class: "button" }, "Not now");
  const more = el(
    "details",
    {},
    el("summary", {}, "More options"),
    el("div", { class: "fields" }, ...MORE.map(({ element }) => element)),
  );
  const form = el(
    "form",
    { class: "stack", novalidate: true },
    el("h2", {}, "New training job"),
    el(
      "p",
      { class: "quiet" },
      "Every field may stay empty: the server chooses what suits model and adapter.",
    ),
    el("div", { class: "fields" }, ...FIRST.map(({ element }) => element)),
    more,
    problem,
    el("div", { class: "actions" }, cancel, start),
  );
  const dialog = el("dialog", { class: "dialog", "aria-label": "New training job" }, form);
  cancel.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (start.disabled) return;
    start.disabled = true;
    problem.hidden = true;
    for (const field of fields) field.refuse("");
    try {
      const given = fields.map((field) => [field.name, field.value()]).filter(([, value]) =>
        value !== undefined
      );
      const job = await callJson("/v1/training/jobs", { method: "POST", body: Object.fromEntries(given) });
      dialog.close();
      await onJob(job);
    } catch (reason) {
      const param = reason instanceof ApiProblem ? reason.param : null;
      const field = fields.find(({ name }) => name === param);
      const message = reason instanceof Error ? reason.message : String(reason);
      if (field) {
        if (MORE.includes(field)) more.open = true;
        field.refuse(message);
      } else {
        problem.hidden = false;
        setText(problem, message);
      }
    } finally {
      start.disabled = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}
