/** Thrown by every assertion of this package. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions);
}
