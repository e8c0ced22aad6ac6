// pairIpc(): the same code in two processes. The first listens, the second connects.
import { isPermanentFailure } from "../client/permanent_failure.ts";
import { checkOptionNames } from "../options/names.ts";
import { Backoff } from "../async/backoff.ts";
import { pause } from "../async/pause.ts";
import { ChannelParts, IpcChannel } from "./channel.ts";
import type { ParleyError } from "../errors.ts";
import { checkFunction } from "../options/check.ts";
import type { Incoming } from "../net/transport/transport.ts";
import { loadTelemetry, lookForTelemetry } from "../stats/telemetry/telemetry.ts";
import type { Claim } from "./endpoint/claim.ts";
import { type Endpoint, findEndpoint } from "./endpoint/endpoint.ts";
import type { IpcReceiveOptions } from "./link/inbox.ts";
import { IpcLink } from "./link/link.ts";
import type { LinkOutcome } from "./link/state.ts";
import { ClosingReason } from "./protocol/frames.ts";
import { claimEndpoint } from "./endpoint/network.ts";
import { openLink } from "./connect.ts";
import type { IpcQueryHandler } from "./link/options.ts";
import { type ResolvedIpcOptions, resolveIpcOptions } from "./options.ts";
import { type IpcPairOptions, type IpcRole, PAIR_NAMES, PAIR_RECONNECT } from "./pair_options.ts";
import { probe } from "./link/pings.ts";
import { ClientAcceptor } from "./client_acceptor.ts";
import { SecretSource } from "./endpoint/secrets.ts";
import type { FrameLink } from "./secure/frame_link.ts";
import type { IpcStatus } from "./observe/status.ts";

/**
 * Joins a pair of processes that run the same code. Resolves as soon as this process has its role:
 * alone it listens, and waits for the other process. When the listening process ends, the other
 * takes over.
 *
 * @param onQuery answers the other process's queries; an empty answer is an answer
 * @throws {TypeError | RangeError} when an option is wrong; nothing was opened then
 * @throws {RemoteError} `ERR_BUSY` when the pair has its two processes
 * @throws {AuthError} `ERR_AUTH`, {AddressError} `ERR_NOT_OUR_PROTOCOL` and others: see
 * `connectIpc` and `listenIpc`
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

/** What {@linkcode pairIpc} passes to an {@linkcode IpcPeer}. */
interface PeerParts {
  readonly resolved: ResolvedIpcOptions;
  readonly endpoint: Endpoint;
  readonly secrets: SecretSource;
  readonly backoff: Backoff;
  readonly given: IpcPairOptions;
  readonly onQuery: IpcQueryHandler;
}

/** The role of this process. `over` resolves when the roles must be decided anew. */
type RoleState =
  | { readonly role: "client"; readonly link: IpcLink; readonly over: Promise<LinkOutcome> }
  | { readonly role: "server"; readonly acceptor: ClientAcceptor; readonly over: Promise<LinkOutcome> };

/** One process of a pair; {@linkcode pairIpc} makes it. Its calls may be made concurrently. */
export class IpcPeer extends IpcChannel {
  readonly #pairing: PeerParts;
  readonly #parts: ChannelParts;
  #roleState: RoleState | null = null;

  /** @ignore use {@linkcode pairIpc} */
  constructor(pairing: PeerParts) {
    const parts = new ChannelParts(pairing.resolved, pairing.onQuery);
    super("peer", parts);
    this.#pairing = pairing;
    this.#parts = parts;
  }

  /** The role of this process; `null` while it is decided anew. */
  get role(): IpcRole | null {
    return this.#roleState?.role ?? null;
  }

  /**
   * Waits until the other process is there.
   *
   * @throws {TimeoutError} `ERR_CONNECT_TIMEOUT` when it was not within `timeoutMs`
   */
  connected(options: IpcReceiveOptions = {}): Promise<void> {
    return this.#parts.current.whenLinked(options);
  }

