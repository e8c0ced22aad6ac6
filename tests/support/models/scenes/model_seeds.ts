// modelSeeds(): runs a model over many seeds; a failure prints the seed, the story and the line that repeats
// it.
import { effort, propertySeed, Random } from "../../random.ts";

/** Where a model's test is, for the line that repeats a failure. */
export interface ModelTest {
  /** Path of the file from the root. */
  readonly file: string;
  /** A part of the test's name that no other has. */
  readonly filter: string;
  /** Seeds in the gate; `PARLEY_FUZZ_RUNS` multiplies them. */
  readonly seeds: number;
}

/** True when all seeds of the gate run, so that their sum may be judged. */
export const runsAllSeeds: boolean = effort >= 1;

/**
 * Runs `body` once for each seed, to the first that fails; with `PARLEY_MODEL_ALL` set to the last, and
 * lists those that failed.
 */
export async function modelSeeds(
  test: ModelTest,
  body: (random: Random) => Promise<void>,
): Promise<void> {
  const failed: string[] = [];
  const all = Deno.env.has("PARLEY_MODEL_ALL");
  let count = 0;
  for (let seed = propertySeed; seed < propertySeed + test.seeds * effort; seed++) {
    count += 1;
    try {
      await body(new Random(seed));
    } catch (error) {
      const line =
        `PARLEY_SEED=${seed} PARLEY_FUZZ_RUNS=0.0001 deno task test ${test.file} --filter "${test.filter}"`;
      const message = error instanceof Error ? error.message : String(error);
      failed.push(`seed ${seed}: ${message.split("\n")[0]}`);
      if (!all) {
        throw new Error(`Failed with seed ${seed}, repeat with\n  ${line}\n${message}`, {
          cause: error,
        });
      }
    }
  }
  if (failed.length > 0) {
    throw new Error(
      `${failed.length} of ${count} seeds failed:\n${failed.slice(0, 20).join("\n")}`,
    );
  }
}
