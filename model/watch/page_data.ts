/**
 * What was seen of a run, as the page takes it: small numbers in one deflated block, texts and losses beside it.
 *
 * @module
 */
import { encodeBase64 } from "@std/encoding";
import type { Tokenizer } from "../../data/mod.ts";
import type { ModelConfig } from "../config.ts";
import { layoutParameters } from "../params.ts";
import type { MetricsLine } from "../run/metrics.ts";
import { deflate } from "./deflate.ts";
import { type Observation, SCORES } from "./observation.ts";
import { usedSize } from "./probe_program.ts";
import type { PageData } from "./page/wire.d.ts";

/** What was seen at one step. */
export interface Frame {
  /** Steps of training; undefined where nobody knows. */
  readonly step?: number;
  readonly observation: Observation;
}

/** Everything that a page shows. */
export interface Watched {
  /** What the model is called. */
  readonly name: string;
  /** Where the frames come from, such as `30 checkpoints`. */
  readonly source: string;
  readonly model: ModelConfig;
  readonly tokenizer: Pick<Tokenizer, "name" | "decode" | "decodeBytes">;
  /** Tokens of the prompt. */
  readonly prompt: readonly number[];
  /** Parameters that the frames hold, by name. */
  readonly tensors?: readonly string[];
  /** One at least, by ascending step. */
  readonly frames: readonly Frame[];
  /** The run's figures; empty without a run. */
  readonly metrics: readonly MetricsLine[];
}

/** Points of a curve that a chart can tell apart. */
const MOST_POINTS = 800;

/** The page's data. */
export async function pageData(watched: Watched): Promise<PageData> {
  const { name, source, model, tokenizer, prompt, frames, metrics } = watched;
  const observations = frames.map(({ observation }) => observation);
  const packed = pack(observations);
  const tokens = new Set([...prompt, ...observations.flatMap(({ topTokens }) => [...topTokens])]);
  return {
    name,
    source,
    model,
    parameters: layoutParameters(model).count,
    tokenizer: tokenizer.name,
    steps: frames.map(({ step }) => step ?? -1),
    prompt,
    texts: Object.fromEntries([...tokens].map((token) => [token, tokenText(tokenizer, token)])),
    top: observations[0].topTokens.length / prompt.length,
    scores: SCORES,
    samples: observations.map(({ sample }) => tokenizer.decode(sample)),
    repeatLoss: observations.map(({ repeatLoss: [first, second] }) => [digits(first), digits(second)]),
    tensors: meanSquares(watched),
    loss: {
      train: thin(curve(metrics, "step", "loss")),
      validation: thin(curve(metrics, "validation", "valLoss")),
    },
    bytes: packed.length,
    packed: encodeBase64(await deflate(packed)),
  };
}

/** The arrays that `page/wire.d.ts` describes. */
function pack(observations: readonly Observation[]): Uint8Array<ArrayBuffer> {
  const thousandths = (value: number) => Math.min(65_535, Math.max(0, Math.round(-1000 * value)));
  const parts = [
    ...observations.map(({ topTokens }) => topTokens),
    ...observations.map(({ topLogprobs }) => Uint16Array.from(topLogprobs, thousandths)),
    ...observations.map(({ logprobs }) => Uint16Array.from(logprobs, thousandths)),
    ...observations.map(({ scores }) =>
      Uint8Array.from(scores, (score) => Number.isNaN(score) ? 255 : Math.round(250 * score))
    ),
    ...observations.map(({ attention }) => attention),
  ];
  const packed = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const { buffer, byteOffset, byteLength } of parts) {
    packed.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return packed;
}

/** Root mean square of each parameter that the frames hold, at each step. */
function meanSquares({ model, tensors = [], frames }: Watched): PageData["tensors"] {
  const chosen = layoutParameters(model).parameters.filter(({ name }) => tensors.includes(name));
  let at = 0;
  return chosen.map((parameter) => {
    const [start, end] = [at, at += usedSize(parameter)];
    const rms = frames.map(({ observation }) => {
      const values = observation.tensors.subarray(start, end);
      return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    });
    return { name: parameter.name, rms: rms.map((value) => Number(value.toPrecision(5))) };
  });
}

function digits(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * 1e4) / 1e4 : null;
}

/** A token as people read it; one that is a part of a character shows its bytes. */
export function tokenText(tokenizer: Pick<Tokenizer, "decodeBytes">, token: number): string {
  const bytes = tokenizer.decodeBytes([token]);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  }
}

type Point = [step: number, value: number];

/** A figure by step; what a run that went on has written again counts as written last. */
function curve(metrics: readonly MetricsLine[], event: string, figure: string): Point[] {
  const values = new Map<number, number>();
  for (const line of metrics) {
    const value = line[figure];
    if (line.event === event && typeof value === "number" && Number.isFinite(value)) {
      values.set(line.step, value);
    }
  }
  return [...values].sort(([a], [b]) => a - b);
}

/** Means of as many neighbours as make the curve short enough. */
function thin(points: readonly Point[]): Point[] {
  const each = Math.ceil(points.length / MOST_POINTS);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const thinned: Point[] = [];
  for (let at = 0; at < points.length; at += each) {
    const some = points.slice(at, at + each);
    thinned.push([
      Math.round(mean(some.map(([step]) => step))),
      digits(mean(some.map(([, value]) => value)))!,
    ]);
  }
  return thinned;
}
