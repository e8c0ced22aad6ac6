// Tests of certificates that are watched and reloaded.
import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { fileURLToPath } from "node:url";
import type { TlsError } from "../../errors.ts";
import { openServerCredentials } from "../../tls/load.ts";
import {
  createCa,
  createCertificate,
  loadTls,
  peerCertificate,
  readCertificates,
  writeIdentity,
} from "../../tls/mod.ts";
import type { Credentials, ServerTlsOptions } from "../../tls/handshake/options.ts";
import { signFiles } from "../../tls/watch.ts";
import { ManualWatchClock } from "../support/simulation/watch_clock.ts";
import { withFiles } from "./files.ts";

const dayMs = 86_400_000;
const ca = await createCa();
const [one, two, three] = [await make(), await make(), await make()];
const monthAgo = new Date(Date.now() - 40 * dayMs);
const oldCa = await createCa({ now: monthAgo });
const expired = await createCertificate({
  ca: oldCa,
  hosts: ["localhost"],
  now: monthAgo,
  days: 30,
});

function make(): Promise<Credentials> {
  return createCertificate({ ca, hosts: ["localhost", "b.example"] });
}

/**
 * Credentials of `a.pem` and `a.key` in a directory, watched each second under a manual clock, with all
 * that was reported.
 */
async function watched(directory: string, more: Partial<ServerTlsOptions> = {}) {
  const clock = new ManualWatchClock();
  const errors: unknown[] = [];
  const told: string[] = [];
  let reloads = 0;
  const [certFile, keyFile] = [`${directory}/a.pem`, `${directory}/a.key`];
  const source = await openServerCredentials(
    { certFile, keyFile, watch: true, ...more } as ServerTlsOptions,
    {
      clock,
      watchIntervalMs: 1000,
      watchGraceMs: 10_000,
      onError: (error) => errors.push(error),
      onReload: () => reloads++,
    },
  );
  source.subscribe(({ cert }) => told.push(cert));
  return {
    source,
    clock,
    errors,
    told,
    certFile,
    keyFile,
    reloads: () => reloads,
    inForce: () => ({ cert: source.current.cert, key: source.current.key }),
  };
}

function withWatched(
  body: (watch: Awaited<ReturnType<typeof watched>>, directory: string) => Promise<void>,
): Promise<void> {
  return withFiles({ "a.pem": one.cert, "a.key": one.key }, async (directory) => {
    const watch = await watched(directory);
    try {
      await body(watch, directory);
    } finally {
      watch.source.close();
    }
    assertEquals(watch.clock.isPlanned, false, "nothing is planned after close");
  });
}

Deno.test("openServerCredentials leaves alone what does not change", () =>
  withWatched(async ({ clock, told, errors, inForce }) => {
    await clock.advance(60_000);
    assertEquals([told, errors], [[], []]);
    assertEquals(inForce(), one);
  }));

Deno.test("openServerCredentials brings changed files into force at the next look, and tells once", () =>
  withWatched(async ({ clock, told, errors, inForce, certFile, keyFile, reloads }) => {
    await writeIdentity({ ...two, certFile, keyFile, replace: true });
    assertEquals(inForce(), one);
    await clock.advance(1000);
    assertEquals(inForce(), two);
    await clock.advance(60_000);
    assertEquals([told, errors, reloads()], [[two.cert], [], 1]);
  }));

for (const order of [["cert", "key"], ["key", "cert"]] as const) {
  Deno.test(`openServerCredentials waits out a rotation that writes the ${order[0]} first`, () =>
    withWatched(async ({ clock, told, errors, inForce, certFile, keyFile }) => {
      const files = { cert: certFile, key: keyFile };
      await Deno.writeTextFile(files[order[0]], two[order[0]]);
      await clock.advance(9000);
      assertEquals([inForce(), told, errors], [one, [], []]);
      await Deno.writeTextFile(files[order[1]], two[order[1]]);
      await clock.advance(1000);
      assertEquals([inForce(), told, errors], [two, [two.cert], []]);
    }));
}

