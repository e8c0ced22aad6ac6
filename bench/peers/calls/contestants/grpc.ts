// gRPC by @grpc/grpc-js over TCP: a unary call whose messages are JSON, without generated code.
import { Buffer } from "node:buffer";
import {
  Client,
  credentials,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import type { Contestant } from "./contestant.ts";

const serialize = (text: string): Buffer => Buffer.from(JSON.stringify(text));
const deserialize = (bytes: Buffer): string => JSON.parse(bytes.toString()) as string;
const PATH = "/race.Race/Echo";

const service: ServiceDefinition = {
  echo: {
    path: PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: serialize,
    requestDeserialize: deserialize,
    responseSerialize: serialize,
    responseDeserialize: deserialize,
  },
};

/** The contestant. */
export const contestant: Contestant = {
  serve() {
    const server = new Server();
    const echo: handleUnaryCall<string, string> = (call, reply) => reply(null, call.request);
    server.addService(service, { echo });
    return new Promise((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
        if (error) reject(error);
        else resolve(`127.0.0.1:${port}`);
      });
    });
  },
  async dial(address) {
    const client = new Client(address, credentials.createInsecure());
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + 5000, (error) => error ? reject(error) : resolve());
    });
    return (text) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(PATH, serialize, deserialize, text, (error, answer) => {
          if (error) reject(error);
          else resolve(answer!);
        });
      });
  },
};
