// Roster: which backends a pool has; those of names that are looked up come and go.
import { checkOptionNames } from "../options/names.ts";
import { BACKEND_NAMES } from "./option_names.ts";
import { HealthCheck } from "./health.ts";
import { nameOf, PoolBackend } from "./backend.ts";
import type { PoolEngine } from "./engine.ts";
import { NameWatch, systemResolver } from "./names.ts";
import type { Backend } from "./options.ts";

/** What the user calls one backend: itself, or all the addresses of a name. */
interface Group {
  readonly given: Backend;
  readonly watch: NameWatch | null;
  /** By address; the empty address is the backend itself. */
  readonly backends: Map<string, PoolBackend>;
}

/** The backends of a pool, by name. */
export class Roster {
  readonly #engine: PoolEngine;
  readonly #groups = new Map<string, Group>();
  readonly #checks = new Map<PoolBackend, HealthCheck>();

  constructor(engine: PoolEngine) {
    this.#engine = engine;
  }

  /** Whether the addresses of some name are not known yet. */
  get isPending(): boolean {
    for (const { watch } of this.#groups.values()) if (watch?.isPending) return true;
    return false;
  }

  /**
   * Checks the user's options.
   *
   * @throws {TypeError | RangeError} when it is wrong
   */
  check(given: Backend): void {
    checkOptionNames("Cannot add the backend", given, BACKEND_NAMES);
    const { resolve = false } = given ?? {};
    this.#make(given);
    if (typeof resolve !== "boolean" && typeof resolve !== "function") {
      throw new TypeError(
        `Cannot add the backend: "resolve" must be true, false or a function, got ${typeof resolve}`,
      );
    }
    if (resolve !== false && given.path !== undefined) {
      throw new TypeError(`Cannot add the backend: "path" excludes "resolve"`);
    }
  }

  /**
   * Adds a backend.
   *
   * @throws {TypeError | RangeError} when it is wrong, or its name is taken
   */
  add(given: Backend): void {
    this.check(given);
    const name = nameOf(given);
    if (this.#groups.has(name)) {
      throw new TypeError(`Cannot add the backend: there is one named "${name}" already`);
    }
    const { resolve = false, hostname = "127.0.0.1" } = given;
    if (resolve === false) {
      const group: Group = { given, watch: null, backends: new Map() };
      this.#groups.set(name, group);
      this.#join(group, "", this.#make(given));
      return;
    }
    const { resolveIntervalMs, timeoutMs } = this.#engine.options;
    const resolver = resolve === true ? systemResolver : resolve;
    const watch = new NameWatch(hostname, { resolver, intervalMs: resolveIntervalMs, timeoutMs }, {
      onAdd: (address) => this.#join(group, address, this.#makeAt(given, name, address)),
      onRemove: (address) => this.#leave(group, address),
      onLookup: (error) => this.#onLookup(name, error),
    });
    const group: Group = { given, watch, backends: new Map() };
    this.#groups.set(name, group);
  }

  /**
   * The backends of that name: one, or one for each address.
   *
   * @throws {TypeError} when there are none
   */
  find(name: string): PoolBackend[] {
    const group = this.#groups.get(name);
    if (group !== undefined) return [...group.backends.values()];
    for (const backend of this.#engine.dispatcher.members) {
      if (backend.name === name) return [backend];
    }
    throw new TypeError(`Cannot find a backend named "${name}"`);
  }

  /** Gives up a name; its backends work on until they are drained. */
  release(name: string): PoolBackend[] {
    const group = this.#groups.get(name);
    if (group === undefined) throw new TypeError(`Cannot find a backend named "${name}"`);
    group.watch?.stop();
    this.#groups.delete(name);
    return [...group.backends.values()];
  }

  /** Puts new backends in the place of drained ones. */
  resume(name: string): void {
    const drained = this.find(name);
    if (!drained.every(({ leaving }) => leaving)) {
      throw new TypeError(`Cannot resume the backend "${name}": it was not drained`);
    }
    for (const group of this.#groups.values()) {
      for (const [address, backend] of group.backends) {
        if (!drained.includes(backend)) continue;
        this.#join(
          group,
          address,
          address === "" ? this.#make(group.given) : this.#remake(group, backend, address),
        );
        void backend.quiet.promise.then(() => this.forget([backend]));
      }
    }
  }

  /** Forgets backends that are drained. */
  forget(backends: readonly PoolBackend[]): void {
    for (const backend of backends) {
      void this.#checks.get(backend)?.stop();
      this.#checks.delete(backend);
      this.#engine.outliers?.remove(backend);
      this.#engine.dispatcher.delete(backend);
    }
    this.#engine.perform();
  }

  /** Looks up names and checks health when it is time to. */
  sweep(nowMs: number): void {
    for (const { watch } of this.#groups.values()) watch?.sweep(nowMs);
    for (const [backend, check] of this.#checks) if (!backend.leaving) check.sweep(nowMs);
  }

  /** Ends look-ups and health checks. */
  async stop(): Promise<void> {
    for (const { watch } of this.#groups.values()) watch?.stop();
    await Promise.all([...this.#checks.values()].map((check) => check.stop()));
  }

  #join(group: Group, address: string, backend: PoolBackend): void {
    const { dispatcher, outliers, perform } = this.#engine;
    group.backends.set(address, backend);
    outliers?.add(backend);
    this.#watchHealth(backend);
    dispatcher.add(backend);
    perform();
  }

  #watchHealth(backend: PoolBackend): void {
    const { options, answers, onChange, reporter } = this.#engine;
    if (options.health === null) return;
    const check = new HealthCheck(backend, {
      options: options.health,
      given: options.given,
      answers,
      onResult: onChange,
      onUnwell: (error) => {
        this.#engine.lastError = error;
        reporter.report(error, { phase: "health", backend: backend.name });
      },
    });
    this.#checks.set(backend, check);
  }

  /** An address is gone from its name: its leases may end in their own time. */
  #leave(group: Group, address: string): void {
    const backend = group.backends.get(address)!;
    group.backends.delete(address);
    this.#engine.drain(backend);
    void backend.quiet.promise.then(() => this.forget([backend]));
  }

  #onLookup(name: string, error: unknown): void {
    if (error !== undefined) {
      this.#engine.lastError = error;
      this.#engine.reporter.report(error, { phase: "lookup", backend: name });
    }
    this.#engine.dispatcher.expectsMembers = this.isPending;
    this.#engine.onChange();
  }

  #make(given: Backend): PoolBackend {
    const { options, outliers, onChange } = this.#engine;
    return new PoolBackend(given, { options, outliers, onChange });
  }

  /** The backend at one address of a name; its certificate must still be for the name. */
  #makeAt(given: Backend, name: string, address: string): PoolBackend {
    const tls = given.tls ?? this.#engine.options.given.tls;
    const named = tls === undefined
      ? undefined
      : { ...tls, serverName: tls.serverName ?? given.hostname };
    return this.#make({ ...given, name: `${name}/${address}`, hostname: address, tls: named });
  }

  #remake(group: Group, { name }: PoolBackend, address: string): PoolBackend {
    return this.#makeAt(group.given, name.slice(0, -address.length - 1), address);
  }
}
