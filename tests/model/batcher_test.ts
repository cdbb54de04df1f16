/** Continuous batching on a device: what a request gets, alone and beside others. */
import { assert, assertEquals } from "@std/assert";
import { byteTokenizer } from "../../data/byte_tokenizer.ts";
import type { GenerationEvent, GenerationRequest } from "../../model/generation.ts";
import { Generator } from "../../model/generator.ts";
import { runPipeline } from "../../model/pipeline.ts";
import { layoutParameters } from "../../model/params.ts";
import { writeArenas } from "../../model/session.ts";
import { withDevice } from "../runtime/support.ts";
import {
  answerAlone,
  LIVELY,
  livelyBatcher,
  livelyWeights,
  PLAIN,
  textOf,
  tokensOf,
} from "./lively_model.ts";
import { seededUniform } from "./seeded.ts";

const GREEDY = { ...PLAIN.sampling, temperature: 0 };

Deno.test("greedy tokens from the cache are those from the whole window, past the context too", async () => {
  await withDevice(async (device) => {
    const batcher = await livelyBatcher(device);
    const states = device.createStates();
    const maxTokens = 3 * LIVELY.context;
    const seen = new Set<number>();
    for (
      const prompt of [
        "C",
        "Call me Ishmael.",
        "Some years ago, never mind how long precisely, having little",
      ]
    ) {
      const tokens = byteTokenizer().encode(prompt);
      const capacity = tokens.length + maxTokens;
      const generator = await Generator.load(device, states, LIVELY, { capacity, mode: "fused" });
      writeArenas(states, layoutParameters(LIVELY), "params", livelyWeights(LIVELY));
      const expected = await generator.generate([...tokens], maxTokens, {
        temperature: 0,
        topK: 256,
        seed: 1,
      });
      const events = await answerAlone(batcher, { ...PLAIN, prompt, maxTokens, sampling: GREEDY });
      assertEquals(tokensOf(events), Array.from(expected), prompt);
      for (const token of expected) seen.add(token);
      states.destroy();
    }
    assert(seen.size > 10, "a model that repeats itself would prove little");
  });
});

/** Requests that differ in everything. */
function variety(seed: number, count: number): GenerationRequest[] {
  const uniform = seededUniform(seed);
  const among = <T>(list: readonly T[]) => list[Math.floor(uniform() * list.length)];
  return Array.from({ length: count }, (_, i) => ({
    prompt: "The whale, as a dish, is by no means wanting in merit".slice(0, 1 + Math.floor(uniform() * 50)),
    maxTokens: 1 + Math.floor(uniform() * 60),
    sampling: {
      temperature: among([0, 0.7, 1, 1.5]),
      topK: among([0, 0, 5, 40]),
      topP: among([1, 1, 0.9]),
      minP: among([0, 0, 0.05]),
      repetitionPenalty: among([1, 1, 1.3]),
      seed: i,
    },
    stop: among([[], [], ["e"]]),
    choices: among([1, 1, 2]),
    ...among([{}, {}, { logprobs: 2 }]),
    ...among([{}, {}, { echo: true }]),
  }));
}

Deno.test("a request gets the same answer alone and beside others that come and go", async () => {
  await withDevice(async (device) => {
    const seed = 20;
    const requests = variety(seed, 12);
    const batcher = await livelyBatcher(device, { slots: 3 });
    const alone: GenerationEvent[][] = [];
    for (const request of requests) alone.push(await answerAlone(batcher, request));
    const together: GenerationEvent[][] = requests.map(() => []);
    const uniform = seededUniform(seed);
    let next = 0;
    const submitSome = () => {
      while (next < requests.length && uniform() < 0.5) {
        const i = next++;
        batcher.submit(requests[i], (event) => together[i].push(event));
      }
    };
    while (next < requests.length || batcher.isBusy) {
      submitSome();
      const submissions = batcher.submissions();
      await runPipeline((function* () {
        for (const submission of submissions) {
          submitSome();
          yield submission;
        }
      })());
    }
    requests.forEach((request, i) => {
      for (let choice = 0; choice < request.choices; choice++) {
        const what = `seed ${seed}, request ${i}, choice ${choice}: ${JSON.stringify(request)}`;
        assertEquals(textOf(together[i], choice), textOf(alone[i], choice), what);
        assertEquals(tokensOf(together[i], choice), tokensOf(alone[i], choice), what);
      }
      assertEquals(together[i].filter(({ kind }) => kind === "end").length, 1);
    });
    const { running, waiting } = batcher.load;
    assertEquals({ running, waiting }, { running: 0, waiting: 0 }, "a slot stayed taken");
  });
});

