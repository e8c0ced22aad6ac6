// Claim: takes a unix socket and keeps it; takes over a stale socket, and never a live one.
import { AddressError, ParleyError } from "../../errors.ts";
import type { Listener } from "../../net/transport/transport.ts";
import { type FileId, isSame } from "../../net/socket/unix_files.ts";
import { ChannelLock } from "./channel_lock.ts";
import { checkDirectory, lstat, makeDirectory } from "./directory.ts";
import type { Endpoint } from "./endpoint.ts";
import { RenewableListener } from "./renewable_listener.ts";

/** How often a server looks whether its files are still there, in ms. A look takes some 50 µs. */
export const WATCH_MS = 1000;
/**
 * How long a starter waits for a live server to put back its files, in ms: some looks of that
 * server.
 */
const GRACE_MS = 3 * WATCH_MS;
/** How often a starter looks meanwhile, in ms. */
const GRACE_STEP_MS = 50;
/**
 * Looks in a row at which another holds our lock before the channel counts as lost: a starter holds
 * it for a moment only.
 */
const MAX_CONTESTED = 3;

/** What a claim needs of the network, so that it can be tested without. */
export interface ClaimNet {
  /**
   * Listens at `path`, taking over a stale socket; closing it removes the socket unless it is
   * another's.
   */
  listen(path: string, mode: number): Promise<Listener>;
  /** Whether a program listens at `path`. */
  isLive(path: string): Promise<boolean>;
  /**
   * Whether the kernel knows a listening socket that was bound at `path`, even if its file was
   * removed since.
   */
  isListed(path: string): Promise<boolean>;
}

/** The channel's own key, which is kept and removed together with its socket. */
export interface KeyKeeper {
  /** Makes or loads the key when the channel was claimed. */
  claim(): Promise<void>;
  /** Makes the key's file anew when it has gone. */
  keep(): Promise<void>;
  /** Removes the key's file, as the channel ends. */
  drop(): void;
}

/** How a claim is kept. */
export interface ClaimOptions {
  /** The channel's key, if it has one of its own. */
  readonly key?: KeyKeeper | undefined;
  /**
   * Called, once for each text, with the error by which files that have gone cannot be made anew.
   */
  readonly onFault?: ((error: unknown) => void) | undefined;
  /** Called when files were made anew. */
  readonly onRenewed?: ((what: string) => void) | undefined;
}

/** A socket that is ours until released. */
export interface Claim {
  /** What accepts on it. */
  readonly listener: Listener;
  /**
   * Resolves when another server was found to have the channel, as its files were removed or
   * replaced. Nothing is accepted then.
   */
  readonly lost: Promise<AddressError>;
  /**
   * Looks whether socket, lock and key are in place, and makes anew what is not. Done every second;
   * never rejects.
   */
  check(): Promise<void>;
  /** Stops listening, removes the files that are still ours, and frees the channel. Idempotent. */
  release(): void;
}

/**
 * Makes the socket of a channel ours.
 * ```
 * directory is safe? ─▶ lock ─▶ something there? ─▶ listen ─▶ key
 *                        │ held by another   │ live, no socket, or another user's
 *                        ▼                   ▼
 *                   ERR_ADDRESS_IN_USE   ERR_ADDRESS_IN_USE
 * ```
 * The kernel frees the lock when its holder dies, however that happens: what the dead leave behind
 * is taken over. From then on the claim looks after its files: programs that tidy up remove them
 * from under a live server.
 *
 * @throws {AddressError} `ERR_ADDRESS_IN_USE`, `ERR_ADDRESS_INVALID`
 */
export async function claimSocket(
  action: string,
  endpoint: Endpoint & { kind: "unix" },
  net: ClaimNet,
  options: ClaimOptions = {},
): Promise<Claim> {
  await prepareDirectory(action, endpoint);
  await refuseOthers(action, endpoint.path);
  const lock = await lockChannel(action, endpoint, net);
  let socket: Socket | null = null;
  try {
    await refuseLive(action, endpoint.path, net);
    socket = await bind(endpoint, net);
    await options.key?.claim();
    return new SocketClaim({ action, endpoint, net, options }, lock, socket);
  } catch (error) {
    socket?.listener.close();
    lock.release();
    throw error;
  }
}

/** Makes or checks the directory of an endpoint. */
export async function prepareDirectory(
  action: string,
  endpoint: Endpoint & { kind: "unix" },
): Promise<void> {
  const { directory } = endpoint;
  if (endpoint.makeDirectory) return await makeDirectory(action, directory);
  if (!await checkDirectory(action, directory)) {
    throw new AddressError(
      "ERR_ADDRESS_INVALID",
      `${action}: directory "${directory.path}" must exist: it does not`,
    );
  }
}

/** Whether an error says that no program listens at an address. */
export function isNobodyThere(error: unknown): boolean {
  return error instanceof ParleyError && error.code === "ERR_CONNECT_REFUSED";
}

/** Runs `check` every {@linkcode WATCH_MS} until it is stopped; it keeps no process alive. */
export function watchPlace(check: () => Promise<void>): () => void {
  const timer = setInterval(() => void check(), WATCH_MS);
  Deno.unrefTimer(timer);
  return () => clearInterval(timer);
}

/** A bound socket and its file. */
interface Socket {
  readonly listener: Listener;
  readonly id: FileId;
}

/** What a claim works with. */
interface ClaimParts {
  readonly action: string;
  readonly endpoint: Endpoint & { kind: "unix" };
  readonly net: ClaimNet;
  readonly options: ClaimOptions;
}

