// Every error class: its codes, its other fields, and that it can be matched on.
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import {
  AddressError,
  AuthError,
  ClosedError,
  FramingError,
  LimitError,
  ParleyError,
  ProtocolError,
  RemoteError,
  StatsError,
  TimeoutError,
  TlsError,
} from "../errors.ts";

/** Every class with the codes it may carry. The types in `errors.ts` refuse any other at compile time. */
const made: readonly ParleyError[] = [
  ...(["ERR_FRAME_TOO_LARGE", "ERR_FRAME_TRUNCATED", "ERR_FRAME_MALFORMED"] as const)
    .map((code) => new FramingError(code, "Cannot read the message")),
  ...(["ERR_MUX_VERSION", "ERR_WIRE_HELLO", "ERR_IPC_FRAME"] as const)
    .map((code) => new ProtocolError(code, "Cannot go on")),
  ...(["ERR_CLOSED", "ERR_RESET", "ERR_GOING_AWAY", "ERR_SLOW_CONSUMER"] as const)
    .map((code) => new ClosedError(code, "Cannot send")),
  ...([
    "ERR_ACQUIRE_TIMEOUT",
    "ERR_CONNECT_TIMEOUT",
    "ERR_HANDSHAKE_TIMEOUT",
    "ERR_IDLE_TIMEOUT",
    "ERR_KEEPALIVE_TIMEOUT",
    "ERR_READ_TIMEOUT",
    "ERR_WRITE_TIMEOUT",
    "ERR_DRAIN_TIMEOUT",
  ] as const).map((code) => new TimeoutError(code, "Cannot wait")),
  ...(["ERR_TOO_MANY_CONNECTIONS", "ERR_TOO_MANY_STREAMS", "ERR_QUEUE_FULL", "ERR_RATE_LIMITED"] as const)
    .map((code) => new LimitError(code, "Cannot accept")),
  ...(["ERR_AUTH", "ERR_FORBIDDEN"] as const).map((code) => new AuthError(code, "Refused")),
  ...(["ERR_TLS_HANDSHAKE", "ERR_CERT_EXPIRED", "ERR_CERT_KEY_MISMATCH", "ERR_CERT_UNTRUSTED"] as const)
    .map((code) => new TlsError(code, "Cannot connect")),
  ...([
    "ERR_ADDRESS_IN_USE",
    "ERR_ADDRESS_INVALID",
    "ERR_NOT_OUR_PROTOCOL",
    "ERR_SOCKET_PATH_TOO_LONG",
  ] as const)
    .map((code) => new AddressError(code, "Cannot listen")),
  new StatsError("ERR_NO_STATS_FOR_DAY", "Nothing is known of this day"),
  new RemoteError("ERR_OF_THE_PEER", "Its words"),
];

Deno.test("ParleyError is the base of every class, which has a name, a code and a message", () => {
  for (const error of made) {
    assertInstanceOf(error, ParleyError);
    assertInstanceOf(error, Error);
    assertEquals(error.name, error.constructor.name);
    assert(/^ERR_[A-Z_]+$/.test(error.code), error.code);
    assertEquals(`${error}`, `${error.name}: ${error.message}`);
    assertEquals(error.cause, undefined);
    assert(error.stack?.includes("errors_test.ts"));
  }
});

Deno.test("ParleyError keeps what led to it", () => {
  const cause = new Error("why");
  const errors = [
    new ParleyError("ERR_ANY", "What", { cause }),
    new FramingError("ERR_FRAME_MALFORMED", "What", { cause }),
    new ProtocolError("ERR_MUX_ANY", "What", { cause }),
    new ClosedError("ERR_RESET", "What", { cause }),
    new TimeoutError("ERR_READ_TIMEOUT", "What", { cause }),
    new LimitError("ERR_QUEUE_FULL", "What", { cause }),
    new AuthError("ERR_AUTH", "What", { cause }),
    new TlsError("ERR_TLS_HANDSHAKE", "What", { cause }),
    new AddressError("ERR_ADDRESS_IN_USE", "What", { cause }),
    new StatsError("ERR_NO_STATS_FOR_DAY", "What", { cause }),
    new RemoteError("ERR_ANY", "What", { cause }),
  ];
  for (const error of errors) {
    assertEquals(error.cause, cause);
    assertEquals(error.message, "What");
  }
});

Deno.test("ClosedError tells what was not sent", () => {
  assertEquals(new ClosedError("ERR_RESET", "Cannot send").unsentBytes, 0);
  assertEquals(new ClosedError("ERR_RESET", "Cannot send", { unsentBytes: 7 }).unsentBytes, 7);
});

Deno.test("TimeoutError tells what was cut", () => {
  const plain = new TimeoutError("ERR_DRAIN_TIMEOUT", "Cannot drain");
  assertEquals([plain.cutConnections, plain.cutBytes], [0, 0]);
  const cut = new TimeoutError("ERR_DRAIN_TIMEOUT", "Cannot drain", { cutConnections: 3, cutBytes: 70 });
  assertEquals([cut.cutConnections, cut.cutBytes], [3, 70]);
});
