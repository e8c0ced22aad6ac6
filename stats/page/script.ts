// The page's script.

/** The page's script. */
export const SCRIPT: string = `"use strict";
`;
