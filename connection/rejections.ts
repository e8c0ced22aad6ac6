// Rejections that may go unheard: a connection tells of its end in other ways too, so none may end the process.

/** Marks a promise as one whose rejection may go unheard. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** Makes a rejection that may go unheard. */
export function rejected(error: unknown): Promise<never> {
  return handled(Promise.reject(error));
}
