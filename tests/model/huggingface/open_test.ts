/**
 * Models as transformers writes them, in every form, and in every form that they must not have. The fixtures were made by
 * `make_reference.py`.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { copy } from "./copy.ts";
import { evaluate, trace } from "../../../compiler/mod.ts";
import { hidden, logits } from "../../../model/gpt2.ts";
import { openHuggingFace } from "../../../model/huggingface/open.ts";
import { joinParameters, layoutParameters, unpack } from "../../../model/params.ts";
import { type NamedTensor, SafetensorsFile, writeSafetensors } from "../../../model/safetensors.ts";
import { withFolder } from "../command.ts";

const FIXTURES = new URL("fixtures/", import.meta.url).pathname;
const expected: Record<string, number[]> = JSON.parse(await Deno.readTextFile(`${FIXTURES}logits.json`));

/** Scores of the token after the reference's, in float64. */
async function scoresOf(folder: string): Promise<ArrayLike<number>> {
  const weights = await openHuggingFace(folder);
  const { config } = weights;
  const layout = layoutParameters(config);
  const length = expected.tokens.length;
  const graph = trace(
    ({ params, tokens }) => {
      const named = unpack(layout, [params]);
      return {
        scores: logits(named, hidden(config, named, tokens)).slice([length - 1, 0], [
          length,
          config.vocabulary,
        ]),
      };
    },
    {
      params: { shape: [layout.size], dtype: "f32", role: "state" },
      tokens: { shape: [1, length], dtype: "i32", role: "batch" },
    },
  );
  const params = joinParameters(layout, await weights.read());
  return evaluate(graph, { params: Array.from(params), tokens: expected.tokens }).scores;
}

for (
  const [name, what] of [
    ["half", "in f16"],
    ["base", "without a head, whose names have no prefix"],
    ["parts", "in bf16, in files with an index"],
  ]
) {
  Deno.test(`a model ${what} gives the logits that it gives in transformers`, async () => {
    const scores = await scoresOf(`${FIXTURES}${name}`);
    for (const [i, value] of expected[name].entries()) assertAlmostEquals(scores[i], value, 1e-4);
  });
}

/** Tensors of the fixture without a head. */
async function baseTensors(): Promise<NamedTensor[]> {
  using file = await SafetensorsFile.open(`${FIXTURES}base/model.safetensors`);
  const tensors: NamedTensor[] = [];
  for (const { name, shape } of file.entries.values()) {
    tensors.push({ name, shape, data: await file.read(name) });
  }
  return tensors;
}

/** A copy of the fixture without a head, with other tensors and other fields of `config.json`. */
async function withModel(
  body: (folder: string) => Promise<void>,
  change: (tensors: NamedTensor[]) => NamedTensor[] = (tensors) => tensors,
  fields: Record<string, unknown> = {},
): Promise<void> {
  await withFolder(async (parent) => {
    const folder = `${parent}/model`;
    await Deno.mkdir(folder);
    const config = JSON.parse(await Deno.readTextFile(`${FIXTURES}base/config.json`));
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify({ ...config, ...fields }));
    using file = await Deno.open(`${folder}/model.safetensors`, { write: true, createNew: true });
    await writeSafetensors(file, change(await baseTensors()));
    await body(folder);
  });
}

Deno.test("a copy of the tied head and masks of old versions are passed over", () =>
  withModel(
    async (folder) => {
      const scores = await scoresOf(folder);
      assertAlmostEquals(scores[0], expected.base[0], 1e-4);
    },
    (tensors) => {
      const embedding = tensors.find(({ name }) => name === "wte.weight")!;
      return [
        ...tensors.map((tensor) => ({ ...tensor, name: `transformer.${tensor.name}` })),
        { ...embedding, name: "lm_head.weight" },
        { name: "transformer.h.0.attn.bias", shape: [1, 1, 8, 8], data: new Float32Array(64) },
        { name: "transformer.h.0.attn.masked_bias", shape: [], data: Float32Array.of(-1e4) },
      ];
    },
  ));

const named = (tensors: NamedTensor[], name: string) => tensors.find((tensor) => tensor.name === name)!;

