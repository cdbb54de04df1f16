/**
 * Text from the model while it trains: every so many steps, and when somebody asks.
 *
 * @module
 */
import { Readback } from "../../runtime/mod.ts";
import { Generator } from "../generator.ts";
import type { TrainerAsk } from "../messages.ts";
import type { Submissions } from "../pipeline.ts";
import type { TrainingSession } from "../session.ts";
import type { RunContext } from "./context.ts";
import type { PeriodicTask } from "./periodic.ts";

/** Text that a sample begins with. */
const SAMPLE_PROMPT = "The";
/** Tokens of a sample: a byte says less than a token of GPT-2. */
const SAMPLE_TOKENS = { bytes: 200, gpt2: 48 };
/** Tokens that the generator has room for: prompt and continuation, when somebody asks for a sample. */
const MOST_TOKENS = { bytes: 512, gpt2: 128 };
const SAMPLE_OPTIONS = { temperature: 0.8, topK: 40 };

/** The samples of one run. */
export class Samples implements PeriodicTask {
  readonly isDueAtEnd = true;
  #generator?: Generator;

  constructor(private readonly run: RunContext) {}

  get every(): number {
    return this.run.plan.sampleEvery;
  }

  /** Loads the generator: before the first step when samples are due, otherwise when one is asked for. */
  async load(): Promise<Generator> {
    return this.#generator ??= await loadGenerator(this.run.session);
  }

  *submissions(step: number): Submissions {
    const { plan, tokenizer, profile, emit } = this.run;
    const prompt = Int32Array.from(tokenizer.encode(SAMPLE_PROMPT));
    const count = SAMPLE_TOKENS[plan.tokenizer];
    const tokens = [...prompt];
    profile?.enterOther(step);
    const take = (drawn: Int32Array) => {
      tokens.push(...drawn);
      if (tokens.length < prompt.length + count) return;
      emit({ kind: "sample", step, text: tokenizer.decode(tokens) });
    };
    yield* this.#generator!.submissions(prompt, count, { ...SAMPLE_OPTIONS, seed: plan.seed }, take);
  }

  /** Continues a prompt that somebody gave. Nothing else runs meanwhile. */
  answer(step: number, { id, prompt, maxTokens }: Extract<TrainerAsk, { kind: "sample" }>): Readback<void> {
    const { plan, tokenizer, profile, emit } = this.run;
    profile?.enterOther(step);
    return new Readback(false, async (whenIdle) => {
      const tokens = tokenizer.encode(prompt);
      const most = MOST_TOKENS[plan.tokenizer];
      if (tokens.length === 0 || tokens.length + maxTokens > most) {
        const problem =
          `a prompt of ${tokens.length} tokens and ${maxTokens} more: at least one token of prompt, ` +
          `and at most ${most} in all`;
        emit({ kind: "reply", id, step, problem });
      } else {
        const generator = await this.load();
        const drawn = await generator.generate(tokens, maxTokens, { ...SAMPLE_OPTIONS, seed: plan.seed });
        emit({ kind: "reply", id, step, text: tokenizer.decode([...tokens, ...drawn]) });
      }
      whenIdle();
    });
  }
}

async function loadGenerator({ device, states, plan, onCompiled }: TrainingSession): Promise<Generator> {
  const capacity = MOST_TOKENS[plan.tokenizer];
  return await Generator.load(device, states, plan.model, { capacity, mode: plan.mode, onCompiled });
}
