/**
 * Light snapshots: what a probe sees every few steps of a run, and parameters that somebody wants to follow, in
 * `runs/NAME/snapshots/step-NNNNNN.snap`. A full state (weights and two moments in f32) has 12 bytes a parameter; a snapshot may
 * have a hundredth of that. What a probe sees does not shrink with the model, so a snapshot of a small model may have
 * {@link FLOOR_BYTES} in any case.
 *
 * @module
 */
import { join } from "@std/path";
import type { Tokenizer } from "../../data/mod.ts";
import type { GpuDevice, StateStore } from "../../runtime/mod.ts";
import type { ModelConfig } from "../config.ts";
import { isFileProblem } from "../durable_files.ts";
import { InputError } from "../errors.ts";
import { layoutParameters } from "../params.ts";
import type { Submissions } from "../pipeline.ts";
import { Probe, type ProbeOptions } from "./probe.ts";
import { putFile, removeUnfinished } from "./put_file.ts";
import {
  decodeSnapshot,
  encodeSnapshot,
  mostFileBytes,
  type Snapshot,
  SnapshotError,
} from "./snapshot_format.ts";

/** Name of the folder in a run's folder. */
export const SNAPSHOT_FOLDER = "snapshots";
/** Bytes of a snapshot by parameters of the model: a hundredth of weights and both moments in f32. */
export const BYTES_PER_PARAMETER = 12 / 100;
/** What a snapshot may have however small the model is. */
export const FLOOR_BYTES = 64 * 1024;
/** Its second half repeats the first, which is what induction heads need. */
export const DEFAULT_PROMPT = "The white whale swam on. The white whale";
/** Tokens of a prompt, at most: what the samples of a run have room for. */
export const MOST_PROMPT_TOKENS = 64;
/** Tokens of the text after the prompt: a byte says less than a token of GPT-2. */
export const SNAPSHOT_SAMPLE = { bytes: 120, gpt2: 40 } as const;

/** What the snapshots of a run hold, and how large they are. */
export interface SnapshotPlan {
  /** Tokens of the prompt. */
  readonly prompt: readonly number[];
  /** Names of the parameters, in the order of the flat tensor. */
  readonly tensors: readonly string[];
  /** Of one snapshot, at most. */
  readonly bytes: number;
  /** What one may have. */
  readonly limitBytes: number;
  /** True when the limit is {@link FLOOR_BYTES}, because a hundredth of so small a model's state is less. */
  readonly isFloor: boolean;
}

/** What a user may choose of snapshots. */
export interface SnapshotChoice {
  /** Left out: {@link DEFAULT_PROMPT}, as much of it as the model's context has room for. */
  readonly prompt?: string;
  /** Names of parameters, in which `*` stands for anything. */
  readonly tensors?: readonly string[];
}

/**
 * Plans the snapshots of a run.
 *
 * @throws {InputError} when the prompt does not fit the model, a name fits no parameter, or a snapshot would be too large.
 */
export function planSnapshot(
  model: ModelConfig,
  tokenizer: Pick<Tokenizer, "name" | "encode">,
  { prompt: text, tensors: patterns = [] }: SnapshotChoice = {},
): SnapshotPlan {
  const most = Math.min(model.context, MOST_PROMPT_TOKENS);
  const encoded = [...tokenizer.encode(text ?? DEFAULT_PROMPT)];
  const prompt = text === undefined ? encoded.slice(0, most) : encoded;
  if (prompt.length === 0 || prompt.length > most) {
    throw new InputError(
      `--snapshot-prompt ${JSON.stringify(text)}`,
      prompt.length === 0 ? "it is empty" : `${prompt.length} tokens`,
      `give a text of at most ${most} tokens`,
    );
  }
  const tensors = chooseTensors(model, patterns);
  const sizes = { model, prompt: prompt.length, sample: SNAPSHOT_SAMPLE[tokenizer.name], tensors };
  const light = Math.floor(BYTES_PER_PARAMETER * layoutParameters(model).count);
  const limitBytes = Math.max(light, FLOOR_BYTES);
  const plan = { prompt, tensors, bytes: mostFileBytes(sizes), limitBytes, isFloor: light < FLOOR_BYTES };
  if (plan.bytes > limitBytes) throw tooLarge(plan, mostFileBytes({ ...sizes, tensors: [] }));
  return plan;
}

function tooLarge(
  { bytes, limitBytes, isFloor, prompt, tensors }: SnapshotPlan,
  without: number,
): InputError {
  const limit = `${limitBytes} bytes (${
    isFloor ? "what those of small models may have" : "a hundredth of a full state"
  })`;
  if (without > limitBytes) {
    return new InputError(
      "--snapshot-prompt",
      `its ${prompt.length} tokens make snapshots of ${bytes} bytes, more than ${limit}`,
      "give a shorter text",
    );
  }
  return new InputError(
    `--snapshot-tensors ${tensors.length > 3 ? `${tensors[0]},…` : tensors.join(",")}`,
    `with them a snapshot has ${bytes} bytes, more than ${limit}`,
    `choose tensors of at most ${
      Math.floor((limitBytes - without) / 2)
    } elements together, or save checkpoints`,
  );
}