class SocketClaim implements Claim {
  readonly listener: RenewableListener;
  readonly #parts: ClaimParts;
  readonly #lost: PromiseWithResolvers<AddressError> = Promise.withResolvers();
  readonly #stopWatching: () => void;
  #lock: ChannelLock;
  #socket: FileId;
  #isHeld = true;
  #checking: Promise<void> | null = null;
  /** Looks in a row at which another held the lock. */
  #contested = 0;
  #lastFault = "";

  constructor(parts: ClaimParts, lock: ChannelLock, socket: Socket) {
    this.#parts = parts;
    this.#lock = lock;
    this.#socket = socket.id;
    this.listener = new RenewableListener(socket.listener);
    this.#stopWatching = watchPlace(() => this.check());
  }

  get lost(): Promise<AddressError> {
    return this.#lost.promise;
  }

  check(): Promise<void> {
    this.#checking ??= this.#look().then(
      () => void (this.#lastFault = ""),
      (error) => this.#tell(error),
    )
      .finally(() => void (this.#checking = null));
    return this.#checking;
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#stopWatching();
    // While we hold the lock, no other server puts files there: those that are removed are ours.
    this.listener.close(() => {
      if (this.#lock.isInPlace) this.#parts.options.key?.drop();
      this.#lock.release();
    });
  }

  /** The lock first: without it, nothing at the place is ours to make. */
  async #look(): Promise<void> {
    const { endpoint: { path }, options } = this.#parts;
    if (!this.#isHeld) return;
    if (!this.#lock.isInPlace && !await this.#lockAgain()) return;
    this.#contested = 0;
    await options.key?.keep();
    if (this.#isHeld && !isSame(path, this.#socket)) await this.#listenAgain();
  }

  /** Takes the lock of the file that is at the path now. */
  async #lockAgain(): Promise<boolean> {
    const { action, endpoint, options } = this.#parts;
    await prepareDirectory(action, endpoint);
    const lock = await ChannelLock.take(action, endpoint.lockPath, endpoint.lockMode);
    if (lock === null) {
      await this.#contest();
      return false;
    }
    if (!this.#isHeld) {
      lock.release();
      return false;
    }
    this.#lock.close();
    this.#lock = lock;
    options.onRenewed?.(endpoint.lockPath);
    return true;
  }

  async #listenAgain(): Promise<void> {
    const { endpoint, net, options } = this.#parts;
    await this.listener.renew(async () => {
      const { listener, id } = await bind(endpoint, net);
      this.#socket = id;
      return listener;
    });
    options.onRenewed?.(endpoint.path);
  }

  /**
   * Another holds the lock of our channel: a starter that will find us, or a server that has not.
   */
  async #contest(): Promise<void> {
    const { action, endpoint: { path }, net } = this.#parts;
    const isOther = !isSame(path, this.#socket) && await lstat(path) !== null &&
      await net.isLive(path);
    if (!this.#isHeld || !isOther && ++this.#contested < MAX_CONTESTED) return;
    this.release();
    this.#lost.resolve(
      inUse(action, path, "its files were removed, and another server has it now"),
    );
  }

  #tell(error: unknown): void {
    const text = String(error);
    if (text === this.#lastFault || !this.#isHeld) return;
    this.#lastFault = text;
    this.#parts.options.onFault?.(error);
  }
}

/**
 * Takes the lock of a channel, unless a server has the channel whose files were removed a moment
 * ago.
 */
async function lockChannel(
  action: string,
  { path, lockPath, lockMode }: Endpoint & { kind: "unix" },
  net: ClaimNet,
): Promise<ChannelLock> {
  const take = async () => {
    const lock = await ChannelLock.take(action, lockPath, lockMode);
    if (lock === null) throw inUse(action, path, "another server holds it");
    return lock;
  };
  const lock = await take();
  try {
    if (!await net.isListed(path) || await lstat(path) !== null && await net.isLive(path)) {
      return lock;
    }
  } catch (error) {
    lock.release();
    throw error;
  }
  // A socket that was bound here is live and cannot be reached. It is ours to give way to if its
  // server makes its files anew. Else it belongs to another place of this name, such as the /tmp of
  // a service that has its own.
  lock.release();
  for (
    let waitedMs = 0;
    waitedMs < GRACE_MS && await lstat(lockPath) === null;
    waitedMs += GRACE_STEP_MS
  ) {
    await new Promise((resolve) => setTimeout(resolve, GRACE_STEP_MS));
  }
  return await take();
}

/** Another user's server may keep its lock from us. */
async function refuseOthers(action: string, path: string): Promise<void> {
  const info = await lstat(path);
  if (info === null || info.uid === Deno.uid()) return;
  throw inUse(action, path, `it belongs to user ${info.uid}`);
}

/** A program may listen there that knows nothing of our lock. */
async function refuseLive(action: string, path: string, net: ClaimNet): Promise<void> {
  const info = await lstat(path);
  if (info === null) return;
  if (!info.isSocket) throw inUse(action, path, "it is no socket");
  if (await net.isLive(path)) throw inUse(action, path, "another program listens there");
}

/** Listens; the network takes care that the socket never has a looser mode than this. */
async function bind(
  { path, socketMode }: Endpoint & { kind: "unix" },
  net: ClaimNet,
): Promise<Socket> {
  const listener = await net.listen(path, socketMode);
  try {
    const { dev, ino } = await Deno.lstat(path);
    return { listener, id: { dev, ino } };
  } catch (error) {
    listener.close();
    throw error;
  }
}

function inUse(action: string, path: string, found: string): AddressError {
  return new AddressError("ERR_ADDRESS_IN_USE", `${action}: "${path}" must be free: ${found}`);
}
