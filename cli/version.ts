// The version that the command line prints.

/** The same as in deno.json, which a published module cannot read everywhere; a test compares them. */
export const VERSION = "0.1.0";
