// Two clients in network namespaces that cannot reach each other, and a hub that both can reach.
import { assertEquals } from "@std/assert";
import { Program, runProgram } from "../support/programs/program.ts";

const why = Deno.build.os !== "linux"
  ? " (ignored: only Linux has network namespaces)"
  : Deno.uid() !== 0
  ? " (ignored: needs root for network namespaces)"
  : await run("ip", "-V").then(() => "", () => " (ignored: the program ip is missing)");

async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, stdin: "null" }).output();
  if (!success) {
    throw new Error(`${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
}

/** Three namespaces: one for the hub with a link to each of the others, which have no way to each other. */
class Namespaces implements AsyncDisposable {
  readonly #base = `parley${Deno.pid}`;

  static async create(): Promise<Namespaces> {
    const all = new Namespaces();
    try {
      for (const name of ["h", "a", "b"]) {
        await run("ip", "netns", "add", all.name(name));
        await run("ip", "-n", all.name(name), "link", "set", "lo", "up");
      }
      for (const [name, net] of [["a", "10.77.1"], ["b", "10.77.2"]] as const) {
        const [hub, client] = [all.name("h"), all.name(name)];
        const there = ["peer", "name", "up0", "netns", client];
        await run("ip", "-n", hub, "link", "add", `to-${name}`, "type", "veth", ...there);
        await run("ip", "-n", hub, "addr", "add", `${net}.1/24`, "dev", `to-${name}`);
        await run("ip", "-n", hub, "link", "set", `to-${name}`, "up");
        await run("ip", "-n", client, "addr", "add", `${net}.2/24`, "dev", "up0");
        await run("ip", "-n", client, "link", "set", "up0", "up");
      }
    } catch (error) {
      await all[Symbol.asyncDispose]();
      throw error;
    }
    return all;
  }

  name(short: string): string {
    return `${this.#base}${short}`;
  }

  /** Options of a program that runs in one of them. */
  in(short: string): { prefix: string[]; keepStdin: boolean } {
    return { prefix: ["ip", "netns", "exec", this.name(short)], keepStdin: true };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of ["h", "a", "b"]) {
      await run("ip", "netns", "del", this.name(name)).catch(() => {});
    }
  }
}

Deno.test({
  name:
    "hub brings 64 MiB between clients that cannot reach each other, and again after it was killed" +
    why,
  ignore: why !== "",
  async fn() {
    const program = "tests/wire/netns_program.ts";
    await using spaces = await Namespaces.create();
    const first = new Program(program, ["hub", "0.0.0.0", "0"], spaces.in("h"));
    const port = `${await first.port()}`;
    try {
      await using bob = new Program(program, ["receive", "10.77.2.1", port], spaces.in("b"));
      await bob.printed(/Joined/);
      const reach = (hostname: string) =>
        runProgram(program, ["reach", hostname, port], { ...spaces.in("a"), keepStdin: false });
      assertEquals((await reach("10.77.2.2")).stdout, "reached: false\n");

      await using ann = new Program(program, ["send", "10.77.1.1", port], spaces.in("a"));
      await ann.type("one\n");
      assertEquals((await ann.printed(/one (.*)\n/))[1], "equal");
      first.kill("SIGKILL");
      await first.finish();
      await using second = new Program(program, ["hub", "0.0.0.0", port], spaces.in("h"));
      await second.port();
      await ann.type("two\n");
      assertEquals((await ann.printed(/two (.*)\n/))[1], "equal");
      assertEquals((await reach("10.77.1.1")).stdout, "reached: true\n");
    } finally {
      await first[Symbol.asyncDispose]();
    }
  },
});
