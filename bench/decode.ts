/**
 * Generation: how fast prompts are read and tokens drawn, for one sequence and for many. Steps are timed alone and as the
 * batcher runs them, with readbacks, sampling and text.
 *
 * @module
 */
import { byteTokenizer } from "../data/byte_tokenizer.ts";
import { gpt2Tokenizer } from "../data/gpt2_tokenizer.ts";
import { Batcher } from "../model/batcher.ts";
import { PRESETS } from "../model/config.ts";
import { Decoder, type StepRow } from "../model/decoder.ts";
import { NO_FEATURES } from "../model/draw_program.ts";
import { DEFAULT_SAMPLING } from "../model/generation.ts";
import { layoutParameters } from "../model/params.ts";
import { runPipeline } from "../model/pipeline.ts";
import type { Precision } from "../model/precision.ts";
import { writeServing } from "../model/serving_layout.ts";
import type { GpuDevice } from "../runtime/mod.ts";
import { chainFor, type Spread, spreadOf, timeOnce } from "./measure.ts";

/** Sequences that are continued together. */
const BATCHES = [1, 8, 32];
/** Tokens of the prompts that are read. */
const PROMPTS = [64, 256];
/** Tokens that each sequence draws when the batcher is timed. */
const DRAWN = 48;
/** Position at which steps are timed: a short text. */
const POSITION = 48;

/**
 * Tokens per second of llama.cpp's Vulkan backend with GPT-2 124M in f32 at batch 1, on two cores with lavapipe; measured once,
 * not in this run.
 */
export const LLAMA_CPP_VULKAN = 3.9;

/** What one model did at one batch. */
export interface DecodeFigures {
  readonly batch: number;
  /** Milliseconds of a step with its draw, back to back. */
  readonly stepMs: Spread;
  /** Tokens per second of all sequences together, steps back to back. */
  readonly stepTokens: number;
  /** The same through the batcher: with readbacks and text. */
  readonly servedTokens: number;
  /** Bytes of weights that steps read per second. */
  readonly weightBytes: number;
}

/** One model. */
export interface DecodeTable {
  readonly model: string;
  readonly dtype: Precision;
  readonly parameters: number;
  /** Tokens per second of reading one prompt. */
  readonly prefill: readonly { readonly tokens: number; readonly perSecond: number }[];
  readonly batches: readonly DecodeFigures[];
}

/** How to measure. */
export interface DecodeOptions {
  /** The small model alone. */
  readonly quick: boolean;
  readonly rounds: number;
  readonly progress: (line: string) => void;
}

/** Measures the models that suit the adapter. */
export async function measureDecode(device: GpuDevice, options: DecodeOptions): Promise<DecodeTable[]> {
  const cases: ["nano" | "gpt2", Precision][] = [["nano", "f32"]];
  if (!options.quick) cases.push(["gpt2", "f32"], ["gpt2", "bf16"]);
  const tables: DecodeTable[] = [];
  for (const [model, dtype] of cases) {
    options.progress(`decode: ${model} in ${dtype}`);
    tables.push(await measureModel(device, model, dtype, options));
  }
  return tables;
}

async function measureModel(
  device: GpuDevice,
  model: "nano" | "gpt2",
  dtype: Precision,
  { rounds }: DecodeOptions,
): Promise<DecodeTable> {
  const config = PRESETS[model];
  const layout = layoutParameters(config);
  const weights = someWeights(layout.size);
  const batches: DecodeFigures[] = [];
  let prefill: DecodeTable["prefill"] = [];
  for (const batch of BATCHES) {
    const states = device.createStates();
    const decoder = new Decoder(device, states, config, { slots: batch, dtype });
    await decoder.load(decoder.likelyNeeds);
    writeServing(states, layout, weights, dtype);
    if (batch === 1) prefill = await measurePrefill(device, decoder, rounds);
    const stepMs = await measureSteps(device, decoder, batch, rounds);
    const servedTokens = await measureServed(decoder, model, batch, rounds);
    const bytes = layout.size * (dtype === "f32" ? 4 : 2);
    batches.push({
      batch,
      stepMs,
      stepTokens: batch / stepMs.median * 1e3,
      servedTokens,
      weightBytes: bytes / stepMs.median * 1e3,
    });
    decoder.destroy();
  }
  return { model, dtype, parameters: layout.count, prefill, batches };
}

