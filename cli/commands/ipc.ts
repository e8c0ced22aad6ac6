// parley ipc: named channels between processes of one machine, from scripts.
import type { Command } from "../command/command.ts";
import { ipcCallCommand } from "./ipc/call.ts";
import { ipcListenCommand } from "./ipc/listen.ts";
import { ipcQueryCommand } from "./ipc/query.ts";
import { ipcSendCommand } from "./ipc/send.ts";

/** `parley ipc` */
export const ipcCommand: Command = {
  name: "ipc",
  summary: "Listen on, send to, ask and call named channels of this machine",
  about:
    `Named channels between processes of this machine, encrypted and only for this user by default.
    A channel of one user needs no set-up: its server makes a key that only this user can read. Others share a key of
    "parley keygen secret", or a passphrase of 16 characters or more in PARLEY_SECRET.`,
  examples: ["parley ipc listen jobs", "echo hello | parley ipc send jobs"],
  commands: [ipcListenCommand, ipcSendCommand, ipcQueryCommand, ipcCallCommand],
};