Deno.test("openServerCredentials reports what stays unfit once for each state, and keeps the old in force", () =>
  withWatched(async ({ clock, told, errors, inForce, certFile, keyFile }) => {
    await Deno.writeTextFile(certFile, two.cert);
    await clock.advance(30_000);
    assertEquals(errors.map((error) => (error as TlsError).code), ["ERR_CERT_KEY_MISMATCH"]);
    await Deno.writeTextFile(certFile, "half of a f");
    await clock.advance(30_000);
    assertEquals(errors.length, 2);
    assertEquals((errors[1] as TlsError).code, "ERR_CERT_MALFORMED");
    await Deno.remove(certFile);
    await clock.advance(30_000);
    assertEquals(errors.length, 3);
    assert(errors[2] instanceof Deno.errors.NotFound);
    assertEquals([inForce(), told], [one, []]);
    await writeIdentity({ ...three, certFile, keyFile, replace: true });
    await clock.advance(1000);
    assertEquals([inForce(), told, errors.length], [three, [three.cert], 3]);
  }));

Deno.test("openServerCredentials does not take an expired certificate in exchange for a good one", () =>
  withWatched(async ({ clock, errors, inForce, certFile, keyFile }) => {
    await writeIdentity({ ...expired, certFile, keyFile, replace: true });
    await clock.advance(30_000);
    assertEquals(inForce(), one);
    assertEquals(errors.map((error) => (error as TlsError).code), ["ERR_CERT_EXPIRED"]);
  }));

Deno.test("openServerCredentials takes a certificate of the future once its time has come", () =>
  withWatched(async ({ clock, inForce, certFile, keyFile }) => {
    const now = new Date(clock.now() + 6 * 60_000);
    const early = await createCertificate({ ca, hosts: ["localhost"], now });
    await writeIdentity({ ...early, certFile, keyFile, replace: true });
    // Validity begins five minutes before that moment.
    await clock.advance(50_000);
    assertEquals(inForce(), one);
    await clock.advance(20_000);
    assertEquals(inForce(), early);
  }));

Deno.test("openServerCredentials sees a file of the same size and time written in place", () =>
  withWatched(async ({ clock, inForce, certFile, keyFile }) => {
    await clock.advance(10_000);
    const { mtime, size } = await Deno.stat(keyFile);
    assert(mtime !== null);
    const same = await make();
    assertEquals(same.key.length, size);
    await Deno.writeTextFile(certFile, same.cert);
    await Deno.writeTextFile(keyFile, same.key);
    await Deno.utime(keyFile, mtime, mtime);
    await clock.advance(1000);
    assertEquals(inForce(), same);
  }));

Deno.test({
  name:
    "openServerCredentials follows links that are swapped, as Kubernetes and certbot do (ignored on Windows: links)",
  ignore: Deno.build.os === "windows",
  fn: () =>
    withFiles({}, async (directory) => {
      for (const [version, identity] of [["v1", one], ["v2", two]] as const) {
        await Deno.mkdir(`${directory}/${version}`);
        await Deno.writeTextFile(`${directory}/${version}/a.pem`, identity.cert);
        await Deno.writeTextFile(`${directory}/${version}/a.key`, identity.key);
      }
      await Deno.symlink("v1", `${directory}/data`);
      await Deno.symlink("data/a.pem", `${directory}/a.pem`);
      await Deno.symlink("data/a.key", `${directory}/a.key`);
      const { source, clock, inForce, errors } = await watched(directory);
      await clock.advance(5000);
      assertEquals(inForce(), one);
      await Deno.symlink("v2", `${directory}/data.new`);
      await Deno.rename(`${directory}/data.new`, `${directory}/data`);
      await clock.advance(1000);
      assertEquals([inForce(), errors], [two, []]);
      source.close();
    }),
});

