// TypedConnection and TypedClient: connections and clients whose messages are values.
import type { Client } from "../client/client.ts";
import type { Connection } from "../connection.ts";
import type { Codec } from "./codec.ts";
import { TypedLink, type TypedOptions } from "./typed_link.ts";

/**
 * A `Connection` whose messages are values; `typed` makes it.
 *
 * @template T what is received
 * @template In what is sent
 * @template Data what `link.data` holds
 */
export class TypedConnection<T, In = T, Data = unknown> extends TypedLink<T, In, Connection<Data>> {
  /** @ignore use `typed` */
  constructor(link: Connection<Data>, codec: Codec<T, In>, options: TypedOptions) {
    super(link, codec, link, options);
  }

  /** Resolves when all values sent so far are handed to the kernel. @throws as `Connection.flush` does */
  flush(): Promise<void> {
    return this.link.flush();
  }

  /** Ends our direction once all sent values are written. @throws as `Connection.closeWrite` does */
  closeWrite(): Promise<void> {
    return this.link.closeWrite();
  }

  /** @ignore */
  protected override endWrite(): Promise<void> {
    return this.link.closeWrite();
  }
}

/**
 * A `Client` whose messages are values, across its links; `typed` makes it.
 *
 * @template T what is received
 * @template In what is sent
 * @template Data what `connection.data` of the client holds
 */
export class TypedClient<T, In = T, Data = unknown> extends TypedLink<T, In, Client<Data>> {
  /** @ignore use `typed` */
  constructor(link: Client<Data>, codec: Codec<T, In>, options: TypedOptions) {
    super(link, codec, link, options);
  }

  /** Resolves when the current link has written all values sent so far. @throws as `Client.flush` does */
  flush(): Promise<void> {
    return this.link.flush();
  }

  /** @ignore a client has no direction of its own to end */
  protected override endWrite(): Promise<void> {
    return this.link.close();
  }
}
