/**
 * A job's events as lines of text, for people who read logs.
 *
 * @module
 */
import type { JobEvent } from "../services.ts";

type Data = JobEvent["data"];

const LINES: Readonly<Record<string, (data: Data) => string>> = {
  state: ({ state, reason, error }) => [`${state}`, ...[reason, error].filter(Boolean)].join(": "),
  plan: ({ plan, adapter, parameters, resumedFrom }) => {
    const { preset, data, steps } = plan as Data;
    const from = Number(resumedFrom) > 0 ? `, going on from step ${resumedFrom}` : "";
    return `${preset}, ${parameters} parameters, ${steps} steps on ${data}, ${(adapter as Data).name}${from}`;
  },
  compiled: ({ kernels, dispatches, peakBytes, ms }) =>
    `compiled in ${Math.round(Number(ms))} ms: ${kernels} kernels, ${dispatches} dispatches, ` +
    `${(Number(peakBytes) / 1e6).toFixed(1)} MB`,
  step: ({ step, loss, learningRate, gradNorm, tokensPerSecond }) =>
    `step ${step}: loss ${digits(loss)}, learning rate ${digits(learningRate)}, gradient norm ${
      digits(gradNorm)
    }, ` +
    `${Math.round(Number(tokensPerSecond))} tokens/s`,
  validation: ({ step, loss }) => `step ${step}: validation loss ${digits(loss)}`,
  sample: ({ step, text }) => `step ${step}: sample ${JSON.stringify(text)}`,
  checkpoint: ({ step }) => `step ${step}: checkpoint written`,
  profile: () => "profile written",
  notice: ({ text }) => `${text}`,
  deviceLost: ({ message, attempt, attempts }) => `${message}; going on, attempt ${attempt} of ${attempts}`,
  end: ({ reason, step }) => `${reason} at step ${step}`,
  failure: ({ message }) => `failed: ${message}`,
};

/** One line for an event. */
export function logLine({ kind, data }: JobEvent): string {
  const line = LINES[kind]?.(data) ?? `${kind} ${JSON.stringify(data)}`;
  return line.replace(/\s*[\r\n]+\s*/g, " ");
}

function digits(value: unknown): string {
  return typeof value === "number" ? value.toPrecision(5) : "not finite";
}