Deno.test("openServerCredentials watches names and client authorities too, and nothing that is not to be watched", () =>
  withFiles({
    "a.pem": one.cert,
    "a.key": one.key,
    "b.pem": one.cert,
    "b.key": one.key,
    "c.pem": one.cert,
    "c.key": one.key,
    "ca.pem": ca.cert,
  }, async (directory) => {
    const file = (name: string) => `${directory}/${name}`;
    const { source, clock, errors } = await watched(directory, {
      clientCaFile: file("ca.pem"),
      sni: {
        localhost: { certFile: file("b.pem"), keyFile: file("b.key"), watch: true },
        "b.example": { certFile: file("c.pem"), keyFile: file("c.key") },
      },
    });
    await writeIdentity({ ...two, certFile: file("c.pem"), keyFile: file("c.key"), replace: true });
    await writeIdentity({
      ...three,
      certFile: file("b.pem"),
      keyFile: file("b.key"),
      replace: true,
    });
    await Deno.writeTextFile(file("ca.pem"), oldCa.cert);
    await clock.advance(5000);
    assertEquals(source.current.clientCa, [oldCa.cert]);
    assertEquals(source.current.sni, new Map([["localhost", three], ["b.example", one]]));
    assertEquals(errors, []);
    source.close();
  }));

Deno.test("openServerCredentials has no effect any more once it is closed, be it in the midst of a look", () =>
  withWatched(async ({ source, clock, told, inForce, certFile, keyFile }) => {
    await writeIdentity({ ...two, certFile, keyFile, replace: true });
    const look = clock.advance(1000);
    source.close();
    await look;
    assertEquals([inForce(), told, clock.isPlanned], [one, [], false]);
  }));

Deno.test("openServerCredentials tells every subscriber, whatever another one throws", () =>
  withWatched(async ({ source, clock, told, errors, certFile, keyFile }) => {
    const fault = new Error("a subscriber's fault");
    source.subscribe(() => {
      throw fault;
    });
    const later: string[] = [];
    const end = source.subscribe(({ cert }) => later.push(cert));
    await writeIdentity({ ...two, certFile, keyFile, replace: true });
    await clock.advance(1000);
    assertEquals([told, later, errors], [[two.cert], [two.cert], [fault]]);
    end();
    await writeIdentity({ ...three, certFile, keyFile, replace: true });
    await clock.advance(1000);
    assertEquals([told.length, later.length], [2, 1]);
  }));

Deno.test("openServerCredentials lets a running server change its certificate between two handshakes", () =>
  withWatched(async ({ source, clock, certFile, keyFile }) => {
    const server = tls.createServer(
      source.current,
      (socket) => void socket.on("error", () => {}).end(),
    );
    source.subscribe(({ cert, key }) => server.setSecureContext({ cert, key }));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    assertEquals(await shownBy(port), readCertificates(one.cert)[0]?.fingerprint256);
    await writeIdentity({ ...two, certFile, keyFile, replace: true });
    await clock.advance(1000);
    assertEquals(await shownBy(port), readCertificates(two.cert)[0]?.fingerprint256);
    server.close();
    await once(server, "close");
  }));

/** The fingerprint of the certificate that a server shows in a new handshake. */
async function shownBy(port: number): Promise<string> {
  const socket = tls.connect({ host: "127.0.0.1", port, servername: "localhost", ca: [ca.cert] });
  await once(socket, "secureConnect");
  const { fingerprint256 } = peerCertificate(socket.getPeerCertificate().raw);
  socket.destroy();
  await once(socket, "close");
  return fingerprint256;
}

Deno.test("loadTls is followed by several servers, and outlives each of them", () =>
  withFiles({ "a.pem": one.cert, "a.key": one.key }, async (directory) => {
    const clock = new ManualWatchClock();
    const files = { certFile: `${directory}/a.pem`, keyFile: `${directory}/a.key` };
    using loaded = await loadTls({ ...files, watch: true, clock });
    const [first, second] = [
      await openServerCredentials(loaded),
      await openServerCredentials(loaded),
    ];
    const told: string[] = [];
    first.subscribe(() => told.push("first"));
    second.subscribe(() => told.push("second"));
    first.close();
    await writeIdentity({ ...two, ...files, replace: true });
    await clock.advance(2000);
    assertEquals(told, ["second"]);
    assertEquals([first.current.cert, second.current.cert, loaded.cert], [
      two.cert,
      two.cert,
      two.cert,
    ]);
    loaded.close();
    assertEquals(clock.isPlanned, false);
  }));

