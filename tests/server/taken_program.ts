// A server whose port is taken: run by process_test.ts.
import { serve } from "@parley/parley";

const [port = "0", how = "ready"] = Deno.args;
const server = serve({ port: Number(port) }, () => {});
if (how === "ready") await server.ready;
if (how === "finished") await server.finished;
