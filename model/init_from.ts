/**
 * Runs that begin with trained weights: where `--init-from` points, what the run takes from there, and what it may not ask for
 * besides. The moments of the optimizer begin at zero, as in a fresh run.
 *
 * @module
 */
import { join } from "@std/path";
import { tokenizerFromFile, type TokenizerName } from "../data/mod.ts";
import { type ModelConfig, PRESET_NAMES, type PresetName, PRESETS } from "./config.ts";
import { InputError } from "./errors.ts";
import { joinParameters, layoutParameters } from "./params.ts";
import type { TrainRequest } from "./run_options.ts";
import { openWeights, type Weights } from "./weights.ts";

const FLAG = "--init-from";
const KINDS = ["hf", "checkpoint"] as const;
/** Starting learning rate of a preset, divided by this: what was learned should not be washed away. */
const FINETUNE_DIVISOR = 20;

/** Folder of an `--init-from`, without its kind. */
export function initPath(initFrom: string): string {
  const [kind] = initFrom.split(":", 1);
  const path = initFrom.slice(kind.length + 1);
  if ((KINDS as readonly string[]).includes(kind) && path !== "") return path;
  throw new InputError(`${FLAG} ${initFrom}`, "no such kind of weights", "write hf:DIR or checkpoint:DIR");
}

/**
 * Opens what a run begins with.
 *
 * @throws {InputError} when there is nothing that can be used.
 */
export async function openInitial(initFrom: string, notify: (text: string) => void): Promise<Weights> {
  return await openWeights(initPath(initFrom), { flag: FLAG, notify });
}

/** The learning rate of a run that begins with trained weights, unless told otherwise: 3e-5 for GPT-2 124M. */
export function finetuneRate(learningRate: number): number {
  return Number((learningRate / FINETUNE_DIVISOR).toPrecision(3));
}

/** The preset whose starting values suit a model best: that of the nearest size. */
export function nearestPreset(config: ModelConfig): PresetName {
  const size = ({ layers, width }: ModelConfig) => Math.log(layers * width ** 2);
  const distance = (name: PresetName) => Math.abs(size(PRESETS[name]) - size(config));
  return PRESET_NAMES.reduce((best, name) => distance(name) < distance(best) ? name : best);
}

/**
 * Refuses sizes that trained weights cannot have.
 *
 * @throws {InputError} which names the flag.
 */
export function refuseOtherModel(request: TrainRequest, { config, path }: Weights): void {
  const { layers, width, heads } = config;
  const fixed: [flag: string, asked: unknown, actual: unknown][] = [
    ["preset", request.preset, undefined],
    ["layers", request.layers, layers],
    ["width", request.width, width],
    ["heads", request.heads, heads],
    ["tokenizer", request.tokenizer, undefined],
  ];
  for (const [flag, asked, actual] of fixed) {
    if (asked === undefined || asked === actual) continue;
    const theirs = actual === undefined ? "theirs" : `${actual}`;
    throw new InputError(
      `--${flag} ${asked}`,
      `the weights of ${FLAG} ${path} decide that (${theirs})`,
      `leave out --${flag}`,
    );
  }
  if (request.context !== undefined && request.context > config.context) {
    throw new InputError(
      `--context ${request.context}`,
      `the weights of ${FLAG} ${path} know ${config.context} positions`,
      `take --context ${config.context} or less`,
    );
  }
}

/**
 * Refuses weights whose tokens mean something else than the run's.
 *
 * @throws {InputError}
 * @throws {DataError} when they are of an unknown tokenizer.
 */
export async function requireSameTokens({ tokenizer, path }: Weights, name: TokenizerName): Promise<void> {
  const theirs = await tokenizerFromFile(join(path, "tokenizer.json"), tokenizer);
  if (theirs.name === name) return;
  throw new InputError(
    `${FLAG} ${path}`,
    `its tokens are ${theirs.name}, the run's ${name}`,
    "take other weights",
  );
}

/** The flat parameters of a model from trained weights: of position embeddings the first `context` rows. */
export async function initialValues(weights: Weights, model: ModelConfig): Promise<Float32Array> {
  const tensors = new Map(await weights.read());
  const positions = tensors.get("wpe.weight");
  if (positions) tensors.set("wpe.weight", positions.subarray(0, model.context * model.width));
  return joinParameters(layoutParameters(model), tensors);
}
