// What every reader of bytes of strangers may do: return, or refuse with a ProtocolError.
import { ProtocolError } from "../../../errors.ts";

/** Runs a reader; fails when it throws anything but a refusal of ours. */
export function refusedOrRead(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (error instanceof ProtocolError && error.code === "ERR_CALL_FRAME") return;
    throw new Error("A reader threw what is no refusal", { cause: error });
  }
}
