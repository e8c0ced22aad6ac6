// Logs one line of each level through openLogger() in the format that its argument names.
import { type LogFormat, openLogger } from "../../cli/flags/logger.ts";

const logger = openLogger({ level: "info", format: Deno.args[0] as LogFormat });
logger.debug("not seen");
logger.info("Listening", { port: 5555 });
logger.error("Failed", { token: "s3cret" });
// Ends at once: what was logged must be out by now.
Deno.exit(3);
