// Tests of openServerCredentials() with an identity for each of several names.
import { assertEquals, assertRejects } from "@std/assert";
import { TlsError } from "../../errors.ts";
import { openServerCredentials } from "../../tls/load.ts";
import { createCa, createCertificate } from "../../tls/mod.ts";

const ca = await createCa();
const server = await createCertificate({ ca, hosts: ["localhost", "*.example.com"] });

Deno.test("openServerCredentials keeps each name's identity, in lower case", async () => {
  const forA = await createCertificate({ ca, hosts: ["a.example", "*.b.example"] });
  const sni = { "A.example": forA, "*.B.example": forA, "x.example.com": server };
  const source = await openServerCredentials({ ...server, sni });
  assertEquals([...source.current.sni.keys()], ["a.example", "*.b.example", "x.example.com"]);
  assertEquals(source.current.sni.get("a.example"), forA);
  await assertRejects(
    () => openServerCredentials({ ...server, sni: { "*.a.example": forA } }),
    TlsError,
    "not for that name",
  );
  source.close();
  source.close();
});
