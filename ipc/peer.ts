// pairIpc(): the same code in two processes; who comes first listens, who comes second connects, and again after each loss.
import { isFinal } from "../client/final_errors.ts";
import { checkOptionNames } from "../options/names.ts";
import { Backoff } from "../async/backoff.ts";
import { sharedSweeper } from "../async/sweeper.ts";
import { pause } from "../async/pause.ts";
import { ClosedError, type ParleyError } from "../errors.ts";
import { checkFunction } from "../options/check.ts";
import type { Incoming } from "../net/transport/transport.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry/telemetry.ts";
import type { IpcQueryOptions } from "./link/outgoing_queries.ts";
import type { Claim } from "./endpoint/claim.ts";
import { type Endpoint, findEndpoint } from "./endpoint/endpoint.ts";
import { type IpcReceiveOptions, iterate } from "./link/inbox.ts";
import { IpcLink } from "./link/link.ts";
import { type IpcMessage, LinkSlot } from "./current_link.ts";
import type { IpcStats } from "../stats/data/snapshots.ts";
import type { LinkEnd } from "./link/link_types.ts";
import { ClosingReason } from "./protocol/frames.ts";
import { claimEndpoint } from "./endpoint/network.ts";
import { type IpcQueryHandler, linkOptions, openLink } from "./connect.ts";
import { refuseClose, type ResolvedIpcOptions, resolveIpcOptions } from "./options.ts";
import { type IpcPairOptions, type IpcRole, PAIR_NAMES, PAIR_RECONNECT } from "./pair_options.ts";
import { probe } from "./probe.ts";
import { Reception } from "./client_acceptor.ts";
import { SecretSource } from "./endpoint/secrets.ts";
import type { FrameLink } from "./secure/frame_link.ts";
import type { HandshakeReason } from "./secure/hello.ts";
import { shortestMs } from "./link/shortest.ts";
import { type IpcStatus, type IpcStatusEvent, StatusFeed } from "./observe/status.ts";
import { Suspicion } from "./connect_failures.ts";

/**
 * Joins a pair of processes that run the same code. Resolves as soon as this process has its role: alone it listens, and waits for the
 * other. When the listening one goes, the other takes over.
 *
 * @param onQuery answers the other process's queries; an empty answer is an answer
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 * @throws {RemoteError} `ERR_BUSY` when the pair has its two processes
 * @throws {AuthError} `ERR_AUTH`, {AddressError} `ERR_NOT_OUR_PROTOCOL` and others: see `connectIpc` and `listenIpc`
 *
 * @example
 * ```ts
 * import { pairIpc } from "@parley/parley/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const name = `doc-${Deno.pid}-c`;
 * await using one = await pairIpc({ name }, (data) => data);
 * await using two = await pairIpc({ name }, () => "from two");
 * assertEquals(await two.query(new Uint8Array([1, 2])), new Uint8Array([1, 2]));
 * assertEquals(new TextDecoder().decode(await one.query("")), "from two");
 * ```
 */
export async function pairIpc(options: IpcPairOptions, onQuery: IpcQueryHandler): Promise<IpcPeer> {
  const keepaliveMs = (queryTimeoutMs: number) => Math.max(1, Math.floor(queryTimeoutMs / 2));
  checkOptionNames("Cannot pair", options, PAIR_NAMES);
  const resolved = resolveIpcOptions("Cannot pair", options, { keepaliveMs });
  checkFunction(resolved.action, "onQuery", onQuery);
  const { reconnect = {}, signal } = options;
  const backoff = new Backoff({ ...PAIR_RECONNECT, ...(reconnect === false ? {} : reconnect) });
  signal?.throwIfAborted();
  if (lookForTelemetry()) await loadTelemetry();
  const endpoint = await findEndpoint(resolved.action, options);
  const secrets = new SecretSource(resolved, endpoint);
  const peer = new IpcPeer({ resolved, endpoint, secrets, backoff, given: options, onQuery });
  await peer.start();
  return peer;
}

/** What an {@linkcode IpcPeer} is made of. */
interface PeerParts {
  readonly resolved: ResolvedIpcOptions;
  readonly endpoint: Endpoint;
  readonly secrets: SecretSource;
  readonly backoff: Backoff;
  readonly given: IpcPairOptions;
  readonly onQuery: IpcQueryHandler;
}

/** A role that is being played. `over` resolves when it has to be decided anew. */
type Play =
  | { readonly role: "client"; readonly link: IpcLink; readonly over: Promise<LinkEnd> }
  | { readonly role: "server"; readonly reception: Reception; readonly over: Promise<LinkEnd> };

/**
 * One process of a pair; {@linkcode pairIpc} makes it.
 *
 * `write`, `read` and `query` may be called concurrently: messages and queries leave in the order of the calls, and
 * each received message goes to the call that has waited longest.
 */
