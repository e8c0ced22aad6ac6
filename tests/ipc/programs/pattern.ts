// The data of a message, made from its type alone, so that either side can check it.

/** Sizes in turn: within one record, one record off the thread, several records. */
const SIZES = [10, 9000, 300, 150_000];

/** The data of the message of a type. */
export function pattern(type: number): Uint8Array {
  return Uint8Array.from(
    { length: SIZES[type % SIZES.length]! },
    (_, i) => (type * 31 + i * 7) & 255,
  );
}
