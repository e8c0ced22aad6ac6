// Descriptors: reading the limit without asking, and fitting a server into it.
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  checkDescriptorBudget,
  descriptorLimit,
  descriptorWarning,
  parseDescriptorLimit,
} from "../../limits/descriptors.ts";

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max open files            1024                 524288               files
Max locked memory         8388608              8388608              bytes
`;

Deno.test("parseDescriptorLimit() reads the soft limit of open files", () => {
  assertEquals(parseDescriptorLimit(LIMITS), 1024);
  assertEquals(parseDescriptorLimit(LIMITS.replace("1024  ", "unlimited")), Infinity);
});

Deno.test("parseDescriptorLimit() gives null for a text that does not tell", () => {
  for (
    const text of [
      "",
      "Max open files",
      "Max open files   many  4096 files",
      "x Max open files 5 5 files",
    ]
  ) {
    assertEquals(parseDescriptorLimit(text), null, JSON.stringify(text));
  }
});

/** Runs a program that prints the limit, with these flags of Deno, under `ulimit -n 200`. */
async function limitSeenWith(flags: readonly string[]): Promise<string> {
  const source = new URL("../../limits/descriptors.ts", import.meta.url).href;
  const program = `import { descriptorLimit } from ${
    JSON.stringify(source)
  }; console.log(descriptorLimit());`;
  const command = new Deno.Command("sh", {
    args: [
      "-c",
      `ulimit -n 200; exec "$@"`,
      "sh",
      Deno.execPath(),
      "run",
      "--no-lock",
      ...flags,
      "-",
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const child = command.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const { stdout, stderr } = await child.output();
  assertEquals(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).trim();
}

Deno.test({
  name: "descriptorLimit() tells the limit of the process with all permissions (needs Linux)",
  ignore: Deno.build.os !== "linux",
  fn: async () => assertEquals(await limitSeenWith(["--allow-all"]), "200"),
});

Deno.test({
  name: "descriptorLimit() gives null without the permissions for it (needs a shell)",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    assertEquals(await limitSeenWith([]), "null");
    // Permission to read files is not enough for Deno to open /proc/self/limits; that is no error either.
    assertEquals(await limitSeenWith(["--allow-read"]), "null");
  },
});

Deno.test("descriptorLimit() reads nothing while the permission is not granted: that would ask at a terminal", () => {
  const { querySync } = Deno.permissions;
  const { readTextFileSync } = Deno;
  let reads = 0;
  try {
    Deno.permissions.querySync = () => ({ state: "prompt" }) as Deno.PermissionStatus;
    Deno.readTextFileSync = () => {
      reads++;
      return LIMITS;
    };
    assertEquals([descriptorLimit(), reads], [null, 0]);
    Deno.permissions.querySync = () => ({ state: "granted" }) as Deno.PermissionStatus;
    assertEquals([descriptorLimit(), reads], [1024, 1]);
  } finally {
    Deno.permissions.querySync = querySync;
    Deno.readTextFileSync = readTextFileSync;
  }
});

Deno.test("descriptorLimit() gives a number above 0 or null in this process", () => {
  const limit = descriptorLimit();
  assert(limit === null || limit > 0);
});

Deno.test("checkDescriptorBudget() keeps the defaults where the limit is large, absent or not known", () => {
  const defaults = { maxConnections: 1000, backlog: 128, reserve: 64 };
  for (const allowed of [null, Infinity, 1192, 20_000]) {
    assertEquals(checkDescriptorBudget({ allowed }), defaults, String(allowed));
  }
});

Deno.test("checkDescriptorBudget() shrinks the default number of connections to fit", () => {
  assertEquals(checkDescriptorBudget({ allowed: 1191 }).maxConnections, 999);
  assertEquals(checkDescriptorBudget({ allowed: 1024 }), {
    maxConnections: 832,
    backlog: 128,
    reserve: 64,
  });
  assertEquals(checkDescriptorBudget({ allowed: 256 }), {
    maxConnections: 144,
    backlog: 48,
    reserve: 64,
  });
  assertEquals(checkDescriptorBudget({ allowed: 64 }), {
    maxConnections: 24,
    backlog: 8,
    reserve: 32,
  });
  assertEquals(checkDescriptorBudget({ allowed: 1024, backlog: 511 }).maxConnections, 449);
});

Deno.test("checkDescriptorBudget() refuses a set maximum that does not fit, at, below and above", () => {
  const wish = (maxConnections: number) =>
    checkDescriptorBudget({ allowed: 1024, backlog: 128, maxConnections });
  assertEquals(wish(831).maxConnections, 831);
  assertEquals(wish(832).maxConnections, 832);
  const error = assertThrows(() => wish(833), RangeError);
  assertEquals(
    error.message,
    `Cannot listen: "maxConnections" of 833, 128 that wait to be accepted ("backlog") and a reserve of 64 need more descriptors than the ` +
      `1024 that this process may have: set "maxConnections" to 832 or less, or raise the limit (ulimit -n, ` +
      `LimitNOFILE= in systemd)`,
  );
});

Deno.test("checkDescriptorBudget() gives a backlog that was not set what a set maximum leaves", () => {
  assertEquals(checkDescriptorBudget({ allowed: 1024, maxConnections: 900 }).backlog, 60);
  assertEquals(checkDescriptorBudget({ allowed: 1024, maxConnections: 959 }).backlog, 1);
  assertThrows(() => checkDescriptorBudget({ allowed: 1024, maxConnections: 960 }), RangeError);
});

Deno.test("checkDescriptorBudget() refuses where there is room for no connection at all", () => {
  assertThrows(
    () => checkDescriptorBudget({ allowed: 64, backlog: 511 }),
    RangeError,
    "at least 1 connection",
  );
  assertThrows(() => checkDescriptorBudget({ allowed: 2 }), RangeError);
});

Deno.test("checkDescriptorBudget() refuses wishes that are no whole numbers above 0, also where all would fit", () => {
  for (const wrong of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(
      () => checkDescriptorBudget({ allowed: null, maxConnections: wrong }),
      RangeError,
      `Cannot listen: "maxConnections" must be`,
    );
    assertThrows(
      () => checkDescriptorBudget({ allowed: null, backlog: wrong }),
      RangeError,
      `"backlog" must be`,
    );
  }
  assertThrows(
    // deno-lint-ignore no-explicit-any
    () => checkDescriptorBudget({ allowed: null, maxConnections: "5" as any }),
    TypeError,
  );
});

Deno.test("checkDescriptorBudget() gives a budget that fits, or refuses, whatever is wished", () => {
  const some = fc.integer({ min: 1, max: 3000 });
  const optional = fc.option(some, { nil: undefined });
  fc.assert(
    fc.property(some, optional, optional, optional, (allowed, maxConnections, backlog, reserve) => {
      const wishes = {
        allowed,
        ...(maxConnections === undefined ? {} : { maxConnections }),
        ...(backlog === undefined ? {} : { backlog }),
        ...(reserve === undefined ? {} : { reserve }),
      };
      let budget;
      try {
        budget = checkDescriptorBudget(wishes);
      } catch (error) {
        assert(error instanceof RangeError);
        return;
      }
      assert(budget.maxConnections >= 1 && budget.backlog >= 1);
      assert(budget.maxConnections + budget.backlog + budget.reserve <= allowed);
      for (const [name, wished] of Object.entries({ maxConnections, backlog, reserve })) {
        if (wished !== undefined) assertEquals(budget[name as keyof typeof budget], wished);
      }
    }),
  );
});

Deno.test("descriptorWarning() says that a limit was lowered, by how much and what to raise; else nothing", () => {
  const warn = (allowed: number | null, maxConnections?: number) => {
    const wishes = { allowed, maxConnections };
    return descriptorWarning(wishes, checkDescriptorBudget(wishes));
  };
  assertEquals(
    warn(256),
    "Connections are limited to 144 in place of 1000 as this process may have 256 descriptors: " +
      'raise that (ulimit -n, LimitNOFILE= in systemd), or set "maxConnections"',
  );
  assertEquals([warn(null), warn(Infinity), warn(65_536), warn(256, 100)], [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
