/**
 * `deno task eval`: how good a trained model is, by a benchmark or by its loss on text.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { runCommand } from "./exit.ts";
import { evaluateHellaSwag } from "./eval_hellaswag.ts";
import { evaluateLoss } from "./eval_loss.ts";

const KINDS: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  hellaswag: evaluateHellaSwag,
  loss: evaluateLoss,
};

const HELP = `deno task eval hellaswag --checkpoint DIR [flags]
deno task eval loss --checkpoint DIR --data SOURCE [flags]

Evaluates a trained model: HellaSwag's everyday stories, whose right ending it has to find likeliest, or its loss on the
validation part of text or shards. Each has its own --help.
`;

async function main([kind, ...args]: readonly string[]): Promise<number> {
  if (kind === undefined || kind === "--help") {
    console.log(HELP);
    return 0;
  }
  if (!Object.hasOwn(KINDS, kind)) {
    throw new InputError(`eval ${kind}`, "no such evaluation", `choose ${Object.keys(KINDS).join(" or ")}`);
  }
  return await KINDS[kind](args);
}

if (import.meta.main) await runCommand(() => main(Deno.args));
