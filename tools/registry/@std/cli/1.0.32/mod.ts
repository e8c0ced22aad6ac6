export * from "./parse_args.ts";
export * from "./prompt_secret.ts";
