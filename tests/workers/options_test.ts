// Tests of the options of serveWorkers(), which are checked before a thread is started.
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { lengthPrefixed, serveWorkers } from "@parley/parley";
import { checkSharing } from "../../workers/group_plan.ts";

// deno-lint-ignore no-explicit-any -- what plain JavaScript may pass
type Wrong = any;

Deno.test("serveWorkers() says what is wrong with its options, and where functions belong", async () => {
  const cases: ReadonlyArray<readonly [options: Wrong, kind: typeof TypeError, text: string]> = [
    [{ workers: 0 }, RangeError, '"workers" must be 1 to 1024, current value is 0'],
    [{ workers: "2" }, TypeError, '"workers" must be'],
    [{ port: 70_000 }, RangeError, '"port" must be 0 to 65535'],
    [{ maxConnections: -1 }, RangeError, '"maxConnections" must be'],
    [{ onError: 5 }, TypeError, '"onError" must be a function'],
    [
      { framing: lengthPrefixed() },
      TypeError,
      '"framing" cannot be passed to a thread: export it from the handler\'s module, as ' +
      "`export const options = { framing: … }`",
    ],
    [{ onConnect: () => {} }, TypeError, '"onConnect" cannot be passed to a thread'],
    [{ tls: { cert: "x" } }, TypeError, "key"],
    [null, TypeError, '"options" must be an object'],
  ];
  for (const [options, kind, text] of cases) {
    const given = options === null ? null : { workers: 1, ...options };
    await assertRejects(() => serveWorkers("file:///unused.ts", given), kind, text);
  }
  for (const module of ["./handler.ts", 5, undefined] as Wrong[]) {
    await assertRejects(
      () => serveWorkers(module, { workers: 1 }),
      TypeError,
      'new URL("./handler.ts", import.meta.url)',
    );
  }
});

Deno.test("checkSharing() refuses what the system cannot do, and says what can be done", () => {
  checkSharing("Cannot serve", "linux", 8, undefined);
  checkSharing("Cannot serve", "darwin", 1, undefined);
  checkSharing("Cannot serve", "linux", 1, "/run/app.sock");
  assertThrows(
    () => checkSharing("Cannot serve", "darwin", 2, undefined),
    TypeError,
    'Set "workers" to 1',
  );
  assertThrows(() => checkSharing("Cannot serve", "windows", 2, undefined), TypeError, "(windows)");
  assertThrows(
    () => checkSharing("Cannot serve", "linux", 2, "/run/app.sock"),
    TypeError,
    "Listen on a port",
  );
});

Deno.test("serveWorkers() with one worker serves a unix socket", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/app.sock`;
  const module = new URL("./echo_handler.ts", import.meta.url);
  const server = await serveWorkers(module, { workers: 1, path });
  assertEquals(server.addr, { transport: "unix", path });
  await server.shutdown();
  await Deno.remove(folder, { recursive: true });
});
