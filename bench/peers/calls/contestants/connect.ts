// Connect's own protocol by @connectrpc/connect-node over HTTP/2 and TCP: a unary call, in protobuf.
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import {
  create,
  createFileRegistry,
  type DescMethodUnary,
  type DescService,
  type Message,
} from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport } from "@connectrpc/connect-node";
import type { Contestant } from "./contestant.ts";

/** A message of one text. */
type Echo = Message & { text: string };

/** What a generator writes for `message Echo { string text = 1; }` and its service, made at run time. */
function describe(): DescService {
  const set = create(FileDescriptorSetSchema, {
    file: [{
      name: "race.proto",
      package: "race",
      syntax: "proto3",
      messageType: [{
        name: "Echo",
        field: [{
          name: "text",
          number: 1,
          jsonName: "text",
          type: FieldDescriptorProto_Type.STRING,
          label: FieldDescriptorProto_Label.OPTIONAL,
        }],
      }],
      service: [{
        name: "Race",
        method: [{ name: "Echo", inputType: ".race.Echo", outputType: ".race.Echo" }],
      }],
    }],
  });
  return createFileRegistry(set).getService("race.Race")!;
}

const service = describe();

/** The contestant. */
export const contestant: Contestant = {
  serve() {
    const echo = service.method["echo"] as DescMethodUnary;
    const server = createServer(connectNodeAdapter({
      routes: (router) => {
        router.rpc(echo, (request) => ({ text: (request as Echo).text }));
      },
    }));
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      });
    });
  },
  dial(baseUrl) {
    const transport = createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: true });
    const client = createClient(service, transport) as unknown as {
      echo(message: { text: string }): Promise<Echo>;
    };
    return Promise.resolve(async (text) => (await client.echo({ text })).text);
  },
};
