// findProgram(): where a program is, so that a wrong name is an error at the start and not for the
// first client.

/**
 * Finds a program as a shell does: by its path, or by its name in the folders of `PATH`. Nothing is run by a
 * shell.
 *
 * @throws {Deno.errors.NotFound} when there is none
 */
export async function findProgram(name: string): Promise<string> {
  const onWindows = Deno.build.os === "windows";
  // There, names have endings that the system adds: it knows best.
  if (onWindows) return name;
  if (name.includes("/")) {
    if (await isProgram(name)) return name;
    throw new Deno.errors.NotFound(`Cannot run "${name}": it is no program`);
  }
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${folder === "" ? "." : folder}/${name}`;
    if (name !== "" && await isProgram(path)) return path;
  }
  throw new Deno.errors.NotFound(`Cannot run "${name}": there is no such program in PATH`);
}

async function isProgram(path: string): Promise<boolean> {
  try {
    const { isFile, mode } = await Deno.stat(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}