Deno.test("loadTls refuses times that make no sense with RangeError", async () => {
  for (
    const times of [{ watchIntervalMs: 9 }, { watchIntervalMs: 3_600_001 }, { watchGraceMs: -1 }, {
      watchGraceMs: NaN,
    }]
  ) {
    await assertRejects(() => loadTls({ ...one, ...times }), RangeError, "Cannot watch files:");
  }
});

Deno.test("loadTls does not keep the process alive with its watching", () =>
  withFiles({ "a.pem": one.cert, "a.key": one.key }, async (directory) => {
    const program = `
      import { loadTls } from ${JSON.stringify(new URL("../../tls/load.ts", import.meta.url).href)};
      await loadTls({ certFile: "a.pem", keyFile: "a.key", watch: true, watchIntervalMs: 10 });
      console.log("loaded");`;
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-check",
        `--config=${config}`,
        `--allow-read=${directory}`,
        "data:text/typescript," + encodeURIComponent(program),
      ],
      cwd: directory,
      signal: AbortSignal.timeout(20_000),
    }).output();
    const text = new TextDecoder();
    assertEquals([code, text.decode(stdout)], [0, "loaded\n"], text.decode(stderr));
  }));

Deno.test("openServerCredentials never brings a mixed pair into force, in any order of writes and looks", async () => {
  const seed = Math.trunc(Math.random() * 2 ** 31);
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  const identities = [one, two, three];
  const pairs = new Map(identities.map(({ cert, key }) => [cert, key]));
  const pick = () => identities[random(3)] ?? one;
  await withWatched(async ({ clock, source, certFile, keyFile }) => {
    const mixed: string[] = [];
    source.subscribe(({ cert, key }) => pairs.get(cert) === key || mixed.push(cert));
    for (let round = 0; round < 150; round++) {
      const [file, text] = random(2) === 0 ? [certFile, pick().cert] : [keyFile, pick().key];
      const cut = random(4) === 0 ? text.slice(0, random(text.length)) : text;
      const look = random(2) === 0 ? clock.advance(1000) : undefined;
      await Deno.writeTextFile(file, cut);
      await look;
      if (random(3) === 0) await clock.advance(1000);
      assertEquals(pairs.get(source.current.cert), source.current.key, `seed ${seed}`);
    }
    const last = pick();
    await writeIdentity({ ...last, certFile, keyFile, replace: true });
    await clock.advance(3000);
    assertEquals([source.current.cert, mixed], [last.cert, []], `seed ${seed}`);
  });
});

Deno.test("signFiles never gives one text twice for files that changed a moment ago, and does for others", () =>
  withFiles({ "a.pem": one.cert }, async (directory) => {
    const file = `${directory}/a.pem`;
    const changed = (await Deno.stat(file)).mtime!.getTime();
    const at = (ms: number) => signFiles([file], changed + ms);
    assertNotEquals(await at(1000), await at(1999));
    assertEquals(await at(10_000), await at(20_000));
    assertNotEquals(await at(1000), await at(10_000));
  }));

for (
  const [how, onError] of [
    ["throws", () => {
      throw new Error("the hook failed");
    }],
    ["rejects", () => Promise.reject(new Error("the hook failed"))],
  ] as const
) {
  Deno.test(`openServerCredentials goes on when its onError ${how}, and says so on the console`, () =>
    withFiles({ "a.pem": one.cert, "a.key": one.key }, async (directory) => {
      const clock = new ManualWatchClock();
      const [certFile, keyFile] = [`${directory}/a.pem`, `${directory}/a.key`];
      const said: unknown[][] = [];
      const before = console.error;
      console.error = (...parts) => void said.push(parts);
      const source = await openServerCredentials({ certFile, keyFile, watch: true }, {
        clock,
        watchIntervalMs: 1000,
        watchGraceMs: 0,
        onError,
      });
      try {
        await Deno.writeTextFile(certFile, "broken");
        await clock.advance(60_000);
        assert(said.length > 0, "the console was told nothing");
        assertEquals(String(said[0]?.[1]), "Error: the hook failed");
        await writeIdentity({ ...two, certFile, keyFile, replace: true });
        await clock.advance(60_000);
        assertEquals(source.current.cert, two.cert);
      } finally {
        console.error = before;
        source.close();
      }
    }));
}
