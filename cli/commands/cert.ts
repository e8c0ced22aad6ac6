// parley cert: makes certificates for private networks, and prints what is in them.
import { caCommand, clientCertCommand, serverCertCommand } from "./cert/make.ts";
import { showCommand } from "./cert/show.ts";
import type { Command } from "../command/command.ts";

/** `parley cert` */
export const certCommand: Command = {
  name: "cert",
  summary: "Make certificates, and show what is in them",
  about:
    `Makes an authority of your own and the certificates of servers and clients that it signs, for networks where
    no public authority is wanted. Private keys are written so that only their owner can read them, and no file is
    ever replaced without --force.`,
  examples: [
    "parley cert ca",
    "parley cert server localhost",
    "parley serve --cert server.pem --key server.key",
    "parley connect localhost:5555 --ca ca.pem",
  ],
  commands: [caCommand, serverCertCommand, clientCertCommand, showCommand],
};