export class IpcPeer implements AsyncDisposable, AsyncIterable<IpcMessage> {
  /** Name of the channel. */
  readonly name: string;
  /** Resolves when this process has left the pair. Never rejects. */
  readonly closed: Promise<void>;
  readonly #parts: PeerParts;
  readonly #slot: LinkSlot;
  readonly #statuses = new StatusFeed((event) => this.#parts.resolved.reporter.told(this.name, event));
  readonly #suspicion: Suspicion;
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #stopping = new AbortController();
  /** Handshakes that failed while it listened, by reason. */
  readonly #failed: Partial<Record<HandshakeReason, number>> = {};
  #play: Play | null = null;
  #close: Promise<void> | null = null;

  /** @ignore use {@linkcode pairIpc} */
  constructor(parts: PeerParts) {
    this.#parts = parts;
    this.name = parts.given.name;
    this.closed = this.#closed.promise;
    this.#slot = new LinkSlot(parts.resolved);
    this.#suspicion = new Suspicion(this.name, parts.resolved.reporter);
  }

  /** The part of this process; `null` while it is decided anew. */
  get role(): IpcRole | null {
    return this.#play?.role ?? null;
  }

  /** What this process is doing: `listening` alone, `connected` as a pair. */
  get status(): IpcStatus {
    return this.#statuses.status;
  }

  /** Iterates over the changes of status, from the current one to the last. */
  statuses(): AsyncIterableIterator<IpcStatusEvent, undefined> {
    return this.#statuses.watch();
  }

