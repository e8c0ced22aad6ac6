// Secrets appear nowhere: not in logs, errors, stats, printed objects, the list of processes or the
// text of a crash.
import { assert, assertEquals } from "@std/assert";
import { secretBytes, SecretKey } from "../../ipc/endpoint/keys.ts";
import { TempDir } from "../support/programs/temp_dir.ts";
import { Child } from "./children.ts";
import { hex } from "./support.ts";

/** Every form in which bytes may be seen; a part of each is enough to be found. */
function forms(bytes: Uint8Array): string[] {
  const base64 = btoa(String.fromCharCode(...bytes));
  const digits = hex(bytes);
  return [
    digits,
    digits.toUpperCase(),
    base64,
    base64.replaceAll("+", "-").replaceAll("/", "_"),
    // Shifted by one and two bytes, as it looks inside something longer.
    btoa(`x${String.fromCharCode(...bytes)}`).slice(2, -4),
    btoa(`xx${String.fromCharCode(...bytes)}`).slice(3, -4),
    bytes.join(","),
    bytes.join(", "),
    String.fromCharCode(...bytes),
    new TextDecoder().decode(bytes),
  ].map((form) => form.slice(0, 24));
}

function assertHidden(
  where: string,
  text: string,
  secrets: Record<string, readonly string[]>,
): void {
  for (const [name, shown] of Object.entries(secrets)) {
    for (const form of shown) assert(!text.includes(form), `${name} is shown in ${where}`);
  }
}

Deno.test("secrets are shown nowhere in a run with debug logs, failures of all kinds and a crash", async () => {
  await using dir = new TempDir();
  const key = SecretKey.generate();
  await key.toFile(`${dir.path}/key`);
  const passphrase = "Correct-Horse-Battery-7301";
  await Deno.writeTextFile(`${dir.path}/passphrase`, passphrase);
  const derived = await SecretKey.fromPassphrase(passphrase, { name: "other" });
  const secrets = {
    "the key": forms(secretBytes(key)),
    "the passphrase": [
      passphrase,
      passphrase.slice(0, 12),
      ...forms(new TextEncoder().encode(passphrase)),
    ],
    "the derived key": forms(secretBytes(derived)),
  };
  await using child = new Child("leaky", [
    `${dir.path}/s`,
    `${dir.path}/key`,
    `${dir.path}/passphrase`,
  ], {
    env: { PARLEY_LOG: "debug" },
  });
  await child.next((event) => event["ready"]);
  if (Deno.build.os === "linux") {
    for (const name of ["cmdline", "environ"]) {
      assertHidden(name, await Deno.readTextFile(`/proc/${child.pid}/${name}`), secrets);
    }
  }
  const listed = await listProcesses();
  assert(listed === null || listed.includes(`${child.pid}`));
  assertHidden("the list of processes", listed ?? "", secrets);
  await child.tell("crash");
  await child.ended();
  assertHidden("what the program said", child.output, secrets);
  // It did say what it was meant to.
  for (
    const said of [
      "SecretKey(hidden)",
      "ERR_AUTH",
      "parley debug",
      "wrong proof",
      "crash",
      "handshake",
    ]
  ) {
    assert(child.output.includes(said), `${said} is missing in:\n${child.output}`);
  }
  assertEquals(forms(new Uint8Array(32)).length, 10);
});

async function listProcesses(): Promise<string | null> {
  try {
    const { stdout } = await new Deno.Command("ps", { args: ["axeww"] }).output();
    return new TextDecoder().decode(stdout);
  } catch {
    return null; // no ps here; /proc has shown it
  }
}
