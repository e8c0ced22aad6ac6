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
  SchemaError,
  StatsError,
  TimeoutError,
  type TimeoutErrorCode,
  TlsError,
} from "../errors.ts";
import { file } from "./support/programs/program.ts";

/** Every class with the codes it may carry. The types in `errors.ts` refuse any other at compile time. */
const made: readonly ParleyError[] = [
  ...(["ERR_FRAME_TOO_LARGE", "ERR_FRAME_TRUNCATED", "ERR_FRAME_MALFORMED"] as const)
    .map((code) => new FramingError(code, "Cannot read the message")),
  ...([
    "ERR_CALL_FRAME",
    "ERR_IPC_FRAME",
    "ERR_IPC_PROVIDER",
    "ERR_IPC_RECORD",
    "ERR_MUX_FLAGS",
    "ERR_MUX_FLOOD",
    "ERR_MUX_INTERNAL",
    "ERR_MUX_PEER_ERROR",
    "ERR_MUX_STREAM_ID",
    "ERR_MUX_STREAM_STATE",
    "ERR_MUX_TYPE",
    "ERR_MUX_VERSION",
    "ERR_MUX_WINDOW",
    "ERR_PROXY_HEADER",
    "ERR_WIRE_FRAME",
    "ERR_WIRE_SEGMENT",
    "ERR_WIRE_VERSION",
  ] as const)
    .map((code) => new ProtocolError(code, "Cannot go on")),
  ...(["ERR_CLOSED", "ERR_RESET", "ERR_GOING_AWAY", "ERR_SLOW_CONSUMER"] as const)
    .map((code) => new ClosedError(code, "Cannot send")),
  ...([
    "ERR_ACQUIRE_TIMEOUT",
    "ERR_CALL_TIMEOUT",
    "ERR_CONNECT_TIMEOUT",
    "ERR_HANDSHAKE_TIMEOUT",
    "ERR_IDLE_TIMEOUT",
    "ERR_KEEPALIVE_TIMEOUT",
    "ERR_READ_TIMEOUT",
    "ERR_WRITE_TIMEOUT",
    "ERR_DRAIN_TIMEOUT",
  ] as const).map((code) => new TimeoutError(code, "Cannot wait")),
  ...([
    "ERR_TOO_MANY_CONNECTIONS",
    "ERR_TOO_MANY_STREAMS",
    "ERR_QUEUE_FULL",
    "ERR_RATE_LIMITED",
  ] as const)
    .map((code) => new LimitError(code, "Cannot accept")),
  ...(["ERR_AUTH", "ERR_FORBIDDEN"] as const).map((code) => new AuthError(code, "Refused")),
  ...([
    "ERR_TLS_HANDSHAKE",
    "ERR_CERT_EXPIRED",
    "ERR_CERT_EXPIRING",
    "ERR_CERT_KEY_MISMATCH",
    "ERR_CERT_MALFORMED",
    "ERR_CERT_UNTRUSTED",
    "ERR_CERT_WRONG_HOST",
  ] as const)
    .map((code) => new TlsError(code, "Cannot connect")),
  ...([
    "ERR_ADDRESS_IN_USE",
    "ERR_ADDRESS_INVALID",
    "ERR_CONNECT_REFUSED",
    "ERR_NO_BACKEND",
    "ERR_NOT_OUR_PROTOCOL",
    "ERR_SOCKET_PATH_TOO_LONG",
  ] as const)
    .map((code) => new AddressError(code, "Cannot listen")),
  new StatsError("ERR_NO_STATS_FOR_DAY", "Nothing is known of this day"),
  ...([
    "ERR_INPUT_INVALID",
    "ERR_MESSAGE_INVALID",
    "ERR_MESSAGE_MALFORMED",
    "ERR_OUTPUT_INVALID",
  ] as const)
    .map((code) => new SchemaError(code, "Cannot call")),
  ...([
    "ERR_AUTH",
    "ERR_BUSY",
    "ERR_CLOSED",
    "ERR_CONTRACT_MISMATCH",
    "ERR_FORBIDDEN",
    "ERR_GOING_AWAY",
    "ERR_HANDLER",
    "ERR_NAME_TAKEN",
    "ERR_NO_HANDLER",
    "ERR_NO_PEER",
    "ERR_QUEUE_FULL",
    "ERR_TARGET_REFUSED",
    "ERR_TARGET_TIMEOUT",
    "ERR_UNKNOWN_CALL",
    "ERR_VERSION",
    "ERR_OF_THE_PEER",
  ] as const)
    .map((code) => new RemoteError(code, "Its words")),
];

