// One process of a pair: asks the other all the time, and reports every answer, failure and query it heard.
import { pairIpc } from "../../../ipc/mod.ts";
import { codeOf, commands, tell } from "./tell.ts";

const [path = "", id = "?"] = Deno.args;
tell({ ready: true });
await commands().getReader().read();
const peer = await pairIpc({ name: "test", path }, (data) => {
  const query = new TextDecoder().decode(data);
  tell({ heard: query });
  return `${id} heard ${query}`;
});
tell({ role: peer.role });
for (let i = 0;; i++) {
  const query = `${id}:${i}`;
  try {
    const answer = new TextDecoder().decode(await peer.query(query, { timeoutMs: 1000 }));
    tell({ answered: query, answer, role: peer.role });
  } catch (error) {
    tell({ failed: query, code: codeOf(error) });
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
}
