// @ts-check
/**
 * How tokens are drawn: every option of `POST /generate`, with the server's own values where a field is left empty.
 *
 * @module
 */
import { Field } from "../shared/field.js";

/** Every option, in the order of the form. */
export const OPTIONS = [
  new Field("maxTokens", "Tokens", { kind: "whole", value: "128", min: 0, hint: "At most, for each text" }),
  new Field("temperature", "Temperature", {
    kind: "number",
    value: "0.8",
    min: 0,
    hint: "0: always the likeliest",
  }),
  new Field("topK", "Top-k", {
    kind: "whole",
    placeholder: "0",
    min: 0,
    hint: "Only the k likeliest; 0: all",
  }),
  new Field("topP", "Top-p", {
    kind: "number",
    placeholder: "1",
    min: 0,
    hint: "Only the likeliest of this sum",
  }),
  new Field("minP", "Min-p", { kind: "number", placeholder: "0", min: 0, hint: "Relative to the likeliest" }),
  new Field("repetitionPenalty", "Repetition penalty", {
    kind: "number",
    placeholder: "1",
    min: 0,
    hint: "Over 1: fewer repetitions",
  }),
  new Field("seed", "Seed", { kind: "whole", placeholder: "random", min: 0, hint: "Same seed, same text" }),
  new Field("n", "Texts", { kind: "whole", placeholder: "1", min: 1, hint: "From the same prompt" }),
  new Field("logprobs", "Log-probabilities", {
    kind: "whole",
    placeholder: "off",
    min: 0,
    hint: "Alternatives at each token, 0 to 5",
  }),
  new Field("stop", "Stop at", { kind: "lines", hint: "One text a line" }),
];

/** What was chosen, as the request wants it. @returns {Record<string, unknown>} */
export function chosenOptions() {
  const given = OPTIONS.map((field) => [field.name, field.value()]).filter(([, value]) =>
    value !== undefined
  );
  return Object.fromEntries(given);
}

/**
 * Shows an objection at its field.
 *
 * @param {string | null} param Name in the request, such as `stop[1]`.
 * @param {string} message
 * @returns {boolean} False when there is no such field.
 */
export function refuseOption(param, message) {
  const name = param?.match(/^\w+/)?.[0];
  const field = OPTIONS.find((option) => option.name === name);
  field?.refuse(message);
  return field !== undefined;
}

/** Takes all objections back. */
export function acceptOptions() {
  for (const field of OPTIONS) field.refuse("");
}
