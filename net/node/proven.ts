// ProvenCertificates: remembers the client certificates that were last checked in full.
import { RecencyMap } from "../../collections/recency_map.ts";

/** Client certificates that are remembered for resumed sessions: some 150 bytes each. */
const MAX_PROVEN = 10_000;

/**
 * Fingerprints of the client certificates that were last checked in full. Beyond the limit it
 * forgets the least recently seen.
 */
export class ProvenCertificates {
  readonly #fingerprints = new RecencyMap<string, true>();

  /** Number of certificates that it remembers. */
  get size(): number {
    return this.#fingerprints.size;
  }

  /** Whether a certificate is remembered as checked. */
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