/** The codes that a text names. */
function codesIn(text: string, pattern: RegExp): Set<string> {
  return new Set([...text.matchAll(pattern)].map((match) => match[1]!));
}

/** The codes that the types of `errors.ts` know. */
async function knownCodes(): Promise<Set<string>> {
  const source = await Deno.readTextFile(file("errors.ts"));
  const types = source.split("\n").filter((line) => /^(?:export type| {2}\|) /.test(line)).join(
    "\n",
  );
  return codesIn(types, /"(ERR_[A-Z_]+)"/g);
}

Deno.test("ParleyErrorCode has just the codes of the classes, beside those of a peer's own", async () => {
  const codes = new Set<string>(made.map(({ code }) => code));
  codes.delete("ERR_OF_THE_PEER");
  assertEquals([...codes].sort(), [...await knownCodes()].sort());
});

Deno.test("docs/limits.md lists every code of errors.ts, and no other", async () => {
  const text = await Deno.readTextFile(file("docs/limits.md"));
  const table = text.slice(text.indexOf("| class"), text.indexOf("Errors of streams name"));
  assertEquals([...codesIn(table, /`(ERR_[A-Z_]+)`/g)].sort(), [...await knownCodes()].sort());
});

Deno.test("ParleyError.code narrows in a switch, and a misspelt code does not compile", () => {
  const waits = (error: ParleyError): boolean => {
    switch (error.code) {
      case "ERR_RATE_LIMITED":
      case "ERR_TOO_MANY_CONNECTIONS": {
        const code: "ERR_RATE_LIMITED" | "ERR_TOO_MANY_CONNECTIONS" = error.code;
        return code.length > 0;
      }
      // @ts-expect-error there is no such code
      case "ERR_TO_MANY_STREAMS":
        return true;
      default:
        return false;
    }
  };
  assertEquals(waits(new LimitError("ERR_RATE_LIMITED", "Slow down")), true);
  assertEquals(waits(new ClosedError("ERR_RESET", "Gone")), false);
  const late: TimeoutErrorCode = new TimeoutError("ERR_READ_TIMEOUT", "Late").code;
  // @ts-expect-error a TimeoutError has codes of its own
  assertEquals(new TimeoutError(late, "Late").code === "ERR_RESET", false);
});

Deno.test("RemoteError.peerCode is the code, of whatever kind", () => {
  const error = new RemoteError("ERR_OF_THE_PEER", "Its words");
  assertEquals([error.peerCode, `${error.code}`], ["ERR_OF_THE_PEER", "ERR_OF_THE_PEER"]);
});

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
    new ParleyError("ERR_RESET", "What", { cause }),
    new FramingError("ERR_FRAME_MALFORMED", "What", { cause }),
    new ProtocolError("ERR_MUX_FLOOD", "What", { cause }),
    new ClosedError("ERR_RESET", "What", { cause }),
    new TimeoutError("ERR_READ_TIMEOUT", "What", { cause }),
    new LimitError("ERR_QUEUE_FULL", "What", { cause }),
    new AuthError("ERR_AUTH", "What", { cause }),
    new TlsError("ERR_TLS_HANDSHAKE", "What", { cause }),
    new AddressError("ERR_ADDRESS_IN_USE", "What", { cause }),
    new StatsError("ERR_NO_STATS_FOR_DAY", "What", { cause }),
    new SchemaError("ERR_INPUT_INVALID", "What", { cause }),
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
  const cut = new TimeoutError("ERR_DRAIN_TIMEOUT", "Cannot drain", {
    cutConnections: 3,
    cutBytes: 70,
  });
  assertEquals([cut.cutConnections, cut.cutBytes], [3, 70]);
});

Deno.test("SchemaError tells what is wrong with the value, and where", () => {
  assertEquals(new SchemaError("ERR_MESSAGE_MALFORMED", "Cannot read").issues, []);
  const issues = [{ path: ["items", 3, "price"], message: "Expected number" }];
  assertEquals(new SchemaError("ERR_INPUT_INVALID", "Cannot call", { issues }).issues, issues);
});