const REFUSED: [what: string, change: (tensors: NamedTensor[]) => NamedTensor[], message: RegExp][] = [
  [
    "that lacks a tensor",
    (all) => all.filter(({ name }) => name !== "h.0.mlp.c_fc.bias"),
    /there is no h\.0\.mlp\.c_fc\.bias/,
  ],
  [
    "with a tensor too many",
    (all) => [...all, { name: "score.weight", shape: [1], data: new Float32Array(1) }],
    /score\.weight: no tensor of a GPT-2/,
  ],
  [
    "with a tensor of another shape",
    (all) => all.map((each) => each.name === "wpe.weight" ? { ...each, shape: [4, 16] } : each),
    /tensor wpe\.weight has shape \[4, 16\], config\.json asks for \[8, 8\]/,
  ],
  [
    "with a name twice, with and without prefix",
    (all) => [...all, { ...named(all, "wpe.weight"), name: "transformer.wpe.weight" }],
    /both wpe\.weight and transformer\.wpe\.weight/,
  ],
];

for (const [what, change, message] of REFUSED) {
  Deno.test(`a model ${what} is refused by the tensor's name`, () =>
    withModel(async (folder) => {
      const problem = await assertRejects(() => openHuggingFace(folder));
      assert(message.test((problem as Error).message), (problem as Error).message);
    }, change));
}

Deno.test("a head of its own is refused, and not taken for the embedding", () =>
  withModel(async (folder) => {
    const weights = await openHuggingFace(folder);
    await assertRejects(() => weights.read(), Error, "lm_head.weight differs from wte.weight");
  }, (tensors) => {
    const { shape, data } = named(tensors, "wte.weight");
    return [...tensors, {
      name: "lm_head.weight",
      shape,
      data: data.map((value, i) => i === 5 ? value + 1 : value),
    }];
  }));

const CONFIGS: [fields: Record<string, unknown>, message: RegExp][] = [
  [{ activation_function: "relu" }, /activation_function is "relu", and only "gelu_new" or/],
  [{ scale_attn_by_inverse_layer_idx: true }, /scale_attn_by_inverse_layer_idx is true/],
  [{ layer_norm_epsilon: 1e-6 }, /layer_norm_epsilon is 0\.000001/],
  [{ tie_word_embeddings: false }, /tie_word_embeddings is false/],
  [{ model_type: "llama" }, /model_type is "llama"/],
  [{ n_inner: 64 }, /n_inner is 64/],
  [{ n_head: 3 }, /n_head 3 does not divide n_embd 8/],
  [{ n_layer: "2" }, /n_layer is "2"/],
  [{ n_positions: 2048 }, /n_positions is 2048, expected a whole number from 1 to 1024/],
  [{ vocab_size: 300 }, /vocabulary of 300 tokens, for which there is no tokenizer/],
  [{ n_layer: 2 }, /there is no h\.1\.attn\.c_attn\.weight, .* and 9 more/],
];

for (const [fields, message] of CONFIGS) {
  Deno.test(`a config.json with ${JSON.stringify(fields)} is refused, since it computes something else`, () =>
    withModel(
      async (folder) => {
        const problem = await assertRejects(() => openHuggingFace(folder));
        assert(message.test((problem as Error).message), (problem as Error).message);
      },
      undefined,
      fields,
    ));
}

const INDICES: [
  what: string,
  change: (map: Record<string, string>) => Record<string, string>,
  message: RegExp,
][] = [
  [
    "that leaves the folder",
    (map) => ({ ...map, "wpe.weight": "../x.safetensors" }),
    /said to be in "\.\.\/x\.safetensors"/,
  ],
  [
    "that names another file",
    (map) => Object.fromEntries(Object.keys(map).map((name) => [name, "model-00001-of-00002.safetensors"])),
    /is in it, and the index says|lacks tensor/,
  ],
  [
    "with a tensor that is nowhere",
    (map) => ({ ...map, other: Object.values(map)[0] }),
    /lacks tensor other of the index/,
  ],
  ["of nothing", () => ({}), /has no weight_map/],
];

for (const [what, change, message] of INDICES) {
  Deno.test(`an index ${what} is refused`, () =>
    withFolder(async (folder) => {
      await copy(`${FIXTURES}parts`, `${folder}/model`);
      const path = `${folder}/model/model.safetensors.index.json`;
      const index = JSON.parse(await Deno.readTextFile(path));
      await Deno.writeTextFile(path, JSON.stringify({ ...index, weight_map: change(index.weight_map) }));
      const problem = await assertRejects(() => openHuggingFace(`${folder}/model`));
      assert(message.test((problem as Error).message), (problem as Error).message);
    }));
}

Deno.test("the sizes are those of config.json, and the name that of the folder", async () => {
  const { config, name } = await openHuggingFace(`${FIXTURES}step`);
  assertEquals({ config, name }, {
    config: { layers: 2, width: 16, heads: 2, context: 16, vocabulary: 256 },
    name: "step",
  });
});