/** Numbers of a fresh model's size; which ones does not matter to the time. */
function someWeights(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => ((i * 7919) % 2003) / 1001.5 * 0.02 - 0.02);
}

function rowsOf(batch: number): StepRow[] {
  return Array.from(
    { length: batch },
    (_, slot) => ({ slot, position: POSITION, sampling: DEFAULT_SAMPLING, key: slot }),
  );
}

async function measureSteps(
  device: GpuDevice,
  decoder: Decoder,
  batch: number,
  rounds: number,
): Promise<Spread> {
  const need = { kind: "step", sequences: batch, features: NO_FEATURES } as const;
  const rows = rowsOf(batch);
  const step = () => decoder.step(rows, need, 0);
  await timeOnce(device, step); // the driver compiles at the first launch
  const chain = chainFor(await timeOnce(device, step), 400);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) times.push(await timeOnce(device, step, chain));
  return spreadOf(times);
}

async function measurePrefill(
  device: GpuDevice,
  decoder: Decoder,
  rounds: number,
): Promise<DecodeTable["prefill"]> {
  const results: { tokens: number; perSecond: number }[] = [];
  for (const count of PROMPTS.filter((tokens) => tokens <= decoder.config.context)) {
    const tokens = Array.from({ length: count }, (_, i) => i % decoder.config.vocabulary);
    const read = () => {
      for (let start = 0; start < count; start += decoder.largestPiece) {
        decoder.prefill({ slot: 0, start, tokens: tokens.slice(start, start + decoder.largestPiece) });
      }
    };
    await timeOnce(device, read);
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) times.push(await timeOnce(device, read));
    results.push({ tokens: count, perSecond: count / spreadOf(times).median * 1e3 });
  }
  return results;
}

/** Tokens per second from the first request to the last token, prompts of 16 tokens included; the median of rounds. */
async function measureServed(
  decoder: Decoder,
  model: "nano" | "gpt2",
  batch: number,
  rounds: number,
): Promise<number> {
  const tokenizer = model === "nano" ? byteTokenizer() : await gpt2Tokenizer();
  const batcher = new Batcher(decoder, tokenizer, {
    maxWaiting: batch,
    maxPromptTokens: decoder.config.context,
  });
  const rates: number[] = [];
  for (let round = 0; round < Math.max(2, rounds); round++) {
    const start = performance.now();
    for (let i = 0; i < batch; i++) {
      const prompt = Array.from({ length: 16 }, (_, at) => (at + i) % 200);
      const request = { prompt, maxTokens: DRAWN, sampling: DEFAULT_SAMPLING, stop: [], choices: 1 };
      batcher.submit(request, () => {});
    }
    await runPipeline(batcher.submissions());
    rates.push(batch * DRAWN / (performance.now() - start) * 1e3);
  }
  return spreadOf(rates).median;
}

/** A table for a terminal. */
export function decodeTable({ model, dtype, parameters, prefill, batches }: DecodeTable): string {
  const size = `${(parameters / 1e6).toFixed(1)} M parameters`;
  const read = prefill.map(({ tokens, perSecond }) => `${tokens} tokens: ${perSecond.toFixed(0)}/s`).join(
    ", ",
  );
  const rows = batches.map(({ batch, stepMs, stepTokens, servedTokens, weightBytes }) => {
    const peer = model === "gpt2" && batch === 1
      ? `   ${(stepTokens / LLAMA_CPP_VULKAN).toFixed(1)} x llama.cpp's Vulkan (3.9, f32, not of this run)`
      : "";
    return `${String(batch).padStart(6)}  ${stepMs.median.toFixed(1).padStart(9)}  ${
      stepTokens.toFixed(1).padStart(9)
    }  ${servedTokens.toFixed(1).padStart(9)}  ${(weightBytes / 1e9).toFixed(2).padStart(9)}${peer}`;
  });
  return [
    `${model} in ${dtype}, ${size}; prompts: ${read}`,
    " batch  step (ms)    tokens/s     served  weights GB/s",
    ...rows,
  ].join("\n");
}