  /** @ignore part of {@linkcode pairIpc} */
  async start(): Promise<void> {
    const { signal } = this.#pairing.given;
    const onAbort = () => this.#parts.stopping.abort(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#parts.statuses.push("connecting");
    try {
      this.#roleState = await this.#decide({ first: true });
    } catch (error) {
      await this.leave("error", error as Error);
      throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    this.#parts.closeOnAbort(signal, () => this.close());
    void this.#keepUp();
  }

  /** Tries to connect, and to listen where no process does, until one of the two works. */
  async #decide({ first }: { first: boolean }): Promise<RoleState> {
    const { backoff } = this.#pairing;
    const { signal } = this.#parts.stopping;
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
          problem = error; // another process was faster: connect to it
        }
      }
      signal.throwIfAborted();
      const failure = this.#parts.repeatedFailure.classify(problem, { first, limited: false });
      if (failure.final) throw failure.error;
      const delayMs = failure.delayMs ?? backoff.failed(failure.error, performance.now(), Math.random());
      if (delayMs === null) throw failure.error;
      await pause(delayMs, signal);
      signal.throwIfAborted();
    }
  }

  async #tryToConnect(): Promise<RoleState> {
    const { linkOptions, tally, stopping: { signal } } = this.#parts;
    const tls = this.#pairing.given.tls?.client;
    const link = await openLink({ ...this.#pairing, tls, linkOptions, tally }, signal);
    if (signal.aborted) {
      link.abort(signal.reason);
      throw signal.reason;
    }
    const over = this.#parts.watch(link);
    this.#roleState = { role: "client", link, over }; // before the status that goes with it
    this.#attach(link);
    return this.#roleState;
  }

  async #tryToListen(): Promise<RoleState> {
    const { signal } = this.#parts.stopping;
    const claim = await claimEndpoint({ ...this.#pairing, tls: this.#pairing.given.tls?.server });
    if (signal.aborted) {
      claim.release();
      throw signal.reason;
    }
    const over = Promise.withResolvers<LinkOutcome>();
    const acceptor = this.#receive(claim, over);
    void claim.lost.then(async (error) => {
      // Another process listens: the roles are decided anew.
      const link = this.#parts.current.link;
      link?.abort(error);
      await link?.closed;
      acceptor.stop();
      over.resolve({ error, unsentBytes: 0, cutInside: false });
    });
    this.#parts.repeatedFailure.clear();
    this.#roleState = { role: "server", acceptor, over: over.promise }; // before the status that goes with it
    this.#parts.statuses.push("listening");
    return this.#roleState;
  }

  #receive(claim: Claim, over: PromiseWithResolvers<LinkOutcome>): ClientAcceptor {
    const { resolved, secrets, given } = this.#pairing;
    const { current, linkOptions, tally } = this.#parts;
    const onFrames = async (frames: FrameLink, _incoming: Incoming) => {
      const link = new IpcLink(frames, linkOptions);
      if (current.link !== null) await probe(current.link); // a link that does not read sees no end
      if (current.link !== null || this.#parts.stopping.signal.aborted) {
        const reason = current.link !== null ? ClosingReason.busy : ClosingReason.done;
        tally.counters.connectionsRefused++;
        await link.refuse(reason, resolved.handshakeTimeoutMs).catch(() => {});
        return;
      }
      this.#attach(link);
      link.start();
      const end = await this.#parts.watch(link);
      if (this.#parts.stopping.signal.aborted) return;
      if (given.reconnect === false) over.resolve(end);
      else {this.#parts.statuses.push("listening", {
          error: end.error ?? undefined,
          unsentBytes: end.unsentBytes,
        });}
    };
    const { failedHandshakes: failed } = this.#parts;
    return new ClientAcceptor({
      ...{ resolved, claim, secrets, maxClients: 2, maxPending: 16, onFrames },
      tally: { counters: tally.counters, failed },
    });
  }

  #attach(link: IpcLink): void {
    this.#pairing.backoff.connected(performance.now());
    this.#parts.attach(link);
  }

  /** Decides the roles anew whenever the listening process has gone. */
  async #keepUp(): Promise<void> {
    const { backoff, given } = this.#pairing;
    const { signal } = this.#parts.stopping;
    try {
      for (;;) {
        const end = await this.#roleState!.over;
        if (signal.aborted) return;
        const details = { error: end.error ?? undefined, unsentBytes: end.unsentBytes };
        if (given.reconnect === false) return await this.leave("disconnected", end.error);
        if (isPermanentFailure(end.error)) throw end.error; // turned out by a server
        this.#roleState = null;
        this.#parts.statuses.push("reconnecting", details);
        // A random moment: the others must not all try at once.
        const delayMs = backoff.failed(end.error, performance.now(), Math.random());
        if (delayMs === null) throw end.error ?? new Error("Cannot connect again");
        await pause(delayMs, signal);
        if (signal.aborted) return;
        this.#roleState = await this.#decide({ first: false });
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#parts.resolved.reporter.report(error, "connect");
      await this.leave("error", error as Error);
    }
  }

  /** @ignore lets no other process in */
  protected override stopAccepting(): void {
    if (this.#roleState?.role === "server") this.#roleState.acceptor.stop();
  }

  /** @ignore leaves the pair */
  protected async leave(status: IpcStatus, error: Error | null): Promise<void> {
    this.#parts.stop(error);
    this.stopAccepting();
    if (this.#roleState?.role === "server") await this.#roleState.acceptor.finished();
    this.#parts.end(status, error);
  }
}
