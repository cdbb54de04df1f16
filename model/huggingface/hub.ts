/**
 * Downloads a model from Hugging Face's hub, or a server that answers like it: the list of files first, with sizes and checksums as
 * of one commit, then the files.
 *
 * @module
 */
import { pooledMap } from "@std/async/pool";
import { join } from "@std/path";
import { cacheFolder, DataError, fetchFile, type FetchOptions } from "../../data/mod.ts";
import { exists } from "../durable_files.ts";
import { INDEX_FILE, MODEL_FILE } from "./tensors.ts";

/** A model's name on the hub. */
export const MODEL_ID = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;

/** Where models are, unless told otherwise. */
const ENDPOINT = "https://huggingface.co";
/** Files that are downloaded at once. */
const PARALLEL = 3;
/** Files that a model is made of, besides those that an index names. */
const WANTED = new Set(["config.json", "tokenizer.json", MODEL_FILE, INDEX_FILE]);
const REMEDY = "check the name, the connection and HF_TOKEN, or name a folder with the files";

/** What is downloaded, and how. */
export interface HubOptions {
  /** A branch, a tag or a commit; `main` by default. */
  readonly revision?: string;
  /** In place of the hub; also `HF_ENDPOINT`. */
  readonly endpoint?: string;
  /** For models that are not public; also `HF_TOKEN`. */
  readonly token?: string;
  /** Folder for downloads; by default the user's cache folder. */
  readonly cache?: string;
  /** Told how many bytes of how many there are, over all files. */
  readonly onProgress?: (bytes: number, total: number) => void;
  /** Ends the download; what is there stays. */
  readonly signal?: AbortSignal;
  /** How each file is fetched. */
  readonly fetching?: Pick<FetchOptions, "attempts" | "waitMs">;
}

/** A file of the list. */
interface HubFile {
  readonly name: string;
  readonly bytes?: number;
  readonly sha256?: string;
}

/**
 * Downloads what is needed of a model, unless it is there.
 *
 * @returns The folder of its files, and the commit that they are of.
 * @throws {DataError} when it cannot be had.
 */
export async function downloadModel(
  id: string,
  options: HubOptions = {},
): Promise<{ readonly folder: string; readonly commit: string }> {
  const { revision = "main", endpoint = Deno.env.get("HF_ENDPOINT") || ENDPOINT } = options;
  const { token = Deno.env.get("HF_TOKEN"), onProgress = () => {}, signal, fetching } = options;
  const base = endpoint.replace(/\/+$/, "");
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  const { commit, files } = await listFiles(
    `${base}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`,
    id,
    headers,
    signal,
  );
  const folder = join(options.cache ?? cacheFolder(id), "hub", id.replace("/", "--"), commit);
  const total = files.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
  const done = new Map<string, number>();
  const note = (name: string, bytes: number) => {
    done.set(name, bytes);
    onProgress([...done.values()].reduce((sum, each) => sum + each, 0), total);
  };
  const fetched = pooledMap(PARALLEL, files, async ({ name, bytes, sha256 }: HubFile) => {
    const path = join(folder, name);
    // A file gets its name when it is whole and checked, and a commit does not change.
    if (await exists(path)) return note(name, bytes ?? 0);
    const url = `${base}/${id}/resolve/${commit}/${name}`;
    const file = { source: `${id}/${name}`, url, bytes, sha256, remedy: REMEDY };
    await fetchFile(file, path, { headers, signal, onProgress: (now) => note(name, now), ...fetching });
  });
  try {
    for await (const _ of fetched) { /* all of them */ }
  } catch (problem) {
    throw problem instanceof AggregateError ? problem.errors[0] : problem;
  }
  return { folder, commit };
}

async function listFiles(
  url: string,
  id: string,
  headers: Record<string, string>,
  signal?: AbortSignal,
): Promise<{ commit: string; files: HubFile[] }> {
  const { sha: commit, siblings } = Object(await askHub(url, id, headers, signal));
  if (typeof commit !== "string" || !/^[0-9a-f]{7,64}$/.test(commit) || !Array.isArray(siblings)) {
    throw new DataError(id, "the server's answer is no list of files", REMEDY);
  }
  const all = siblings.flatMap((sibling): HubFile[] => {
    const { rfilename: name, size, lfs } = Object(sibling);
    if (typeof name !== "string") return [];
    const sha256 = Object(lfs).sha256;
    return [{
      name,
      ...Number.isSafeInteger(size) && { bytes: size },
      ...typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256) && { sha256 },
    }];
  });
  const files = all.filter(({ name }) => WANTED.has(name) || /^model-\d+-of-\d+\.safetensors$/.test(name));
  if (
    !files.some(({ name }) => name === "config.json") ||
    !files.some(({ name }) => name.endsWith(".safetensors"))
  ) {
    throw new DataError(
      id,
      "it has no config.json or no model.safetensors",
      "take another revision or model",
    );
  }
  // One whole file and its parts hold the same tensors.
  return {
    commit,
    files: files.filter(({ name }) => !(isPart(name) && files.some(({ name }) => name === MODEL_FILE))),
  };
}

const isPart = (name: string) => name === INDEX_FILE || name.startsWith("model-");

/** The list is small: it is asked for a few times in a row, and read whole. */
async function askHub(
  url: string,
  id: string,
  headers: Record<string, string>,
  signal?: AbortSignal,
): Promise<unknown> {
  const temporary = await Deno.makeTempFile({ prefix: "sinter-" });
  try {
    const file = { source: id, url, remedy: REMEDY };
    await fetchFile(file, temporary, { headers, signal, attempts: 3 });
    return JSON.parse(await Deno.readTextFile(temporary));
  } catch (problem) {
    if (!(problem instanceof SyntaxError)) throw problem;
    throw new DataError(id, "the server's answer is not JSON", REMEDY);
  } finally {
    await Deno.remove(temporary).catch(() => {});
    await Deno.remove(`${temporary}.part`).catch(() => {});
  }
}
