/**
 * A way to a server that can be broken: passes connections on to a port, and cuts them when a test says so.
 *
 * @module
 */

/** Connections that can be cut. */
export class BreakableWay {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  /** Where browsers go. */
  readonly url = `http://127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;

  /** @param port Where the server listens. */
  constructor(private readonly port: number) {
    this.#accept();
  }

  /** Cuts all connections that are open. */
  cut(): void {
    for (const connection of this.#open) close(connection);
    this.#open.clear();
  }

  /** Cuts all, and takes no more. */
  close(): void {
    this.#listener.close();
    this.cut();
  }

  async #accept(): Promise<void> {
    for await (const from of this.#listener) this.#join(from);
  }

  async #join(from: Deno.Conn): Promise<void> {
    const to = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    this.#open.add(from).add(to);
    const ends = [from.readable.pipeTo(to.writable), to.readable.pipeTo(from.writable)];
    await Promise.allSettled(ends);
    for (const connection of [from, to]) this.#open.delete(connection);
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // it was closed from the other end
  }
}
