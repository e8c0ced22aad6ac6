// ProvenCertificates: client certificates that were checked in full, the last ones.
import { RecencyMap } from "../../collections/recency_map.ts";

/** Client certificates that are remembered for resumed sessions: some 150 bytes each. */
const MAX_PROVEN = 10_000;

/** Fingerprints of the client certificates that were checked in full last; the one that was not seen for longest goes first. */
export class ProvenCertificates {
  readonly #fingerprints = new RecencyMap<string, true>();

  /** How many are remembered. */
  get size(): number {
    return this.#fingerprints.size;
  }

  /** Whether a certificate was checked, and is remembered. */
  has(fingerprint: string): boolean {
    return this.#fingerprints.get(fingerprint) === true;
  }

  /** Remembers a certificate that was checked, or seen again. */
  add(fingerprint: string): void {
    const fingerprints = this.#fingerprints;
    fingerprints.set(fingerprint, true);
    if (fingerprints.size > MAX_PROVEN) fingerprints.delete(fingerprints.oldest()![0]);
  }
}