  /** What it has done so far, over all connections and by day. */
  stats(): IpcStats {
    const { name, status: state } = this;
    const { recent } = this.#parts.resolved.reporter;
    return this.#slot.tally.snapshot({
      role: "peer",
      name,
      state,
      address: null,
      failed: this.#failed,
      recent,
    });
  }

  /**
   * Waits until the other process is there.
   *
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when it was not within `timeoutMs`
   */
  connected(options: IpcReceiveOptions = {}): Promise<void> {
    return this.#slot.whenLinked(options);
  }

  /**
   * Asks the other process. Alone it waits for one, as long as for the answer. A query is sent once: when the connection is lost
   * it fails, and was answered or not.
   *
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when no process was there in time, `ERR_READ_TIMEOUT` when no answer came in time
   * @throws {RemoteError} when the other handler failed: its code, `ERR_HANDLER` mostly
   * @throws {ClosedError} when the connection was lost, or this side has closed
   */
  query(data: Uint8Array | string, options?: IpcQueryOptions): Promise<Uint8Array> {
    return this.#slot.query(data, options);
  }

  /** Writes a message, as `IpcClient.write` does. */
  send(type: number, data: Uint8Array | string): Promise<void> {
    return this.#slot.send(type, data);
  }

  /** Resolves when the other process has received all that was written before; rejects once for each loss. */
  flush(): Promise<void> {
    return this.#slot.flush();
  }

  /** Waits for the next message; `null` at the end. A wait that ends early loses no message. */
  receive(options?: IpcReceiveOptions): Promise<IpcMessage | null> {
    return this.#slot.receive(options);
  }

  /** Iterates over the messages, whatever process the other is. */
  [Symbol.asyncIterator](): AsyncIterableIterator<IpcMessage, undefined> {
    return iterate(() => this.receive());
  }

  /** Leaves the pair in order, as `IpcClient.close` does. Idempotent. */
  close(options: { timeoutMs?: number | undefined } = {}): Promise<void> {
    const refused = refuseClose(options);
    if (refused !== null) return refused;
    this.#close ??= this.#drain(options);
    this.#close.catch(() => {});
    return this.#close;
  }

  /** Leaves now; whatever waits rejects with `reason`. */
  abort(reason: Error): void {
    this.#stopping.abort(reason);
    this.#slot.link?.abort(reason);
    void this.#leave("error", reason);
  }

  /** Leaves in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @ignore part of {@linkcode pairIpc} */
  async start(): Promise<void> {
    const { signal } = this.#parts.given;
    const onAbort = () => this.#stopping.abort(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#statuses.push("connecting");
    try {
      this.#play = await this.#decide({ first: true });
    } catch (error) {
      await this.#leave("error", error as Error);
      throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    if (signal !== undefined) {
      const close = () => void this.close().catch(() => {});
      signal.addEventListener("abort", close, { once: true });
      void this.closed.then(() => signal.removeEventListener("abort", close));
    }
    void this.#keepUp();
  }

  /** Tries to connect, and where none listens, to listen, until one of the two works. */
  async #decide({ first }: { first: boolean }): Promise<Play> {
    const { backoff } = this.#parts;
    const { signal } = this.#stopping;
    for (;;) {
      let problem: unknown;
      try {
        return await this.#tryToConnect();
      } catch (error) {
        problem = error;
      }
      if (!signal.aborted && (problem as ParleyError).code === "ERR_CONNECT_REFUSED") {
        try {
          return await this.#tryToListen();
        } catch (error) {
          problem = error; // who lost the race connects
        }
      }
      signal.throwIfAborted();
      const failure = this.#suspicion.judge(problem, { first, limited: false });
      if (failure.final) throw failure.error;
      const delayMs = failure.delayMs ?? backoff.failed(failure.error, performance.now(), Math.random());
      if (delayMs === null) throw failure.error;
      await pause(delayMs, signal);
      signal.throwIfAborted();
    }
  }

  async #tryToConnect(): Promise<Play> {
    const { given, onQuery } = this.#parts;
    const { signal } = this.#stopping;
    const link = await openLink(
      { ...this.#parts, tls: given.tls?.client, onQuery, slot: this.#slot },
      signal,
    );
    if (signal.aborted) {
      link.abort(signal.reason);
      throw signal.reason;
    }
    const over = this.#watch(link);
    this.#play = { role: "client", link, over }; // before the status that goes with it
    this.#attach(link);
    return this.#play;
  }

  async #tryToListen(): Promise<Play> {
    const { signal } = this.#stopping;
    const claim = await claimEndpoint({ ...this.#parts, tls: this.#parts.given.tls?.server });
    if (signal.aborted) {
      claim.release();
      throw signal.reason;
    }
    const over = Promise.withResolvers<LinkEnd>();
    const reception = this.#receive(claim, over);
    void claim.lost.then(async (error) => {
      // Another process listens: the roles are decided anew.
      const link = this.#slot.link;
      link?.abort(error);
      await link?.closed;
      reception.stop();
      over.resolve({ error, unsentBytes: 0, cutInside: false });
    });
    this.#suspicion.clear();
    this.#play = { role: "server", reception, over: over.promise }; // before the status that goes with it
    this.#statuses.push("listening");
    return this.#play;
  }

  #receive(claim: Claim, over: PromiseWithResolvers<LinkEnd>): Reception {
    const { resolved, secrets, given } = this.#parts;
    const onFrames = async (frames: FrameLink, _incoming: Incoming) => {
      const link = new IpcLink(frames, linkOptions(resolved, this.#slot, this.#parts.onQuery));
      if (this.#slot.link !== null) await probe(this.#slot.link); // a link that does not read sees no end
      if (this.#slot.link !== null || this.#stopping.signal.aborted || this.#close !== null) {
        const reason = this.#slot.link !== null ? ClosingReason.busy : ClosingReason.done;
        this.#slot.tally.counters.connectionsRefused++;
        await link.refuse(reason, resolved.handshakeTimeoutMs).catch(() => {});
        return;
      }
      this.#attach(link);
      link.start();
      const end = await this.#watch(link);
      if (this.#close !== null) return;
      if (given.reconnect === false) over.resolve(end);
      else this.#statuses.push("listening", { error: end.error ?? undefined, unsentBytes: end.unsentBytes });
    };
    const tally = { counters: this.#slot.tally.counters, failed: this.#failed };
    return new Reception({ resolved, claim, secrets, maxClients: 2, maxPending: 16, onFrames, tally });
  }

  #attach(link: IpcLink): void {
    this.#suspicion.clear();
    this.#parts.backoff.connected(performance.now());
    this.#slot.attach(link);
    this.#statuses.push("connected");
  }

  /** Resolves when a link has ended, and takes it out. */
  async #watch(link: IpcLink): Promise<LinkEnd> {
    const stopSweeping = sharedSweeper.add(
      (nowMs) => link.tick(nowMs),
      shortestMs(this.#parts.resolved.link),
    );
    const end = await link.closed;
    stopSweeping();
    this.#slot.detach(end);
    return end;
  }

  /** Decides the roles anew whenever the one that listens has gone. */
  async #keepUp(): Promise<void> {
    const { backoff, given } = this.#parts;
    const { signal } = this.#stopping;
    try {
      for (;;) {
        const end = await this.#play!.over;
        if (this.#close !== null || signal.aborted) return;
        const details = { error: end.error ?? undefined, unsentBytes: end.unsentBytes };
        if (given.reconnect === false) return await this.#leave("disconnected", end.error);
        if (isFinal(end.error)) throw end.error; // turned out by a server
        this.#play = null;
        this.#statuses.push("reconnecting", details);
        // A random moment: the others must not all try at once.
        const delayMs = backoff.failed(end.error, performance.now(), Math.random());
        if (delayMs === null) throw end.error ?? new Error("Cannot connect again");
        await pause(delayMs, signal);
        if (signal.aborted) return;
        this.#play = await this.#decide({ first: false });
      }
    } catch (error) {
      if (this.#close !== null || signal.aborted) return;
      this.#parts.resolved.reporter.report(error, "connect");
      await this.#leave("error", error as Error);
    }
  }

  async #drain(options: { timeoutMs?: number | undefined }): Promise<void> {
    this.#statuses.push("closing");
    this.#slot.refuse(null);
    this.#stopReception();
    try {
      await this.#slot.link?.close(options);
      await this.#leave("closed", null);
    } catch (error) {
      await this.#leave("closed", error as Error);
      throw error;
    }
  }

  #stopReception(): Promise<void> {
    if (this.#play?.role !== "server") return Promise.resolve();
    const { reception } = this.#play;
    reception.stop();
    return reception.finished();
  }

  async #leave(status: IpcStatus, error: Error | null): Promise<void> {
    this.#stopping.abort(error ?? new ClosedError("ERR_CLOSED", "Cannot connect: this side was closed"));
    await this.#stopReception();
    this.#slot.end(error);
    this.#statuses.push(status, error === null ? {} : { error });
    this.#closed.resolve();
  }
}
