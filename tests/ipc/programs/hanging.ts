// Connects to a channel and stays; the test stops it.
import { connectIpc } from "../../../ipc/mod.ts";
import { tell } from "./tell.ts";

const client = await connectIpc({ name: "test", path: Deno.args[0] ?? "" });
tell({ connected: client.status });
await client.closed;
