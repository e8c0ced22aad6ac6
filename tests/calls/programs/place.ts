// Place: where one half of a carrier listens, as text between two processes.

/** Where to connect to, and what it takes. */
export interface Place {
  /** A folder for sockets and keys. */
  readonly dir: string;
  readonly port?: number | undefined;
  /** Whether connections go over a unix socket in the folder. */
  readonly unix?: boolean | undefined;
  /** Certificates, PEM. */
  readonly tls?: PlaceTls | undefined;
}

/** Certificates of both sides. */
export interface PlaceTls {
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string };
  readonly client: { readonly cert: string; readonly key: string };
}

/** One half of a carrier, once it is up. */
export interface Half<End> {
  /** What the other half needs to connect. */
  readonly place: Place;
  /** What calls or is called; once both halves are up. */
  end(): End | Promise<End>;
  /** Ends it in order: refuses new calls, finishes running ones. */
  shutdown(): Promise<void>;
  /** Ends it now. */
  abort(): void;
  /** Resolves when all of it is over. Never rejects. */
  ended(): Promise<unknown>;
}
