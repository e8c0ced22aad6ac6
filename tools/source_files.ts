// Finds the source files of this repository.

/** The folder that holds deno.json. */
export const ROOT: URL = new URL("../", import.meta.url);

/** Folders with code that is not part of the library. */
const OUTSIDE = ["tests", "bench", "examples", "tools", "docs"];
const IGNORED = ["node_modules", "dist", "coverage"];

/** Paths below {@linkcode ROOT}, with forward slashes, of all files whose name has this ending. */
export function findFiles(ending: string): string[] {
  const found: string[] = [];
  const visit = (folder: string) => {
    for (const entry of Deno.readDirSync(new URL(folder, ROOT))) {
      if (entry.name.startsWith(".") || IGNORED.includes(entry.name)) continue;
      if (entry.isDirectory) visit(`${folder}${entry.name}/`);
      else if (entry.name.endsWith(ending)) found.push(folder.slice(2) + entry.name);
    }
  };
  visit("./");
  return found.sort();
}

/** Paths of the library's own modules: what is published. */
export function findLibraryFiles(): string[] {
  return findFiles(".ts").filter((path) => !OUTSIDE.includes(path.split("/")[0]!));
}
