/**
 * The parameters of a GPT-2 in Hugging Face's files: one file or several with an index, names with or without `transformer.` in
 * front, with buffers of attention masks and with a copy of the tied head or without. The weights of linear layers (`Conv1D`) lie as
 * [in, out], which is how this program has them.
 *
 * @module
 */
import { join } from "@std/path";
import type { ModelConfig } from "../config.ts";
import { exists } from "../durable_files.ts";
import { layoutParameters } from "../params.ts";
import { SafetensorsFile, type TensorEntry } from "../safetensors.ts";
import { HuggingFaceError } from "./error.ts";

/** The only file of a small model. */
export const MODEL_FILE = "model.safetensors";
/** Says which file each tensor of a large model is in. */
export const INDEX_FILE = "model.safetensors.index.json";

const PREFIX = "transformer.";
const HEAD = "lm_head.weight";
/** Masks that older versions kept beside the weights. */
const BUFFER = /^h\.\d+\.attn\.(bias|masked_bias)$/;
/** Names that are shown in a message. */
const SHOWN = 3;
const REMEDY = "download the model again, or take one of GPT-2's architecture";

/** Where a tensor is. */
interface Place {
  /** Its name in the file. */
  readonly name: string;
  readonly file: SafetensorsFile;
  readonly entry: TensorEntry;
}

/** The parameters of a folder, found and checked; none of them has been read. */
export class HuggingFaceTensors implements Disposable {
  private constructor(
    private readonly config: ModelConfig,
    private readonly files: readonly SafetensorsFile[],
    private readonly places: ReadonlyMap<string, Place>,
  ) {}

  /**
   * Opens the files of a folder and compares what is in them with what a model of these sizes has.
   *
   * @throws {HuggingFaceError} when tensors are missing, left over or of another shape.
   * @throws {SafetensorsError} when a file is not what it should be.
   */
  static async open(folder: string, config: ModelConfig): Promise<HuggingFaceTensors> {
    const files: SafetensorsFile[] = [];
    try {
      const index = join(folder, INDEX_FILE);
      const map = await exists(index) ? parseIndex(index, await Deno.readTextFile(index)) : undefined;
      for (const name of map ? new Set(map.values()) : [MODEL_FILE]) {
        files.push(await SafetensorsFile.open(join(folder, name)));
      }
      const places = collect(folder, files, map);
      compare(folder, config, places);
      return new HuggingFaceTensors(config, files, places);
    } catch (problem) {
      for (const file of files) file[Symbol.dispose]();
      throw problem;
    }
  }

  /**
   * Reads all parameters, one after the other, in f32.
   *
   * @throws {HuggingFaceError} when the model has a head of its own that is not the token embedding.
   */
  async read(): Promise<Map<string, Float32Array>> {
    const tensors = new Map<string, Float32Array>();
    for (const { name } of layoutParameters(this.config).parameters) {
      const { file, name: theirs } = this.places.get(name)!;
      tensors.set(name, await file.read(theirs));
    }
    const head = this.places.get(HEAD);
    if (head) await requireTied(head, tensors.get("wte.weight")!);
    return tensors;
  }

  /** Closes the files. */
  [Symbol.dispose](): void {
    for (const file of this.files) file[Symbol.dispose]();
  }
}

/** File names by tensors' names. */
function parseIndex(path: string, text: string): Map<string, string> {
  let map: unknown;
  try {
    map = JSON.parse(text)?.weight_map;
  } catch {
    throw new HuggingFaceError(path, "it is not JSON", REMEDY);
  }
  const entries = typeof map === "object" && map !== null ? Object.entries(map) : [];
  if (entries.length === 0) throw new HuggingFaceError(path, "it has no weight_map", REMEDY);
  for (const [name, file] of entries) {
    // Only files of the folder itself: an index comes from anywhere.
    if (typeof file === "string" && /^[\w-][\w.-]*\.safetensors$/.test(file)) continue;
    throw new HuggingFaceError(path, `tensor ${name} is said to be in ${JSON.stringify(file)}`, REMEDY);
  }
  return new Map(entries);
}

/** Tensors by our names. */
function collect(
  folder: string,
  files: readonly SafetensorsFile[],
  map: ReadonlyMap<string, string> | undefined,
): Map<string, Place> {
  const places = new Map<string, Place>();
  const found = new Set<string>();
  for (const file of files) {
    for (const [name, entry] of file.entries) {
      const own = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name;
      const said = map?.get(name);
      if (map && (said === undefined || join(folder, said) !== file.path)) {
        throw new HuggingFaceError(
          file.path,
          `tensor ${name} is in it, and the index says ${said ?? "nothing of it"}`,
          REMEDY,
        );
      }
      found.add(name);
      if (BUFFER.test(own)) continue;
      const other = places.get(own);
      if (other) throw new HuggingFaceError(file.path, `it has both ${other.name} and ${name}`, REMEDY);
      places.set(own, { name, file, entry });
    }
  }
  for (const [name, file] of map ?? []) {
    if (!found.has(name)) {
      throw new HuggingFaceError(join(folder, file), `it lacks tensor ${name} of the index`, REMEDY);
    }
  }
  return places;
}

function compare(folder: string, config: ModelConfig, places: ReadonlyMap<string, Place>): void {
  const { parameters } = layoutParameters(config);
  const missing = parameters.filter(({ name }) => !places.has(name)).map(({ name }) => name);
  if (missing.length > 0) throw new HuggingFaceError(folder, `there is no ${listed(missing)}`, REMEDY);
  const known = new Set([...parameters.map(({ name }) => name), HEAD]);
  const others = [...places].filter(([name]) => !known.has(name)).map(([, { name }]) => name);
  if (others.length > 0) {
    throw new HuggingFaceError(folder, `${listed(others)}: no tensor of a GPT-2 of these sizes`, REMEDY);
  }
  const embedding = [config.vocabulary, config.width];
  const shapes = new Map<string, readonly number[]>([
    ...parameters.map(({ name, shape, rows }) => [name, [rows, ...shape.slice(1)]] as const),
    [HEAD, embedding] as const,
  ]);
  for (const [own, { name, file, entry: { shape } }] of places) {
    const expected = shapes.get(own)!;
    if (shape.join() === expected.join()) continue;
    throw new HuggingFaceError(
      file.path,
      `tensor ${name} has shape [${shape.join(", ")}], config.json asks for [${expected.join(", ")}]`,
      REMEDY,
    );
  }
}

function listed(names: readonly string[]): string {
  const rest = names.length - SHOWN;
  return names.slice(0, SHOWN).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

async function requireTied({ file, name }: Place, embedding: Float32Array): Promise<void> {
  const head = await file.read(name);
  const other = head.findIndex((value, i) => !Object.is(value, embedding[i]));
  if (other < 0) return;
  throw new HuggingFaceError(
    file.path,
    `${name} differs from wte.weight, and a GPT-2 here has one matrix for both`,
    "take a model whose head is tied to its embedding",
  );
}
