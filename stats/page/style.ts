// The page's style.

/** The page's style sheet. */
export const STYLE: string = `:root { color-scheme: light dark; }
`;
