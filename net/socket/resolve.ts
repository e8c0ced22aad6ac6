// Resolves hosts to addresses, and chooses which of them to dial or listen on: one rule for every backend.
import { AddressError } from "../../errors.ts";
import { listenFault } from "../transport/faults.ts";
import { unlessAborted } from "../../async/deadline.ts";

/**
 * What "localhost" means, whatever the machine's files say (RFC 6761, section 6.3). IPv4 first:
 * most servers listen there.
 */
const LOOPBACK: readonly string[] = ["127.0.0.1", "::1"];

/**
 * How long an address has to answer before the next one is dialled beside it, in ms (RFC 8305,
 * section 5).
 */
const NEXT_ADDRESS_MS = 250;

/** An address to dial or to listen on, as the caller named it. */
export interface HostAndPort {
  /** Name or IP address. */
  readonly hostname: string;
  /** 0 to 65535. */
  readonly port: number;
}

/** Whether a host is an IP address, and so needs no resolver. */
export function isAddress(hostname: string): boolean {
  return hostname.includes(":") || /^\d{1,3}(\.\d{1,3}){3}$/.test(hostname);
}

/**
 * Returns the addresses to dial for a host, in order: an address itself, the two loopback addresses
 * for "localhost" and names below it, and the resolver's answer for other names. Where the program
 * may dial the name alone (`--allow-net=example.com`), it is the name: then the platform resolves
 * it, in its own way.
 *
 * @throws the resolver's error, and `signal.reason` when the signal aborts first
 */
export async function addressesToDial(
  { hostname, port }: HostAndPort,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (isAddress(hostname)) return [hostname];
  if (isLocalhost(hostname)) return permitted(LOOPBACK, hostname, port);
  if (!isGranted()) return [hostname];
  return await unlessAborted(lookUp(hostname), signal);
}

/**
 * Returns the addresses to try for a listener, in order: it listens on the first that this machine
 * has. IPv4 comes first, so that one name means one address for every backend.
 *
 * @throws the resolver's error
 */
export async function addressesToListen(
  { hostname, port }: HostAndPort,
): Promise<readonly string[]> {
  if (isAddress(hostname)) return [hostname];
  if (isLocalhost(hostname)) return permitted(LOOPBACK, hostname, port);
  if (!isGranted()) return [hostname];
  const found = await lookUp(hostname);
  return [
    ...found.filter((address) => !address.includes(":")),
    ...found.filter((address) => address.includes(":")),
  ];
}

/**
 * Dials several addresses of one host until one answers. It dials the next as soon as one fails, or
 * has not answered for 250 ms. It returns the first that comes up, and gives up the others.
 *
 * @param attempt Dials one address, and gives up when its signal aborts.
 * @param discard Closes what comes up too late.
 * @throws `signal.reason`, or the error of the first address that says more than that it cannot be reached
 */
export async function dialFirst<T>(
  addresses: readonly string[],
  signal: AbortSignal,
  attempt: (address: string, signal: AbortSignal) => Promise<T>,
  discard: (late: T) => void,
): Promise<T> {
  const [first] = addresses;
  if (first !== undefined && addresses.length === 1) return await attempt(first, signal);
  const race = new DialRace(addresses, attempt, discard);
  return await race.run(signal);
}

/**
 * Listens on the first of a host's addresses that this machine has. An address in use is an error:
 * another address of the same name would be found by some callers only.
 *
 * @param bind Listens on one address.
 * @throws {AddressError} `ERR_ADDRESS_IN_USE`, `ERR_ADDRESS_INVALID`
 */
export async function listenFirst<T>(
  target: HostAndPort,
  bind: (address: string) => Promise<T> | T,
): Promise<T> {
  const addresses = await addressesToListen(target).catch((cause) => {
    throw listenFault({ transport: "tcp", ...target }, cause);
  });
  for (const address of addresses.slice(0, -1)) {
    try {
      return await bind(address);
    } catch (error) {
      if (!(error instanceof AddressError && error.code === "ERR_ADDRESS_INVALID")) throw error;
    }
  }
  return await bind(addresses.at(-1) ?? target.hostname);
}

class DialRace<T> {
  readonly #addresses: readonly string[];
  readonly #attempt: (address: string, signal: AbortSignal) => Promise<T>;
  readonly #discard: (late: T) => void;
  readonly #result = Promise.withResolvers<T>();
  readonly #errors: unknown[] = [];
  /** Ends the attempts that lost. */
  readonly #stop = new AbortController();
  #begun = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(
    addresses: readonly string[],
    attempt: (address: string, signal: AbortSignal) => Promise<T>,
    discard: (late: T) => void,
  ) {
    this.#addresses = addresses;
    this.#attempt = attempt;
    this.#discard = discard;
  }

  async run(signal: AbortSignal): Promise<T> {
    try {
      signal.throwIfAborted();
      this.#next();
      return await unlessAborted(this.#result.promise, signal, this.#discard);
    } finally {
      this.#isOver = true;
      clearTimeout(this.#timer);
      this.#stop.abort();
    }
  }

  #next(): void {
    clearTimeout(this.#timer);
    const address = this.#addresses[this.#begun];
    if (this.#isOver || address === undefined) return;
    this.#begun++;
    this.#attempt(address, this.#stop.signal).then((made) => {
      if (this.#isOver) return this.#discard(made);
      this.#isOver = true;
      this.#result.resolve(made);
    }, (error) => {
      this.#errors.push(error);
      if (this.#errors.length === this.#addresses.length) {
        this.#result.reject(mostTelling(this.#errors));
      } else this.#next();
    });
    if (this.#begun < this.#addresses.length) {
      this.#timer = setTimeout(() => this.#next(), NEXT_ADDRESS_MS);
    }
  }
}

/** Returns the error that says most: a refusal says more than that the machine has no route to an address. */
function mostTelling(errors: readonly unknown[]): unknown {
  return errors.find((error) =>
    !(error instanceof AddressError && error.code === "ERR_ADDRESS_INVALID")
  ) ??
    errors[0];
}

function isLocalhost(hostname: string): boolean {
  return /^(?:.+\.)?localhost\.?$/i.test(hostname);
}

async function lookUp(hostname: string): Promise<readonly string[]> {
  // Imported only here, so that programs that dial addresses start sooner.
  const { default: dns } = await import("node:dns/promises");
  const found = await dns.lookup(hostname, { all: true, verbatim: true });
  return [...new Set(found.map(({ address }) => address))];
}

/** The addresses that the program may use; the name itself where it may use none of them. */
function permitted(
  addresses: readonly string[],
  hostname: string,
  port: number,
): readonly string[] {
  const allowed = addresses.filter((address) =>
    isGranted(address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`)
  );
  return allowed.length === 0 ? [hostname] : allowed;
}

/**
 * Queries the permission without a prompt: an address that the caller did not name must not appear
 * in one.
 */
function isGranted(host?: string): boolean {
  return Deno.permissions.querySync({ name: "net", ...host !== undefined && { host } }).state ===
    "granted";
}
