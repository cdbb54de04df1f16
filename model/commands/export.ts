/**
 * `deno task export`: writes a checkpoint as Hugging Face's transformers loads it.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { exportWeights } from "../huggingface/export.ts";
import { parseMemory } from "../memory.ts";
import type { TensorDType } from "../safetensors.ts";
import { openWeights } from "../weights.ts";
import { runCommand } from "./exit.ts";
import { type Flags, helpText, parseOperands } from "./flags.ts";
import { userPath } from "./paths.ts";
import { megabytes } from "./text.ts";

const FLAGS = {
  "dtype": {
    kind: "choice",
    choices: ["f32", "f16", "bf16"],
    help: "What the tensors are written in; left out: f32.",
  },
  "shard": { kind: "text", metavar: "SIZE", help: "Largest file of tensors, such as 2GB; left out: 5GB." },
  "force": { kind: "switch", help: "Replace what is in the folder." },
  "json": { kind: "switch", help: "Write the result as JSON." },
  "help": { kind: "switch", help: "Show this text." },
} as const satisfies Flags;

const USAGE = "deno task export CHECKPOINT DIR [flags]";
const ABOUT = "Writes a run's newest checkpoint, or one of its step folders, into a folder that\n" +
  "transformers.GPT2LMHeadModel.from_pretrained(DIR) loads.";

async function main(args: readonly string[]): Promise<number> {
  const { values, operands: [checkpoint, directory] } = parseOperands(FLAGS, ["CHECKPOINT", "DIR"], args);
  if (values.help) {
    console.log(helpText(USAGE, ABOUT, FLAGS));
    return 0;
  }
  const weights = await openWeights(userPath(checkpoint), { flag: "CHECKPOINT", notify: console.error });
  const folder = userPath(directory);
  if (weights.path === folder) throw new InputError(directory, "the model is in it", "name another folder");
  const { dtype = "f32" } = values;
  const bytes = await exportWeights(weights, folder, {
    dtype: dtype.toUpperCase() as TensorDType,
    ...values.shard !== undefined && { maxShardBytes: parseMemory(values.shard, "--shard") },
    force: values.force,
  });
  if (values.json) console.log(JSON.stringify({ path: folder, from: weights.path, bytes, dtype }));
  else console.log(`${weights.path} in ${folder}: ${megabytes(bytes)}, ${dtype}`);
  return 0;
}

if (import.meta.main) await runCommand(() => main(Deno.args));
