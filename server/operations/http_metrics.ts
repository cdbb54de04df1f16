/**
 * Metrics of HTTP itself: how many requests, how long, how many at once, by pattern of route (never by path, which
 * clients choose).
 *
 * @module
 */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { METHODS } from "../http/well_formed.ts";
import { REQUEST_SECONDS } from "./buckets.ts";

/** A request that has been answered. */
export interface AnsweredRequest {
  /** HTTP method. */
  readonly method: string;
  /** The pattern of its route, such as `/v1/training/jobs/:id`. */
  readonly route: string;
  /** HTTP status. */
  readonly status: number;
  /** From its arrival to the last byte of its response. */
  readonly seconds: number;
  /** Of the response's body. */
  readonly bytes: number;
}

/** Counts requests. */
export class HttpMetrics {
  readonly #seconds: Histogram<"method" | "route" | "status">;
  readonly #bytes: Counter<"route">;
  readonly #inFlight: Gauge;

  /** Registers the metrics. */
  constructor(registry: Registry) {
    const registers = [registry];
    this.#seconds = new Histogram({
      name: "sinter_http_request_seconds",
      help: "Time from a request's arrival to the last byte of its response.",
      labelNames: ["method", "route", "status"],
      buckets: REQUEST_SECONDS,
      registers,
    });
    this.#bytes = new Counter({
      name: "sinter_http_response_bytes_total",
      help: "Bytes of response bodies.",
      labelNames: ["route"],
      registers,
    });
    this.#inFlight = new Gauge({
      name: "sinter_http_requests_in_flight",
      help: "Requests that are being answered, streams included.",
      registers,
    });
  }

  /** A request has come. */
  begin(): void {
    this.#inFlight.inc();
  }

  /** A request that came has been answered. */
  end({ method, route, status, seconds, bytes }: AnsweredRequest): void {
    this.#inFlight.dec();
    const labels = { method: METHODS.includes(method) ? method : "other", route, status: String(status) };
    this.#seconds.observe(labels, seconds);
    this.#bytes.inc({ route }, bytes);
  }
}
