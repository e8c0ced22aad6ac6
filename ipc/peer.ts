// pairIpc(): the same code in two processes. The first listens, the second connects.
import { isPermanentFailure } from "../client/permanent_failure.ts";
import { checkOptionNames } from "../options/names.ts";
import { Backoff } from "../async/backoff.ts";
import { keepConnected, type LinkEnd, type LoopEnd } from "../async/keep_connected.ts";
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
import type { IpcQueryHandler } from "./link/query_context.ts";
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

/** What decides the role of this process: a link to the one that listens, or a place to listen. */
type WonRole =
  | { readonly role: "client"; readonly link: IpcLink }
  | { readonly role: "server"; readonly claim: Claim };

/** The current role. */
type RoleState =
  | { readonly role: "client" }
  | { readonly role: "server"; readonly acceptor: ClientAcceptor };

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
    const decided = Promise.withResolvers<null>();
    const loop = this.#runRoleLoop(() => decided.resolve(null));
    const end = await Promise.race([decided.promise, loop]);
    signal?.removeEventListener("abort", onAbort);
    if (end !== null) {
      const error = end.kind === "aborted" ? this.#parts.stopping.signal.reason : errorOf(end);
      await this.leave("error", error as Error);
      throw error;
    }
    this.#parts.closeOnAbort(signal, () => this.close());
    void loop.then((end) => this.#onLoopEnd(end));
  }

  /**
   * Decides the roles, and decides them anew when the listening process has gone. Calls `onRole`
   * for each role of this process. Resolves with why it ended. Never rejects.
   */
  #runRoleLoop(onRole: () => void): Promise<LoopEnd> {
    const { backoff, given } = this.#pairing;
    const { repeatedFailure, stopping: { signal } } = this.#parts;
    return keepConnected<WonRole>({
      signal,
      // Delays are random: the processes must not all try at once.
      backoff: given.reconnect === false ? null : backoff,
      firstBackoff: backoff,
      countsLinks: false, // a process that listens alone has no link yet
      connect: () => this.#connectOrListen(),
      discard: (won) => won.role === "client" ? won.link.abort(signal.reason) : won.claim.release(),
      use: (won) => this.#play(won, onRole),
      classify: ({ phase, isFirst, error }) => {
        // A server turned this process out.
        if (phase === "link") return { error, isPermanent: isPermanentFailure(error) };
        const failure = repeatedFailure.classify(error, { first: isFirst, limited: false });
        return { error: failure.error, isPermanent: failure.final, delayMs: failure.delayMs };
      },
      onRetry: () => {}, // RepeatedFailure logs attempts that failed
    });
  }

  /** Connects, or listens where no process does. */
  async #connectOrListen(): Promise<WonRole> {
    const { given: { tls } } = this.#pairing;
    const { linkOptions, tally, stopping: { signal } } = this.#parts;
    try {
      const link = await openLink(
        { ...this.#pairing, tls: tls?.client, linkOptions, tally },
        signal,
      );
      return { role: "client", link };
    } catch (error) {
      if (signal.aborted || (error as ParleyError).code !== "ERR_CONNECT_REFUSED") throw error;
    }
    // Throws when another process was faster: the next attempt connects to it.
    return { role: "server", claim: await claimEndpoint({ ...this.#pairing, tls: tls?.server }) };
  }

  /** Plays a role until the roles must be decided anew. */
  async #play(won: WonRole, onRole: () => void): Promise<LinkEnd> {
    const playing = won.role === "client" ? this.#connectTo(won.link) : this.#listen(won.claim);
    onRole();
    const { error, unsentBytes } = await playing;
    const goesOn = !this.#parts.stopping.signal.aborted && !isPermanentFailure(error);
    if (goesOn && this.#pairing.given.reconnect !== false) {
      this.#roleState = null;
      this.#parts.statuses.push("reconnecting", { error: error ?? undefined, unsentBytes });
    }
    return { error, wasUsed: false };
  }

  /** Resolves when the link has ended. */
  #connectTo(link: IpcLink): Promise<LinkOutcome> {
    this.#roleState = { role: "client" }; // before the status that goes with it
    this.#attach(link);
    return this.#parts.watch(link);
  }

  /** Resolves when another process listens, or when a loss of the other process ends the pair. */
  #listen(claim: Claim): Promise<LinkOutcome> {
    const over = Promise.withResolvers<LinkOutcome>();
    const acceptor = this.#receive(claim, over);
    void claim.lost.then(async (error) => {
      const link = this.#parts.current.link;
      link?.abort(error);
      await link?.closed;
      acceptor.stop();
      over.resolve({ error, unsentBytes: 0, cutInside: false });
    });
    this.#parts.repeatedFailure.clear();
    this.#roleState = { role: "server", acceptor }; // before the status that goes with it
    this.#parts.statuses.push("listening");
    return over.promise;
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

  /** No call waits for another role: what ended the attempts is reported. */
  async #onLoopEnd(end: LoopEnd): Promise<void> {
    if (end.kind === "aborted") return;
    if (end.kind === "notRetried") {
      return await this.leave("disconnected", end.error as Error | null);
    }
    const error = errorOf(end) as Error | null ?? new Error("Cannot connect again");
    this.#parts.resolved.reporter.report(error, "connect");
    await this.leave("error", error);
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

/** Returns why the attempts ended. */
function errorOf(end: LoopEnd): unknown {
  return end.kind === "policyFailed" ? end.mistake : end.error;
}
