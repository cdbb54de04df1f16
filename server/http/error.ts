/**
 * The one form in which requests are refused. It is that of OpenAI's API, so its clients understand every error of this
 * server: `{"error": {"message", "type", "code", "param"}}`.
 *
 * @module
 */

/** Facts of a refusal besides status, code and message. */
export interface ApiErrorDetails {
  /** Field of the request that is wrong, such as `maxTokens`. */
  readonly param?: string;
  /** Seconds after which to try again; sent as `Retry-After`. */
  readonly retryAfter?: number;
}

/** A request that cannot be answered, with the HTTP status that says so. */
export class ApiError extends Error {
  /** Name of the class. */
  override readonly name = "ApiError";

  /**
   * Makes a refusal.
   *
   * @param status HTTP status, 4xx or 5xx.
   * @param code A short name for programs, such as `unknown_model`.
   * @param message One line that names the input and the remedy.
   */
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: ApiErrorDetails = {},
  ) {
    super(message);
  }

  /** Kind of error in OpenAI's terms. */
  get type(): string {
    if (this.status === 401) return "authentication_error";
    if (this.status === 403) return "permission_error";
    if (this.status === 404) return "not_found_error";
    if (this.status === 429) return "rate_limit_error";
    return this.status < 500 ? "invalid_request_error" : "server_error";
  }

  /** The body of the response. */
  toJSON(): { error: { message: string; type: string; code: string; param: string | null } } {
    const { message, type, code, details: { param = null } } = this;
    return { error: { message, type, code, param } };
  }
}
