/**
 * Requests that are nearly right: valid ones with something odd put in, taken out or cut off.
 *
 * @module
 */
import type { Prng } from "../support/prng.ts";

/** A request before it is sent. */
export interface Draft {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
}

/** Values that are seldom what a field wants. */
const ODD: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e400,
  -1e308,
  2 ** 53,
  2 ** 32,
  "",
  "NaN",
  "\u0000",
  "\ud800",
  "../../etc/passwd",
  "\u{1F40B}".repeat(500),
  "x".repeat(20_000),
  [],
  [[]],
  [null],
  ["x", 1],
  Array.from({ length: 5000 }, (_, index) => index),
  {},
  { "__proto__": 1, constructor: {}, toString: null },
];

/** Segments that no path should have. */
const SEGMENTS = [
  "..",
  "%2e%2e",
  "%00",
  "%ff",
  "%zz",
  "a%2Fb",
  "-1",
  "NaN",
  "x".repeat(300),
  "__proto__",
  "*",
  " ",
];

const HEADERS: readonly (readonly [string, string])[] = [
  ["Content-Type", "text/plain"],
  ["Content-Type", "application/json; charset=utf-16"],
  ["Content-Type", "multipart/form-data; boundary=x"],
  ["Content-Type", "application/json;;;"],
  ["Accept", "text/event-stream"],
  ["Last-Event-ID", "-1"],
  ["Last-Event-ID", "x"],
  ["If-None-Match", "*"],
  ["Range", "bytes=5-1"],
  ["Origin", "null"],
  ["X-Request-Id", "\u00ff"],
  ["Authorization", "Bearer"],
  ["Cookie", "x".repeat(2000)],
];

/** The draft with one to three things wrong, or none by luck. */
export function mutate(draft: Draft, prng: Prng): Draft {
  let mutated = draft;
  for (let left = prng.integer(1, 3); left > 0; left--) mutated = mutateOnce(mutated, prng);
  return mutated;
}

function mutateOnce(draft: Draft, prng: Prng): Draft {
  const choice = prng.uniform();
  if (choice < 0.15) {
    const segments = draft.path.split("/");
    segments[prng.integer(1, segments.length - 1)] = prng.pick(SEGMENTS);
    return { ...draft, path: segments.join("/") };
  }
  if (choice < 0.25) {
    const name = prng.pick(["after", "limit", "state", "x", "__proto__"]);
    return {
      ...draft,
      path: `${draft.path}?${name}=${encodeURIComponent(shown(prng.pick(ODD)).slice(0, 500).toWellFormed())}`,
    };
  }
  if (choice < 0.35) {
    const [name, value] = prng.pick(HEADERS);
    return { ...draft, headers: { ...draft.headers, [name]: value } };
  }
  if (choice < 0.4) {
    return { ...draft, method: prng.pick(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]) };
  }
  if (draft.body === undefined) return draft;
  if (choice < 0.5) return { ...draft, body: draft.body.slice(0, prng.integer(0, draft.body.length)) };
  if (choice < 0.55) {
    return { ...draft, body: draft.body.replace(/\d+/, prng.pick(["NaN", "Infinity", "1e999", "-"])) };
  }
  return { ...draft, body: mutateJson(draft.body, prng) };
}

/** One field or element replaced, removed or added, at any depth. */
function mutateJson(text: string, prng: Prng): string {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return text;
  }
  const places: [holder: Record<string, unknown>, key: string][] = [];
  const visit = (value: unknown) => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      places.push([value as Record<string, unknown>, key]);
      visit(inner);
    }
  };
  visit(root);
  if (places.length === 0 || prng.chance(0.05)) return shown(prng.pick(ODD));
  const [holder, key] = prng.pick(places);
  const choice = prng.uniform();
  if (choice < 0.7) holder[key] = prng.pick(ODD);
  else if (choice < 0.85) delete holder[key];
  else holder[prng.pick(["x", "__proto__", "prompt", "model", ""])] = prng.pick(ODD);
  return shown(root);
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? "null";
}
