// The metrics: instruments that read the counters which servers and clients keep anyway, and durations of
// operations.
import type * as Api from "@opentelemetry/api";

/** Attributes with one of few values each. */
export type Labels = Readonly<Record<string, string | number>>;

/** Durations that are recorded, in seconds. */
export type DurationName =
  | "parley.connect.duration"
  | "parley.handshake.duration"
  | "parley.stream.duration"
  | "rpc.client.call.duration"
  | "rpc.server.call.duration";

/**
 * Counters by name, as a server, a client, a session or a link keeps them. Names that no instrument has are
 * left out; `connectionsNow` follows from those that were opened and closed.
 */
export type Reading = Readonly<Record<string, unknown>>;

/** How an instrument is made. */
interface Instrument {
  readonly unit: string;
  readonly description: string;
  /** A current number, which also goes down; else a sum that only grows. */
  readonly now?: true | undefined;
  /** Of several with the same attributes the least is exported, not the sum. */
  readonly least?: true | undefined;
}

const INSTRUMENTS = {
  "parley.connection.active": {
    now: true,
    unit: "{connection}",
    description: "Connections that are open",
  },
  "parley.connection.opened": { unit: "{connection}", description: "Connections that came up" },
  "parley.connection.closed": {
    unit: "{connection}",
    description: "Connections that were up and have ended",
  },
  "parley.connection.failed": {
    unit: "{connection}",
    description: "Connections that did not come up",
  },
  "parley.connection.cut": {
    unit: "{connection}",
    description: "Connections ended for what the peer did, or lost",
  },
  "parley.connection.io": { unit: "By", description: "Bytes moved, framing included" },
  "parley.connection.messages": { unit: "{message}", description: "Whole messages moved" },
  "parley.handler.errors": {
    unit: "{error}",
    description: "Handlers of connections that threw an error of their own",
  },
  "parley.stream.active": { now: true, unit: "{stream}", description: "Streams that are not over" },
  "parley.stream.opened": {
    unit: "{stream}",
    description: "Streams that were opened, by either side",
  },
  "parley.stream.refused": {
    unit: "{stream}",
    description: "Streams of the peer that were reset at once",
  },
  "parley.stream.reset": { unit: "{stream}", description: "Streams that the peer reset" },
  "parley.certificate.remaining": {
    now: true,
    least: true,
    unit: "s",
    description: "Time until the first of the certificates in force ends, below zero after that",
  },
  "parley.query.count": { unit: "{query}", description: "Queries asked and received" },
} as const satisfies Readonly<Record<string, Instrument>>;

type InstrumentName = keyof typeof INSTRUMENTS;

const RECEIVED: Labels = { "network.io.direction": "receive" };
const SENT: Labels = { "network.io.direction": "transmit" };

/** Which instrument shows a counter, and the attributes by which counters on one instrument differ. */
const SERIES: Readonly<Record<string, readonly [InstrumentName, Labels]>> = {
  connectionsNow: ["parley.connection.active", {}],
  connectionsOpened: ["parley.connection.opened", {}],
  connectionsClosed: ["parley.connection.closed", {}],
  connectionsRefused: ["parley.connection.failed", { "error.type": "refused" }],
  connectionsReplaced: ["parley.connection.failed", { "error.type": "replaced" }],
  handshakeFailures: ["parley.connection.failed", { "error.type": "handshake_failed" }],
  handshakeTimeouts: ["parley.connection.failed", { "error.type": "handshake_timeout" }],
  connectFailures: ["parley.connection.failed", { "error.type": "connect_failed" }],
  connectionsLost: ["parley.connection.cut", { "error.type": "lost" }],
  idleTimeouts: ["parley.connection.cut", { "error.type": "idle_timeout" }],
  slowConsumers: ["parley.connection.cut", { "error.type": "slow_consumer" }],
  framingErrors: ["parley.connection.cut", { "error.type": "framing" }],
  protocolErrors: ["parley.connection.cut", { "error.type": "protocol" }],
  rateLimitDrops: ["parley.connection.cut", { "error.type": "rate_limited" }],
  handlerErrors: ["parley.handler.errors", {}],
  bytesIn: ["parley.connection.io", RECEIVED],
  bytesOut: ["parley.connection.io", SENT],
  messagesIn: ["parley.connection.messages", RECEIVED],
  messagesOut: ["parley.connection.messages", SENT],
  streams: ["parley.stream.active", {}],
  streamsOpened: ["parley.stream.opened", { "parley.stream.side": "ours" }],
  streamsAccepted: ["parley.stream.opened", { "parley.stream.side": "theirs" }],
  streamsRefused: ["parley.stream.refused", {}],
  resetsIn: ["parley.stream.reset", {}],
  certificateRemainingS: ["parley.certificate.remaining", {}],
  queriesIn: ["parley.query.count", RECEIVED],
  queriesOut: ["parley.query.count", SENT],
};

