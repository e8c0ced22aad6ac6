// The openssl program as a second opinion on certificates and keys.

/** Whether the program is there; tests that need it are ignored without it. */
export const hasOpenssl: boolean = await new Deno.Command("openssl", {
  args: ["version"],
  stdout: "null",
  stderr: "null",
})
  .output().then(({ success }) => success, () => false);

/** What such a test adds to its name. */
export const openssl: string = hasOpenssl ? "" : " (ignored: openssl is missing)";

/** Runs it in `directory`; returns the exit code and all that it said. */
export async function runOpenssl(
  directory: string,
  ...args: string[]
): Promise<{ code: number; text: string }> {
  const command = new Deno.Command("openssl", { args, cwd: directory, stdin: "null" });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}
