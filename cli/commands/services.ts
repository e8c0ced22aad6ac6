// Services: the arguments of expose and forward behind HUB: one by two operands, or several as NAME=ADDRESS.
import { UsageError } from "../command/usage.ts";

/** A service, and the address that goes with it, as they were typed. */
export interface TypedService {
  /** What it is called. */
  readonly name: string;
  /** Where it is exposed from, or forwarded to. */
  readonly address: string;
}

/**
 * Reads operands that are all of the form `NAME=ADDRESS`; `null` where they are not.
 *
 * @throws {UsageError} when a name or an address is missing, or a name is there twice
 */
export function severalServices(operands: readonly string[]): readonly TypedService[] | null {
  // With one address behind a name, an "=" in either is a part of it.
  if (operands.length === 0 || !operands.every((operand) => operand.includes("="))) return null;
  const services = operands.map((operand) => {
    const at = operand.indexOf("=");
    return { name: operand.slice(0, at), address: operand.slice(at + 1) };
  });
  for (const [index, { name, address }] of services.entries()) {
    if (name === "" || address === "") {
      throw new UsageError(`A service is NAME=ADDRESS, such as web=8080, not "${operands[index]}"`);
    }
    if (services.findIndex((other) => other.name === name) < index) {
      throw new UsageError(`The service "${name}" is there twice`);
    }
  }
  return services;
}