/**
 * Bounds of durations in seconds: a local query takes 50 µs, a handshake over the world seconds, a stream as
 * it likes.
 */
const BOUNDS = [
  [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005],
  [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600],
].flat();

/** Different attributes that are kept apart; the specification's limit is 2000 for one instrument. */
const MAX_LABEL_SETS = 1000;

/** What stands for all further ones, by its name in the specification. */
const OVERFLOW: Labels = { "otel.metric.overflow": "true" };

/** Counters with the same attributes: those that live, and the sums of those that are gone. */
interface Group {
  readonly labels: Labels;
  readonly live: Set<() => Reading>;
  readonly gone: Record<string, number>;
}

const groups = new Map<string, Group>();

/**
 * Has counters exported from now on; they are read when an exporter asks, and only then.
 *
 * @param read Returns the current values
 * @returns Call it when they will not change any more: sums are kept, current numbers are not
 */
export function observeCounters(labels: Labels, read: () => Reading): () => void {
  const group = groupOf(labels);
  group.live.add(read);
  return () => {
    if (group.live.delete(read)) addUp(group.gone, read(), { now: false });
  };
}

function groupOf(labels: Labels): Group {
  const key = JSON.stringify(labels);
  const known = groups.get(key);
  if (known !== undefined) return known;
  const isFull = groups.size >= MAX_LABEL_SETS && labels !== OVERFLOW;
  if (isFull) return groupOf(OVERFLOW);
  const group: Group = { labels, live: new Set(), gone: {} };
  groups.set(key, group);
  return group;
}

/** Adds the counters that are exported, the current numbers only where `now`. */
function addUp(sums: Record<string, number>, reading: Reading, { now }: { now: boolean }): void {
  const { connectionsOpened, connectionsClosed } = reading;
  const connectionsNow = Number(connectionsOpened) - Number(connectionsClosed);
  const all = Number.isNaN(connectionsNow) ? reading : { ...reading, connectionsNow };
  for (const [name, value] of Object.entries(all)) {
    const series = Object.hasOwn(SERIES, name) ? SERIES[name] : undefined;
    if (series === undefined || typeof value !== "number") continue;
    const instrument: Instrument = INSTRUMENTS[series[0]];
    if (!now && instrument.now === true) continue;
    sums[name] = instrument.least
      ? Math.min(sums[name] ?? Infinity, value)
      : (sums[name] ?? 0) + value;
  }
}

/** The instruments of one meter. */
export interface Metering {
  /** Records how long something took, in seconds. */
  record(name: DurationName, seconds: number, labels: Labels, context: Api.Context): void;
}

/** Makes the instruments. */
export function createMetering(meter: Api.Meter): Metering {
  const instruments = new Map<InstrumentName, Api.Observable>();
  for (const [name, { unit, description, ...rest }] of Object.entries(INSTRUMENTS)) {
    const made = "least" in rest
      ? meter.createObservableGauge(name, { unit, description })
      : "now" in rest
      ? meter.createObservableUpDownCounter(name, { unit, description })
      : meter.createObservableCounter(name, { unit, description });
    instruments.set(name as InstrumentName, made);
  }
  meter.addBatchObservableCallback((result) => observeAll(instruments, result), [
    ...instruments.values(),
  ]);
  const durations = new Map<DurationName, Api.Histogram>();
  return {
    record: (name, seconds, labels, context) => {
      let histogram = durations.get(name);
      if (histogram === undefined) {
        const advice = { explicitBucketBoundaries: BOUNDS };
        histogram = meter.createHistogram(name, {
          unit: "s",
          description: DURATIONS[name],
          advice,
        });
        durations.set(name, histogram);
      }
      histogram.record(seconds, labels, context);
    },
  };
}

const DURATIONS: Readonly<Record<DurationName, string>> = {
  "parley.connect.duration": "Time to dial and to shake hands",
  "parley.handshake.duration": "Time of handshakes with those who connect",
  "parley.stream.duration": "Time from the opening of a stream to its end",
  "rpc.client.call.duration": "Time from a query to its answer",
  "rpc.server.call.duration": "Time that the handler of a query took",
};

function observeAll(
  instruments: ReadonlyMap<InstrumentName, Api.Observable>,
  result: Api.BatchObservableResult,
): void {
  for (const { labels, live, gone } of groups.values()) {
    const sums = { ...gone };
    for (const read of live) addUp(sums, read(), { now: true });
    for (const [name, value] of Object.entries(sums)) {
      const [instrument, more] = SERIES[name]!;
      result.observe(instruments.get(instrument)!, value, { ...labels, ...more });
    }
  }
}
