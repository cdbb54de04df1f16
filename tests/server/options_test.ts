/**
 * What the server refuses to be told, and what it makes of the rest.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { InputError } from "../../model/mod.ts";
import { serveOptions } from "../../server/options.ts";

const options = (args: string[], environment: Record<string, string> = {}) =>
  serveOptions(args, (name) => environment[name]);

const TOKENS = { SINTER_TOKEN: "generation", SINTER_ADMIN_TOKEN: "admin" };

const REFUSED: [name: string, args: string[], environment: Record<string, string>, message: RegExp][] = [
  ["another host without tokens", ["--host", "0.0.0.0"], {}, /--host 0.0.0.0: other machines .* set both/],
  ["another host with one token", ["--host", "::"], { SINTER_TOKEN: "x" }, /set both SINTER_TOKEN and/],
  ["another host with an empty token", ["--host", "0.0.0.0"], { ...TOKENS, SINTER_TOKEN: "" }, /set both/],
  ["a name that only looks local", ["--host", "127.0.0.1.evil.example"], {}, /set both/],
  ["half of the tokens", [], { SINTER_TOKEN: "x" }, /^SINTER_ADMIN_TOKEN: it is not set although/],
  ["equal tokens", [], { SINTER_TOKEN: "x", SINTER_ADMIN_TOKEN: "x" }, /take two different tokens/],
  ["a token that no header carries", [], { ...TOKENS, SINTER_TOKEN: "a b" }, /^SINTER_TOKEN: no header/],
  ["an origin that is a page", ["--cors", "http://a.example/page"], {}, /not an origin/],
  ["every origin", ["--cors", "*"], {}, /not an origin/],
  ["a port that is none", ["--port", "70000"], {}, /--port 70000: too large/],
  ["a share of all", ["--generation-share", "1"], {}, /--generation-share 1: too large/],
  ["no memory", ["--cache-memory", "lots"], {}, /--cache-memory lots: not an amount of memory/],
];

for (const [name, args, environment, message] of REFUSED) {
  Deno.test(`serve refuses ${name}`, () => {
    const problem = assertThrows(() => options(args, environment), InputError);
    assertEquals(problem.message.match(message) !== null, true, problem.message);
  });
}

Deno.test("without flags the server is this machine's own and open", () => {
  const { host, port, isLocal, tokens, cors } = options([])!;
  assertEquals({ host, port, isLocal, tokens, cors }, {
    host: "127.0.0.1",
    port: 8000,
    isLocal: true,
    tokens: undefined,
    cors: [],
  });
});

Deno.test("with both tokens any host is served, and tokens hold on this machine too", () => {
  const tokens = { generation: "generation", admin: "admin" };
  assertEquals(options(["--host", "0.0.0.0"], TOKENS)?.tokens, tokens);
  assertEquals(options([], TOKENS)?.tokens, tokens);
});
