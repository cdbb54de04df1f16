/**
 * Who may do what. Two tokens: one for generation, and an administrator's for training control and programs, which
 * opens generation too. They arrive as `Authorization: Bearer TOKEN`, and are compared through their hashes in constant
 * time, so that neither their contents nor their lengths leak. Without tokens everything is open, which only a server
 * on this machine's own address may be.
 *
 * The pages are public, hold no data, and ask for a token themselves; they keep it in `sessionStorage` and send it with
 * `fetch`, event streams included.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { ApiError } from "./error.ts";

/** What a token is needed for. */
export type Role = "generation" | "admin";

/** Tokens, as the environment gives them. */
export interface Tokens {
  /** `SINTER_TOKEN` */
  readonly generation: string;
  /** `SINTER_ADMIN_TOKEN` */
  readonly admin: string;
}

/** Decides by a request's token. */
export class Access {
  readonly #hashes: Readonly<Record<Role, Uint8Array>> | undefined;

  /**
   * Keeps the tokens' hashes.
   *
   * @param tokens Left out: everything is open.
   */
  constructor(tokens?: Tokens) {
    this.#hashes = tokens && { generation: hash(tokens.generation), admin: hash(tokens.admin) };
  }

  /** True when everything is open. */
  get isOpen(): boolean {
    return this.#hashes === undefined;
  }

  /** What a token opens; `admin` opens everything. */
  roleOf(token: string): Role | undefined {
    if (!this.#hashes) return "admin";
    const given = hash(token);
    const isAdmin = timingSafeEqual(given, this.#hashes.admin);
    const isGeneration = timingSafeEqual(given, this.#hashes.generation);
    return isAdmin ? "admin" : isGeneration ? "generation" : undefined;
  }

  /**
   * Lets a request pass whose token is good for `role`; otherwise 401 or 403.
   *
   * @internal its type is the framework's
   */
  guard(role: Role): MiddlewareHandler {
    return async (context, next) => {
      if (!this.isOpen) this.#demand(role, context);
      await next();
    };
  }

  #demand(role: Role, context: Context): void {
    const token = bearer(context.req.header("Authorization"));
    const name = role === "admin" ? "SINTER_ADMIN_TOKEN" : "SINTER_TOKEN";
    if (token === undefined) {
      throw new ApiError(401, "missing_token", `This needs the header Authorization: Bearer ${name}.`);
    }
    const given = this.roleOf(token);
    if (given === undefined) {
      throw new ApiError(401, "wrong_token", `The token is not the server's ${name}.`);
    }
    if (role === "admin" && given !== "admin") {
      throw new ApiError(403, "admin_token_needed", `This needs the server's ${name}.`);
    }
  }
}

function bearer(header: string | undefined): string | undefined {
  return header?.match(/^Bearer +(\S+) *$/i)?.[1];
}

function hash(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}
