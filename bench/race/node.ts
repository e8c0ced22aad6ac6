// Node for the peers of the race: it and the packages of the race from npm, beside a copy of the programs.

/** Version line of Node that the race takes: it runs TypeScript as it is. */
const NODE = "node@24";
const PACKAGES = [
  "@bufbuild/protobuf",
  "@connectrpc/connect",
  "@connectrpc/connect-node",
  "@grpc/grpc-js",
  "vscode-jsonrpc",
];
const FILES = [
  "../meter.ts",
  "server.ts",
  "load.ts",
  ...["connect.ts", "contestant.ts", "grpc.ts", "jsonrpc.ts"].map((file) => `contestants/${file}`),
];

/** Where Node and the programs are. */
export interface NodeRuntime {
  readonly node: string;
  readonly version: string;
  readonly programs: string;
}

/** Installs into `folder`; returns `null`, after a word about why, where npm is missing or fails. */
export async function prepareNode(folder: string): Promise<NodeRuntime | null> {
  const root = new URL("../../", import.meta.url);
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root))) as {
    imports: Record<string, string>;
  };
  const programs = `${folder}/calls`;
  await Deno.mkdir(`${programs}/contestants`, { recursive: true });
  await Deno.writeTextFile(`${folder}/package.json`, `{ "type": "module" }`);
  for (const file of FILES) {
    await Deno.copyFile(new URL(`../peers/calls/${file}`, import.meta.url), `${programs}/${file}`);
  }
  const packages = PACKAGES.map((name) => imports[name]!.replace("npm:", ""));
  const npm = await run(folder, "npm", ["install", "--no-audit", "--no-fund", NODE, ...packages]);
  const node = `${folder}/node_modules/.bin/node`;
  const version = npm === null ? null : await run(folder, node, ["--version"]);
  if (version === null) {
    console.error(`Peers run under Deno only: ${NODE} could not be had from npm.`);
    return null;
  }
  return { node, version: version.trim(), programs };
}

async function run(cwd: string, command: string, args: readonly string[]): Promise<string | null> {
  try {
    const { success, stdout } = await new Deno.Command(command, {
      cwd,
      args: [...args],
      stderr: "null",
    }).output();
    return success ? new TextDecoder().decode(stdout) : null;
  } catch {
    return null;
  }
}
