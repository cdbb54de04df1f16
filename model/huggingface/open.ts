/**
 * A folder of Hugging Face's files as a model's weights.
 *
 * @module
 */
import { basename, join, resolve } from "@std/path";
import { loadTokenizer, tokenizerFromFile, type TokenizerName } from "../../data/mod.ts";
import { BYTE_VOCABULARY, GPT2_VOCABULARY, type ModelConfig } from "../config.ts";
import { exists } from "../durable_files.ts";
import type { Weights } from "../weights.ts";
import { HuggingFaceError } from "./error.ts";
import { parseHuggingFaceConfig } from "./read_config.ts";
import { HuggingFaceTensors, INDEX_FILE, MODEL_FILE } from "./tensors.ts";

/** Whether a folder holds a model of Hugging Face's, and no checkpoint of this program's, whose folders have files of these names too. */
export async function isHuggingFaceFolder(path: string): Promise<boolean> {
  return await exists(join(path, "config.json")) && !await exists(join(path, "trainer.json"));
}

/**
 * Opens a folder with `config.json`, `model.safetensors` (or an index and its files) and perhaps `tokenizer.json`.
 *
 * @throws {HuggingFaceError} when a file is missing, or the model is no GPT-2.
 * @throws {SafetensorsError} when a file of tensors is not what it should be.
 * @throws {DataError} when its tokenizer is another one than GPT-2's or the bytes.
 */
export async function openHuggingFace(path: string): Promise<Weights> {
  const file = join(path, "config.json");
  const config = parseHuggingFaceConfig(file, await Deno.readTextFile(file));
  await requireTensors(path);
  const tokenizer = await readTokenizer(path, config);
  {
    using _ = await HuggingFaceTensors.open(path, config);
  }
  return {
    path,
    name: basename(resolve(path)),
    config,
    tokenizer,
    read: async () => {
      using tensors = await HuggingFaceTensors.open(path, config);
      return await tensors.read();
    },
  };
}

async function requireTensors(path: string): Promise<void> {
  if (await exists(join(path, MODEL_FILE)) || await exists(join(path, INDEX_FILE))) return;
  const hasPickle = await exists(join(path, "pytorch_model.bin"));
  throw new HuggingFaceError(
    path,
    `there is no ${MODEL_FILE}${hasPickle ? " (pytorch_model.bin is a pickle, which can run any code)" : ""}`,
    "save it anew with transformers: model.save_pretrained(folder)",
  );
}

/** The contents of its `tokenizer.json`, or that of the tokenizer that models of this vocabulary have. */
async function readTokenizer(path: string, { vocabulary }: ModelConfig): Promise<string> {
  const file = join(path, "tokenizer.json");
  if (await exists(file)) {
    const text = await Deno.readTextFile(file);
    const { vocabularySize } = await tokenizerFromFile(file, text);
    if (vocabularySize === vocabulary) return text;
    throw new HuggingFaceError(
      file,
      `${vocabularySize} tokens, and config.json has ${vocabulary}`,
      "use the model's own file",
    );
  }
  const names: Readonly<Record<number, TokenizerName>> = {
    [BYTE_VOCABULARY]: "bytes",
    [GPT2_VOCABULARY]: "gpt2",
  };
  const name = names[vocabulary];
  if (name) return (await loadTokenizer(name)).file();
  throw new HuggingFaceError(
    join(path, "config.json"),
    `a vocabulary of ${vocabulary} tokens, for which there is no tokenizer`,
    `take a model with GPT-2's ${GPT2_VOCABULARY} tokens, or ${BYTE_VOCABULARY} for bytes`,
  );
}