function chooseTensors(model: ModelConfig, patterns: readonly string[]): string[] {
  const names = layoutParameters(model).parameters.map(({ name }) => name);
  const chosen = new Set<string>();
  for (const pattern of patterns) {
    const parts = pattern.split("*").map((part) => part.replace(/[.\\+?^${}()|[\]]/g, "\\$&"));
    const expression = new RegExp(`^${parts.join(".*")}$`);
    // `wpe` is short for `wpe.weight`.
    const fitting = names.filter((name) => expression.test(name) || name === `${pattern}.weight`);
    if (fitting.length === 0) {
      throw new InputError(
        `--snapshot-tensors ${pattern}`,
        "the model has no such parameter",
        "name some such as wpe.weight or h.*.attn.c_attn.bias; * stands for anything",
      );
    }
    fitting.forEach((name) => chosen.add(name));
  }
  return names.filter((name) => chosen.has(name));
}

/** The snapshots of a run that goes on: a probe over its parameters, and a folder. */
export class Snapshots {
  private constructor(
    private readonly head: Omit<Snapshot, "step" | "observation">,
    private readonly folder: string,
    private readonly probe: Probe,
  ) {}

  /**
   * Loads the probe.
   *
   * @param run The run's folder.
   * @param states Where the run's parameters are.
   * @param options How programs are compiled, and who draws text.
   * @throws {LimitError} when the device has no room for it.
   */
  static async open(
    run: string,
    device: GpuDevice,
    states: StateStore,
    { model, tokenizer, plan: { prompt, tensors }, seed }: {
      readonly model: ModelConfig;
      readonly tokenizer: Pick<Tokenizer, "name">;
      readonly plan: SnapshotPlan;
      readonly seed: number;
    },
    options: Pick<ProbeOptions, "mode" | "generator" | "onCompiled"> = {},
  ): Promise<Snapshots> {
    const sample = { tokens: SNAPSHOT_SAMPLE[tokenizer.name], temperature: 0.8, seed };
    const probe = await Probe.load(device, states, model, { ...options, prompt, sample, tensors });
    const head = { model, tokenizer: tokenizer.name, prompt, tensors };
    const folder = join(run, SNAPSHOT_FOLDER);
    await removeUnfinished(folder);
    return new Snapshots(head, folder, probe);
  }

  /**
   * Takes a snapshot between two steps and writes it.
   *
   * @param step Steps that are done.
   * @param onWritten Called with the file's path.
   */
  *submissions(step: number, onWritten: (path: string, bytes: number) => void = () => {}): Submissions {
    yield* this.probe.submissions(async (observation) => {
      const { path, bytes } = await writeSnapshot(this.folder, { ...this.head, step, observation });
      onWritten(path, bytes);
    });
  }
}

/** Writes a snapshot into a folder of snapshots; one of the same step is replaced. */
export async function writeSnapshot(
  folder: string,
  snapshot: Snapshot,
): Promise<{ readonly path: string; readonly bytes: number }> {
  const path = join(folder, `step-${String(snapshot.step).padStart(6, "0")}.snap`);
  const bytes = await encodeSnapshot(snapshot);
  await putFile(path, bytes);
  return { path, bytes: bytes.length };
}

/** Snapshots are far smaller; a file of this size is none. */
const MOST_FILE_BYTES = 2 ** 30;

/**
 * Reads a snapshot.
 *
 * @throws {SnapshotError} when the file is not a whole one.
 */
export async function readSnapshot(path: string): Promise<Snapshot> {
  try {
    const { size } = await Deno.stat(path);
    if (size > MOST_FILE_BYTES) throw new SnapshotError(path, `${size} bytes are no snapshot`);
    return await decodeSnapshot(path, await Deno.readFile(path));
  } catch (problem) {
    if (isFileProblem(problem)) throw new SnapshotError(path, `cannot be read (${problem.message})`);
    throw problem;
  }
}

/** Files of a run's snapshots, oldest first. */
export async function listSnapshots(
  run: string,
): Promise<{ readonly path: string; readonly step: number }[]> {
  const folder = join(run, SNAPSHOT_FOLDER);
  try {
    const found: { path: string; step: number }[] = [];
    for await (const { name, isFile } of Deno.readDir(folder)) {
      const step = /^step-(\d{6,})\.snap$/.exec(name)?.[1];
      if (isFile && step !== undefined) found.push({ path: join(folder, name), step: Number(step) });
    }
    return found.sort((a, b) => a.step - b.step);
  } catch (problem) {
    if (problem instanceof Deno.errors.NotFound || problem instanceof Deno.errors.NotADirectory) return [];
    throw problem;
  }
}

/** Values of one tensor in a snapshot; undefined when it does not hold it. */
export function snapshotTensor(
  { model, tensors, observation }: Snapshot,
  wanted: string,
): { readonly shape: readonly number[]; readonly data: Float32Array } | undefined {
  let at = 0;
  for (const { name, shape, size, rows } of layoutParameters(model).parameters) {
    if (!tensors.includes(name)) continue;
    const used = size / shape[0] * rows;
    if (name === wanted) {
      return { shape: [rows, ...shape.slice(1)], data: observation.tensors.subarray(at, at + used) };
    }
    at += used;
  }
}