Deno.test("requests that are given up free their places, and the others do not notice", async () => {
  await withDevice(async (device) => {
    const batcher = await livelyBatcher(device, { slots: 2 });
    const kept = { ...PLAIN, maxTokens: 50, sampling: { ...PLAIN.sampling, seed: 9 } };
    const expected = textOf(await answerAlone(batcher, kept));
    const events: GenerationEvent[] = [];
    const given: GenerationEvent[] = [];
    const cancels = Array.from(
      { length: 6 },
      () => batcher.submit({ ...PLAIN, maxTokens: 10_000 }, (event) => given.push(event)),
    );
    batcher.submit(kept, (event) => events.push(event));
    let steps = 0;
    await runPipeline((function* () {
      for (const submission of batcher.submissions()) {
        if (++steps % 4 === 0) cancels.pop()?.();
        yield submission;
      }
    })());
    assertEquals(textOf(events), expected);
    assertEquals(given.filter(({ kind }) => kind === "end" || kind === "failure"), []);
    assertEquals([batcher.load.running, batcher.load.waiting], [0, 0]);
  });
});

Deno.test("a queue that is full, a prompt that is too long and tokens that do not exist are refused at once", async () => {
  await withDevice(async (device) => {
    const batcher = await livelyBatcher(device, { slots: 1, limits: { maxWaiting: 2, maxPromptTokens: 10 } });
    const failures = (request: GenerationRequest) => {
      const events: GenerationEvent[] = [];
      batcher.submit(request, (event) => events.push(event));
      return events.map((event) => event.kind === "failure" ? event.code : event.kind);
    };
    assertEquals(failures({ ...PLAIN, prompt: "Call me Ishmael." }), ["prompt_too_long"]);
    assertEquals(failures({ ...PLAIN, prompt: [1, 256] }), ["bad_request"]);
    assertEquals(failures({ ...PLAIN, prompt: [1, -1] }), ["bad_request"]);
    assertEquals(failures({ ...PLAIN, prompt: "" }), ["bad_request"]);
    assertEquals(failures({ ...PLAIN, choices: 4 }), ["queue_full"]);
    assertEquals(failures({ ...PLAIN, choices: 3 }), []);
    assertEquals(failures(PLAIN), ["queue_full"]);
    await runPipeline(batcher.submissions());
  });
});

Deno.test("stop texts, deadlines and lengths end a choice, and say so", async () => {
  await withDevice(async (device) => {
    const batcher = await livelyBatcher(device);
    const reasonOf = (events: readonly GenerationEvent[]) =>
      events.flatMap((event) => event.kind === "finish" ? [event.reason] : []);
    const whole = await answerAlone(batcher, PLAIN);
    assertEquals(reasonOf(whole), ["length"]);
    const text = textOf(whole);
    const stop = text.slice(8, 10);
    const stopped = await answerAlone(batcher, { ...PLAIN, stop: [stop] });
    assertEquals(reasonOf(stopped), ["stop"]);
    assertEquals(textOf(stopped), text.slice(0, text.indexOf(stop)));
    const late = await answerAlone(batcher, { ...PLAIN, maxTokens: 100_000, deadlineMs: 30 });
    assertEquals(reasonOf(late), ["deadline"]);
    const last = late.at(-1);
    assert(last?.kind === "end" && last.completionTokens < 100_000);
  });
});

Deno.test("log-probabilities of the prompt and of what was drawn belong to their tokens", async () => {
  await withDevice(async (device) => {
    const batcher = await livelyBatcher(device);
    const request = { ...PLAIN, maxTokens: 5, echo: true, logprobs: 3 };
    const events = await answerAlone(batcher, request);
    const tokens = events.flatMap((event) => event.kind === "text" ? event.tokens : []);
    assertEquals(textOf(events).slice(0, 7), "Call me");
    assertEquals(tokens.length, 12);
    assertEquals(tokens[0].logprob, undefined, "nothing comes before the first token");
    for (const { logprob, top } of tokens.slice(1)) {
      assert(logprob! <= 0 && top!.length === 3);
      const values = top!.map((other) => other.logprob!);
      assertEquals(values, [...values].sort((a, b) => b - a), "likeliest first");
    }
    const plain = await answerAlone(batcher, { ...request, echo: false });
    const drawn = plain.flatMap((event) => event.kind === "text" ? event.tokens : []);
    drawn.forEach(({ token, logprob }, i) => {
      assertEquals(token, tokens[7 + i].token);
      assert(
        Math.abs(logprob! - tokens[7 + i].logprob!) < 1e-4,
        "feeding the prompt in pieces changes nothing",
      );
    });
    const scored = await answerAlone(batcher, { ...request, maxTokens: 0 });
    assertEquals(tokensOf(scored).length, 7, "a prompt can be scored without drawing anything");
  });
});
