// ModelHosts: puts simulated kernels behind Deno.connect and Deno.listen, with an address for each client.
import {
  type KernelLink,
  kernelLink,
  type KernelOptions,
  type KernelSocket,
} from "./model_kernel.ts";

/** Connections that wait to be accepted; one more is dropped, and tries again a second later. */
const BACKLOG = 511;
const RETRY_MS = 1000;

interface Door {
  /** False when no more can wait. */
  readonly come: (socket: KernelSocket) => boolean;
}

/**
 * A network for the whole process, until it is disposed. A dial of a host comes from the address of
 * that name: so many clients of one process stand behind as many addresses as a scene wants, and
 * each reaches each listener.
 */
export class ModelHosts implements Disposable {
  readonly links: Set<KernelLink> = new Set<KernelLink>();
  /**
   * Address of a balancer in front of all listeners: it sends them the client's address, by the
   * header of the PROXY protocol, and comes itself without one.
   */
  balancer: string | undefined;
  readonly #options: KernelOptions;
  readonly #doors = new Map<number, Door>();
  readonly #before = {
    connect: Deno.connect,
    listen: Deno.listen,
    readTextFileSync: Deno.readTextFileSync,
  };
  #nextPort = 20_000;
  #dials = 0;

  constructor(options: KernelOptions) {
    this.#options = options;
    const { readTextFileSync } = this.#before;
    Object.assign(Deno, {
      connect: (target: Deno.ConnectOptions & { signal?: AbortSignal }) => this.#connect(target),
      listen: (target: { port: number }) => this.#listen(target.port),
      // What the system reports about its sockets.
      readTextFileSync: (path: string | URL) =>
        path === "/proc/net/tcp"
          ? this.#table()
          : path === "/proc/net/tcp6"
          ? ""
          : readTextFileSync.call(Deno, path),
    });
  }

  [Symbol.dispose](): void {
    Object.assign(Deno, this.#before);
  }

  /** Sockets that a program holds, and dials under way. */
  get open(): number {
    let open = this.#dials;
    for (const { near, far } of this.links) open += Number(!near.isClosed) + Number(!far.isClosed);
    return open;
  }

  /** Doors that are open. */
  get listening(): number {
    return this.#doors.size;
  }

  /** The connections of a listener. */
  *of(port: number): Generator<KernelLink> {
    for (const link of this.links) if (link.far.localAddr.port === port) yield link;
  }

  /** Forgets connections that are over. */
  sweep(): void {
    for (const link of this.links) {
      if (link.near.isClosed && link.far.isClosed) this.links.delete(link);
    }
  }

  async #connect(
    { hostname = "127.0.0.1", port, signal }: Deno.ConnectOptions & { signal?: AbortSignal },
  ) {
    const { clock, latencyMs = 1 } = this.#options;
    const { promise: aborted, resolve: onAbort } = Promise.withResolvers<void>();
    signal?.addEventListener("abort", () => onAbort(), { once: true });
    this.#dials++;
    try {
      for (let waitMs = 2 * latencyMs;; waitMs = RETRY_MS) {
        await new Promise<void>((resolve) => {
          const cancel = clock.after(waitMs, resolve);
          void aborted.then(() => (cancel(), resolve()));
        });
        if (signal?.aborted) throw new Deno.errors.Interrupted("operation canceled");
        const door = this.#doors.get(port);
        if (door === undefined) throw new Deno.errors.ConnectionRefused("No program listens there");
        const near: Deno.NetAddr = {
          transport: "tcp",
          hostname: this.balancer ?? hostname,
          port: this.#nextPort++,
        };
        const link = kernelLink(this.#options, near, {
          transport: "tcp",
          hostname: "127.0.0.1",
          port,
        });
        if (!door.come(link.far)) continue;
        this.links.add(link);
        if (this.balancer !== undefined && hostname !== this.balancer) {
          await link.near.write(
            new TextEncoder().encode(`PROXY TCP4 ${hostname} 127.0.0.1 ${near.port} ${port}\r\n`),
          );
        }
        // What Deno does when the signal aborts as the socket comes up: the socket is lost.
        await new Promise<void>((resolve) => clock.after(1, resolve));
        signal?.throwIfAborted();
        return link.near;
      }
    } finally {
      this.#dials--;
    }
  }

  #listen(wanted: number): Deno.TcpListener {
    const port = wanted === 0 ? this.#nextPort++ : wanted;
    if (this.#doors.has(port)) throw new Deno.errors.AddrInUse("The port is taken");
    const waiting: KernelSocket[] = [];
    let acceptor: PromiseWithResolvers<KernelSocket> | undefined;
    this.#doors.set(port, {
      come(socket) {
        if (waiting.length >= BACKLOG) return false;
        if (acceptor === undefined) return waiting.push(socket) > 0;
        acceptor.resolve(socket);
        acceptor = undefined;
        return true;
      },
    });
    const listener = {
      addr: { transport: "tcp" as const, hostname: "127.0.0.1", port },
      accept(): Promise<KernelSocket> {
        const socket = waiting.shift();
        if (socket !== undefined) return Promise.resolve(socket);
        acceptor = Promise.withResolvers();
        return acceptor.promise;
      },
      close: () => {
        this.#doors.delete(port);
        // Who waits to be accepted is reset.
        for (const socket of waiting.splice(0)) socket.reset();
        acceptor?.reject(new Deno.errors.BadResource("The listener was closed"));
        acceptor = undefined;
      },
      ref() {},
      unref() {},
    };
    return listener as unknown as Deno.TcpListener;
  }

  /** As /proc/net/tcp shows it: what each socket's kernel holds until the other has it. */
  #table(): string {
    const rows = ["  sl  local_address rem_address   st tx_queue rx_queue"];
    for (const { near, far } of this.links) {
      for (const socket of [near, far]) {
        const { localAddr, remoteAddr, unacknowledgedBytes } = socket;
        const waiting = `${hex(unacknowledgedBytes, 8)}:00000000`;
        rows.push(
          `   0: ${place(localAddr)} ${place(remoteAddr)} 01 ${waiting} 00:00000000 00000000`,
        );
      }
    }
    return rows.join("\n");
  }
}

function place({ hostname, port }: Deno.NetAddr): string {
  const octets = hostname.split(".").map(Number).reverse();
  return `${octets.map((octet) => hex(octet, 2)).join("")}:${hex(port, 4)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}
